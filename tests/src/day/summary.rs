//! What came of the day, counted from the data; and the checks that nothing was
//! lost.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use serde::Serialize;

use shaodao_core::domain::ids::{EnvelopeHash, RecordId};
use shaodao_core::domain::statistics::{Grouping, Period};

use super::DayError;
use super::street::Street;

/// What came of the day.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Findings.
    pub findings: i64,
    /// Findings by the stage that people see.
    pub findings_by_stage: BTreeMap<String, i64>,
    /// Community whistles.
    pub community_whistles: i64,
    /// Street whistles.
    pub street_whistles: i64,
    /// Escalations performed.
    pub escalations: i64,
    /// Of those, withdrawn because timely proof arrived late.
    pub stood_down: i64,
    /// Findings about whose facts two people disagree; both values are kept.
    pub conflicts_kept: i64,
    /// Envelopes by verdict.
    pub actions: BTreeMap<String, i64>,
    /// Actions that a phone had acknowledged as saved.
    pub acknowledged: usize,
    /// Of those, missing at the server.
    pub lost: usize,
    /// Records whose heads were compared between phones and server.
    pub heads_compared: usize,
    /// Of those, different.
    pub heads_different: usize,
    /// Envelopes left in outboxes.
    pub left_in_outboxes: u64,
    /// By phone.
    pub phones: Vec<PhoneSummary>,
    /// The seed's sentence for platform 1, from the data.
    pub platform_1: String,
    /// The seed's sentence for platform 5, from the data.
    pub platform_5: String,
    /// Wall time, seconds; filled in by whoever measured it.
    pub wall_s: f64,
}

/// One phone's share.
#[derive(Debug, Serialize)]
pub struct PhoneSummary {
    /// Staff number.
    pub person: String,
    /// Requests sent.
    pub requests: u32,
    /// Bytes of request bodies.
    pub bytes_up: u64,
    /// Bytes of reply bodies.
    pub bytes_down: u64,
    /// Records on the phone.
    pub records: usize,
}

