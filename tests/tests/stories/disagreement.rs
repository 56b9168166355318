//! People who disagree without knowing it, and answers that are no.

use std::collections::BTreeSet;

use shaodao_core::device::Draft;
use shaodao_core::domain::action::{Body, RecordKind, Value, fact};
use shaodao_core::domain::finding::FindingStage;
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::reason::Reason;
use shaodao_core::domain::whistle::{TargetStage, WhistleStage};
use shaodao_core::explain::Sentence;
use shaodao_core::sync::wire::Standing;
use shaodao_tests::world::deeds::arrive;
use shaodao_tests::world::{HOUR_MS, World};

const NORTH_GATE: &str = "530102001006";
const GRID: &str = "530102001006001";
const HEAD: &str = "P01006-01";
const SECRETARY: &str = "P01006-00";
const URBAN: &str = "P01006-06";
const URBAN_POST: &str = "post:530102001006001/urban";
const CLEANER: &str = "P01006-08";
const CLEANER_POST: &str = "post:530102001006001/cleaner";
const INSPECTOR: &str = "P01006-05";

fn correct(name: &str, text: &str) -> Draft {
    let facts = [(name.to_owned(), Value::Text(text.to_owned()))].into();
    Draft::new(RecordKind::Finding, facts, Body::Correct)
}

#[test]
fn two_people_correct_one_finding() {
    // What could go wrong: one correction silently gone.
    let mut world = World::new("two-people", 1);
    for person in [HEAD, SECRETARY] {
        world.phone(person);
    }
    let finding = world.report(HEAD, GRID, "E0102", "门口有垃圾");
    world.sync(HEAD);
    world.sync(SECRETARY);
    for person in [HEAD, SECRETARY] {
        world.of(person).offline = true;
    }
    // Different facts: both stand. The same fact: one wins, the other is kept.
    let on = |draft: Draft| Draft {
        record: Some(finding),
        ..draft
    };
    world.act(HEAD, on(correct(fact::ADDRESS, "北门街12号")));
    world.act(SECRETARY, on(correct(fact::DESCRIPTION, "三袋生活垃圾")));
    world.act(HEAD, on(correct(fact::TITLE, "12号门口有垃圾")));
    world.act(SECRETARY, on(correct(fact::TITLE, "北门街暴露垃圾")));
    world.settle();
    let state = world.finding(HEAD, finding);
    assert_eq!(state.text(fact::ADDRESS), "北门街12号");
    assert_eq!(state.text(fact::DESCRIPTION), "三袋生活垃圾");
    assert_eq!(state.conflicts(), [fact::TITLE]);
    let title = &state.facts[fact::TITLE];
    let mut both = vec![&title.value, &title.others[0].0];
    both.sort();
    let text = |text: &str| Value::Text(text.to_owned());
    assert_eq!(both, [&text("12号门口有垃圾"), &text("北门街暴露垃圾")]);
    assert_eq!(state, world.finding(SECRETARY, finding));
    // Whoever saw both and corrects again ends the disagreement.
    world.act(SECRETARY, on(correct(fact::TITLE, "北门街12号暴露垃圾")));
    world.settle();
    assert!(world.finding(HEAD, finding).conflicts().is_empty());
}

