//! The sync server: merges what phones did offline, judges rights, and
//! escalates what nobody answers.
//!
//! 1. [`http`] takes a request apart, nothing more; [`limits`] says how large
//!    and how often, [`tls`] that nobody reads along.
//! 2. [`ingest`] gives every envelope its verdict and writes it with the same
//!    function as the phone.
//! 3. [`projection`] keeps the rows, [`feed`] says who gets it, [`private`] does so
//!    for personal data; [`audit`] chains what was decided, [`receipt`] outlives a
//!    lost database.
//! 4. [`evidence`] takes photos and voice notes and hands them out.
//! 5. [`timers`] carry what happens next, [`escalate`] does what follows: numbers,
//!    escalations, stand-downs, marks.
//! 6. [`doubles`] names findings that may be the same problem.
//! 7. [`restore`] begins again from a backup, [`verify`] finds what was altered.
//! 8. [`live`] says "pull now".
//!
//! Administrators decide who takes part and under which directory: [`enrol`],
//! [`session`], [`devices`], [`directory`], [`quarantine`], [`keys`]; [`admin`]
//! is their command line.
//!
//! All writing happens on one thread ([`writer`], [`engine`]); [`app`] is what
//! handlers share.

pub mod config;
pub mod limits;
// The order of the sentences above.
pub mod clock;
//
pub mod db;
//
pub mod app;
//
pub mod http;
//
pub mod tls;
//
pub mod quota;
//
pub mod ingest;
//
pub mod projection;
//
pub mod feed;
//
pub mod private;
//
pub mod audit;
//
pub mod receipt;
//
pub mod evidence;
//
pub mod timers;
//
pub mod escalate;
//
pub mod doubles;
//
pub mod restore;
//
pub mod verify;
//
pub mod live;
//
pub mod enrol;
//
pub mod session;
//
pub mod devices;
//
pub mod directory;
//
pub mod quarantine;
//
pub mod keys;
//
pub mod admin;
//
pub mod engine;
//
pub mod writer;
//
pub mod metrics;