impl Summary {
    /// Counts, after everybody has synced.
    ///
    /// # Errors
    /// A database does not read.
    pub fn of(street: &Street) -> Result<Self, DayError> {
        let db = Connection::open(street.server.database())?;
        let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0));
        let server_heads = heads(&db)?;
        let stored: BTreeSet<EnvelopeHash> = {
            let mut statement = db.prepare("SELECT hash FROM envelope")?;
            let rows = statement.query_map([], |row| row.get(0).map(EnvelopeHash))?;
            rows.collect::<Result<_, _>>()?
        };
        let lost = street
            .acknowledged
            .iter()
            .filter(|hash| !stored.contains(hash))
            .count();
        let (mut compared, mut different, mut left) = (0, 0, 0);
        let mut phones = Vec::new();
        for (person, phone) in &street.phones {
            let store = phone.device.store();
            let heads = store.heads()?;
            for (record, heads) in &heads {
                compared += 1;
                different += usize::from(server_heads.get(record) != Some(heads));
            }
            left += store.counts()?.outbox;
            phones.push(PhoneSummary {
                person: person.clone(),
                requests: phone.requests,
                bytes_up: phone.bytes_up,
                bytes_down: phone.bytes_down,
                records: heads.len(),
            });
        }
        let mut actions: BTreeMap<String, i64> =
            ["accepted", "late", "quarantined", "waiting", "refused"]
                .map(|word| (word.to_owned(), 0))
                .into();
        {
            let mut statement =
                db.prepare("SELECT standing, COUNT(*) FROM envelope GROUP BY standing")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let standing = shaodao_core::sync::wire::Standing::from_code(row.get(0)?);
                let word = standing.map_or("unknown", |standing| standing.word());
                actions.insert(word.to_owned(), row.get(1)?);
            }
        }
        // Refused envelopes are counted, not stored: the phones know of them.
        let refused: usize = street
            .phones
            .values()
            .filter_map(|phone| phone.troubles.get("refused"))
            .sum();
        actions.insert("refused".to_owned(), refused as i64);
        let supervisor = &street.phone("S-03")?.device;
        let ever = Period {
            from_ms: 0,
            to_ms: i64::MAX,
            area: None,
        };
        let said = supervisor.statistics(street.now_ms, &ever, Grouping::Street)?;
        let supervisor = supervisor.store();
        let mut findings_by_stage = BTreeMap::new();
        let all = shaodao_core::store::read::FindingFilter {
            limit: 10_000,
            ..Default::default()
        };
        for finding in supervisor.findings(&all)? {
            *findings_by_stage
                .entry(finding.stage.word().to_owned())
                .or_default() += 1;
        }
        Ok(Self {
            findings: count("SELECT COUNT(*) FROM finding")?,
            community_whistles: count("SELECT COUNT(*) FROM whistle WHERE level = 1")?,
            street_whistles: count("SELECT COUNT(*) FROM whistle WHERE level = 2")?,
            escalations: count("SELECT COUNT(*) FROM escalation")?,
            stood_down: count("SELECT COUNT(*) FROM whistle WHERE stage = 'stood_down'")?,
            conflicts_kept: count("SELECT COUNT(*) FROM finding WHERE conflicts > 0")?,
            actions,
            acknowledged: street.acknowledged.len(),
            lost,
            heads_compared: compared,
            heads_different: different,
            left_in_outboxes: left,
            phones,
            platform_1: said.platform_1_zh,
            platform_5: said.platform_5_zh,
            findings_by_stage,
            wall_s: 0.0,
        })
    }

    /// Whether nothing was lost and everybody agrees.
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.heads_different == 0 && self.left_in_outboxes == 0
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let phones = self.phones.len().max(1) as u64;
        let sum = |of: fn(&PhoneSummary) -> u64| self.phones.iter().map(of).sum::<u64>();
        let requests = sum(|phone| phone.requests.into());
        let up = sum(|phone| phone.bytes_up);
        let down = sum(|phone| phone.bytes_down);
        let stages: Vec<String> = self
            .findings_by_stage
            .iter()
            .map(|(stage, count)| format!("{stage} {count}"))
            .collect();
        let actions: Vec<String> = self
            .actions
            .iter()
            .map(|(verdict, count)| format!("{verdict} {count}"))
            .collect();
        let most = self
            .phones
            .iter()
            .max_by_key(|phone| phone.bytes_up + phone.bytes_down);
        let most = most.map_or_else(String::new, |phone| {
            format!(
                "{}: {} requests, {} up, {} down",
                phone.person, phone.requests, phone.bytes_up, phone.bytes_down
            )
        });
        [
            format!(
                "问题 findings            {} ({})",
                self.findings,
                stages.join(", ")
            ),
            format!("社区哨令 community       {}", self.community_whistles),
            format!("街道哨令 street          {}", self.street_whistles),
            format!(
                "升级 escalations         {}, 解除 stood down {}",
                self.escalations, self.stood_down
            ),
            format!("分歧保留 conflicts kept  {}", self.conflicts_kept),
            format!("操作 actions             {}", actions.join(", ")),
            format!(
                "已保存 acknowledged      {}, 丢失 lost {}",
                self.acknowledged, self.lost
            ),
            format!(
                "文档头 heads             {} compared, {} different; outboxes {}",
                self.heads_compared, self.heads_different, self.left_in_outboxes
            ),
            format!(
                "每部手机 per phone       {} requests, {} B up, {} B down on average; most: {most}",
                requests / phones,
                up / phones,
                down / phones
            ),
            format!("用时 wall time           {:.1} s", self.wall_s),
            self.platform_1.clone(),
            self.platform_5.clone(),
        ]
        .join("\n")
    }
}

fn heads(db: &Connection) -> Result<BTreeMap<RecordId, Vec<u8>>, DayError> {
    let mut statement = db.prepare("SELECT record, heads FROM record")?;
    let rows = statement.query_map([], |row| Ok((row.get(0).map(RecordId)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
