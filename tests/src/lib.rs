//! Where phones live ([`home`]), the world that the stories run in ([`world`]), random histories ([`random`]),
//! the programs as processes ([`process`]) and the day of the demo ([`day`]).

pub mod home;
//
pub mod world;
//
pub mod random;
//
pub mod process;
//
pub mod day;
