//! What the library says of its own doings, for the app's log. No line names
//! anybody, any place or anything that somebody wrote.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum LogLevel {
    /// Something went as it should.
    Info,
    /// Something did not work and will be tried again.
    Warning,
    /// Something has to be looked at.
    Error,
}

/// Where the lines go. Called on the library's own threads, whatever it is
/// doing: return at once, and do not call the phone from here.
#[uniffi::export(callback_interface)]
pub trait LogSink: Send + Sync {
    /// One line, in English.
    fn line(&self, level: LogLevel, text: String);
}

/// The app's log, if it wants one.
pub(crate) struct Log(Option<Box<dyn LogSink>>);

impl Log {
    pub(crate) fn new(sink: Option<Box<dyn LogSink>>) -> Self {
        Self(sink)
    }

    pub(crate) fn info(&self, text: impl Into<String>) {
        self.line(LogLevel::Info, text.into());
    }

    pub(crate) fn warning(&self, text: impl Into<String>) {
        self.line(LogLevel::Warning, text.into());
    }

    pub(crate) fn error(&self, text: impl Into<String>) {
        self.line(LogLevel::Error, text.into());
    }

    fn line(&self, level: LogLevel, text: String) {
        if let Some(sink) = &self.0 {
            // A log that fails must not fail what it tells of.
            let _ = catch_unwind(AssertUnwindSafe(|| sink.line(level, text)));
        }
    }
}
