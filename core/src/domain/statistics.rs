//! What came of it, counted from the folded whistles of a period, and never from
//! anything that people enter for the count's sake.
//!
//! Every number says what it counts: orders (次), distinct organisations (个),
//! person-times (人次). Every rate says of how many: a [`Share`] of nothing is
//! "—", neither 0 % nor 100 %. What cannot be told yet, because a phone's clock
//! is not believed, is counted apart and held against nobody; so is an
//! escalation that was stood down.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::action::{BLOWER, Level, Party};
use super::deadline;
use super::directory::Directory;
use super::ids::{PersonId, RecordId};
use super::time::{Judged, TimePolicy};
use super::whistle::{Deed, TargetState, WhistleStage, WhistleState};

/// So many out of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    /// The part.
    pub of: u64,
    /// The whole: the declared denominator.
    pub out_of: u64,
}

impl Share {
    /// Per cent, rounded down; `None` of nothing.
    pub fn percent(self) -> Option<u64> {
        (self.of * 100).checked_div(self.out_of)
    }

    fn count(&mut self, counts: bool) {
        self.of += u64::from(counts);
        self.out_of += 1;
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.percent() {
            Some(percent) => write!(f, "{}/{} ({percent}%)", self.of, self.out_of),
            None => f.write_str("—"),
        }
    }
}

/// How often mandatory targets were in time. Those whose time has not run out
/// yet, and those of whom it cannot be told, are outside the share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Punctuality {
    /// In time, out of those that can be told.
    pub share: Share,
    /// Nobody can say yet: a person decides.
    pub cannot_say: u64,
}

impl Punctuality {
    fn count(&mut self, judged: Option<Judged>) {
        match judged {
            Some(Judged::CannotSay) => self.cannot_say += 1,
            Some(judged) => self.share.count(judged == Judged::Kept),
            None => {}
        }
    }
}

/// Scores given, 1 to 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scores {
    /// Their sum.
    pub sum: u64,
    /// How many.
    pub given: u64,
    /// Concluded, and not scored: never full marks.
    pub not_scored: u64,
}

impl Scores {
    /// The mean in tenths, rounded down; `None` without a score.
    pub fn mean_tenths(self) -> Option<u64> {
        (self.sum * 10).checked_div(self.given)
    }

    fn count<'a>(&mut self, whistle: &'a WhistleState, of: &'a str) {
        let mut newest = BTreeMap::new();
        let given = whistle.evaluations.iter().filter(|one| one.party == of);
        // Whoever scores again replaces their own score.
        newest.extend(given.map(|one| (&one.deed.person, one.score)));
        self.not_scored += u64::from(newest.is_empty());
        self.given += newest.len() as u64;
        self.sum += newest.into_values().map(u64::from).sum::<u64>();
    }
}

impl fmt::Display for Scores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mean_tenths() {
            Some(tenths) => write!(f, "{}.{}", tenths / 10, tenths % 10),
            None => f.write_str("—"),
        }
    }
}

/// What whistles are put together by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// All of them.
    Street,
    /// By the blowing community; street whistles under the street.
    Community,
    /// By platform, 1 to 5.
    Platform,
    /// By summoned organisation.
    Department,
    /// By summoned post, whatever the grid.
    Post,
}

/// Which whistles count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// Issued at this time or later, Unix milliseconds.
    pub from_ms: i64,
    /// Issued before this time.
    pub to_ms: i64,
    /// Blown in this area, or in a part of it; everywhere if `None`.
    pub area: Option<String>,
}

