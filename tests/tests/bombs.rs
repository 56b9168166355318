//! No bomb costs more than 2 MiB above its own bytes, counted by the allocator
//! of this process; so this file has one test and no thread beside it. zstd
//! allocates on its own, outside the count: what it may take is asserted apart.

use peak_alloc::PeakAlloc;

use shaodao_tests::bombs::{refuse, zoo};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MOST_BYTES: usize = 2 << 20;

#[test]
fn every_bomb_is_refused_within_two_mebibytes() {
    // What zstd needs to unpack a frame of known size in one go.
    let unpacking = zstd::zstd_safe::DCtx::create().sizeof();
    assert!(unpacking < 256 << 10, "zstd takes {unpacking} bytes");

    let zoo = zoo();
    assert!(zoo.len() >= 12);
    for bomb in &zoo {
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let refused = refuse(&bomb.body);
        let peak = MEMORY.peak_usage().saturating_sub(before) + unpacking;
        println!(
            "{:<44} {:>8} B body {:>9} B peak  {refused:?}",
            bomb.name,
            bomb.body.len(),
            peak
        );
        assert!(refused.is_ok(), "{}: {refused:?}", bomb.name);
        assert!(peak <= MOST_BYTES, "{}: {peak} bytes", bomb.name);
    }
}