#[test]
fn whoever_says_that_it_is_so_disagrees_with_whoever_changes_it() {
    // What could go wrong: a value that is written as it was counts as nothing
    // said. Then a change that was made meanwhile stands alone, and of two people
    // who decide one disagreement only who sides with the loser is heard.
    let mut world = World::new("it-is-so", 1);
    for person in [HEAD, SECRETARY] {
        world.phone(person);
    }
    let finding = world.report(HEAD, GRID, "E0102", "门口有垃圾");
    let on = |value: &str| Draft {
        record: Some(finding),
        ..correct(fact::ADDRESS, value)
    };
    let heard = |world: &mut World| {
        let state = world.finding(HEAD, finding);
        assert_eq!(state, world.finding(SECRETARY, finding));
        let address = &state.facts[fact::ADDRESS];
        let others = address.others.iter().map(|(value, _)| value.clone());
        let all = others.chain([address.value.clone()]);
        all.collect::<BTreeSet<_>>()
    };
    let said = |texts: &[&str]| {
        let texts = texts.iter().map(|it| Value::Text((*it).to_owned()));
        texts.collect::<BTreeSet<_>>()
    };
    let apart = |world: &mut World, secretary: &str, head: &str| {
        world.act(SECRETARY, on(secretary));
        world.act(HEAD, on(head));
        world.settle();
    };
    world.act(HEAD, on("北门街8号"));
    world.settle();
    apart(&mut world, "北门街8号", "北门街12号");
    assert_eq!(heard(&mut world), said(&["北门街8号", "北门街12号"]));
    // Each decides it, for another value.
    apart(&mut world, "北门街8号", "北门街12号");
    assert_eq!(heard(&mut world), said(&["北门街8号", "北门街12号"]));
    apart(&mut world, "北门街12号", "北门街8号");
    assert_eq!(heard(&mut world), said(&["北门街8号", "北门街12号"]));
    // Nobody disagrees with somebody who wrote the same.
    apart(&mut world, "北门街8号", "北门街8号");
    assert_eq!(heard(&mut world), said(&["北门街8号"]));
}

#[test]
fn rework_wins_over_a_conclusion_made_at_the_same_time() {
    // What could go wrong: a whistle that is closed although somebody stood on
    // site and saw that nothing was done.
    let firsts = [SECRETARY, INSPECTOR];
    for (first, failed_first) in firsts.into_iter().flat_map(|it| [(it, false), (it, true)]) {
        let mut world = World::new("rework-wins", 1);
        for person in [SECRETARY, URBAN, INSPECTOR] {
            world.phone(person);
        }
        let finding = world.report(SECRETARY, GRID, "E0103", "渣土堆放");
        let whistle = world.whistle(SECRETARY, NORTH_GATE, finding, &[URBAN_POST], 4);
        world.sync(SECRETARY);
        world.sync(URBAN);
        let party = || URBAN_POST.to_owned();
        world.answer(URBAN, whistle, URBAN_POST);
        world.settle();
        // Both judge what they see, neither hears the other.
        let verify = |passed| Body::Verify {
            party: party(),
            passed,
            text: String::new(),
        };
        if failed_first {
            world.on_whistle(INSPECTOR, whistle, verify(false));
            world.pass(1_000);
        }
        world.on_whistle(SECRETARY, whistle, verify(true));
        world.on_whistle(
            SECRETARY,
            whistle,
            Body::Conclude {
                text: "办结".into(),
            },
        );
        if !failed_first {
            world.pass(1_000);
            world.on_whistle(INSPECTOR, whistle, verify(false));
        }
        world.sync(first);
        world.settle();
        // The blower is told, in the record, why the conclusion does not stand.
        let view = world.show(SECRETARY, whistle);
        let conclusion = view
            .history
            .entries()
            .iter()
            .find(|it| it.body.word() == "conclude")
            .expect("kept");
        assert_eq!(
            view.state.trace_of(&conclusion.hash),
            Some(Reason::Overtaken)
        );
        let state = world.seen_whistle(URBAN, whistle);
        assert_eq!(state.targets[URBAN_POST].stage(), TargetStage::Rework);
        assert_eq!(state.stage(), WhistleStage::InProgress);
        assert!(
            state
                .traces
                .iter()
                .any(|trace| trace.reason == Reason::Overtaken)
        );
    }
}

#[test]
fn what_came_too_late_is_kept_as_a_trace_and_its_author_is_told() {
    // What could go wrong: a note dropped, or applied to something closed.
    let mut world = World::new("trace", 1);
    for person in [HEAD, SECRETARY] {
        world.phone(person);
    }
    let finding = world.report(HEAD, GRID, "E0102", "门口有垃圾");
    world.sync(HEAD);
    world.sync(SECRETARY);
    world.of(HEAD).offline = true;
    world.on_finding(
        SECRETARY,
        finding,
        Body::Decline {
            reason: "不属实".into(),
        },
    );
    world.sync(SECRETARY);
    world.pass(HOUR_MS);
    world.on_finding(
        HEAD,
        finding,
        Body::SelfResolve {
            text: "已清理".into(),
        },
    );
    world.settle();
    let troubles = world.of(HEAD).device.store().troubles().expect("troubles");
    assert_eq!(troubles.len(), 1);
    assert_eq!(troubles[0].standing, Standing::Late);
    assert_eq!(troubles[0].reason, Some(Reason::Closed));
    let state = world.finding(SECRETARY, finding);
    assert_eq!(
        (state.stage, state.traces.len()),
        (FindingStage::Declined, 1)
    );
}

