//! Lists: rows, filters, pages, counts, the window of a map, search.

use std::sync::Arc;

use shaodao_core::device::Device;
use shaodao_core::domain::directory::Directory;
use shaodao_core::domain::lease::Sight;
use shaodao_core::domain::time::Moment;
use shaodao_core::explain;
use shaodao_core::store::pages::{self, FindingQuery, WhistleQuery};
use shaodao_core::store::read::{FindingSummary, WhistleSummary};

use crate::directory::Place;
use crate::error::{PhoneError, Sentence};
use crate::phone::Phone;
use crate::types::{FindingStage, Level, Light, RecordId, WhistleStage};

/// A finding in a list.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct FindingRow {
    /// Which finding.
    pub record: RecordId,
    /// Where it stands, whistles included.
    pub stage: FindingStage,
    /// Number; empty while it waits for one (待编号).
    pub number: String,
    /// Category code; empty if none was given.
    pub category: String,
    /// Name of the category.
    pub category_name: String,
    /// One line.
    pub title: String,
    /// Grid or area code.
    pub grid: String,
    /// Its name.
    pub grid_name: String,
    /// 1 (minor) to 4 (danger to life).
    pub severity: i64,
    /// Staff number of who reported it.
    pub reporter: String,
    /// Their name.
    pub reporter_name: String,
    /// When it was reported, Unix milliseconds.
    pub reported_at_ms: i64,
    /// Facts about which people disagree.
    pub conflicts: u32,
    /// Where; none if nobody knows.
    pub place: Option<Place>,
    /// The finding that it was merged into and follows.
    pub merged_into: Option<RecordId>,
}

/// A whistle in a list.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct WhistleRow {
    /// Which whistle.
    pub record: RecordId,
    /// Where it stands.
    pub stage: WhistleStage,
    /// Who blew; none before the order has arrived.
    pub level: Option<Level>,
    /// 1 to 5.
    pub platform: u8,
    /// Area code of the blower.
    pub area: String,
    /// Its name.
    pub area_name: String,
    /// One line.
    pub title: String,
    /// When it was issued, Unix milliseconds.
    pub issued_at_ms: i64,
    /// Due time in force, Unix milliseconds.
    pub due_at_ms: i64,
    /// Its light now; none while the clock stands still.
    pub light: Option<Light>,
    /// End of the newest pause of the clock, Unix milliseconds; 0 if there was
    /// none.
    pub paused_until_ms: i64,
    /// Requests on which nobody has ruled.
    pub open_requests: u32,
    /// The whistle that was escalated into this one.
    pub parent: Option<RecordId>,
}

/// The last row that somebody has seen; the next page begins after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct Bookmark {
    /// Its time in the list, Unix milliseconds.
    pub at_ms: i64,
    /// Its record.
    pub record: RecordId,
}

/// A part of a map, WGS-84 degrees; edges belong to it.
#[derive(Debug, Clone, Copy, PartialEq, uniffi::Record)]
pub struct MapWindow {
    /// Lowest latitude.
    pub south: f64,
    /// Lowest longitude.
    pub west: f64,
    /// Highest latitude.
    pub north: f64,
    /// Highest longitude.
    pub east: f64,
}

/// Which findings; everything left out matches all.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct FindingFilter {
    /// Stages; empty for all.
    #[uniffi(default = [])]
    pub stages: Vec<FindingStage>,
    /// Only those of which something is still expected.
    #[uniffi(default = false)]
    pub open: bool,
    /// Grid, or any area around it.
    #[uniffi(default = None)]
    pub area: Option<String>,
    /// Category code, or its beginning.
    #[uniffi(default = None)]
    pub category: Option<String>,
    /// Only those that this person reported.
    #[uniffi(default = None)]
    pub reporter: Option<String>,
    /// Only those about which people disagree.
    #[uniffi(default = false)]
    pub conflicts: bool,
    /// Only those at least so severe, 1 to 4; 0 for all.
    #[uniffi(default = 0)]
    pub severity_from: u8,
    /// Only those in this window.
    #[uniffi(default = None)]
    pub window: Option<MapWindow>,
}