/// What came of some whistles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Whistles blown, orders (次).
    pub whistles: u64,
    /// Of those, concluded.
    pub concluded: u64,
    /// Of those, called off.
    pub cancelled: u64,
    /// Areas that blew.
    pub areas: BTreeSet<String>,
    /// Arrivals, times (次).
    pub arrivals: u64,
    /// Heads at those arrivals, person-times (人次).
    pub person_times: u64,
    /// Organisations of which somebody arrived (个).
    pub organisations: BTreeSet<String>,
    /// People who arrived (人).
    pub people: BTreeSet<PersonId>,
    /// Signed by the sign-by time, of mandatory targets that had one.
    pub signed: Punctuality,
    /// Arrived by the report-by time, of mandatory targets that had one.
    pub arrived: Punctuality,
    /// Fed back by the due time, of mandatory targets.
    pub fed_back: Punctuality,
    /// Answers to superiors by the time that was set, of those demanded.
    pub replied: Punctuality,
    /// Failed verifications: rounds of rework.
    pub reworks: u64,
    /// Verifications passed, of all verifications.
    pub passed: Share,
    /// Escalations in force.
    pub escalations: u64,
    /// Escalations withdrawn on timely proof.
    pub stood_down: u64,
    /// Whistles that stand escalated, of those of communities: nothing above
    /// the street takes over.
    pub escalated: Share,
    /// Marks for the supervision of the district, in force.
    pub marks: u64,
    /// Marks withdrawn.
    pub marks_withdrawn: u64,
    /// Whistles that stand marked, of those of the street: no others are.
    pub marked: Share,
    /// Scores that targets got.
    pub targets: Scores,
    /// Scores that blowers got.
    pub blowers: Scores,
    /// Findings of concluded whistles (个).
    pub solved: BTreeSet<RecordId>,
}

/// Counts whistles of a period.
pub fn collect<'a>(
    directory: &Directory,
    whistles: impl IntoIterator<Item = &'a WhistleState>,
    period: &Period,
    grouping: Grouping,
    now_ms: i64,
) -> BTreeMap<String, Statistics> {
    let mut groups: BTreeMap<String, Statistics> = BTreeMap::new();
    for whistle in whistles {
        let Some(order) = whistle.order.as_ref().filter(|order| {
            let in_time = (period.from_ms..period.to_ms).contains(&whistle.issued_at_ms);
            let area = period.area.as_ref();
            in_time && area.is_none_or(|area| order.area.starts_with(area.as_str()))
        }) else {
            continue;
        };
        // The key of a whistle, or the keys of its targets with what is theirs.
        let mut parts: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        let all = || whistle.targets.keys().map(String::as_str).collect();
        match grouping {
            Grouping::Street => {
                parts.insert(directory.street.clone(), all());
            }
            Grouping::Community => {
                parts.insert(order.area.clone(), all());
            }
            Grouping::Platform => {
                parts.insert(order.platform.to_string(), all());
            }
            Grouping::Department | Grouping::Post => {
                for (key, target) in &whistle.targets {
                    let name = match (&target.target.party, grouping) {
                        (Party::Organisation(id), Grouping::Department) => id,
                        (Party::Post { post, .. }, Grouping::Post) => post,
                        _ => continue,
                    };
                    parts.entry(name.clone()).or_default().push(key);
                }
            }
        }
        for (name, targets) in parts {
            let group = groups.entry(name).or_default();
            let of_all = !matches!(grouping, Grouping::Department | Grouping::Post);
            group.count(whistle, &targets, of_all, directory, now_ms);
        }
    }
    groups
}

impl Statistics {
    /// `of_all` says that the group is of whole whistles, blowers included.
    fn count(
        &mut self,
        whistle: &WhistleState,
        targets: &[&str],
        of_all: bool,
        directory: &Directory,
        now_ms: i64,
    ) {
        let policy = &whistle.rules(directory).policy.time;
        let due = deadline::due(whistle, Some(directory));
        let (Some(order), Some(due)) = (&whistle.order, due) else {
            return;
        };
        self.whistles += 1;
        self.areas.insert(order.area.clone());
        let concluded = matches!(
            whistle.stage(),
            WhistleStage::Concluded | WhistleStage::Evaluated
        );
        self.concluded += u64::from(concluded);
        self.cancelled += u64::from(whistle.stage() == WhistleStage::Cancelled);
        for escalation in &whistle.escalations {
            match escalation.stood_down {
                Some(_) => self.stood_down += 1,
                None => self.escalations += 1,
            }
        }
        for mark in &whistle.marks {
            match mark.withdrawn {
                Some(_) => self.marks_withdrawn += 1,
                None => self.marks += 1,
            }
        }
        match order.level {
            Level::Community => self.escalated.count(whistle.escalated().is_some()),
            Level::Street => self.marked.count(whistle.marked().is_some()),
        }
        for demanded in &whistle.supervisions {
            let party = demanded.party.as_str();
            if of_all && party == BLOWER || targets.contains(&party) {
                self.replied
                    .count(deadline::reply(demanded, policy, now_ms));
            }
        }
        if concluded {
            self.solved.extend(&order.findings);
            self.blowers.count(whistle, BLOWER);
        }
        for key in targets {
            let Some(target) = whistle.targets.get(*key) else {
                continue;
            };
            self.count_target(target);
            if concluded && target.excused.is_none() {
                self.targets.count(whistle, key);
            }
            if !target.target.mandatory || target.excused.is_some() {
                continue;
            }
            let judge = |deeds: &mut dyn Iterator<Item = &Deed>, limit_ms: Option<i64>| {
                let limit_ms = limit_ms?;
                in_time(deeds, limit_ms, policy).or((now_ms > limit_ms).then_some(Judged::Missed))
            };
            self.signed
                .count(judge(&mut target.signed.iter(), order.sign_by_ms));
            let mut arrivals = target.arrivals.iter().map(|(deed, _)| deed);
            self.arrived.count(judge(&mut arrivals, order.report_by_ms));
            self.fed_back
                .count(judge(&mut target.feedback.iter(), Some(due.at_ms)));
        }
    }

