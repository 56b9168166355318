//! The sync server: merges what phones did offline, judges rights, and
//! escalates what nobody answers.
//!
//! 1. [`http`] takes a request apart, nothing more.
//! 2. [`ingest`] gives every envelope its verdict and writes it with the same
//!    function as the phone.
//! 3. [`projection`] keeps the rows, [`feed`] says who gets it, [`audit`] chains
//!    what was decided, [`receipt`] outlives a lost database.
//! 4. [`escalate`] does what follows: numbers, escalations, stand-downs.
//! 5. [`restore`] begins again from a backup, [`verify`] finds what was altered.
//! 6. [`live`] says "pull now".
//!
//! All writing happens on one thread ([`writer`], [`engine`]); [`app`] is what
//! handlers share.

pub mod config;
// The order of the sentences above.
pub mod clock;
//
pub mod db;
//
pub mod app;
//
pub mod http;
//
pub mod ingest;
//
pub mod projection;
//
pub mod feed;
//
pub mod audit;
//
pub mod receipt;
//
pub mod escalate;
//
pub mod restore;
//
pub mod verify;
//
pub mod live;
//
pub mod engine;
//
pub mod writer;
//
pub mod metrics;
