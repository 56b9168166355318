//! The world that the stories run in ([`world`]), random histories ([`random`]),
//! and the day of the demo ([`day`]).

pub mod world;
//
pub mod random;
//
pub mod day;
