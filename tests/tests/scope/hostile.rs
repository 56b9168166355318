//! What somebody tries who has a phone of the street and time: one request, and
//! whether its answer tells more than it may.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, RngExt};

use shaodao_core::domain::action::{BLOWER, Body, EscalationCause, Facts, RecordKind};
use shaodao_core::domain::ids::{EnvelopeHash, PrivateId, RecordId};
use shaodao_core::domain::private::PrivateKind;
use shaodao_core::sync::wire::{self, PrivateItem};
use shaodao_core::sync::wire::{CitedHead, SessionRequest, Standing, SyncReply, SyncRequest};
use shaodao_server::engine::sha256;
use shaodao_tests::scope::life::{Deed, Life, confided, issue, target};
use shaodao_tests::scope::organisation::{STREET, Somebody};
use shaodao_tests::world::finding_facts;

use super::{check_reply, out_of_sight};

/// How often each kind of request was made.
pub type Tally = BTreeMap<&'static str, u64>;

/// One request by anybody; what was tried.
pub fn request(life: &mut Life, rng: &mut StdRng) -> &'static str {
    loop {
        let nth = rng.random_range(0..life.organisation.people.len());
        let tried = match rng.random_range(0..16) {
            0..=3 => forged_pull(life, nth, rng),
            4 => anothers_audience(life, nth, rng),
            5..=9 => about_what_is_hidden(life, nth, rng),
            10 => begun_again(life, nth, rng),
            11 => naming_what_is_hidden(life, nth, rng),
            12 => carrying_what_is_hidden(life, rng),
            13 => brought_beside(life, nth, rng),
            14 => claimed_for_oneself(life, nth, rng),
            _ => session_of(life, rng),
        };
        // Not everybody has something to try it with.
        if let Some(tried) = tried {
            return tried;
        }
    }
}

/// A pull with any cursor, life, digest, head and version.
fn forged_pull(life: &Life, nth: usize, rng: &mut StdRng) -> Option<&'static str> {
    let any = |rng: &mut StdRng| match rng.random_range(0..5) {
        0 => 0,
        1 => u64::MAX,
        2 => i64::MAX.cast_unsigned(),
        3 => rng.random(),
        _ => rng.random_range(0..120),
    };
    let bytes = |rng: &mut StdRng, most: usize| {
        let mut bytes = vec![0; rng.random_range(0..=most)];
        rng.fill_bytes(&mut bytes);
        bytes
    };
    let honest = life.running.sync(nth, &SyncRequest::default());
    let request = SyncRequest {
        epoch: match rng.random_bool(0.6) {
            true => honest.epoch,
            false => bytes(rng, 20),
        },
        cursor: any(rng),
        count: any(rng),
        digest: bytes(rng, 40),
        directory: any(rng),
        budget: [0, 1, 2_000, u32::MAX][rng.random_range(0..4usize)],
        audience: match rng.random_bool(0.5) {
            true => honest.audience,
            false => bytes(rng, 40),
        },
        head: rng.random_bool(0.5).then(|| CitedHead {
            position: any(rng),
            mark: bytes(rng, 16),
        }),
        private_cursor: any(rng),
        backlog: Some(rng.random()),
        ..SyncRequest::default()
    };
    let reply = life.running.sync(nth, &request);
    check_reply(life, nth, &reply);
    Some("a forged pull")
}

/// A pull in the name of what somebody else sees: digests can be computed by
/// whoever knows the directory and has met the phone.
fn anothers_audience(life: &Life, nth: usize, rng: &mut StdRng) -> Option<&'static str> {
    let phones = &life.running.phones;
    let digest = |of: usize| sha256(keys(&phones[of].who, phones[of].device).as_bytes());
    // The digest is the one that the server computes, or this shows nothing.
    let honest = life.running.sync(nth, &SyncRequest::default());
    assert_eq!(honest.audience, digest(nth));
    let other = rng.random_range(0..phones.len());
    // They have been here before, so the server knows their digest.
    life.running.sync(other, &SyncRequest::default());
    let request = SyncRequest {
        epoch: honest.epoch,
        cursor: honest.cursor,
        audience: digest(other).to_vec(),
        ..SyncRequest::default()
    };
    let reply = life.running.sync(nth, &request);
    check_reply(life, nth, &reply);
    Some("another's audience")
}

/// The audience keys of somebody's phone, as the wire has them digested.
fn keys(who: &Somebody, device: shaodao_core::domain::ids::DeviceId) -> String {
    let mut keys = vec![format!("person:{}", who.id)];
    for (role, scope) in &who.roles {
        match *role {
            "administrator" => {}
            "liaison" => keys.push(format!("org:{scope}")),
            _ => keys.push(format!("area:{scope}")),
        }
    }
    let posts = who.posts.iter();
    keys.extend(posts.map(|(post, grid)| format!("post:{grid}/{post}")));
    keys.sort_unstable();
    keys.dedup();
    keys.push(format!("device:{device}"));
    keys.join("\n")
}

