//! The world that the stories run in ([`world`]), random histories ([`random`]),
//! a record on paper ([`paper`]), the programs as processes ([`process`]) and the day of the demo ([`day`]).

pub mod world;
//
pub mod paper;
pub mod random;
//
pub mod process;
//
pub mod day;
