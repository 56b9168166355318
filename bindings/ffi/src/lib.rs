//! The phone for Kotlin and Swift: a facade without decisions over
//! [`shaodao_core::device`].
//!
//! 1. An app opens its phone once ([`open`]) and keeps the [`phone::Phone`].
//! 2. Every call is one screen or one action; it runs on this library's own
//!    threads (`runtime`), so that the thread of the screen never waits for a
//!    disk, and it may fail with a [`error::PhoneError`] that says why in both
//!    languages.
//! 3. What an action saved is on the disk when its call returns.
//! 4. Whoever shows something subscribes ([`subscriptions`]) and is told to look
//!    again; nothing is told about what changed.
//! 5. [`sync`] uses the network, stops when told to, and leaves the phone to
//!    others while it waits.
//!
//! What can go wrong: (2) the core panics: the call fails with
//! [`error::PhoneError::Internal`] and the next one works; (5) the system takes
//! the app's time away: `suspend` finishes what is being written and closes the
//! files.

uniffi::setup_scaffolding!();

pub mod types;
// The edges.
pub mod error;
//
pub mod hours;
//
pub mod log;
//
mod runtime;
//
pub mod phone;
// By screen.
pub mod open;
//
pub mod enrol;
//
pub mod directory;
//
pub mod rows;
//
pub mod findings;
//
pub mod whistles;
//
pub mod evidence;
//
pub mod detail;
//
pub mod whistle_detail;
//
pub mod todo;
//
pub mod statistics;
//
pub mod troubles;
//
pub mod sync;
//
pub mod background;
//
pub mod subscriptions;
//
pub mod storage;
