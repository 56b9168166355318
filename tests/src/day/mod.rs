//! One day of the street, in virtual time, on real parts: a server process,
//! some fifty phones with databases of their own, HTTP over loopback.
//!
//! 1. [`street`] hands out the phones and lets people act and sync.
//! 2. [`story`] is the day, hour by hour.
//! 3. [`summary`] counts what came of it and checks that nothing was lost.

pub mod street;
// The order of the sentences above.
pub mod story;
//
pub mod summary;

/// Anything that ends the day early.
pub type DayError = Box<dyn std::error::Error + Send + Sync>;
