//! What the tests share:
//!
//! - how much is [`wanted`], where phones live ([`home`]), what they photograph ([`photos`]);
//! - the world that the stories run in ([`world`]), a record on paper ([`paper`]),
//!   random histories ([`random`]), weeks of a street from seeds ([`simulation`]);
//! - the programs as processes ([`process`]), requests by hand ([`raw`]), a network
//!   that cuts ([`cutting`]), disks that are full ([`small_disk`]), the day of the
//!   demo ([`day`]);
//! - what means harm: organisations with something to hide ([`scope`]), every
//!   decoder for the fuzzer ([`decoders`]), bombs ([`bombs`]) and forged envelopes
//!   ([`mutants`]).

pub mod wanted;
//
pub mod home;
//
pub mod photos;
//
pub mod world;
//
pub mod paper;
pub mod random;
//
pub mod simulation;
//
pub mod process;
//
pub mod raw;
//
pub mod cutting;
//
pub mod small_disk;
//
pub mod day;
//
pub mod scope;
//
pub mod decoders;
//
pub mod bombs;
//
pub mod mutants;