#[test]
fn a_poisoned_item_does_not_block_the_queue() {
    // What could go wrong: one action that the server refuses, and everything
    // behind it waits for ever.
    let mut world = World::new("poison", 1);
    for person in [HEAD, SECRETARY] {
        world.phone(person);
    }
    let finding = world.report(HEAD, GRID, "E0102", "第一处");
    world.sync(HEAD);
    // The directory changes under the phone's feet: a person who is not a
    // secretary any more accepts, then somebody adds a note that builds on it.
    world.sync(SECRETARY);
    world.on_finding(SECRETARY, finding, Body::Accept);
    let accepted = world.show(SECRETARY, finding).history.newest()[0];
    world.on_finding(
        SECRETARY,
        finding,
        Body::Note {
            text: "已安排".into(),
        },
    );
    world.report(SECRETARY, GRID, "E0102", "第二处");
    world.poison(SECRETARY, &accepted);
    world.settle();
    let store = world.of(SECRETARY).device.store();
    let troubles = store.troubles().expect("troubles");
    assert_eq!(troubles.len(), 1, "{troubles:?}");
    assert_eq!(troubles[0].reason, Some(Reason::Cloned));
    let state = world.finding(HEAD, finding);
    assert_eq!(
        state.stage,
        FindingStage::Reported,
        "the acceptance stayed outside"
    );
    let words: Vec<_> = world
        .show(HEAD, finding)
        .history
        .entries()
        .iter()
        .map(|entry| entry.body.word().to_owned())
        .collect();
    assert_eq!(words, ["report", "note"], "the note behind it did not");
}

#[test]
fn nobody_verifies_their_own_work_or_acts_for_others() {
    // What could go wrong: rights taken from what the envelope says.
    let mut world = World::new("rights", 1);
    for person in [HEAD, SECRETARY, URBAN] {
        world.phone(person);
    }
    let finding = world.report(SECRETARY, GRID, "E0103", "渣土堆放");
    let whistle = world.whistle(SECRETARY, NORTH_GATE, finding, &[URBAN_POST], 4);
    world.settle();
    let party = || URBAN_POST.to_owned();
    let on = |body| Draft::on(RecordKind::Whistle, whistle, body);
    let sign = world
        .try_act(HEAD, on(Body::Sign { party: party() }))
        .expect_err("not a target");
    assert!(sign.to_string().contains("not a target"), "{sign}");
    world.answer(URBAN, whistle, URBAN_POST);
    let verify = Body::Verify {
        party: party(),
        passed: true,
        text: String::new(),
    };
    let own = world.try_act(URBAN, on(verify)).expect_err("own work");
    assert!(own.to_string().contains("their own work"), "{own}");
    let conclude = world.try_act(
        SECRETARY,
        on(Body::Conclude {
            text: String::new(),
        }),
    );
    assert!(
        conclude
            .expect_err("open")
            .to_string()
            .contains("neither done nor excused")
    );
    world.settle();
}

fn target(party: &str, body: impl Fn(String) -> Body) -> Body {
    body(party.to_owned())
}

/// A whistle that has reached both of its targets, whose phones are offline now.
fn two_are_summoned_and_out_of_signal(world: &mut World) -> RecordId {
    for person in [SECRETARY, URBAN, CLEANER] {
        world.phone(person);
    }
    let finding = world.report(SECRETARY, GRID, "E0103", "渣土堆放");
    let targets = [URBAN_POST, CLEANER_POST];
    let whistle = world.whistle(SECRETARY, NORTH_GATE, finding, &targets, 4);
    world.settle();
    for person in [URBAN, CLEANER] {
        world.of(person).offline = true;
    }
    whistle
}

