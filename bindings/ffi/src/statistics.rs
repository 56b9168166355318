//! What came of the whistles of a period.

use shaodao_core::domain::statistics::{self, Period};

use crate::error::PhoneError;
use crate::phone::Phone;
use crate::types::Grouping;

/// So many of so many; of nothing, there is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct Rate {
    /// So many.
    pub of: u64,
    /// Of so many.
    pub out_of: u64,
    /// Others of which nobody can say yet: a person decides.
    pub cannot_say: u64,
}

/// Scores given, 1 to 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct ScoreSummary {
    /// The mean in tenths, rounded down; none without a score.
    pub mean_tenths: Option<u64>,
    /// How many.
    pub given: u64,
    /// Concluded, and not scored.
    pub not_scored: u64,
}

/// What came of the whistles of one group.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct GroupRow {
    /// An area, platform, organisation or post code.
    pub key: String,
    /// Whistles blown, orders (次).
    pub whistles: u64,
    /// Of those, concluded.
    pub concluded: u64,
    /// Of those, called off.
    pub cancelled: u64,
    /// Findings of concluded whistles (个).
    pub findings_solved: u64,
    /// Arrivals, times (次).
    pub arrivals: u64,
    /// Organisations of which somebody arrived (个).
    pub organisations: u64,
    /// People who arrived (人).
    pub people: u64,
    /// Heads at those arrivals (人次).
    pub person_times: u64,
    /// Signed in time.
    pub signed_in_time: Rate,
    /// Arrived in time.
    pub arrived_in_time: Rate,
    /// Fed back in time.
    pub fed_back_in_time: Rate,
    /// Rounds of rework.
    pub reworks: u64,
    /// Escalations in force.
    pub escalations: u64,
    /// Escalations withdrawn on timely proof.
    pub stood_down: u64,
    /// Scores that targets got.
    pub scores_of_targets: ScoreSummary,
    /// Scores that blowers got.
    pub scores_of_blowers: ScoreSummary,
}

/// What came of the whistles of a period.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct StatisticsPage {
    /// By group, by key.
    pub groups: Vec<GroupRow>,
    /// Findings reported in the period that are closed, however they were (个).
    pub findings_solved: u64,
    /// The sentence about platform 1, as it is reported.
    pub platform_1_zh: String,
    /// The sentence about platform 5, as it is reported.
    pub platform_5_zh: String,
}

#[uniffi::export]
impl Phone {
    /// What came of the whistles issued from one time until before another (Unix
    /// milliseconds), in an area or everywhere.
    pub async fn statistics(
        &self,
        from_ms: i64,
        to_ms: i64,
        area: Option<String>,
        by: Grouping,
    ) -> Result<StatisticsPage, PhoneError> {
        if from_ms >= to_ms {
            return Err(PhoneError::input("to_ms"));
        }
        self.read(move |device, now| {
            let period = Period {
                from_ms,
                to_ms,
                area,
            };
            let view = device.statistics(device.reading_ms(now)?, &period, by)?;
            Ok(StatisticsPage {
                groups: view.groups.iter().map(|(key, it)| group(key, it)).collect(),
                findings_solved: view.solved,
                platform_1_zh: view.platform_1_zh,
                platform_5_zh: view.platform_5_zh,
            })
        })
        .await
    }
}

fn group(key: &str, group: &statistics::Statistics) -> GroupRow {
    let rate = |it: statistics::Punctuality| Rate {
        of: it.share.of,
        out_of: it.share.out_of,
        cannot_say: it.cannot_say,
    };
    let scores = |it: statistics::Scores| ScoreSummary {
        mean_tenths: it.mean_tenths(),
        given: it.given,
        not_scored: it.not_scored,
    };
    GroupRow {
        key: key.to_owned(),
        whistles: group.whistles,
        concluded: group.concluded,
        cancelled: group.cancelled,
        findings_solved: group.solved.len() as u64,
        arrivals: group.arrivals,
        organisations: group.organisations.len() as u64,
        people: group.people.len() as u64,
        person_times: group.person_times,
        signed_in_time: rate(group.signed),
        arrived_in_time: rate(group.arrived),
        fed_back_in_time: rate(group.fed_back),
        reworks: group.reworks,
        escalations: group.escalations,
        stood_down: group.stood_down,
        scores_of_targets: scores(group.targets),
        scores_of_blowers: scores(group.blowers),
    }
}