    fn count_target(&mut self, target: &TargetState) {
        self.reworks += u64::from(target.round - 1);
        for (_, passed) in &target.verifications {
            self.passed.count(*passed);
        }
        self.arrivals += target.arrivals.len() as u64;
        for (deed, heads) in &target.arrivals {
            self.person_times += u64::from(*heads);
            self.people.insert(deed.person.clone());
        }
        if let (Party::Organisation(id), false) = (&target.target.party, target.arrivals.is_empty())
        {
            self.organisations.insert(id.clone());
        }
    }
}

/// The best that can be said of several deeds; `None` if there is none.
fn in_time(
    deeds: &mut dyn Iterator<Item = &Deed>,
    limit_ms: i64,
    policy: &TimePolicy,
) -> Option<Judged> {
    deeds
        .map(|deed| deed.entry.bracket(policy).judge(limit_ms))
        .reduce(|best, one| match (best, one) {
            (Judged::Kept, _) | (_, Judged::Kept) => Judged::Kept,
            (Judged::CannotSay, _) | (_, Judged::CannotSay) => Judged::CannotSay,
            _ => Judged::Missed,
        })
}

/// The seed's sentence about platform 1, from the data: how often the street
/// blew, and how many departments came.
pub fn platform_1_zh<'a>(whistles: impl IntoIterator<Item = &'a WhistleState>) -> String {
    let mut blown = 0;
    let mut came = BTreeSet::new();
    for whistle in whistles {
        let order = whistle.order.as_ref();
        if order.is_some_and(|order| order.platform == 1 && order.level == Level::Street) {
            blown += 1;
            came.extend(
                whistle
                    .targets
                    .values()
                    .filter_map(|target| match &target.target.party {
                        Party::Organisation(id) if !target.arrivals.is_empty() => Some(id),
                        _ => None,
                    }),
            );
        }
    }
    format!(
        "“吹哨”{},{}个区级职能部门“报到”。",
        about(blown, "次"),
        came.len()
    )
}

/// The seed's sentence about platform 5, from the data: how many communities
/// blew how often, and how many findings were solved.
pub fn platform_5_zh(communities: u64, whistles: u64, solved: u64) -> String {
    format!(
        "{communities}个社区吹哨{},为社区解决实际问题{}。",
        about(whistles, "次"),
        about(solved, "个")
    )
}

/// Round tens and 余 where there are tens and something is left over.
fn about(number: u64, unit: &str) -> String {
    match number % 10 {
        rest if rest > 0 && number > 10 => format!("{}余{unit}", number - rest),
        _ => format!("{number}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_nothing_is_no_rate() {
        assert_eq!(Share::default().to_string(), "—");
        assert_eq!(Share { of: 0, out_of: 3 }.to_string(), "0/3 (0%)");
        assert_eq!(Scores::default().to_string(), "—");
    }

    #[test]
    fn the_seed_speaks_of_round_numbers() {
        assert_eq!(
            platform_5_zh(8, 83, 104),
            "8个社区吹哨80余次,为社区解决实际问题100余个。"
        );
        assert_eq!(
            platform_5_zh(1, 7, 10),
            "1个社区吹哨7次,为社区解决实际问题10个。"
        );
    }
}