/// What somebody is told about their newest action that had no effect.
fn told(world: &mut World, person: &str) -> (Standing, Reason) {
    let troubles = world
        .of(person)
        .device
        .store()
        .troubles()
        .expect("troubles");
    let newest = troubles.first().expect("somebody is told");
    (newest.standing, newest.reason.expect("and why"))
}

#[test]
fn two_arrivals_and_two_notes_at_the_same_time_are_all_kept() {
    // What could go wrong: one of two people who stood there counts for nobody.
    let mut world = World::new("two-arrivals", 1);
    let whistle = two_are_summoned_and_out_of_signal(&mut world);
    let note = |text: &str| Body::Note { text: text.into() };
    world.on_whistle(URBAN, whistle, target(URBAN_POST, arrive));
    world.on_whistle(URBAN, whistle, note("两车渣土"));
    world.on_whistle(CLEANER, whistle, target(CLEANER_POST, arrive));
    world.on_whistle(CLEANER, whistle, note("挡住消防通道"));
    world.settle();
    let state = world.seen_whistle(SECRETARY, whistle);
    assert_eq!(state.targets[URBAN_POST].arrivals.len(), 1);
    assert_eq!(state.targets[CLEANER_POST].arrivals.len(), 1);
    assert!(state.traces.is_empty());
    let history = world.show(SECRETARY, whistle).history;
    let notes = history
        .entries()
        .iter()
        .filter(|it| it.body.word() == "note");
    assert_eq!(notes.count(), 2);
}

#[test]
fn what_is_not_possible_any_more_comes_back_with_one_plain_sentence() {
    // What could go wrong: work in a dead zone that is dropped, or applied to
    // something that was decided meanwhile, or answered with a code.
    let mut world = World::new("meanwhile", 1);
    for person in [HEAD, SECRETARY, URBAN] {
        world.phone(person);
    }
    let parent = world.report(HEAD, GRID, "E0102", "门口有垃圾");
    let merged = world.report(HEAD, GRID, "E0102", "路口有垃圾");
    let blown = ["放人", "撤销", "结项"].map(|title| {
        let finding = world.report(SECRETARY, GRID, "E0103", title);
        world.whistle(SECRETARY, NORTH_GATE, finding, &[URBAN_POST], 4)
    });
    let [released, cancelled, concluded] = blown;
    world.settle();
    for person in [HEAD, URBAN] {
        world.of(person).offline = true;
    }
    // The office decides, the street works, neither hears the other.
    world.on_finding(SECRETARY, merged, Body::Merge { into: parent });
    world.on_whistle(
        SECRETARY,
        released,
        target(URBAN_POST, |party| Body::Release { party }),
    );
    let reason = "重复吹哨".into();
    world.on_whistle(SECRETARY, cancelled, Body::Cancel { reason });
    let excuse = |party| Body::Excuse {
        party,
        reason: "居民自行清理".into(),
    };
    world.on_whistle(SECRETARY, concluded, target(URBAN_POST, excuse));
    let text = "办结".into();
    world.on_whistle(SECRETARY, concluded, Body::Conclude { text });
    world.pass(60_000);
    let fixed = Body::SelfResolve {
        text: "已清理".into(),
    };
    world.on_finding(HEAD, merged, fixed);
    world.sync(SECRETARY);
    world.of(HEAD).offline = false;
    world.sync(HEAD);
    assert_eq!(told(&mut world, HEAD), (Standing::Late, Reason::Merged));
    world.on_whistle(URBAN, released, target(URBAN_POST, arrive));
    world.on_whistle(URBAN, cancelled, target(URBAN_POST, arrive));
    world.on_whistle(URBAN, concluded, target(URBAN_POST, arrive));
    world.of(URBAN).offline = false;
    world.sync(URBAN);
    let troubles = world.of(URBAN).device.store().troubles().expect("troubles");
    let mut reasons: Vec<_> = troubles.iter().map(|it| (it.record, it.reason)).collect();
    reasons.sort();
    let mut wanted = vec![
        (released, Some(Reason::Released)),
        (cancelled, Some(Reason::Closed)),
        (concluded, Some(Reason::Closed)),
    ];
    wanted.sort();
    assert_eq!(reasons, wanted);
    world.settle();
    // Kept as a trace where everybody sees it, without effect.
    for (whistle, stage) in [
        (released, TargetStage::Released),
        (cancelled, TargetStage::Notified),
        (concluded, TargetStage::Excused),
    ] {
        let state = world.seen_whistle(SECRETARY, whistle);
        assert_eq!(state.targets[URBAN_POST].stage(), stage);
        assert_eq!(state.traces.len(), 1);
    }
    let said = Sentence::from(Reason::Merged);
    assert!(said.zh.contains("并入另一个问题"), "{}", said.zh);
}

