//! The functions that the fuzzer calls: the ones that `make test` replays.

#[path = "../src/decoders.rs"]
pub mod decoders;
