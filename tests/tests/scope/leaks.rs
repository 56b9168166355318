//! Leaks that there were, each by name, each as short as it can be shown.

use rand::SeedableRng;
use rand::rngs::StdRng;

use shaodao_core::domain::action::{Body, Level, RecordKind};
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::reason::Reason;
use shaodao_core::seal;
use shaodao_core::sync::wire::{Standing, SyncRequest};
use shaodao_tests::scope::life::{Deed, Life, confided, issue, target};
use shaodao_tests::scope::organisation::STREET;
use shaodao_tests::world::finding_facts;

use super::{check_reply, everybody_reads_theirs, nothing_is_out_of_place};

/// Two communities: a finding in the first, and who works in the second.
struct Neighbours {
    life: Life,
    rng: StdRng,
    /// In the first community.
    finding: RecordId,
    /// Works in a grid of the first.
    member: usize,
    /// Works in the second.
    secretary: usize,
    /// Code of the second.
    community: String,
}

fn neighbours(name: &str) -> Neighbours {
    let mut rng = StdRng::seed_from_u64(5);
    let mut life = Life::begin(name, &mut rng);
    let grid = life.organisation.grids[0].clone();
    let community = life.organisation.communities[1].clone();
    let who = |life: &Life, role: (&'static str, &String)| {
        let mut people = life.organisation.people.iter();
        let holds = people.position(|it| it.roles[..] == [(role.0, role.1.clone())]);
        holds.expect("somebody")
    };
    let member = who(&life, ("member", &grid));
    let secretary = who(&life, ("secretary", &community));
    let finding = RecordId([1; 16]);
    let report = Deed {
        facts: finding_facts(&grid, "E0403", "一楼的事"),
        ..Deed::on_finding(finding, Body::Report)
    };
    assert_eq!(life.act(member, report, false).0, Standing::Accepted);
    Neighbours {
        life,
        rng,
        finding,
        member,
        secretary,
        community,
    }
}

#[test]
fn a_report_under_a_known_id_is_not_let_into_its_history() {
    // It was taken as a trace, and with it the place where it claimed to be:
    // everybody there was given the whole record.
    let mut it = neighbours("again");
    let report = Deed {
        facts: finding_facts(&it.community, "E0403", "我的"),
        ..Deed::on_finding(it.finding, Body::Report)
    };
    let (standing, reply) = it.life.act(it.secretary, report, false);
    assert_eq!(standing, Standing::Quarantined);
    let reason = reply.verdicts[0].reason.as_deref();
    assert_eq!(reason, Some(Reason::AlreadyExists.code()));
    everybody_reads_theirs(&it.life);
}

#[test]
fn an_action_under_the_id_of_a_record_of_the_other_kind_is_judged_like_any() {
    // The server failed on it, again and again, for all that came with it.
    let mut it = neighbours("kind");
    let text = "看看".to_owned();
    let note = Deed::on_whistle(it.finding, Body::Note { text: text.clone() });
    let (standing, reply) = it.life.act(it.secretary, note, false);
    assert_eq!(standing, Standing::Quarantined);
    let reason = reply.verdicts[0].reason.as_deref();
    assert_eq!(reason, Some(Reason::NoSuchRecord.code()));
    let order = it.life.order(&it.community, Vec::new(), &mut it.rng);
    let (standing, _) = it.life.act(it.secretary, issue(it.finding, order), false);
    assert_eq!(standing, Standing::Quarantined);
    everybody_reads_theirs(&it.life);
}

