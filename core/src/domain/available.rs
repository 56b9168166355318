//! What somebody can do with a record now: exactly the actions that
//! [`capture`] would accept from them, for screens to show as buttons.
//!
//! Nothing is decided here. Each kind of action is put together with as little
//! content as it may have, once for each target or earlier action that it can
//! name, and `capture` is asked.

use std::collections::BTreeSet;

use super::action::{Action, BLOWER, Body, Facts, Party, Target, Value, fact};
use super::deadline;
use super::directory::{DeviceState, Directory};
use super::evidence::{Attached, Media, Piece, Shows};
use super::finding::FindingState;
use super::history::History;
use super::ids::{EnvelopeHash, EvidenceId, PersonId, PrivateId, RecordId, SealedId};
use super::private::PrivateKind;
use super::record::{RecordState, capture};
use super::time::Claim;
use super::whistle::WhistleState;

/// Who looks at a record, on which device, when.
#[derive(Debug, Clone, Copy)]
pub struct Viewer<'a> {
    /// Who is who.
    pub directory: &'a Directory,
    /// Who looks.
    pub person: &'a PersonId,
    /// Whether the device may act.
    pub device: DeviceState,
    /// The time that an action would claim.
    pub claim: Claim,
}

/// An action that would be accepted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Available {
    /// Its word.
    pub word: String,
    /// The target that it speaks for or about, or `blower`; `None` for an
    /// action that names nobody.
    pub party: Option<String>,
    /// The earlier action that it answers: a request, a supervision.
    pub answers: Option<EnvelopeHash>,
    /// The personal data that it erases.
    pub item: Option<PrivateId>,
    /// The evidence that it erases.
    pub piece: Option<EvidenceId>,
}

impl Available {
    /// What an action is, its content apart.
    pub fn of(body: &Body) -> Self {
        Self {
            word: body.word().to_owned(),
            party: body.party().map(str::to_owned),
            answers: body.answers(),
            item: body.erases(),
            piece: body.erases_evidence(),
        }
    }
}

/// The actions that `capture` would accept from the viewer on a record that
/// exists, in the order in which a screen shows them.
pub fn available_actions(
    viewer: &Viewer<'_>,
    record: RecordId,
    state: &RecordState,
    history: &History,
) -> Vec<Available> {
    let candidates = match state {
        RecordState::Finding(finding) => of_finding(record, finding),
        RecordState::Whistle(whistle) => of_whistle(whistle, viewer),
    };
    let kind = state.kind();
    candidates
        .into_iter()
        .filter_map(|(facts, body)| {
            let available = Available::of(&body);
            let action = Action {
                kind,
                record,
                person: viewer.person.clone(),
                facts,
                body,
            };
            let Viewer {
                directory,
                device,
                claim,
                ..
            } = *viewer;
            capture(directory, device, &action, claim, state, history)
                .ok()
                .map(|()| available)
        })
        .collect()
}

/// Content that says nothing.
fn word() -> String {
    "-".to_owned()
}

/// What can be done with evidence: adding some, erasing what stands.
fn of_evidence(evidence: &[Attached]) -> impl Iterator<Item = Body> {
    let attach = Body::Attach {
        pieces: vec![Piece {
            // Nothing has these hashes: they collide with nothing here.
            id: EvidenceId([0; 32]),
            sealed: SealedId([0; 32]),
            size: 1,
            media: Media::Jpeg,
            shows: Shows::Scene,
            taken_at_ms: 0,
            position: None,
        }],
    };
    let standing = evidence.iter().filter(|it| it.erased.is_none());
    let pieces: BTreeSet<EvidenceId> = standing.map(|it| it.piece.id).collect();
    let erasures = pieces.into_iter().map(|piece| Body::EraseEvidence {
        piece,
        reason: word(),
    });
    std::iter::once(attach).chain(erasures)
}