/// Any action but a first one, on a record out of sight and on none at all: the
/// same answer.
fn about_what_is_hidden(life: &mut Life, nth: usize, rng: &mut StdRng) -> Option<&'static str> {
    let whistle = rng.random_bool(0.5);
    let hidden = out_of_sight(life, nth, rng.random_bool(0.5), rng)?;
    let (kind, body) = match whistle {
        true => (RecordKind::Whistle, on_whistle(life, rng)),
        false => (RecordKind::Finding, on_finding(rng)),
    };
    let deed = |record| Deed {
        kind,
        record,
        facts: Facts::new(),
        body: body.clone(),
        private: Vec::new(),
    };
    let nothing = RecordId::random(rng);
    let of_hidden = life.act(nth, deed(hidden), false);
    let of_nothing = life.act(nth, deed(nothing), false);
    assert_ne!(of_hidden.0, Standing::Accepted, "{body:?}");
    assert_eq!(
        normal(of_hidden.1),
        normal(of_nothing.1),
        "{body:?} tells that the record exists"
    );
    Some("an action on what is hidden")
}

/// A first action under the id of a record out of sight. That the id is taken
/// cannot be hidden from whoever has it; nothing else is told, and nobody new
/// reads the record.
fn begun_again(life: &mut Life, nth: usize, rng: &mut StdRng) -> Option<&'static str> {
    let hidden = out_of_sight(life, nth, rng.random_bool(0.5), rng)?;
    let who = life.organisation.people[nth].clone();
    let scope = who.roles.first().map(|(_, scope)| scope.clone());
    let place = scope.unwrap_or_else(|| STREET.to_owned());
    let deed = match rng.random_bool(0.5) {
        true => Deed {
            facts: finding_facts(&place, "E0403", "我的"),
            ..Deed::on_finding(hidden, Body::Report)
        },
        false => {
            let mut order = life.order(&place, vec![hidden], rng);
            order.targets = vec![target(&format!("person:{}", who.id))];
            issue(hidden, order)
        }
    };
    let (standing, reply) = life.act(nth, deed, false);
    assert!(!standing.is_shared(), "{}: {reply:?}", who.id);
    Some("a record begun again")
}

/// An action on something of one's own that names a record out of sight, or none.
fn naming_what_is_hidden(life: &mut Life, nth: usize, rng: &mut StdRng) -> Option<&'static str> {
    let who = life.organisation.people[nth].clone();
    let hidden = out_of_sight(life, nth, false, rng)?;
    let work = ["member", "secretary", "dispatcher"];
    let (_, place) = who.roles.iter().find(|(role, _)| work.contains(role))?;
    let merges = rng.random_bool(0.5);
    let item = life.statement.private.keys().next().copied();
    let mut answers = Vec::new();
    for (into, item) in [
        (hidden, item.unwrap_or(PrivateId([7; 32]))),
        (RecordId::random(rng), PrivateId(rng.random())),
    ] {
        let own = RecordId::random(rng);
        let report = Deed {
            facts: finding_facts(place, "E0403", "自己的"),
            ..Deed::on_finding(own, Body::Report)
        };
        let (standing, reply) = life.act(nth, report, false);
        assert_eq!(standing, Standing::Accepted, "{reply:?}");
        let body = match merges {
            true => Body::Merge { into },
            false => Body::Confide {
                item,
                kind: PrivateKind::Phone,
            },
        };
        answers.push(normal(life.act(nth, Deed::on_finding(own, body), true).1));
    }
    assert_eq!(answers[0], answers[1]);
    Some("own records that name hidden ones")
}

/// A whistle of one's own over a finding out of sight, or over none.
fn carrying_what_is_hidden(life: &mut Life, rng: &mut StdRng) -> Option<&'static str> {
    let (nth, area) = life.someone("secretary", rng)?;
    let hidden = out_of_sight(life, nth, false, rng)?;
    let id = life.organisation.people[nth].id.clone();
    let mut answers = Vec::new();
    for finding in [hidden, RecordId::random(rng)] {
        let mut order = life.order(&area, vec![finding], rng);
        order.targets.push(target(&format!("person:{id}")));
        let deed = issue(RecordId::random(rng), order);
        let (standing, reply) = life.act(nth, deed, false);
        assert_eq!(standing, Standing::Accepted, "{reply:?}");
        answers.push(normal(reply));
    }
    assert_eq!(answers[0], answers[1]);
    Some("a whistle over what is hidden")
}

/// Personal data brought beside a record out of sight, or beside none; and an
/// erasure of somebody else's.
fn brought_beside(life: &mut Life, nth: usize, rng: &mut StdRng) -> Option<&'static str> {
    let hidden = out_of_sight(life, nth, rng.random_bool(0.2), rng)?;
    let mut answers = Vec::new();
    for record in [hidden, RecordId::random(rng)] {
        let (_, item) = confided(record, rng);
        let reply = life.running.push(nth, &[], vec![item]);
        assert_eq!(reply.private_kept.len(), 1);
        check_reply(life, nth, &reply);
        // A phone that pushes nothing may be compared, and start over.
        let mut reply = normal(reply);
        reply.private_kept.clear();
        reply.items.clear();
        reply.verdicts.clear();
        reply.more = false;
        reply.notices = None;
        answers.push(reply);
    }
    assert_eq!(answers[0], answers[1]);
    Some("personal data beside what is hidden")
}

