//! Who goes up, who does not, and who decides.

use shaodao_core::device::Draft;
use shaodao_core::domain::action::{Body, EscalationCause, RecordKind};
use shaodao_core::domain::history::Entry;
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::whistle::WhistleStage;
use shaodao_core::pack;
use shaodao_tests::world::deeds::{self, arrive, feedback, rule, verify};
use shaodao_tests::world::{HOUR_MS, MORNING_MS, World};

const NORTH_GATE: &str = "530102001006";
const GRID: &str = "530102001006001";
const SECRETARY: &str = "P01006-00";
const URBAN: &str = "P01006-06";
const URBAN_POST: &str = "post:530102001006001/urban";
const DISPATCHER: &str = "S-01";
const EMERGENCY: &str = "L-D01";
const DEPARTMENT: &str = "org:D01";

/// A finding and a whistle for it, due in two hours.
fn whistled(world: &mut World) -> (RecordId, RecordId) {
    for person in [SECRETARY, URBAN, DISPATCHER, EMERGENCY] {
        world.phone(person);
    }
    let finding = world.report(SECRETARY, GRID, "E0103", "渣土堆放");
    let whistle = world.whistle(SECRETARY, NORTH_GATE, finding, &[URBAN_POST], 2);
    for person in [SECRETARY, URBAN, DISPATCHER] {
        world.sync(person);
    }
    (finding, whistle)
}

/// The dispatcher summons a department to a street whistle.
fn summon(world: &mut World, street: RecordId) {
    world.sync(DISPATCHER);
    world.on_whistle(DISPATCHER, street, deeds::summon(DEPARTMENT));
    world.sync(DISPATCHER);
    world.sync(EMERGENCY);
}

#[test]
fn a_double_never_escalates_on_its_own() {
    // What could go wrong: one heap of rubble, reported twice, goes to the
    // street twice.
    let mut world = World::new("double", 1);
    let (double, whistle) = whistled(&mut world);
    let stays = world.report(SECRETARY, GRID, "E0103", "渣土");
    world.on_finding(SECRETARY, double, Body::Merge { into: stays });
    world.sync(SECRETARY);
    assert!(world.timers().is_empty());
    world.pass(3 * HOUR_MS);
    assert_eq!(world.escalations(), 0);
    // Nobody's double any more: it is answered for again.
    let reason = "不是同一处".to_owned();
    world.on_finding(SECRETARY, double, Body::Reopen { reason });
    world.sync(SECRETARY);
    assert_eq!(world.escalations(), 1);
    world.settle();
    let state = world.seen_whistle(SECRETARY, whistle);
    assert_eq!(state.stage(), WhistleStage::Escalated);
}

#[test]
fn what_was_answered_does_not_escalate() {
    // What could go wrong: the deadline counts whistles and not answers.
    let mut world = World::new("answered", 1);
    let (_, whistle) = whistled(&mut world);
    assert_eq!(world.timers()[&whistle], MORNING_MS + 2 * HOUR_MS + 1);
    world.answer(URBAN, whistle, URBAN_POST);
    world.sync(URBAN);
    assert!(world.timers().is_empty(), "nothing is waited for");
    world.pass(9 * HOUR_MS);
    assert_eq!(world.escalations(), 0);
    world.settle();
}

#[test]
fn a_suspended_whistle_goes_on_with_the_time_that_was_left() {
    // What could go wrong: the clock runs on while everybody waits for a
    // permit, or it never runs again.
    let mut world = World::new("suspended", 1);
    let (_, whistle) = whistled(&mut world);
    world.pass(HOUR_MS);
    let ask = Body::AskSuspension {
        party: URBAN_POST.into(),
        review_ms: MORNING_MS + 5 * HOUR_MS,
        reason: "等待挖掘许可".into(),
    };
    world.on_whistle(URBAN, whistle, ask);
    world.sync(URBAN);
    world.sync(SECRETARY);
    let request = world.request(SECRETARY, whistle);
    world.on_whistle(SECRETARY, whistle, rule(request, true, None));
    world.sync(SECRETARY);
    world.pass(5 * HOUR_MS);
    assert_eq!(world.escalations(), 0, "an hour was left at five");
    world.pass(1);
    assert_eq!(world.escalations(), 1);
    world.settle();
}

