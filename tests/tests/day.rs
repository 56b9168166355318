//! The day of the demo, as a test: a real server process, real phones, HTTP
//! over loopback, a SIGKILL in the middle.

use shaodao_tests::day::story::{FINDINGS, Teller, live};

#[test]
fn one_day_of_the_street_loses_nothing_and_everybody_agrees() {
    const SEED: u64 = 42;
    println!("day: seed {SEED}");
    let folder = std::env::temp_dir().join(format!("shaodao-day-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let day = runtime.block_on(live(&folder, SEED, &Teller::new(true)));
    let summary = day.expect("the day goes as the story says");
    let _ = std::fs::remove_dir_all(&folder);
    assert!(summary.is_clean(), "{}", summary.text());
    assert_eq!(summary.findings, FINDINGS as i64);
    // 10 where nobody came, 5 of one officer in a basement, 2 that failed
    // twice, 2 that a community cannot solve.
    assert_eq!((summary.escalations, summary.stood_down), (19, 5));
    assert_eq!(summary.street_whistles, 19);
    assert_eq!(summary.community_whistles, 90);
    assert_eq!(summary.conflicts_kept, 10);
    assert!(
        summary.platform_5.starts_with("10个社区吹哨90次"),
        "{}",
        summary.platform_5
    );
    assert_eq!(summary.lost, 0);
    assert_eq!(summary.actions["refused"] + summary.actions["waiting"], 0);
}
