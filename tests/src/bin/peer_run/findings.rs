//! The findings that every contender works with.

use serde::{Deserialize, Serialize};
use shaodao_tests::world::MORNING_MS;

/// A finding as a plain application would keep it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Finding {
    /// Its name where the contender lets the application choose one. Sorts by
    /// the time of the report.
    pub id: String,
    /// Category code.
    pub category: String,
    /// One line, unique.
    pub title: String,
    /// The whole story.
    pub description: String,
    /// Grid code.
    pub grid: String,
    /// Where.
    pub position: String,
    /// Where it stands.
    pub stage: String,
    /// Who reported it.
    pub reporter: String,
    /// When it was reported, Unix milliseconds.
    pub reported_at_ms: i64,
}

const WHAT: [&str; 8] = [
    "井盖破损",
    "路灯不亮",
    "占道经营",
    "乱堆杂物",
    "护栏损坏",
    "污水外溢",
    "违章搭建",
    "树木倾斜",
];
const ASKED: [&str; 5] = [
    "影响行人通行,请尽快派人到场处理。",
    "夜间看不清,附近居民已多次反映。",
    "现场已用警示带围挡,等待专业人员。",
    "商户表示愿意配合整改,需要复查。",
    "雨天有积水,建议与排水一并处理。",
];

impl Finding {
    /// The `nth` finding of the benchmark.
    pub fn nth(nth: usize) -> Self {
        let reported_at_ms = MORNING_MS + nth.cast_signed() as i64 * 1_000;
        let what = WHAT[nth % WHAT.len()];
        let asked = ASKED[nth / 3 % ASKED.len()];
        let minutes = nth % 47 + 3;
        Self {
            id: format!("finding-{reported_at_ms}-{nth:06}"),
            category: "E0101".to_owned(),
            title: format!("北门街第{nth}号门前{what}"),
            description: format!("巡查发现{what},距路口约{minutes}米,{asked}"),
            grid: "530102001006001".to_owned(),
            position: format!(
                "25.04{:05},102.70{:05},8.0,gps",
                nth % 100_000,
                (nth * 7) % 100_000
            ),
            stage: "reported".to_owned(),
            reporter: "P01006-01".to_owned(),
            reported_at_ms,
        }
    }
}