fn of_finding(record: RecordId, finding: &FindingState) -> Vec<(Facts, Body)> {
    let mut other = record;
    other.0[0] ^= 1;
    let plain = [
        Body::Accept,
        Body::Decline { reason: word() },
        Body::SelfResolve { text: word() },
        Body::Review {
            passed: true,
            text: word(),
        },
        Body::Merge { into: other },
        Body::Withdraw { reason: word() },
        Body::Reopen { reason: word() },
        Body::Urge { text: word() },
        Body::Note { text: word() },
        Body::Confide {
            // No ciphertext has this hash: it collides with nothing here.
            item: PrivateId([0; 32]),
            kind: PrivateKind::Note,
        },
    ];
    let erasures = finding.confided.keys().map(|item| Body::Erase {
        item: *item,
        reason: word(),
    });
    let mut candidates: Vec<_> = plain
        .into_iter()
        .chain(erasures)
        .chain(of_evidence(&finding.evidence))
        .map(|body| (Facts::new(), body))
        .collect();
    let text = || Value::Text(word());
    candidates.push(([(fact::TITLE.to_owned(), text())].into(), Body::Correct));
    candidates.push(([(fact::NUMBER.to_owned(), text())].into(), Body::Number));
    candidates
}

fn of_whistle(whistle: &WhistleState, viewer: &Viewer<'_>) -> Vec<(Facts, Body)> {
    let due_ms = deadline::due(whistle, Some(viewer.directory)).map_or(0, |due| due.at_ms);
    let later_ms = due_ms.saturating_add(1);
    let mut bodies = Vec::new();
    for party in whistle.targets.keys() {
        bodies.extend(of_target(party, later_ms));
    }
    bodies.extend(whistle.requests.iter().map(|request| Body::Rule {
        request: request.asked.hash,
        granted: false,
        until_ms: None,
        text: word(),
    }));
    bodies.extend(whistle.supervisions.iter().map(|supervision| Body::Reply {
        supervision: supervision.deed.hash,
        text: word(),
    }));
    let round = whistle.escalations.last().map_or(1, |newest| newest.round);
    let mark = whistle.marks.last().map_or(1, |newest| newest.round);
    bodies.extend([
        Body::Resume { reason: word() },
        Body::Recompute {
            due_ms,
            terms: None,
            reason: word(),
        },
        Body::Summon {
            targets: vec![Target {
                party: Party::Person(viewer.person.clone()),
                lead: false,
                mandatory: false,
            }],
        },
        Body::Conclude { text: word() },
        Body::Cancel { reason: word() },
        Body::AskEscalation { reason: word() },
        Body::StandDown {
            text: word(),
            round,
        },
        Body::Uphold {
            reason: word(),
            round,
        },
        Body::WithdrawMark {
            text: word(),
            round: mark,
        },
        Body::Urge { text: word() },
        Body::Note { text: word() },
    ]);
    bodies.extend(of_evidence(&whistle.evidence));
    let sides = whistle.targets.keys().map(String::as_str).chain([BLOWER]);
    for party in sides {
        bodies.push(Body::Supervise {
            party: party.to_owned(),
            text: word(),
            reply_by_ms: later_ms,
        });
        bodies.push(Body::Evaluate {
            party: party.to_owned(),
            score: 5,
            text: word(),
        });
    }
    let mut candidates: Vec<_> = bodies
        .into_iter()
        .map(|body| (Facts::new(), body))
        .collect();
    let title = [(fact::TITLE.to_owned(), Value::Text(word()))];
    candidates.push((title.into(), Body::Correct));
    candidates
}

/// What can be done for or about one target.
fn of_target(party: &str, later_ms: i64) -> [Body; 10] {
    let party = || party.to_owned();
    [
        Body::Sign { party: party() },
        Body::Arrive {
            party: party(),
            heads: 1,
            position: None,
            away: Some(word()),
        },
        Body::Feedback {
            party: party(),
            text: word(),
        },
        Body::DeclineSummons {
            party: party(),
            reason: word(),
        },
        Body::Object {
            party: party(),
            reason: word(),
        },
        Body::AskExtension {
            party: party(),
            until_ms: later_ms,
            reason: word(),
        },
        Body::AskSuspension {
            party: party(),
            review_ms: later_ms,
            reason: word(),
        },
        Body::Verify {
            party: party(),
            passed: true,
            text: word(),
        },
        Body::Release { party: party() },
        Body::Excuse {
            party: party(),
            reason: word(),
        },
    ]
}