/// Which whistles; everything left out matches all.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct WhistleFilter {
    /// Stages; empty for all.
    #[uniffi(default = [])]
    pub stages: Vec<WhistleStage>,
    /// Only open ones.
    #[uniffi(default = false)]
    pub open: bool,
    /// Area of the blower, or any area around it.
    #[uniffi(default = None)]
    pub area: Option<String>,
    /// Only those that summon one of these targets, by key; empty for all.
    #[uniffi(default = [])]
    pub targets: Vec<String>,
    /// Only those that this person blew.
    #[uniffi(default = None)]
    pub blower: Option<String>,
}

/// A page of findings.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct FindingPage {
    /// Its rows, newest report first.
    pub rows: Vec<FindingRow>,
    /// How many match in all, on every page.
    pub total: u64,
    /// Where the next page begins; none after the last one.
    pub next: Option<Bookmark>,
    /// Why only the owner's own records are shown, where that is so.
    pub own_only: Option<Sentence>,
}

/// A page of whistles.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct WhistlePage {
    /// Its rows, newest first.
    pub rows: Vec<WhistleRow>,
    /// How many match in all, on every page.
    pub total: u64,
    /// Where the next page begins; none after the last one.
    pub next: Option<Bookmark>,
    /// Why only the owner's own records are shown, where that is so.
    pub own_only: Option<Sentence>,
}

/// How many findings stand at a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct StageCount {
    /// Which stage.
    pub stage: FindingStage,
    /// How many.
    pub count: u64,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, uniffi::Enum)]
pub enum Found {
    /// A finding.
    Finding {
        /// Its row.
        row: FindingRow,
    },
    /// A whistle.
    Whistle {
        /// Its row.
        row: WhistleRow,
    },
}

#[uniffi::export]
impl Phone {
    /// A page of findings: at most `limit` rows (50 if 0) after `after`.
    #[uniffi::method(default(after = None, limit = 0))]
    pub async fn findings(
        &self,
        filter: FindingFilter,
        after: Option<Bookmark>,
        limit: u32,
    ) -> Result<FindingPage, PhoneError> {
        self.read(move |device, now| {
            let page = device.finding_page(now, filter.query(after, limit))?;
            let names = Names::of(device, now)?;
            Ok(FindingPage {
                rows: page.rows.iter().map(|row| names.finding(row)).collect(),
                total: page.total,
                next: page.next.map(Bookmark::from),
                own_only: own_only(device, now)?,
            })
        })
        .await
    }

    /// A page of whistles: at most `limit` rows (50 if 0) after `after`.
    #[uniffi::method(default(after = None, limit = 0))]
    pub async fn whistles(
        &self,
        filter: WhistleFilter,
        after: Option<Bookmark>,
        limit: u32,
    ) -> Result<WhistlePage, PhoneError> {
        self.read(move |device, now| {
            let page = device.whistle_page(now, filter.query(after, limit))?;
            let names = Names::of(device, now)?;
            Ok(WhistlePage {
                rows: (page.rows.iter())
                    .map(|row| names.whistle(row))
                    .collect::<Result<_, _>>()?,
                total: page.total,
                next: page.next.map(Bookmark::from),
                own_only: own_only(device, now)?,
            })
        })
        .await
    }

    /// How many findings stand where; stages without any are left out.
    pub async fn stage_counts(&self) -> Result<Vec<StageCount>, PhoneError> {
        self.read(|device, now| {
            let counts = device.stage_counts(now)?.into_iter();
            Ok(counts
                .map(|(stage, count)| StageCount { stage, count })
                .collect())
        })
        .await
    }

    /// Records that contain all of these words (two Chinese characters are
    /// enough), newest first, at most 500.
    #[uniffi::method(default(limit = 50))]
    pub async fn search(&self, text: String, limit: u32) -> Result<Vec<Found>, PhoneError> {
        self.read(move |device, now| {
            let names = Names::of(device, now)?;
            let mut found = Vec::new();
            for record in device.search(now, &text, limit)? {
                if let Some(row) = device.store().finding(record)? {
                    let row = names.finding(&row);
                    found.push(Found::Finding { row });
                } else if let Some(row) = device.store().whistle(record)? {
                    let row = names.whistle(&row)?;
                    found.push(Found::Whistle { row });
                }
            }
            Ok(found)
        })
        .await
    }
}