#[test]
fn nobody_takes_the_id_of_an_escalation_for_the_other_kind() {
    // The id of the street's whistle follows from the one below: whoever reads
    // that could name it first, as a finding, and nothing went up any more.
    let mut it = neighbours("first");
    let whistle = RecordId([2; 16]);
    let order = it.life.order(&it.community, Vec::new(), &mut it.rng);
    it.life.act(it.secretary, issue(whistle, order), false);
    let street = RecordId::of_escalation(whistle, Level::Street.code(), 1);
    let text = "占住".to_owned();
    let note = Deed::on_finding(street, Body::Note { text });
    let (standing, _) = it.life.act(it.member, note, false);
    assert_eq!(standing, Standing::Quarantined);
    let reason = "解决不了".to_owned();
    let ask = Deed::on_whistle(whistle, Body::AskEscalation { reason });
    let (standing, _) = it.life.act(it.secretary, ask, true);
    assert_eq!(standing, Standing::Accepted);
    everybody_reads_theirs(&it.life);
    let dispatcher = it.life.someone("dispatcher", &mut it.rng).expect("one").0;
    let replies = it.life.running.pull_everything(dispatcher);
    let items = replies.iter().flat_map(|reply| &reply.items);
    assert!(
        items
            .filter_map(|item| shaodao_core::envelope::open(&item.envelope).ok())
            .map(|sealed| sealed.envelope.action)
            .any(|action| action.record == street && action.kind == RecordKind::Whistle),
        "the street hears of it"
    );
    nothing_is_out_of_place(&it.life);
}

#[test]
fn whoever_blows_for_another_communitys_finding_summons_nobody_to_it() {
    let mut it = neighbours("order");
    let person = it.life.organisation.people[it.secretary].id.clone();
    let (deed, _) = confided(it.finding, &mut it.rng);
    assert_eq!(it.life.act(it.member, deed, true).0, Standing::Accepted);
    let mut order = it.life.order(&it.community, vec![it.finding], &mut it.rng);
    order.targets = vec![target(&format!("person:{person}"))];
    let (standing, _) = it
        .life
        .act(it.secretary, issue(RecordId([3; 16]), order), false);
    assert_eq!(standing, Standing::Accepted, "as if it named nothing");
    everybody_reads_theirs(&it.life);
    // The street has a say everywhere: its targets do come to read both.
    let dispatcher = it.life.someone("dispatcher", &mut it.rng).expect("one").0;
    let mut order = it.life.order(STREET, vec![it.finding], &mut it.rng);
    order.targets = vec![target(&format!("person:{person}"))];
    let whistle = issue(RecordId([4; 16]), order);
    assert_eq!(
        it.life.act(dispatcher, whistle, false).0,
        Standing::Accepted
    );
    everybody_reads_theirs(&it.life);
    let who = &it.life.organisation.people[it.secretary];
    assert!(it.life.statement.may_read(who, &it.finding));
}

#[test]
fn whoever_confides_something_reads_that_and_nothing_else() {
    let mut it = neighbours("confide");
    let (deed, item) = confided(it.finding, &mut it.rng);
    assert_eq!(it.life.act(it.member, deed, true).0, Standing::Accepted);
    // Somebody who works for the whole street, summoned to nothing.
    let near = it.life.someone("dispatcher", &mut it.rng).expect("one").0;
    let (deed, own) = confided(it.finding, &mut it.rng);
    assert_eq!(it.life.act(near, deed, true).0, Standing::Accepted);
    let replies = it.life.running.pull_everything(near);
    let given = replies.iter().flat_map(|reply| &reply.private);
    let given: Vec<_> = given.map(|it| seal::id_of(&it.ciphertext)).collect();
    assert_eq!(given, [seal::id_of(&own.ciphertext)]);
    assert!(!given.contains(&seal::id_of(&item.ciphertext)));
}

#[test]
fn the_digest_of_anothers_audience_tells_nothing() {
    let it = neighbours("digest");
    let theirs = it.life.running.sync(it.member, &SyncRequest::default());
    let mine = it.life.running.sync(it.secretary, &SyncRequest::default());
    let request = SyncRequest {
        epoch: mine.epoch,
        cursor: mine.cursor,
        audience: theirs.audience,
        ..SyncRequest::default()
    };
    let reply = it.life.running.sync(it.secretary, &request);
    check_reply(&it.life, it.secretary, &reply);
}
