//! What arrives is what was signed, or it does not arrive.

use shaodao_core::device::Draft;
use shaodao_core::domain::action::{Body, RecordKind};
use shaodao_core::domain::evidence::Piece;
use shaodao_core::domain::ids::EvidenceId;
use shaodao_core::evidence::stream::PieceKey;
use shaodao_tests::process::Setup;
use shaodao_tests::world::MORNING_MS;

use crate::scope::bring_key;
use crate::street::{ByHand, GRID, MEMBER, SECRETARY, Street};

#[test]
fn a_flipped_bit_is_dropped_and_can_come_again() {
    let street = Street::new("flipped", Setup::default());
    let mut li = street.phone(MEMBER);
    let (_, piece, sealed) = street.announced(&mut li, 200_000);
    let caller = li.caller();
    for at in [0, 100_000, sealed.len() - 1] {
        let mut damaged = sealed.clone();
        damaged[at] ^= 1;
        let answer = caller.patch(piece.sealed, 0, &damaged);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (460, "evidence_hash")
        );
        assert_eq!(caller.offset(piece.sealed), 0);
        assert_eq!(caller.get(piece.sealed, &[]).status, 404);
    }
    street.sync(&mut li);
    assert_eq!(li.heard(&piece), (true, false, false));
    assert_eq!(caller.patch(piece.sealed, 0, &sealed).status, 204);
    let metrics = caller.ask("GET", "/metrics", &[], &[]);
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(
        metrics.contains("shaodao_evidence_dropped_total 3"),
        "{metrics}"
    );
    assert!(
        metrics.contains("shaodao_evidence_arrived_total 1"),
        "{metrics}"
    );
}

#[test]
fn a_flipped_bit_is_found_in_whichever_request_it_came_and_whoever_was_restarted() {
    // What could go wrong: what was checked while it came is not what is on the
    // disk; or what came before a restart is not checked at all.
    let mut street = Street::new("flipped-parts", Setup::default());
    let mut li = street.phone(MEMBER);
    let caller = li.caller();
    let arriving = street.folder.join("server/evidence-arriving");
    let damage_file = || {
        let mut files = std::fs::read_dir(&arriving).expect("a folder");
        let file = files.next().expect("a file").expect("reads").path();
        let mut bytes = std::fs::read(&file).expect("reads");
        bytes[50_000] ^= 1;
        std::fs::write(&file, bytes).expect("writes");
    };
    for restarted in [false, true] {
        let (_, piece, sealed) = street.announced(&mut li, 200_000);
        let parts = [0..70_000, 70_000..140_001, 140_001..sealed.len()];
        for at in [Some(10), Some(130_000), Some(sealed.len() - 1), None] {
            let mut damaged = sealed.clone();
            if let Some(at) = at {
                damaged[at] ^= 1;
            }
            let mut last = (0, String::new());
            for (nth, part) in parts.clone().into_iter().enumerate() {
                if restarted && nth == 2 {
                    street.server.stop().expect("stops");
                    if at.is_none() {
                        damage_file();
                    }
                    street.server.start_again(MORNING_MS).expect("starts");
                }
                let answer = caller.patch(piece.sealed, part.start as u64, &damaged[part]);
                last = (answer.status, answer.code());
            }
            if at.is_none() && !restarted {
                assert_eq!(last.0, 204, "{last:?}");
                assert!(caller.get(piece.sealed, &[]).body == sealed);
                continue;
            }
            let hash = (460, "evidence_hash".to_owned());
            assert_eq!(last, hash, "restarted: {restarted}, flipped: {at:?}");
            assert_eq!(caller.get(piece.sealed, &[]).status, 404);
            assert_eq!(caller.offset(piece.sealed), 0);
        }
    }
}

#[test]
fn an_action_that_lies_about_its_picture_never_gets_it_published() {
    // What could go wrong: readers are shown something else than was signed.
    let street = Street::new("lie", Setup::default());
    let mut li = street.phone(MEMBER);
    let record = li.report(GRID);
    let true_one = li.attach_voice(record, 50_000);
    let sealed = li.sealed(&true_one);
    let held = li.device.store().evidence(true_one.sealed).expect("reads");
    let key = held.and_then(|held| held.key).expect("a key");
    // The same bytes on another record, under another name.
    let other = li.report(GRID);
    let lie = Piece {
        id: EvidenceId([7; 32]),
        ..true_one
    };
    let pieces = vec![lie];
    li.act(Draft::on(
        RecordKind::Finding,
        other,
        Body::Attach { pieces },
    ));
    let records = street_with_only(&street, &mut li, other);
    assert_eq!(bring_key(&street, &li, records, &lie, &key).len(), 1);
    let caller = li.caller();
    let answer = caller.patch(lie.sealed, 0, &sealed);
    // On the record that tells the truth it has arrived, on the other not.
    assert_eq!(answer.status, 204, "{answer:?}");
    let mut wang = street.phone(SECRETARY);
    street.sync(&mut wang);
    let arrived = street.server.count(
        "SELECT COUNT(*) FROM evidence WHERE arrived_at_ms IS NOT NULL AND piece = X'0707070707070707070707070707070707070707070707070707070707070707'",
    );
    assert_eq!(arrived, 0);
    let arrived = street
        .server
        .count("SELECT COUNT(*) FROM evidence WHERE arrived_at_ms IS NOT NULL");
    assert_eq!(arrived, 1);
}

fn street_with_only(
    street: &Street,
    phone: &mut crate::street::Phone,
    record: shaodao_core::domain::ids::RecordId,
) -> [u8; 16] {
    street.sync(phone);
    record.0
}

#[test]
fn a_key_that_comes_late_or_wrong_is_asked_for_again_and_no_byte_is() {
    let street = Street::new("key", Setup::default());
    let mut li = street.phone(MEMBER);
    let record = li.report(GRID);
    let piece = li.attach_voice(record, 50_000);
    let sealed = li.sealed(&piece);
    let held = li.device.store().evidence(piece.sealed).expect("reads");
    let key = held.and_then(|held| held.key).expect("a key");
    street.sync(&mut li);
    // As if the phone's key had been damaged on its way.
    let wrong = PieceKey::from_slice(&[3; 32]).expect("a key");
    bring_key(&street, &li, record.0, &piece, &wrong);
    let caller = li.caller();
    let answer = caller.patch(piece.sealed, 0, &sealed);
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (425, "evidence_key")
    );
    assert_eq!(caller.head(piece.sealed).status, 425);
    assert_eq!(caller.get(piece.sealed, &[]).status, 404);
    bring_key(&street, &li, record.0, &piece, &key);
    assert_eq!(caller.offset(piece.sealed), sealed.len() as u64);
    assert_eq!(caller.get(piece.sealed, &[]).body, sealed);
    // Once it has opened, nobody changes it any more.
    bring_key(&street, &li, record.0, &piece, &wrong);
    let mut wang = street.phone(SECRETARY);
    street.sync(&mut wang);
    let held = wang.device.store().evidence(piece.sealed).expect("reads");
    assert_eq!(held.and_then(|held| held.key), Some(key));
}
