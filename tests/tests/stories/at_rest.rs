//! The phone lies on a table: what its files give away, and to whom.

use shaodao_tests::world::World;

const GRID: &str = "530102001006001";
const HEAD: &str = "P01006-01";

#[test]
fn the_files_of_a_phone_say_nothing_without_its_key() {
    // What could go wrong: a build without the cipher, or a file beside the
    // database that is written in the clear.
    let mut world = World::new("at-rest", 1);
    world.phone(HEAD);
    let canary = "金丝雀在北门街唱歌";
    let finding = world.report(HEAD, GRID, "E0102", canary);
    let found = world.of(HEAD).device.store().search("北门", 10);
    assert_eq!(found.expect("searches"), [finding]);
    let folder = world.folder().join(HEAD);
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let bytes = std::fs::read(&path).expect("reads");
        for clear in [canary.as_bytes(), "金丝雀".as_bytes(), b"SQLite format 3"] {
            let shown = bytes.windows(clear.len()).any(|window| window == clear);
            assert!(!shown, "{} is readable", path.display());
        }
        files += 1;
    }
    assert!(files >= 2, "database and write-ahead log");
    world.settle();
}