#[test]
fn an_extension_asked_in_time_and_ruled_late_undoes_the_escalation() {
    // What could go wrong: the blower's delay is the target's fault.
    let mut world = World::new("ruled-late", 1);
    let (_, whistle) = whistled(&mut world);
    world.pass(HOUR_MS);
    let ask = Body::AskExtension {
        party: URBAN_POST.into(),
        until_ms: MORNING_MS + 6 * HOUR_MS,
        reason: "需要吊车".into(),
    };
    world.on_whistle(URBAN, whistle, ask);
    world.sync(URBAN);
    world.pass(2 * HOUR_MS);
    assert_eq!(world.escalations(), 1);
    world.sync(SECRETARY);
    let request = world.request(SECRETARY, whistle);
    world.on_whistle(SECRETARY, whistle, rule(request, true, None));
    world.sync(SECRETARY);
    world.sync(SECRETARY);
    let state = world.seen_whistle(SECRETARY, whistle);
    assert!(state.escalations[0].stood_down.is_some());
    assert_eq!(state.stage(), WhistleStage::Issued);
    // The new date passes as well: the second escalation is another one.
    world.pass(3 * HOUR_MS);
    assert_eq!(world.escalations(), 1);
    world.pass(1);
    assert_eq!(world.escalations(), 2);
    world.settle();
    let state = world.seen_whistle(SECRETARY, whistle);
    let second = RecordId::of_escalation(whistle, 2, 2);
    assert_eq!(state.escalations[1].into, second);
}

#[test]
fn whoever_was_not_heard_of_is_shown_as_such() {
    // What could go wrong: blaming somebody whose phone has no signal.
    let mut world = World::new("last-heard", 1);
    let (_, whistle) = whistled(&mut world);
    world.of(URBAN).offline = true;
    world.pass(3 * HOUR_MS);
    world.sync(DISPATCHER);
    let state = world.seen_whistle(DISPATCHER, whistle);
    assert_eq!(state.heard[URBAN_POST], MORNING_MS, "最后联系 09:00");
    world.settle();

    // Whoever was online all the time has no such excuse.
    let finding = world.report(SECRETARY, GRID, "E0103", "垃圾");
    let whistle = world.whistle(SECRETARY, NORTH_GATE, finding, &[URBAN_POST], 2);
    world.sync(SECRETARY);
    world.wait(3 * HOUR_MS);
    world.sync(URBAN);
    world.look_at_deadlines();
    world.settle();
    let state = world.seen_whistle(DISPATCHER, whistle);
    assert_eq!(state.stage(), WhistleStage::Escalated);
    assert!(state.heard.is_empty());
}

#[test]
fn where_nobody_can_tell_the_dispatcher_decides_and_that_stands() {
    // What could go wrong: the machine decides what it cannot know, asks again
    // and again, or overrules the person who decided.
    let mut world = World::new("cannot-tell", 1);
    let (_, whistle) = whistled(&mut world);
    world.of(URBAN).offline = true;
    world.restart(URBAN);
    world.pass(HOUR_MS);
    world.answer(URBAN, whistle, URBAN_POST);
    world.pass(2 * HOUR_MS);
    world.of(URBAN).offline = false;
    world.sync(URBAN);
    world.sync(DISPATCHER);
    let state = world.seen_whistle(DISPATCHER, whistle);
    assert_eq!(state.stage(), WhistleStage::Escalated);
    let question = state.escalations[0].proposed.clone().expect("a question");
    assert!(question.contains("请调度员裁定"), "{question}");
    world.on_whistle(URBAN, whistle, feedback(URBAN_POST));
    world.sync(URBAN);
    world.sync(DISPATCHER);
    let view = world.show(DISPATCHER, whistle);
    let asks = |entry: &&Entry| entry.body.word() == "propose_stand_down";
    assert_eq!(view.history.entries().iter().filter(asks).count(), 1);

    let uphold = |reason: &str| Body::Uphold {
        reason: reason.to_owned(),
        round: 1,
    };
    let by_secretary = Draft::on(RecordKind::Whistle, whistle, uphold("是我们的错"));
    world
        .try_act(SECRETARY, by_secretary)
        .expect_err("not the dispatcher");
    world.on_whistle(DISPATCHER, whistle, uphold("群众反映下午才清理"));
    let again = Draft::on(RecordKind::Whistle, whistle, uphold("再说一次"));
    let refused = world.try_act(DISPATCHER, again).expect_err("once");
    assert!(refused.to_string().contains("already"), "{refused}");
    world.sync(DISPATCHER);
    world.sync(SECRETARY);
    let excuse = Body::Excuse {
        party: URBAN_POST.into(),
        reason: "人手不足".into(),
    };
    world.on_whistle(SECRETARY, whistle, excuse);
    world.settle();
    let state = world.seen_whistle(URBAN, whistle);
    assert_eq!(state.stage(), WhistleStage::Escalated);
    assert!(state.escalations[0].upheld.is_some());
}

