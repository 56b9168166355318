//! Photos beside a finding, on the phone alone: what is refused, what a full
//! disk does, what an action never cites.

use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::rngs::StdRng;

use shaodao_core::device::evidence::{Keep, Shot};
use shaodao_core::device::{Captured, DeviceError};
use shaodao_core::domain::action::Body;
use shaodao_core::domain::directory::DeviceState;
use shaodao_core::domain::evidence::{Arrival, Media, Shows};
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::place::{Position, PositionSource};
use shaodao_core::domain::reason::Reason;
use shaodao_core::evidence::watermark::{self, Font, WatermarkError};
use shaodao_core::explain::Sentence;
use shaodao_core::store::StoreError;
use shaodao_core::store::pieces::Form;
use shaodao_core::sync::evidence::{Errand, Link, Setting};
use shaodao_tests::photos::{MAKER, font, photo};
use shaodao_tests::world::{MORNING_MS, World};

const GRID: &str = "530102001006001";
const HEAD: &str = "P01006-01";
const SECRETARY: &str = "P01006-00";

/// Takes so many photos, into files.
fn take(world: &mut World, count: usize) -> Vec<PathBuf> {
    (0..count)
        .map(|nth| {
            let bytes = photo(&mut world.rng, 640, 480, 6);
            let path = world.folder().join(format!("IMG_{nth:04}.jpg"));
            std::fs::write(&path, bytes).expect("writes");
            path
        })
        .collect()
}

fn shots(files: &[PathBuf], shows: Shows) -> Vec<Shot> {
    let shot = |file: &PathBuf| Shot {
        file: file.clone(),
        shows,
        position: None,
        taken_at_ms: None,
    };
    files.iter().map(shot).collect()
}

fn attach(world: &mut World, finding: RecordId, shots: &[Shot]) -> Result<Captured, DeviceError> {
    world.attach(HEAD, finding, shots)
}

fn code(error: &DeviceError) -> String {
    Sentence::from(error).code
}

/// Files of evidence on the phone, without the lock.
fn files(world: &World) -> usize {
    let folder = world.folder().join(HEAD).join("evidence");
    std::fs::read_dir(folder).map_or(0, |entries| entries.count() - 1)
}

#[test]
fn a_photo_is_sealed_upright_and_small_and_says_what_it_is() {
    // What could go wrong: a picture in the clear on the phone; a copy that lies
    // on its side or still says where it was taken.
    let mut world = World::new("photo", 1);
    world.phone(HEAD);
    let finding = world.report(HEAD, GRID, "C0101", "井盖破损");
    let taken = take(&mut world, 2);
    attach(&mut world, finding, &shots(&taken, Shows::Scene)).expect("attached");
    let view = world.show(HEAD, finding);
    let device = &world.of(HEAD).device;
    let evidence = device.evidence(&view.state).expect("evidence");
    assert_eq!(evidence.len(), 2);
    for (one, file) in evidence.iter().zip(&taken) {
        assert_eq!((one.arrival, one.own), (Arrival::OnPhone, true));
        let original = std::fs::read(file).expect("reads");
        let piece = &one.attached.piece;
        let look = |form| device.look_at(piece, form).expect("opens").expect("here");
        assert_eq!(*look(Form::Original), original);
        for (form, width, height) in [(Form::Display, 480, 640), (Form::Thumbnail, 192, 256)] {
            let copy = look(form);
            let read = image::load_from_memory(&copy).expect("a picture");
            assert_eq!((read.width(), read.height()), (width, height), "{form:?}");
            assert!(!holds(&copy, MAKER), "{form:?} has EXIF");
        }
        let kept = device.sealed_file(piece.sealed, Form::Original);
        let kept = std::fs::read(kept).expect("reads");
        assert_eq!(kept.len() as u64, piece.sealed_size());
        assert!(!holds(&kept, MAKER) && holds(&original, MAKER));
    }
    world.settle();
    // The action has arrived; the photos have not, and nobody says they have.
    let view = world.show(HEAD, finding);
    let device = &world.of(HEAD).device;
    let evidence = device.evidence(&view.state).expect("evidence");
    assert!(evidence.iter().all(|it| it.arrival == Arrival::OnPhone));
    let (own, photos_only) = device.store().own_arrivals().expect("counts");
    assert_eq!(own.en(photos_only), "0 of 2 photos arrived");
    assert_eq!(own.zh(photos_only), "2 张照片已到 0 张");
}

