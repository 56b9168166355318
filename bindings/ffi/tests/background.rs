//! The time that the system gives an app in the background, with a real server
//! behind a connection that hangs.

use std::path::Path;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use shaodao::evidence::Attachment;
use shaodao::findings::Form;
use shaodao::hours::{Reading, TimeSource};
use shaodao::open::{Opening, new_key, open_phone};
use shaodao::phone::Phone;
use shaodao::types::{Link, Setting, Shows};
use shaodao_tests::cutting::Cutting;
use shaodao_tests::home::Folder;
use shaodao_tests::process::ServerProcess;
use shaodao_tests::world::MORNING_MS;

const MEMBER: &str = "P01006-01";
const SEED: u64 = 6;
/// So much goes through before the connection hangs: about half of the photo.
const HANGS_AFTER: u64 = 800_000;
/// What else goes through: actions, keys, a thumbnail, headers.
const BESIDE: u64 = 200_000;

/// Clocks that stand at the time of the rehearsal.
struct Morning;

impl TimeSource for Morning {
    fn read(&self) -> Reading {
        Reading {
            wall_ms: MORNING_MS,
            since_boot_ms: 60_000,
        }
    }
}

/// A picture of a megabyte and a half, in a file.
fn photo(folder: &Path) -> (String, u64) {
    let mut noise = vec![0; 960 * 520 * 3];
    StdRng::seed_from_u64(SEED).fill_bytes(&mut noise);
    let picture = image::RgbImage::from_raw(960, 520, noise).expect("a picture");
    let path = folder.join("scene.png");
    picture.save(&path).expect("writes");
    let size = std::fs::metadata(&path).expect("is there").len();
    (path.display().to_string(), size)
}

async fn enrolled(server: &ServerProcess, address: String, folder: &Path) -> Arc<Phone> {
    let opening = Opening {
        folder: folder.join("phone").display().to_string(),
        unbacked: folder.join("unbacked").display().to_string(),
        key: new_key().expect("a key"),
        app: "test 1".to_owned(),
        boot: Some("boot 1".to_owned()),
    };
    let phone = open_phone(opening, Some(Box::new(Morning)), None);
    let phone = phone.await.expect("opens");
    let (_, ticket) = server
        .tickets(&[MEMBER.to_owned()])
        .expect("a ticket")
        .remove(0);
    let pending = phone.enrol_typed(address, ticket).await.expect("hands in");
    server
        .admin(&["confirm", &pending.check_code])
        .expect("confirms");
    let owner = phone.finish_enrolment().await.expect("finishes");
    assert_eq!(owner.expect("is somebody's").person, MEMBER);
    phone
}

#[tokio::test]
async fn time_runs_out_in_the_middle_of_a_photo() {
    // What could go wrong: the call outlives its time, and the system kills the
    // app; actions wait behind photos; a photo begins anew each time and never
    // arrives in the seconds that an app is given.
    let folder = Folder::new("background");
    let server = ServerProcess::start(&folder.0, MORNING_MS).expect("a server");
    let proxy = Cutting::before(server.listen(), usize::MAX).expect("a proxy");
    let address = format!("http://{}", proxy.address);
    let phone = enrolled(&server, address, &folder.0).await;
    let form = Form {
        title: Some("漏气".to_owned()),
        description: None,
        category: Some("E0403".to_owned()),
        severity: None,
        place: None,
        grid: Some("530102001006001".to_owned()),
        address: None,
    };
    let finding = phone.report(form).await.expect("reports").record;
    let (path, size) = photo(&folder.0);
    assert!(size > HANGS_AFTER + 2 * BESIDE, "{size} bytes");
    let scene = Attachment {
        path,
        shows: Shows::Scene,
        place: None,
        taken_at_ms: None,
    };
    phone.attach(finding, vec![scene]).await.expect("attaches");

    let begun = proxy.bytes_up();
    proxy.hold_at(begun + HANGS_AFTER);
    let cut = phone.run_background(5, Setting::Now, Link::Mobile);
    let cut = cut.await.expect("ends in time");
    assert!(!cut.finished, "{cut:?}");
    assert_eq!((cut.synced.accepted, cut.sent.thumbnails), (2, 1));
    assert_eq!(cut.sent.originals, 0);

    let sent = proxy.bytes_up();
    assert!(sent - begun >= HANGS_AFTER, "hung at {}", sent - begun);
    proxy.let_on();
    let done = phone.run_background(60, Setting::Now, Link::Mobile);
    let done = done.await.expect("goes on");
    assert!(done.finished, "{done:?}");
    assert_eq!((done.sent.thumbnails, done.sent.originals), (0, 1));
    let again = proxy.bytes_up() - sent;
    assert!(again < size - HANGS_AFTER + BESIDE, "{again} of {size}");
    phone.shutdown().await.expect("ends");
}
