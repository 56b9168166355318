//! What goes wrong: drawn from the seed before anything does.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use shaodao_core::points::Point;
use shaodao_tests::simulation::cast::{EVERYBODY, Person};

/// For so long there is trouble, milliseconds; then all of it ends.
pub const TROUBLE_MS: u64 = 60_000;
/// Who takes part: places in the cast.
const TAKE_PART: [usize; 3] = [0, 1, 2];

/// What happens to a phone, or to its link to the server.
#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    /// The phone's app dies, in the middle of whatever it does.
    Dies,
    /// Nothing arrives in either direction.
    Cut,
    /// What the server says does not arrive.
    Deaf,
    /// What the phone says does not arrive.
    Mute,
    /// What both say is held up, and arrives all at once.
    Held,
    /// So much of what both say is lost, in percent.
    Lossy(u32),
    /// It takes up to so many milliseconds.
    Slow(u64),
}

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy)]
pub enum What {
    /// With a phone, by its place in the cast.
    Phone(usize, Trouble),
    /// The server crashes between two of its steps.
    ServerCrashes,
    /// The server dies when it comes to this step for the n-th time.
    ServerDies(Point, u32),
}

/// When, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// It begins so many milliseconds after the start.
    pub at_ms: u64,
    /// It takes so long, milliseconds.
    pub for_ms: u64,
    /// What goes wrong.
    pub what: What,
}

/// Everything that will go wrong.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Who takes part.
    pub people: Vec<Person>,
    /// What goes wrong, in order.
    pub events: Vec<Event>,
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut events = Vec::new();
        for who in TAKE_PART {
            one_after_the_other(&mut rng, &mut events, 10_000, |rng| {
                What::Phone(who, trouble(rng))
            });
        }
        one_after_the_other(&mut rng, &mut events, 20_000, |rng| {
            match rng.random_range(0..3u32) {
                0 => What::ServerCrashes,
                1 => What::ServerDies(Point::BeforeCommit, rng.random_range(0..6)),
                _ => What::ServerDies(Point::Committed, rng.random_range(0..6)),
            }
        });
        events.sort_by_key(|event| event.at_ms);
        Self {
            people: TAKE_PART.map(|who| EVERYBODY[who]).to_vec(),
            events,
        }
    }
}

/// Draws what goes wrong in one place, about every so many milliseconds.
fn one_after_the_other(
    rng: &mut StdRng,
    events: &mut Vec<Event>,
    every_ms: u64,
    mut what: impl FnMut(&mut StdRng) -> What,
) {
    let mut at_ms = rng.random_range(1_000..every_ms * 2);
    while at_ms < TROUBLE_MS {
        let for_ms = rng.random_range(200..8_000);
        events.push(Event {
            at_ms,
            for_ms,
            what: what(rng),
        });
        at_ms += for_ms + rng.random_range(1_000..every_ms * 2);
    }
}

fn trouble(rng: &mut StdRng) -> Trouble {
    match rng.random_range(0..7u32) {
        0 => Trouble::Dies,
        1 => Trouble::Cut,
        2 => Trouble::Deaf,
        3 => Trouble::Mute,
        4 => Trouble::Held,
        5 => Trouble::Lossy(rng.random_range(5..40)),
        _ => Trouble::Slow(rng.random_range(500..5_000)),
    }
}