#[test]
fn a_watermark_stands_below_the_picture_and_says_what_the_action_says() {
    // What could go wrong: words that cover what was photographed; an empty box
    // in place of a sign; a copy that is taken for the original.
    let mut world = World::new("watermark", 9);
    world.phone(HEAD);
    let finding = world.report(HEAD, GRID, "C0101", "井盖破损");
    let taken = take(&mut world, 1);
    let mut shots = shots(&taken, Shows::Scene);
    let position = Position::from_degrees(25.046, 102.705, Some(12.5), PositionSource::Gps);
    shots[0].position = Some(position.expect("a position"));
    shots[0].taken_at_ms = Some(MORNING_MS);
    attach(&mut world, finding, &shots).expect("attached");
    let view = world.show(HEAD, finding);
    let device = &world.of(HEAD).device;
    let attached = &view.state.evidence()[0];
    let display = device.look_at(&attached.piece, Form::Display);
    let display = display.expect("opens").expect("here");
    let read = |bytes: &[u8]| {
        image::load_from_memory(bytes)
            .expect("a picture")
            .into_rgb8()
    };
    let plain = read(&display);

    let copy = device.watermarked(&view, attached, &font());
    let copy = copy.expect("written").expect("here");
    let with_words = read(&copy);
    assert!(!holds(&copy, MAKER), "it has EXIF");
    assert_eq!(with_words.width(), plain.width());
    let differ = |(one, other): (&image::Rgb<u8>, &image::Rgb<u8>)| {
        let channels = one.0.iter().zip(other.0);
        channels.map(|(one, other)| one.abs_diff(other)).max() > Some(60)
    };
    let pixels = plain.pixels().zip(with_words.pixels());
    assert_eq!(
        pixels.filter(|it| differ(*it)).count(),
        0,
        "it covers the scene"
    );
    let below = image::imageops::crop_imm(
        &with_words,
        0,
        plain.height(),
        plain.width(),
        with_words.height() - plain.height(),
    );
    let below = below.to_image();
    let bright = below.pixels().filter(|pixel| pixel.0[0] > 200).count();
    let part = bright as f64 / below.pixels().count() as f64;
    assert!((0.02..0.4).contains(&part), "{part} of the strip is ink");
    // The very same as these words in the place where they should be.
    let bytes = std::fs::read(font()).expect("a font");
    let signs = Font::read(&bytes).expect("reads");
    let directory = device.directory().expect("one");
    let words = [
        format!("2025-06-11 09:00 {}", directory.area_name(GRID)),
        "25.046000, 102.705000 ±13 m".to_owned(),
        format!("{} {HEAD}", directory.name_of(&HEAD.into())),
        format!("SHA-256 {}", attached.piece.id),
    ];
    let by_hand = watermark::stamp(Media::Jpeg, &display, &signs, &words);
    assert_eq!(by_hand.as_ref(), Ok(&*copy));

    let fails = |font: &Path| {
        let copy = device.watermarked(&view, attached, font);
        code(&copy.expect_err("no copy"))
    };
    assert_eq!(fails(&taken[0]), "not_a_font");
    assert_eq!(fails(Path::new("/nowhere/font.ttf")), "file");
    // A sign that the font lacks would be an empty box.
    let odd = ["一楼\u{e123}".to_owned()];
    let refused = watermark::stamp(Media::Jpeg, &display, &signs, &odd);
    assert_eq!(refused, Err(WatermarkError::NoSign('\u{e123}')));
    world.settle();
}

#[test]
fn what_cannot_be_evidence_is_refused_at_once_and_leaves_nothing() {
    let mut world = World::new("refused", 2);
    world.phone(HEAD);
    let finding = world.report(HEAD, GRID, "C0101", "井盖破损");
    let good = take(&mut world, 21);
    let write = |world: &World, name: &str, bytes: &[u8]| {
        let path = world.folder().join(name);
        std::fs::write(&path, bytes).expect("writes");
        path
    };
    let text = write(&world, "notes.jpg", "不是照片".as_bytes());
    let half = std::fs::read(&good[0]).expect("reads");
    let half = write(&world, "half.jpg", &half[..half.len() / 2]);
    let empty = write(&world, "empty.jpg", b"");
    let huge = world.folder().join("huge.jpg");
    let file = std::fs::File::create(&huge).expect("a file");
    file.set_len(21 << 20).expect("a length");
    let missing = world.folder().join("missing.jpg");
    let cases: [(&str, Vec<PathBuf>, Shows); 7] = [
        ("wrong_media", vec![text], Shows::Scene),
        ("wrong_media", vec![good[0].clone()], Shows::Voice),
        ("damaged_picture", vec![good[0].clone(), half], Shows::Scene),
        ("empty", vec![empty], Shows::Scene),
        ("piece_too_large", vec![huge], Shows::Scene),
        ("file", vec![good[0].clone(), missing], Shows::Scene),
        ("too_many_pieces", good.clone(), Shows::Scene),
    ];
    for (wanted, taken, shows) in cases {
        let refused = attach(&mut world, finding, &shots(&taken, shows));
        assert_eq!(code(&refused.expect_err("refused")), wanted);
        assert_eq!(files(&world), 0, "{wanted} left something");
    }
    // The same photo twice, and one that is not there to erase.
    let one = shots(&good[..1], Shows::Scene);
    attach(&mut world, finding, &one).expect("attached");
    let twice = attach(&mut world, finding, &one).expect_err("refused");
    assert_eq!(code(&twice), Reason::AttachedAlready.code());
    assert_eq!(files(&world), 3, "original, display copy, thumbnail");
    world.settle();
}

