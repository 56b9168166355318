//! What will happen: drawn from the seed before anything does.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use shaodao_core::points::Point;

use super::cast::{CROOK, EVERYBODY, Role};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// 10 years, milliseconds.
pub const TEN_YEARS_MS: i64 = 3_652 * DAY_MS;

/// What becomes of a whistle that is made a case of.
#[derive(Debug, Clone, Copy)]
pub enum Case {
    /// Done and told in time.
    Answered,
    /// Done in time, told when it has gone up.
    LateProof,
    /// Done too late, on a phone whose clock was set back.
    Late,
    /// The clock is stopped before the time is up.
    Paused,
    /// No whistle: two notes, of which the first is set aside.
    SetAside,
    /// No whistle: two people correct one fact.
    Disagreement,
    /// Nobody says anything.
    Silent,
    /// Done and told in the very last millisecond.
    LastMoment,
    /// Verified by those who did it.
    OwnWork,
}

impl Case {
    const ALL: [Case; 9] = [
        Self::Answered,
        Self::LateProof,
        Self::Late,
        Self::Paused,
        Self::Disagreement,
        Self::Silent,
        Self::SetAside,
        Self::LastMoment,
        Self::OwnWork,
    ];
}

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// Somebody does something that they can do, or try.
    Act(usize),
    /// Somebody syncs.
    Sync(usize),
    /// Everybody who has a signal syncs.
    SyncAll,
    /// Time goes by, and the server looks at its deadlines.
    Pass(i64),
    /// Time goes by to so many milliseconds from the next due time.
    ToDueTime(i64),
    /// A target feeds back in the very millisecond of the next due time.
    JustInTime,
    /// Somebody loses their signal.
    LoseSignal(usize),
    /// Somebody has a signal again.
    FindSignal(usize),
    /// The network becomes bad, or good.
    Weather(bool),
    /// Somebody's app dies and is opened again; the phone goes on running.
    AppDies(usize),
    /// Power fails, and the end of the database's log is lost: a disk that
    /// said it had flushed. Part of it remains, in percent.
    PowerFails(usize, u32),
    /// Somebody's phone is switched off and on.
    Restart(usize),
    /// Somebody's wall clock is set wrong by so much.
    SetClock(usize, i64),
    /// The server stops, and is down for so long.
    ServerDown(i64),
    /// The server dies in the middle of answering somebody.
    ServerDies(usize, Point, u32),
    /// Somebody copies the server's database.
    BackupServer,
    /// The server's disk dies, and another life begins from the backup.
    DiskDies,
    /// The server's clock jumps ahead and is found out.
    ServerClock(i64),
    /// Somebody is away for so long; nobody looks at anything.
    Absence(usize, i64),
    /// An administrator suspends somebody's phone.
    Suspend(usize),
    /// An administrator lets it take part again.
    Resume(usize),
    /// An administrator revokes somebody's phone.
    Revoke(usize),
    /// Another edition of the directory, in which somebody is relieved of all
    /// their duties.
    Relieve(usize),
    /// Another edition, in which they have them again.
    Reinstate(usize),
    /// A person looks at what is set aside, and releases or returns one thing.
    Release,
    /// Somebody makes a backup of their phone.
    Backup(usize),
    /// Somebody puts their backup back on the same phone.
    PutBack(usize),
    /// Somebody's backup wakes up on another phone of theirs.
    WakeUpElsewhere(usize),
    /// Somebody's phone is copied, bit for bit.
    Clone(usize),
    /// Somebody does again what came back.
    Redo(usize),
    /// A new whistle is made a case of.
    Case(Case),
    /// The malicious phone does so many things.
    Mischief(u32),
}

/// Everything that will happen.
#[derive(Debug, Clone)]
pub struct Plan {
    /// It follows from this.
    pub seed: u64,
    /// Who has a phone, by place in [`EVERYBODY`]; 5 to 8 people.
    pub people: Vec<usize>,
    /// What happens, one after the other.
    pub steps: Vec<Step>,
}

