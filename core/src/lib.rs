//! The core of Shaodao (哨到), the same on every phone and on the server.
//!
//! A finding is **captured**, **signed**, **written** into its document,
//! **stored** and **queued** in one transaction, **pushed**, **judged**, written
//! again by the same function on the server, **projected**, **escalated** when
//! nobody answers, **announced** and **pulled** back.
//!
//! The modules stand in that order: [`domain`] decides what can happen,
//! [`envelope`] signs it ([`seal`] keeps
//! what is not for everybody, [`evidence`] what shows it), [`document`] writes and folds it, `store` keeps it on
//! the phone, [`sync`] carries it, and `device` is a phone in one type, whose
//! errors `explain` says to people. [`pack`] reads the data that the domain
//! needs.

pub mod domain;
// The order of the sentence above.
pub mod envelope;
//
pub mod seal;
//
pub mod evidence;
//
pub mod document;
//
#[cfg(feature = "device")]
pub mod store;
//
pub mod sync;
//
#[cfg(feature = "device")]
pub mod device;
//
#[cfg(feature = "device")]
pub mod explain;
//
pub mod pack;
//
pub mod planted;
//
pub mod points;
