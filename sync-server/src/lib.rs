//! The sync server: merges what phones did offline, judges rights, and
//! escalates what nobody answers.
//!
//! 1. [`http`] takes a request apart, nothing more; [`limits`] says how large
//!    and how often, [`tls`] that nobody reads along.
//! 2. [`ingest`] gives every envelope its verdict and writes it with the same
//!    function as the phone.
//! 3. [`projection`] keeps the rows, [`feed`] says who gets it.
//! 4. [`escalate`] does what follows: numbers, escalations, stand-downs.
//! 5. [`live`] says "pull now".
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
pub mod escalate;
//
pub mod live;
//
pub mod engine;
//
pub mod writer;
//
pub mod metrics;
