#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shaodao_fuzz::decoders::codes(bytes));