#[test]
fn on_a_full_disk_text_wins_and_photos_wait() {
    // What could go wrong: a report that is lost because its photo has no room;
    // an action that cites half a file.
    let mut world = World::new("photo-disk-full", 3);
    world.phone(HEAD);
    let finding = world.report(HEAD, GRID, "C0101", "井盖破损");
    let taken = take(&mut world, 3);
    let sizes: u64 = taken
        .iter()
        .map(|file| std::fs::metadata(file).expect("a size").len())
        .sum();
    // Room for two, their copies included, and not for three.
    world.of(HEAD).device.limit_evidence(Some(sizes));
    let refused = attach(&mut world, finding, &shots(&taken, Shows::Scene));
    let refused = refused.expect_err("no room");
    assert!(
        matches!(refused, DeviceError::Store(StoreError::Full)),
        "{refused}"
    );
    assert_eq!(files(&world), 0, "nothing is half-written");
    // What was said without a photo is saved, sent and heard.
    let second = world.report(HEAD, GRID, "C0101", "没有照片也要报");
    attach(&mut world, finding, &shots(&taken[..1], Shows::Scene)).expect("there is room for one");
    world.settle();
    assert_eq!(world.server_count("SELECT COUNT(*) FROM finding"), 2);
    assert!(world.show(HEAD, second).state.evidence().is_empty());
    // Somebody deletes a film.
    world.of(HEAD).device.limit_evidence(None);
    attach(&mut world, finding, &shots(&taken[1..], Shows::Scene)).expect("room");
    world.settle();
    assert_eq!(world.show(HEAD, finding).state.evidence().len(), 3);
}

#[test]
fn a_damaged_database_loses_no_key_of_what_nobody_else_has() {
    // What could go wrong: the action is salvaged and cites what cannot be
    // opened any more.
    let mut world = World::new("photo-damage", 4);
    world.phone(HEAD);
    let finding = world.report(HEAD, GRID, "C0101", "井盖破损");
    world.settle();
    let taken = take(&mut world, 3);
    attach(&mut world, finding, &shots(&taken, Shows::After)).expect("attached");
    world.switched_off(HEAD, |folder: &Path| {
        let _ = std::fs::remove_file(folder.join("phone.db-wal"));
        std::fs::write(folder.join("phone.db"), [0x55; 60_000]).expect("scribbles");
    });
    assert!(world.of(HEAD).device.report().incident.is_some());
    world.settle();
    let view = world.show(HEAD, finding);
    let device = &world.of(HEAD).device;
    let evidence = device.evidence(&view.state).expect("evidence");
    assert_eq!(evidence.len(), 3);
    for (one, file) in evidence.iter().zip(&taken) {
        let seen = device.look_at(&one.attached.piece, Form::Original);
        let seen = seen.expect("opens").expect("is here");
        assert_eq!(*seen, std::fs::read(file).expect("reads"));
    }
    let waiting = device.store().waiting_evidence().expect("reads");
    assert_eq!(waiting.len(), 3, "still to be sent");
}

