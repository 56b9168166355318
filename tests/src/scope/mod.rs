//! Random organisations with something to hide from each other, for tests of
//! who gets to read what.
//!
//! 1. [`organisation`] draws communities, grids, posts and people with any mix
//!    of roles.
//! 2. [`running`] runs the real server for them, behind its real handlers, and
//!    signs what their phones push.
//! 3. [`statement`] says who may read what, in the words of the design and
//!    apart from the code that decides it.
//! 4. [`life`] lets them report, confide, whistle and escalate, and tells the
//!    statement.

pub mod organisation;
//
pub mod running;
//
pub mod statement;
//
pub mod life;