impl FindingFilter {
    fn query(self, after: Option<Bookmark>, limit: u32) -> FindingQuery {
        FindingQuery {
            stages: self.stages,
            open: self.open,
            area: self.area,
            category: self.category.map(|code| code.to_uppercase()),
            reporter: self.reporter,
            conflicts: self.conflicts,
            severity_from: self.severity_from.into(),
            window: self.window.map(|window| pages::Window {
                south: window.south,
                west: window.west,
                north: window.north,
                east: window.east,
            }),
            after: after.map(pages::Bookmark::from),
            limit,
        }
    }
}

impl WhistleFilter {
    fn query(self, after: Option<Bookmark>, limit: u32) -> WhistleQuery {
        WhistleQuery {
            stages: self.stages,
            open: self.open,
            area: self.area,
            parties: self.targets,
            blower: self.blower,
            after: after.map(pages::Bookmark::from),
            limit,
        }
    }
}

impl From<pages::Bookmark> for Bookmark {
    fn from(bookmark: pages::Bookmark) -> Self {
        let pages::Bookmark { at_ms, record } = bookmark;
        Self { at_ms, record }
    }
}

impl From<Bookmark> for pages::Bookmark {
    fn from(bookmark: Bookmark) -> Self {
        let Bookmark { at_ms, record } = bookmark;
        Self { at_ms, record }
    }
}

/// Why the phone shows its owner's own records only, where it does.
pub(crate) fn own_only(device: &Device, now: Moment) -> Result<Option<Sentence>, PhoneError> {
    Ok(match device.sight(now)? {
        Sight::OwnOnly(blind) => Some(explain::Sentence::from(&blind).into()),
        Sight::All => None,
    })
}

/// What rows need beside the rows of the database: names, and the time for
/// lights.
pub(crate) struct Names<'a> {
    device: &'a Device,
    pub(crate) directory: Arc<Directory>,
    pub(crate) now_ms: i64,
}

impl<'a> Names<'a> {
    pub(crate) fn of(device: &'a Device, now: Moment) -> Result<Self, PhoneError> {
        Ok(Self {
            device,
            directory: device.directory()?,
            now_ms: device.reading_ms(now)?,
        })
    }

    pub(crate) fn category(&self, code: &str) -> String {
        let found = code.parse().ok();
        let found = found.and_then(|code| self.directory.codes.get(&code));
        found.map_or_else(String::new, |category| category.name.clone())
    }

    pub(crate) fn finding(&self, row: &FindingSummary) -> FindingRow {
        FindingRow {
            record: row.record,
            stage: row.stage,
            number: row.number.clone(),
            category: row.category.clone(),
            category_name: self.category(&row.category),
            title: row.title.clone(),
            grid: row.grid.clone(),
            grid_name: self.directory.area_name(&row.grid),
            severity: row.severity,
            reporter: row.reporter.clone(),
            reporter_name: self.directory.name_of(&row.reporter.as_str().into()),
            reported_at_ms: row.reported_at_ms,
            conflicts: row.conflicts,
            place: Place::read(&row.position),
            merged_into: row.merged_into,
        }
    }

    pub(crate) fn whistle(&self, row: &WhistleSummary) -> Result<WhistleRow, PhoneError> {
        Ok(WhistleRow {
            record: row.record,
            stage: row.stage,
            level: Level::from_code(row.level),
            platform: row.platform,
            area: row.area.clone(),
            area_name: self.directory.area_name(&row.area),
            title: row.title.clone(),
            issued_at_ms: row.issued_at_ms,
            due_at_ms: row.due_at_ms,
            light: self.device.light(self.now_ms, row)?,
            paused_until_ms: row.paused_until_ms,
            open_requests: row.open_requests,
            parent: row.parent,
        })
    }
}