#[test]
fn the_dispatcher_stands_both_whistles_down_from_either() {
    // What could go wrong: the street goes home, and the community's whistle
    // stays escalated for ever.
    for from_street in [true, false] {
        let mut world = World::new("both", u64::from(from_street));
        let (_, whistle) = whistled(&mut world);
        world.pass(3 * HOUR_MS);
        world.sync(DISPATCHER);
        let street = RecordId::of_escalation(whistle, 2, 1);
        let on = if from_street { street } else { whistle };
        let text = "电话核实已按时处理".to_owned();
        world.on_whistle(DISPATCHER, on, Body::StandDown { text, round: 1 });
        world.settle();
        let below = world.seen_whistle(SECRETARY, whistle);
        assert_eq!(below.stage(), WhistleStage::Issued);
        let above = world.seen_whistle(SECRETARY, street);
        assert_eq!(above.stage(), WhistleStage::StoodDown);
        // The same deadline does not pass a second time.
        world.pass(HOUR_MS);
        assert_eq!(world.escalations(), 1);
        world.settle();
    }
}

#[test]
fn nobody_comes_to_the_street_and_the_district_is_told_once() {
    // What could go wrong: a mark for somebody who had come in time and was not
    // heard, or no end of marks.
    let mut world = World::new("district", 1);
    let (_, whistle) = whistled(&mut world);
    world.pass(2 * HOUR_MS + 1);
    let street = RecordId::of_escalation(whistle, 2, 1);
    summon(&mut world, street);
    let report_by_ms = {
        let order = world.seen_whistle(DISPATCHER, street).order;
        order.and_then(|order| order.report_by_ms).expect("a limit")
    };
    world.of(EMERGENCY).offline = true;
    world.pass(HOUR_MS);
    world.on_whistle(EMERGENCY, street, arrive(DEPARTMENT));
    let left_ms = report_by_ms - world.now_ms();
    world.pass(left_ms);
    assert_eq!(world.marks(), 0, "report-by is still in time");
    world.pass(1);
    world.pass(HOUR_MS);
    assert_eq!(world.marks(), 1);
    world.sync(DISPATCHER);
    let state = world.seen_whistle(DISPATCHER, street);
    let mark = state.marked().expect("marked");
    assert_eq!(mark.cause, EscalationCause::NoArrival);
    assert!(state.heard.contains_key(DEPARTMENT), "not heard of since");
    assert_eq!(state.stage(), WhistleStage::Issued, "a mark is no stage");

    // They had come: the mark goes, and does not come again.
    world.of(EMERGENCY).offline = false;
    world.sync(EMERGENCY);
    world.pass(48 * HOUR_MS);
    world.settle();
    let state = world.seen_whistle(DISPATCHER, street);
    assert!(state.marked().is_none());
    assert!(state.marks[0].withdrawn.is_some());
    assert_eq!(world.marks(), 1);
}

#[test]
fn an_objection_that_is_upheld_goes_to_the_district() {
    // What could go wrong: the street's departments pass an order round for
    // ever.
    let mut world = World::new("objection", 1);
    let (_, whistle) = whistled(&mut world);
    world.pass(2 * HOUR_MS + 1);
    let street = RecordId::of_escalation(whistle, 2, 1);
    summon(&mut world, street);
    let object = Body::Object {
        party: DEPARTMENT.into(),
        reason: "属于区管河道".into(),
    };
    world.on_whistle(EMERGENCY, street, object);
    world.sync(EMERGENCY);
    world.sync(DISPATCHER);
    assert_eq!(world.marks(), 0);
    let request = world.request(DISPATCHER, street);
    world.on_whistle(DISPATCHER, street, rule(request, true, None));
    world.sync(DISPATCHER);
    assert_eq!(world.marks(), 1);
    world.sync(DISPATCHER);
    // A mark that a person withdraws does not come back for the same reason.
    let text = "已与区级协调".to_owned();
    world.on_whistle(DISPATCHER, street, Body::WithdrawMark { text, round: 1 });
    world.settle();
    world.pass(1);
    assert_eq!(world.marks(), 1);
    world.settle();
}