#[test]
fn an_erasure_takes_key_and_files_from_every_phone() {
    // What could go wrong: the picture of a passer-by on phones that were away,
    // in a free page, in the journal.
    let mut world = World::new("photo-erased", 5);
    for person in [HEAD, SECRETARY] {
        world.phone(person);
    }
    let finding = world.report(HEAD, GRID, "C0101", "井盖破损");
    let taken = take(&mut world, 2);
    attach(&mut world, finding, &shots(&taken, Shows::Scene)).expect("attached");
    world.settle();
    let view = world.show(HEAD, finding);
    let piece = view.state.evidence()[0].piece;
    let key = |world: &mut World, person: &str| {
        let held = world.of(person).device.store().evidence(piece.sealed);
        held.expect("reads").and_then(|held| held.key)
    };
    let before = key(&mut world, HEAD).expect("a key");
    assert_eq!(key(&mut world, SECRETARY), Some(before.clone()));
    world.of(SECRETARY).offline = true;
    let erase = Body::EraseEvidence {
        piece: piece.id,
        reason: "拍到路人".into(),
    };
    world.on_finding(HEAD, finding, erase);
    assert_eq!(key(&mut world, HEAD), None);
    assert_eq!(files(&world), 3, "the other photo stays");
    world.settle();
    assert_eq!(key(&mut world, SECRETARY), None);
    let state = world.show(SECRETARY, finding).state;
    assert!(state.evidence()[0].erased.is_some() && state.evidence()[1].erased.is_none());
    world.restart(HEAD);
    world.settle();
    assert_eq!(key(&mut world, HEAD), None, "it does not come back");
    let folder = world.folder().to_owned();
    assert_eq!(
        files_with(&folder, before.as_bytes()),
        Vec::<PathBuf>::new()
    );
}

#[test]
fn what_has_not_arrived_is_kept_whatever_the_owner_wants() {
    let mut world = World::new("photo-keep", 6);
    world.phone(HEAD);
    let finding = world.report(HEAD, GRID, "C0101", "井盖破损");
    let taken = take(&mut world, 1);
    attach(&mut world, finding, &shots(&taken, Shows::Scene)).expect("attached");
    let device = &mut world.of(HEAD).device;
    device.set_keep(Keep::Thumbnail).expect("set");
    assert_eq!(device.keep().expect("a setting"), Keep::Thumbnail);
    assert_eq!(files(&world), 3);
    world.settle();
}

#[test]
fn photos_of_an_action_that_was_not_accepted_are_not_waited_for() {
    // What could go wrong: "0 of 3 photos arrived" for ever, because of photos
    // that nobody takes; or none of them counts once the action is done again.
    let mut world = World::new("photo-aside", 7);
    world.phone(HEAD);
    let finding = world.report(HEAD, GRID, "C0101", "井盖破损");
    let taken = take(&mut world, 3);
    attach(&mut world, finding, &shots(&taken[..1], Shows::Scene)).expect("attached");
    world.settle();
    let arrivals = |world: &mut World| {
        let own = world.of(HEAD).device.store().own_arrivals();
        let (own, photos_only) = own.expect("counts");
        (own.en(photos_only), own.zh(photos_only))
    };
    let originals = |world: &mut World| {
        let errands = world.of(HEAD).device.errands(Setting::Now, Link::Wifi);
        let errands = errands.expect("errands").into_iter();
        errands
            .filter(|it| matches!(it, Errand::Original(_)))
            .count()
    };
    let device = world.of(HEAD).device.id().to_string();
    let set_state = |world: &mut World, state| {
        let device = device.clone();
        let set = world.admin(move |engine| engine.set_device_state(&device, state, "Wen"));
        set.expect("a device");
    };
    set_state(&mut world, DeviceState::Suspended);
    attach(&mut world, finding, &shots(&taken[1..], Shows::Scene)).expect("attached");
    assert_eq!(arrivals(&mut world).0, "0 of 3 photos arrived");
    world.sync(HEAD);
    let aside = (
        "0 of 1 photo arrived; 2 more of actions that were not accepted, which do not count"
            .to_owned(),
        "1 张照片已到 0 张;另有 2 份属于未被接受的操作,没有计入".to_owned(),
    );
    assert_eq!(arrivals(&mut world), aside);
    assert_eq!(originals(&mut world), 3, "an administrator may release it");

    let set_aside = world.of(HEAD).device.troubles().expect("one")[0]
        .trouble
        .hash;
    let back = world.admin(move |engine| engine.send_back(&set_aside.to_string(), "Wen"));
    back.expect("sent back");
    set_state(&mut world, DeviceState::Active);
    world.settle();
    assert_eq!(arrivals(&mut world), aside);
    assert_eq!(originals(&mut world), 1, "the server takes no others");

    let now_ms = world.now_ms();
    let now = world.of(HEAD).now(now_ms);
    let mut rng = StdRng::seed_from_u64(world.seed);
    let redone = world.of(HEAD).device.redo(now, &mut rng, set_aside);
    redone.expect("redone");
    assert_eq!(arrivals(&mut world).0, "0 of 3 photos arrived");
    world.settle();
    assert_eq!(arrivals(&mut world).0, "0 of 3 photos arrived");
    assert_eq!(originals(&mut world), 3);
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// Files below a folder that contain the bytes.
fn files_with(folder: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(files_with(&path, needle)),
            false if holds(&std::fs::read(&path).expect("reads"), needle) => found.push(path),
            false => {}
        }
    }
    found
}
