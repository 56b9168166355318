//! The phone shows what the server will do: over random histories, in any causal
//! order, from a phone's database or from the server's envelopes, the answers
//! are the same; and what is due is exactly what was announced.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use shaodao_core::document::{Document, Member};
use shaodao_core::domain::action::{EscalationCause, Level, RecordKind};
use shaodao_core::domain::calendar::AreaClass;
use shaodao_core::domain::directory::Directory;
use shaodao_core::domain::escalation::{AT_ONCE, Carried, Case, Due, Next};
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::ladder::Rung;
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::whistle::WhistleState;
use shaodao_core::pack;
use shaodao_core::sync::settle::Incoming;
use shaodao_tests::random::{causal_order, histories, replica};
use shaodao_tests::world::{HOUR_MS, MORNING_MS};

const BATCHES: u64 = 16;
const RECORDS: usize = 40;
const ORDERS: usize = 2;

/// What one replica says of one whistle.
type Said = (RecordId, Option<Next>, Vec<Option<Due>>);

#[test]
fn phone_and_server_say_the_same_in_any_order() {
    let mut announced = 0;
    for batch in 0..BATCHES {
        let seed = 530_102 + batch;
        let received = histories(seed, RECORDS);
        let mut rng = StdRng::seed_from_u64(seed);
        let world = Odds::draw(&mut rng);
        let server = on_the_server(&received, &world);
        announced += server.iter().filter(|(_, next, _)| next.is_some()).count();
        for nth in 0..ORDERS {
            let order = causal_order(&received, &mut rng);
            let folder = std::env::temp_dir().join(format!(
                "shaodao-ladder-{}-{seed}-{nth}",
                std::process::id()
            ));
            std::fs::create_dir_all(&folder).expect("a folder");
            let phone = {
                let store = replica(&folder.join("phone.db"), &order, &mut rng);
                let ids = store.heads().expect("heads").into_iter();
                let whistles = ids.filter_map(|(record, _)| {
                    let kind = store.kind_of(record).expect("reads").expect("is here");
                    let members = store.members(record).expect("members");
                    (kind == RecordKind::Whistle).then(|| world.ask(record, members))
                });
                sorted(whistles.collect())
            };
            let _ = std::fs::remove_dir_all(&folder);
            assert_eq!(phone, server, "order {nth} (seed {seed})");
        }
    }
    println!("{announced} announcements");
    assert!(announced > 100, "something was announced");
}

/// Everything that is not in the whistle, the same for all replicas.
struct Odds {
    directory: Directory,
    carried: Vec<Carried>,
    /// Street whistles have a time to arrive by.
    report_by_ms: Option<i64>,
    times: Vec<i64>,
}

impl Odds {
    fn draw(rng: &mut StdRng) -> Self {
        let mut directory = pack::directory(pack::HUASHAN).expect("the sample street");
        let held = Rung {
            categories: vec!["C01".to_owned()],
            classes: vec![AreaClass::A],
            hold_ms: rng.random_range(0..3) * HOUR_MS,
            ..Rung::usual(Level::Community)
        };
        directory.ladder.rungs.insert(0, held);
        let carried = Carried {
            double: rng.random_bool(0.2),
            category: ["C0101", "E0403"][rng.random_range(0..2usize)].to_owned(),
        };
        let hours = |rng: &mut StdRng| MORNING_MS + rng.random_range(-2..60) * HOUR_MS;
        Self {
            directory,
            carried: if rng.random_bool(0.8) {
                vec![carried]
            } else {
                Vec::new()
            },
            report_by_ms: rng.random_bool(0.5).then(|| hours(rng)),
            times: (0..6).map(|_| hours(rng)).collect(),
        }
    }

    /// Asks what is next and what is due; and holds the one against the other.
    fn ask(&self, record: RecordId, members: Vec<Member>) -> Said {
        let built = Document::rebuild(RecordKind::Whistle, record, members).expect("builds");
        let RecordState::Whistle(mut state) = built.0.fold() else {
            panic!("{record} is a whistle");
        };
        self.to_the_street(&mut state);
        let case = Case {
            whistle: record,
            state: &state,
            carried: &self.carried,
            directory: &self.directory,
        };
        let next = case.next();
        match next {
            None => assert_eq!(case.due(i64::MAX), None, "nothing was announced"),
            Some(next) => {
                assert_eq!(case.due(next.at_ms), None, "too early");
                let due = case.due(next.at_ms + 1).expect("as announced");
                assert_eq!((due.cause, due.to), (next.cause, next.to));
                assert!(case.due(i64::MAX).is_some(), "what is due stays due");
                let waits = next.at_ms != AT_ONCE;
                assert_eq!(waits, by_time(next.cause), "{next:?}");
            }
        }
        let due = self.times.iter().map(|now_ms| case.due(*now_ms)).collect();
        (record, next, due)
    }

    /// Every other whistle is one of the street.
    fn to_the_street(&self, state: &mut WhistleState) {
        if let (Some(order), Some(report_by_ms)) = (&mut state.order, self.report_by_ms) {
            order.level = Level::Street;
            order.report_by_ms = Some(report_by_ms);
        }
    }
}

fn by_time(cause: EscalationCause) -> bool {
    !matches!(
        cause,
        EscalationCause::Asked | EscalationCause::ObjectionUpheld
    )
}

/// The server's answers, from envelopes in the order in which they arrived.
fn on_the_server(received: &[Incoming], world: &Odds) -> Vec<Said> {
    let mut whistles: Vec<(RecordId, Vec<Member>)> = Vec::new();
    for incoming in received {
        let envelope = &incoming.sealed.envelope;
        if envelope.action.kind != RecordKind::Whistle {
            continue;
        }
        let member = Member {
            sealed: incoming.sealed.clone(),
            seen: envelope.seen.clone(),
            received_at_ms: Some(incoming.received_at_ms),
        };
        let record = envelope.action.record;
        match whistles.iter_mut().find(|(of, _)| *of == record) {
            Some((_, members)) => members.push(member),
            None => whistles.push((record, vec![member])),
        }
    }
    let said = whistles.into_iter();
    sorted(
        said.map(|(record, members)| world.ask(record, members))
            .collect(),
    )
}

fn sorted(mut said: Vec<Said>) -> Vec<Said> {
    said.sort_by_key(|(record, ..)| *record);
    said
}
