//! What a server makes of the anchors of honest phones.

use shaodao_core::domain::action::Body;
use shaodao_tests::world::network::Weather;
use shaodao_tests::world::{HOUR_MS, World};

/// What could go wrong: a lost or late reply, a restart or a wrong wall clock
/// makes an honest phone cite something that the server seems never to have
/// said.
#[test]
fn no_honest_phone_is_doubted_in_bad_weather() {
    let mut world = World::new("anchors", 4);
    world.phone("P01006-06");
    world.phone("P01006-00");
    world.weather = Weather::bad();
    world.of("P01006-06").clock_error_ms = -87_600 * HOUR_MS;
    for nth in 0..12 {
        let title = format!("井盖破损{nth}");
        let finding = world.report("P01006-06", "530102001006001", "C0101", &title);
        let text = "已放警示牌".to_owned();
        world.on_finding("P01006-06", finding, Body::Note { text });
        world.pass(HOUR_MS / 2);
        world.sync_all();
        if nth % 5 == 4 {
            world.restart("P01006-06");
        }
    }
    world.settle();
    let (audited, doubts): (i64, i64) = world
        .app()
        .read(|db| {
            let count = "SELECT count(*), count(*) FILTER (WHERE what LIKE 'anchor_%') FROM audit";
            Ok(db.query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
        })
        .expect("reads");
    assert!(audited > 0 && doubts == 0, "{doubts} of {audited}");
}