#[test]
fn a_whistle_that_cannot_be_read_holds_up_nobody() {
    // What could go wrong: one damaged row, and no deadline passes any more.
    let mut world = World::new("damaged", 1);
    let (_, damaged) = whistled(&mut world);
    let finding = world.report(SECRETARY, GRID, "E0103", "垃圾");
    world.whistle(SECRETARY, NORTH_GATE, finding, &[URBAN_POST], 3);
    world.sync(SECRETARY);
    world.stop_server();
    world.start_server();
    let change = |world: &World, bytes: &str| {
        let sql = format!(
            "UPDATE envelope SET bytes = {bytes} WHERE record =
                 (SELECT id FROM record WHERE record = X'{damaged}')"
        );
        let changed = world.app().read(|db| Ok(db.execute(&sql, [])?));
        assert_eq!(changed.expect("writes"), 1);
    };
    change(&world, "CAST(bytes || X'00' AS BLOB)");
    world.pass(4 * HOUR_MS);
    assert_eq!(world.escalations(), 1, "the other one");
    change(&world, "CAST(substr(bytes, 1, length(bytes) - 1) AS BLOB)");
    world.pass(1);
    assert_eq!(world.escalations(), 2, "it was still due");
    world.settle();
}

#[test]
fn who_comes_too_late_stays_marked_until_a_person_withdraws_it() {
    // What could go wrong: any arrival wipes the mark away, or a mark that a
    // person withdrew comes back with the next look.
    let mut world = World::new("too-late", 1);
    let (_, whistle) = whistled(&mut world);
    world.pass(2 * HOUR_MS + 1);
    let street = RecordId::of_escalation(whistle, 2, 1);
    summon(&mut world, street);
    world.pass(25 * HOUR_MS);
    assert_eq!(world.marks(), 1);
    world.sync(EMERGENCY);
    world.on_whistle(EMERGENCY, street, arrive(DEPARTMENT));
    world.sync(EMERGENCY);
    world.sync(DISPATCHER);
    assert!(world.seen_whistle(DISPATCHER, street).marked().is_some());
    let text = "已向区里说明".to_owned();
    world.on_whistle(DISPATCHER, street, Body::WithdrawMark { text, round: 1 });
    world.sync(DISPATCHER);
    world.pass(HOUR_MS);
    assert_eq!(world.marks(), 1);
    world.settle();
    assert!(world.seen_whistle(DISPATCHER, street).marked().is_none());
}

#[test]
fn a_passed_time_is_held_as_long_as_the_ladder_says() {
    // What could go wrong: the street is called for what is done by the time it
    // gets up, or holding moves the due time itself.
    let pack = String::from_utf8_lossy(pack::HUASHAN)
        .replace(
            "\"limit\": \"72u\"",
            "\"hold_minutes\": 30, \"limit\": \"72u\"",
        )
        .replace(
            "\"from\": \"street\"",
            "\"from\": \"street\", \"hold_minutes\": 30",
        );
    let mut world = World::with_pack("held", 1, pack.into_bytes());
    let half_ms = HOUR_MS / 2;
    let (_, answered) = whistled(&mut world);
    let finding = world.report(SECRETARY, GRID, "E0103", "垃圾");
    let whistle = world.whistle(SECRETARY, NORTH_GATE, finding, &[URBAN_POST], 2);
    world.sync(SECRETARY);
    world.pass(2 * HOUR_MS + half_ms / 2);
    world.answer(URBAN, answered, URBAN_POST);
    world.sync(URBAN);
    world.pass(half_ms / 2);
    assert_eq!(world.escalations(), 0);
    world.pass(1);
    assert_eq!(world.escalations(), 1);
    world.settle();
    let state = world.seen_whistle(DISPATCHER, answered);
    assert_eq!(state.stage(), WhistleStage::FedBack);
    let state = world.seen_whistle(DISPATCHER, whistle);
    assert_eq!(state.stage(), WhistleStage::Escalated);
    // An emergency is not held: another rung stands before this one.
    let fire = world.report(SECRETARY, GRID, "E0403", "燃气泄漏");
    world.whistle(SECRETARY, NORTH_GATE, fire, &[URBAN_POST], 1);
    world.sync(SECRETARY);
    world.pass(HOUR_MS + 1);
    assert_eq!(world.escalations(), 2);

    let street = state.escalations[0].into;
    let order = world.seen_whistle(DISPATCHER, street).order;
    let report_by_ms = order.and_then(|order| order.report_by_ms).expect("a limit");
    let left_ms = report_by_ms + half_ms - world.now_ms();
    world.pass(left_ms);
    let of = format!("SELECT COUNT(*) FROM mark WHERE whistle = X'{street}'");
    assert_eq!(world.server_count(&of), 0);
    world.pass(1);
    assert_eq!(world.server_count(&of), 1);
    world.settle();
}

