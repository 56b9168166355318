//! Where phones live ([`home`]), the world that the stories run in ([`world`]), random histories ([`random`]),
//! a record on paper ([`paper`]),
//! the programs as processes ([`process`]), the day of the demo ([`day`]), and what
//! means harm: organisations with something to hide ([`scope`]), every decoder for the fuzzer ([`decoders`]), bombs ([`bombs`]) and
//! forged envelopes ([`mutants`]).

pub mod home;
//
pub mod world;
//
pub mod paper;
pub mod random;
//
pub mod process;
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