#[test]
fn two_photos_at_the_same_time_are_both_kept() {
    // What could go wrong: of two people who photograph one thing, one has taken
    // the picture for nothing; or one picture that went round counts as stolen.
    let mut world = World::new("two-photos", 1);
    for person in [HEAD, SECRETARY] {
        world.phone(person);
    }
    let finding = world.report(HEAD, GRID, "E0102", "门口有垃圾");
    world.settle();
    for person in [HEAD, SECRETARY] {
        world.of(person).offline = true;
    }
    let passed_on = world.photograph(HEAD, finding);
    world.pass(60_000);
    world.photograph(SECRETARY, finding);
    world.attach_photo(SECRETARY, finding, &passed_on);
    world.settle();
    for person in [HEAD, SECRETARY] {
        let state = world.finding(person, finding);
        let mut by: Vec<_> = state.evidence.iter().map(|it| it.by.0.as_str()).collect();
        by.sort_unstable();
        assert_eq!(by, [SECRETARY, SECRETARY, HEAD]);
        assert!(
            state.traces.is_empty(),
            "nobody is told that it was in vain"
        );
        assert_eq!(state, world.finding(HEAD, finding));
    }
    // Both erase the picture that went round: it goes once, wherever it stands,
    // and whoever comes second is told so.
    let state = world.finding(HEAD, finding);
    let piece = |by: &str| {
        let theirs = state.evidence.iter().filter(|it| it.by.0 == by);
        theirs.map(|it| it.piece.id).collect::<Vec<_>>()
    };
    let [twice] = piece(HEAD)[..] else {
        panic!("one photo of the grid head")
    };
    assert!(piece(SECRETARY).contains(&twice));
    for person in [HEAD, SECRETARY] {
        world.of(person).offline = true;
        let reason = "拍到路人".into();
        let erase = Body::EraseEvidence {
            piece: twice,
            reason,
        };
        world.on_finding(person, finding, erase);
        world.pass(60_000);
    }
    world.of(HEAD).offline = false;
    world.sync(HEAD);
    world.settle();
    let state = world.finding(SECRETARY, finding);
    let (erased, kept): (Vec<_>, Vec<_>) =
        state.evidence.iter().partition(|it| it.erased.is_some());
    assert_eq!((erased.len(), kept.len()), (2, 1));
    assert!(erased.iter().all(|it| it.piece.id == twice));
    let told = told(&mut world, SECRETARY);
    assert_eq!(told, (Standing::Late, Reason::EvidenceErased));
    let said = Sentence::from(told.1);
    assert!(said.zh.contains("已经擦除"), "{}", said.zh);
    assert!(said.en.contains("erased already"), "{}", said.en);
}