#[test]
fn failed_rounds_count_once_and_not_while_the_clock_stands() {
    // What could go wrong: escalating work that waits for a permit, or the same
    // two failures a second time after the dispatcher has decided.
    let mut world = World::new("failed-rounds", 1);
    let (_, whistle) = whistled(&mut world);
    let ask = Body::AskSuspension {
        party: URBAN_POST.into(),
        review_ms: MORNING_MS + 3 * HOUR_MS,
        reason: "等待挖掘许可".into(),
    };
    world.on_whistle(URBAN, whistle, arrive(URBAN_POST));
    world.on_whistle(URBAN, whistle, ask);
    world.sync(URBAN);
    world.sync(SECRETARY);
    let request = world.request(SECRETARY, whistle);
    world.on_whistle(SECRETARY, whistle, rule(request, true, None));
    world.sync(SECRETARY);
    world.pass(HOUR_MS);
    let fail = |world: &mut World| {
        world.sync(URBAN);
        world.on_whistle(URBAN, whistle, feedback(URBAN_POST));
        world.sync(URBAN);
        world.sync(SECRETARY);
        world.on_whistle(SECRETARY, whistle, verify(URBAN_POST, false));
        world.sync(SECRETARY);
    };
    fail(&mut world);
    fail(&mut world);
    world.pass(2 * HOUR_MS - 1);
    assert_eq!(world.escalations(), 0, "the clock stands until twelve");
    world.pass(1);
    assert_eq!(world.escalations(), 1);
    world.sync(DISPATCHER);
    let text = "许可今天才批下来".to_owned();
    world.on_whistle(DISPATCHER, whistle, Body::StandDown { text, round: 1 });
    world.sync(DISPATCHER);
    world.sync(SECRETARY);
    fail(&mut world);
    assert_eq!(
        world.escalations(),
        1,
        "the same failures do not count twice"
    );
    world.settle();
}

#[test]
fn a_new_date_after_the_escalation_does_not_undo_it() {
    // What could go wrong: the blower whose whistle was escalated sets another
    // date, and the escalation never happened.
    let mut world = World::new("new-date", 1);
    let (_, whistle) = whistled(&mut world);
    world.pass(3 * HOUR_MS);
    world.sync(SECRETARY);
    let recompute = Body::Recompute {
        due_ms: MORNING_MS + 9 * HOUR_MS,
        terms: None,
        reason: "改个日期".into(),
    };
    world.on_whistle(SECRETARY, whistle, recompute);
    world.sync(SECRETARY);
    world.sync(URBAN);
    world.answer(URBAN, whistle, URBAN_POST);
    world.settle();
    let state = world.seen_whistle(DISPATCHER, whistle);
    assert_eq!(state.stage(), WhistleStage::Escalated);
    assert!(state.escalations[0].proposed.is_some(), "a person decides");
}

#[test]
fn where_no_calendar_reaches_the_street_has_three_days() {
    // What could go wrong: a slip of the operator's, and what the street takes
    // over is due at once, or never.
    let limits = "\"limit\": \"72u\", \"report_by\": \"24u\"";
    let slip = "\"limit\": \"90000u\", \"report_by\": \"90000u\"";
    let pack = String::from_utf8_lossy(pack::HUASHAN).replace(limits, slip);
    assert!(pack.contains(slip));
    let mut world = World::with_pack("no-calendar", 1, pack.into_bytes());
    let (_, whistle) = whistled(&mut world);
    world.pass(2 * HOUR_MS + 1);
    world.sync(DISPATCHER);
    let street = RecordId::of_escalation(whistle, 2, 1);
    let order = world.seen_whistle(DISPATCHER, street).order;
    let order = order.expect("an order");
    assert_eq!(order.due_ms, world.now_ms() + 72 * HOUR_MS);
    assert_eq!((order.terms, order.report_by_ms), (None, None));
    world.settle();
}
