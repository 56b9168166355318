//! Bugs planted on purpose, so that the simulation can prove that it would find
//! them. Without the feature `planted`, which only a test asks for, [`active`]
//! is never true and nothing of them is in the program.

/// A planted bug. The comment says what is wrong with it in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Bug {
    /// A chain number is used twice.
    ReuseChainNumber = 1,
    /// What is sent leaves the outbox before a verdict has come.
    SentMeansGone,
    /// The cursor moves past something that was not stored.
    CursorBeforePage,
    /// Verdicts are taken for those of other envelopes.
    VerdictForAnotherHash,
    /// A backup of this very phone is not told apart by its generation.
    IgnoreGeneration,
    /// A database that wakes up on another phone goes on as it is.
    IgnoreInstallation,
    /// What is quarantined is not kept.
    DropQuarantine,
    /// A phone pulls everything.
    SkipAudience,
    /// The envelope says who its author is.
    TrustBy,
    /// Signatures are not looked at.
    TrustSignature,
    /// An envelope that comes again is judged and stored again.
    NoDedupe,
    /// An envelope that comes again is accepted, whatever became of it before.
    AgainMeansAccepted,
    /// Late but timely proof changes nothing.
    ForgetStandDown,
    /// What was set aside takes its causes with it.
    LoseCauses,
    /// Of concurrent values one stays.
    LastWriterWins,
    /// A whistle goes up although everybody answered.
    EscalateAnswered,
    /// Suspended time counts.
    CountSuspended,
    /// The due time itself is too late.
    DueTooEarly,
    /// What happens in the last millisecond is late.
    LastMomentIsLate,
    /// The phone does not keep the reason of a verdict.
    NoReason,
    /// The phone forgets what was refused.
    SilentRefusal,
    /// An empty page empties the list.
    EmptyPullOverwrites,
    /// Accepting opens what was declined.
    AcceptReopens,
    /// A number is given twice.
    NumberTwice,
    /// The phone's wall clock is believed.
    TrustWallClock,
    /// A revoked or suspended phone is like any other.
    IgnoreRevocation,
    /// Two phones with one key are not seen.
    IgnoreClones,
    /// What builds on something missing is judged without it.
    NothingWaits,
    /// A role counts everywhere.
    AnyArea,
    /// Some timers are not armed.
    ForgetTimers,
    /// The server answers before it has committed.
    AnswerBeforeCommit,
    /// Some actions are saved and not queued.
    SaveWithoutQueue,
    /// Some actions are acknowledged before they are on the disk.
    AcknowledgeBeforeDisk,
    /// There is no second copy of what was not sent.
    NoJournal,
}

impl Bug {
    /// Every planted bug.
    pub const ALL: [Bug; 34] = [
        Self::ReuseChainNumber,
        Self::SentMeansGone,
        Self::CursorBeforePage,
        Self::VerdictForAnotherHash,
        Self::IgnoreGeneration,
        Self::IgnoreInstallation,
        Self::DropQuarantine,
        Self::SkipAudience,
        Self::TrustBy,
        Self::TrustSignature,
        Self::NoDedupe,
        Self::AgainMeansAccepted,
        Self::ForgetStandDown,
        Self::LoseCauses,
        Self::LastWriterWins,
        Self::EscalateAnswered,
        Self::CountSuspended,
        Self::DueTooEarly,
        Self::LastMomentIsLate,
        Self::NoReason,
        Self::SilentRefusal,
        Self::EmptyPullOverwrites,
        Self::AcceptReopens,
        Self::NumberTwice,
        Self::TrustWallClock,
        Self::IgnoreRevocation,
        Self::IgnoreClones,
        Self::NothingWaits,
        Self::AnyArea,
        Self::ForgetTimers,
        Self::AnswerBeforeCommit,
        Self::SaveWithoutQueue,
        Self::AcknowledgeBeforeDisk,
        Self::NoJournal,
    ];
}

/// Whether a bug is in force: never, in any program that anybody uses.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn active(_: Bug) -> bool {
    false
}

#[cfg(feature = "planted")]
pub use planting::{active, plant};

#[cfg(feature = "planted")]
mod planting {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::Bug;

    static IN_FORCE: AtomicU8 = AtomicU8::new(0);

    /// Whether a bug is in force.
    pub fn active(bug: Bug) -> bool {
        IN_FORCE.load(Ordering::SeqCst) == bug as u8
    }

    /// Puts one bug in force for the whole process, or none.
    pub fn plant(bug: Option<Bug>) {
        IN_FORCE.store(bug.map_or(0, |bug| bug as u8), Ordering::SeqCst);
    }
}

/// What trust costs, to be left out for a comparison. It is left out with the
/// feature `planted` only, like a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Part {
    /// Signing on the phone, and checking it on the server.
    Signing = 1,
    /// Asking whether somebody may do what they do, on phone and server.
    Judging = 2,
    /// The cipher of the phone's database.
    Encrypting = 4,
}

/// Whether a part is left out: never, in any program that anybody uses.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn left_out(_: Part) -> bool {
    false
}

#[cfg(feature = "planted")]
pub use leaving_out::{leave_out, left_out};

#[cfg(feature = "planted")]
mod leaving_out {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::Part;

    static LEFT_OUT: AtomicU8 = AtomicU8::new(0);

    /// Whether a part is left out.
    pub fn left_out(part: Part) -> bool {
        LEFT_OUT.load(Ordering::Relaxed) & part as u8 != 0
    }

    /// Leaves these parts out from here on, in the whole process.
    pub fn leave_out(parts: &[Part]) {
        let bits = parts.iter().fold(0, |bits, part| bits | *part as u8);
        LEFT_OUT.store(bits, Ordering::Relaxed);
    }
}
