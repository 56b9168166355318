//! A server is restored from a backup.

use std::process::Command;

use shaodao_tests::process::{ServerProcess, binary};
use shaodao_tests::world::MORNING_MS;

use super::{Files, Folder, every_n, files_of, place, run};

#[test]
fn a_server_is_restored_on_a_failing_disk() {
    let folder = Folder::new("faults-restore");
    let mut server = ServerProcess::start(&folder.0, MORNING_MS).expect("a server");
    let backup = folder.0.join("backup.db");
    let backup = backup.display().to_string();
    let (code, said) = server.upkeep(&["backup", &backup]).expect("runs");
    assert_eq!(code, Some(0), "{said}");
    server.stop().expect("stops");
    let data = folder.0.join("server");
    let before: Files = files_of(&data);
    let restore = || {
        let mut command = Command::new(binary("shaodao-server").expect("the server"));
        command.arg("--data").arg(&data).args(["restore", &backup]);
        command
    };
    let well = run(restore(), "", &data, u64::MAX, "error");
    assert!(well.ended_well("restore"));
    let tried = every_n(well.asked, |at, how| {
        let what = format!("restore, {how} at {at} of {}", well.asked);
        place(&data, &before);
        run(restore(), "", &data, at, how).ended_well(&what);
        // Whatever it left: the former database or the restored one, whole; and
        // restoring again works.
        let (code, said) = server.upkeep(&["verify"]).expect("runs");
        assert_eq!(code, Some(0), "{what}: {said}");
        let again = restore().output().expect("runs");
        let said = String::from_utf8_lossy(&again.stderr);
        assert!(again.status.success(), "{what}: {said}");
    });
    println!("restore: {tried} failures");
}