impl Plan {
    /// The plan of a seed: a week or more.
    pub fn draw(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x706c_616e);
        let people: Vec<usize> = (0..EVERYBODY.len())
            .filter(|nth| match EVERYBODY[*nth].role {
                Role::Outsider | Role::Liaison | Role::Station => rng.random_bool(0.5),
                _ => true,
            })
            .collect();
        let mut plan = Self {
            seed,
            people,
            steps: Vec::new(),
        };
        plan.fill(&mut rng);
        plan
    }

    fn fill(&mut self, rng: &mut StdRng) {
        let is_bad = rng.random_bool(0.6);
        self.steps.push(Step::Weather(is_bad));
        let disasters = rng.random_range(2..6usize);
        let length = rng.random_range(50..85usize);
        let mut at: Vec<usize> = (0..disasters)
            .map(|_| rng.random_range(8..length))
            .collect();
        at.sort_unstable();
        let mut cases: Vec<usize> = (0..4).map(|_| rng.random_range(8..length)).collect();
        cases.sort_unstable();
        let mut passed_ms = 0;
        for nth in 0..length {
            while at.first() == Some(&nth) {
                at.remove(0);
                self.disaster(rng);
            }
            while cases.first() == Some(&nth) {
                cases.remove(0);
                let case = Case::ALL[rng.random_range(0..Case::ALL.len())];
                self.steps.push(Step::Case(case));
            }
            let step = self.usual(rng);
            if let Step::Pass(ms) = step {
                passed_ms += ms;
            }
            self.steps.push(step);
        }
        // A week at least.
        let left_ms = (7 * DAY_MS - passed_ms).max(HOUR_MS);
        let night = self.steps.len() / 2;
        self.steps.insert(night, Step::Pass(left_ms));
    }

    fn anybody(&self, rng: &mut StdRng) -> usize {
        self.people[rng.random_range(0..self.people.len())]
    }

    /// Somebody whose phone is honest.
    fn honest(&self, rng: &mut StdRng) -> usize {
        loop {
            let nth = self.anybody(rng);
            if nth != CROOK {
                return nth;
            }
        }
    }

    /// What happens on any day.
    fn usual(&self, rng: &mut StdRng) -> Step {
        match rng.random_range(0..100u32) {
            0..44 => Step::Act(self.honest(rng)),
            44..62 => Step::Sync(self.anybody(rng)),
            62..68 => Step::SyncAll,
            68..80 => Step::Pass(match rng.random_range(0..5u32) {
                0 => rng.random_range(2..20) * HOUR_MS,
                _ => rng.random_range(0..90) * MINUTE_MS,
            }),
            80..84 => Step::ToDueTime(rng.random_range(-1..2)),
            84..87 => Step::JustInTime,
            87..90 => Step::LoseSignal(self.honest(rng)),
            90..93 => Step::FindSignal(self.honest(rng)),
            93..95 => Step::Weather(rng.random_bool(0.5)),
            95 => Step::Redo(self.honest(rng)),
            _ => Step::Mischief(rng.random_range(1..5)),
        }
    }

    /// What happens once in a while.
    fn disaster(&mut self, rng: &mut StdRng) {
        let who = self.honest(rng);
        let some = |rng: &mut StdRng| rng.random_range(0..4u32);
        match rng.random_range(0..16u32) {
            0 if rng.random_bool(0.7) => {
                self.steps.extend([Step::Act(who), Step::Act(who)]);
                let part = rng.random_range(0..100);
                self.steps.push(Step::PowerFails(who, part));
            }
            0 => self.steps.push(Step::AppDies(who)),
            1 => self.steps.push(Step::Restart(who)),
            2 => {
                let ms = match some(rng) {
                    0 => TEN_YEARS_MS,
                    1 => -TEN_YEARS_MS,
                    2 => -3 * HOUR_MS,
                    _ => 7 * MINUTE_MS,
                };
                self.steps.push(Step::SetClock(who, ms));
            }
            3 => {
                let ms = rng.random_range(1..30) * HOUR_MS;
                self.steps.push(Step::ServerDown(ms));
            }
            4 | 5 => {
                let at = Point::ESCALATION[rng.random_range(0..Point::ESCALATION.len())];
                self.steps.push(Step::ServerDies(who, at, some(rng)));
            }
            6 => {
                self.steps.push(Step::ServerClock(TEN_YEARS_MS));
                self.steps
                    .extend([Step::Act(who), Step::SyncAll, Step::Act(who)]);
                self.steps.push(Step::ServerClock(-TEN_YEARS_MS));
            }
            7 => {
                let days = rng.random_range(10..90);
                self.steps.push(Step::Absence(who, days * DAY_MS));
            }
            8 => self.shut_out(who, rng),
            9 => {
                let doing = [Step::Act(who), Step::Revoke(who), Step::Act(who)];
                self.steps.extend(doing);
                self.steps.extend([Step::Sync(who), Step::Release]);
            }
            10 => {
                self.steps.extend([Step::Backup(who), Step::Act(who)]);
                self.steps.extend((0..some(rng)).map(|_| Step::Act(who)));
                self.steps.extend([Step::Sync(who), Step::PutBack(who)]);
            }
            11 => {
                self.steps.extend([Step::Act(who), Step::Backup(who)]);
                self.steps.extend((0..some(rng)).map(|_| Step::Act(who)));
                self.steps.push(Step::WakeUpElsewhere(who));
            }
            12 => self.steps.extend([Step::Clone(who), Step::Act(who)]),
            13 => self.dead_disk(rng),
            14 => self.relieved(who, rng),
            _ => self.steps.push(Step::Mischief(8)),
        }
    }

    /// Some hours of work between the newest backup and the end of the disk.
    fn dead_disk(&mut self, rng: &mut StdRng) {
        self.steps.push(Step::BackupServer);
        for _ in 0..rng.random_range(2..8u32) {
            let who = self.honest(rng);
            self.steps.extend([Step::Act(who), Step::Sync(who)]);
            let ms = rng.random_range(0..3) * HOUR_MS;
            self.steps.push(Step::Pass(ms));
        }
        self.steps.push(Step::DiskDies);
    }

    /// Without any duties for a while, and at work all the time: their phone
    /// hears of it late.
    fn relieved(&mut self, who: usize, rng: &mut StdRng) {
        self.steps.push(Step::Relieve(who));
        for _ in 0..rng.random_range(1..4u32) {
            self.steps.push(Step::Act(who));
        }
        self.steps.extend([Step::SyncAll, Step::Act(who)]);
        self.steps.extend([Step::Reinstate(who), Step::Act(who)]);
        self.steps.extend([Step::Sync(who), Step::Act(who)]);
        self.steps.push(Step::Release);
    }

    /// Suspended for a while, and at work all the time.
    fn shut_out(&mut self, who: usize, rng: &mut StdRng) {
        self.steps.extend([Step::SyncAll, Step::Suspend(who)]);
        for _ in 0..rng.random_range(1..4u32) {
            self.steps.push(Step::Act(who));
        }
        self.steps.extend([Step::Sync(who), Step::Act(who)]);
        self.steps.extend([Step::Resume(who), Step::Act(who)]);
        self.steps.extend([Step::Sync(who), Step::Act(who)]);
        self.steps.push(Step::Release);
    }
}