#[test]
fn of_two_who_attached_one_picture_either_may_have_it_destroyed() {
    // What could go wrong: somebody who sees a passer-by in what they attached has
    // no say, because another had attached it a minute before.
    let mut world = World::new("either-erases", 1);
    let whistle = two_are_summoned_and_out_of_signal(&mut world);
    let passed_on = world.photograph(URBAN, whistle);
    world.photograph(URBAN, whistle);
    world.pass(60_000);
    world.attach_photo(CLEANER, whistle, &passed_on);
    world.settle();
    let pieces = |world: &mut World, by: &str| {
        let evidence = world.seen_whistle(CLEANER, whistle).evidence;
        let theirs = evidence.into_iter().filter(|it| it.by.0 == by);
        theirs.collect::<Vec<_>>()
    };
    let shared = pieces(&mut world, CLEANER)[0].piece.id;
    let other = pieces(&mut world, URBAN)
        .iter()
        .map(|it| it.piece.id)
        .find(|id| *id != shared)
        .expect("a picture of one's own");
    let erase = |piece| {
        let reason = "拍到路人".to_owned();
        let body = Body::EraseEvidence { piece, reason };
        Draft::on(RecordKind::Whistle, whistle, body)
    };
    let refused = world.try_act(CLEANER, erase(other)).expect_err("refused");
    assert_eq!(Sentence::from(&refused).code, Reason::NotYours.code());
    world.act(CLEANER, erase(shared));
    world.settle();
    let state = world.seen_whistle(SECRETARY, whistle);
    let erased = state.evidence.iter().filter(|it| it.erased.is_some());
    assert!(erased.clone().all(|it| it.piece.id == shared));
    assert_eq!((erased.count(), state.evidence.len()), (2, 3));
    assert!(state.traces.is_empty());
}

#[test]
fn a_photo_of_something_closed_meanwhile_is_kept_beside_it_and_reopens_nothing() {
    // What could go wrong: proof from a dead zone that is thrown away because an
    // office was quicker, or that opens again what the office has closed.
    let mut world = World::new("photo-meanwhile", 1);
    for person in [HEAD, SECRETARY, URBAN] {
        world.phone(person);
    }
    let parent = world.report(HEAD, GRID, "E0102", "门口有垃圾");
    let declined = world.report(HEAD, GRID, "E0102", "楼道有杂物");
    let merged = world.report(HEAD, GRID, "E0102", "路口有垃圾");
    let carried = world.report(SECRETARY, GRID, "E0103", "渣土堆放");
    let concluded = world.whistle(SECRETARY, NORTH_GATE, carried, &[URBAN_POST], 4);
    world.settle();
    for person in [HEAD, URBAN] {
        world.of(person).offline = true;
    }
    let reason = || "不属实".into();
    world.on_finding(SECRETARY, declined, Body::Decline { reason: reason() });
    world.on_finding(SECRETARY, merged, Body::Merge { into: parent });
    let excuse = |party| Body::Excuse {
        party,
        reason: reason(),
    };
    world.on_whistle(SECRETARY, concluded, target(URBAN_POST, excuse));
    let text = "办结".into();
    world.on_whistle(SECRETARY, concluded, Body::Conclude { text });
    world.pass(60_000);
    for finding in [declined, merged] {
        world.photograph(HEAD, finding);
    }
    // What is not possible any more is a trace; the photo beside it is not.
    world.on_whistle(URBAN, concluded, target(URBAN_POST, arrive));
    world.photograph(URBAN, concluded);
    world.settle();
    for (record, by, stage) in [
        (declined, HEAD, "declined"),
        (merged, HEAD, "merged"),
        (concluded, URBAN, "concluded"),
    ] {
        for person in [by, SECRETARY] {
            let state = world.show(person, record).state;
            assert_eq!(state.stage_word(), stage, "{person}");
            let [kept] = state.evidence() else {
                panic!("{person}: one photo on what is {stage}")
            };
            assert_eq!(kept.by.0, by);
            assert_eq!(state.trace_of(&kept.hash), None, "{person}: {stage}");
        }
    }
    let troubles = world.of(HEAD).device.store().troubles().expect("troubles");
    assert!(troubles.is_empty(), "{troubles:?}");
    let troubles = world.of(URBAN).device.store().troubles().expect("troubles");
    assert_eq!(troubles.len(), 1, "the arrival alone");
    assert_eq!(
        told(&mut world, URBAN),
        (Standing::Late, Reason::Closed),
        "in one plain sentence"
    );
    let said = Sentence::from(Reason::Closed);
    assert!(said.zh.contains("这件事已经办结"), "{}", said.zh);
}