/// Somebody near a finding confides a trifle, to become one of those who read
/// what others confided.
fn claimed_for_oneself(life: &mut Life, nth: usize, rng: &mut StdRng) -> Option<&'static str> {
    let beside: Vec<RecordId> = life
        .statement
        .private
        .values()
        .map(|it| it.beside)
        .collect();
    if beside.is_empty() {
        return None;
    }
    let record = beside[rng.random_range(0..beside.len())];
    let (deed, item): (Deed, PrivateItem) = confided(record, rng);
    life.act(nth, deed, true);
    let reply = life.running.push(nth, &[], vec![item]);
    check_reply(life, nth, &reply);
    Some("a trifle confided")
}

/// A session for somebody else's phone, or for nobody's.
fn session_of(life: &Life, rng: &mut StdRng) -> Option<&'static str> {
    let phones = &life.running.phones;
    let real = phones[rng.random_range(0..phones.len())].device.0;
    let signature = match rng.random_bool(0.5) {
        true => Vec::new(),
        false => (0..rng.random_range(1..80)).map(|_| rng.random()).collect(),
    };
    let ask = |device: [u8; 16]| {
        let request = SessionRequest {
            device: device.to_vec(),
            signature: signature.clone(),
            directory: 0,
            app: "scope".to_owned(),
        };
        life.running
            .post("/v1/session", None, wire::to_bytes(&request))
    };
    let (mut of_real, mut of_nobody) = (ask(real), ask(rng.random()));
    if of_real.status == 200 {
        // The challenges are random; they are equally long.
        assert_eq!(of_real.body.len(), of_nobody.body.len());
        of_real.body.clear();
        of_nobody.body.clear();
    }
    assert_eq!(of_real, of_nobody, "it tells whether there is such a phone");
    Some("a session for another's phone")
}

/// A reply without what differs between any two.
pub fn normal(mut reply: SyncReply) -> SyncReply {
    reply.cursor = 0;
    reply.head = None;
    for verdict in &mut reply.verdicts {
        verdict.hash.fill(0);
        let tag = verdict.tag.as_ref().map(|tag| tag.len());
        verdict.tag = tag.map(|length| vec![0; length].into());
    }
    reply
}

fn on_finding(rng: &mut StdRng) -> Body {
    let text = "试试".to_owned();
    let reason = text.clone();
    let item = PrivateId([1; 32]);
    let any = [
        Body::Correct,
        Body::Note { text: text.clone() },
        Body::SelfResolve { text: text.clone() },
        Body::Review {
            passed: true,
            text: text.clone(),
        },
        Body::Accept,
        Body::Number,
        Body::Decline {
            reason: reason.clone(),
        },
        Body::Withdraw {
            reason: reason.clone(),
        },
        Body::Merge {
            into: RecordId([3; 16]),
        },
        Body::Reopen {
            reason: reason.clone(),
        },
        Body::Urge { text },
        Body::Confide {
            item,
            kind: PrivateKind::Note,
        },
        Body::Erase { item, reason },
    ];
    any[rng.random_range(0..any.len())].clone()
}

fn on_whistle(life: &Life, rng: &mut StdRng) -> Body {
    let party = match rng.random_bool(0.2) {
        true => BLOWER.to_owned(),
        false => life.party(rng),
    };
    let text = "试试".to_owned();
    let reason = text.clone();
    let hash = EnvelopeHash([5; 32]);
    let any = [
        Body::Correct,
        Body::Note { text: text.clone() },
        Body::Urge { text: text.clone() },
        Body::Sign {
            party: party.clone(),
        },
        Body::Arrive {
            party: party.clone(),
            heads: 1,
            position: None,
            away: None,
        },
        Body::Feedback {
            party: party.clone(),
            text: text.clone(),
        },
        Body::Object {
            party: party.clone(),
            reason: reason.clone(),
        },
        Body::Verify {
            party: party.clone(),
            passed: true,
            text: text.clone(),
        },
        Body::Evaluate {
            party: party.clone(),
            score: 5,
            text: text.clone(),
        },
        Body::Release {
            party: party.clone(),
        },
        Body::Supervise {
            party,
            text: text.clone(),
            reply_by_ms: 0,
        },
        Body::Reply {
            supervision: hash,
            text: text.clone(),
        },
        Body::Rule {
            request: hash,
            granted: true,
            until_ms: None,
            text: text.clone(),
        },
        Body::Summon {
            targets: vec![target(&life.party(rng))],
        },
        Body::Conclude { text: text.clone() },
        Body::Cancel {
            reason: reason.clone(),
        },
        Body::AskEscalation {
            reason: reason.clone(),
        },
        Body::Escalate {
            cause: EscalationCause::Asked,
            into: RecordId([3; 16]),
            round: 1,
        },
        Body::StandDown { text, round: 1 },
        Body::Uphold { reason, round: 1 },
    ];
    any[rng.random_range(0..any.len())].clone()
}
