//! Who is who and what is where in one street: territory, posts, people, roles,
//! organisations, codes, calendar and policy. Data, delivered to the phones as a
//! whole and read here; rights are judged from it and from nothing else.

use std::collections::BTreeMap;

use super::action::Party;
use super::calendar::{AreaClass, Calendar, Limit, LimitUnit};
use super::codes::CodePack;
use super::ids::PersonId;
use super::ladder::Ladder;
use super::place::{GridMap, Position};
use super::rules::PastPolicy;
use super::time::TimePolicy;

/// What somebody is, within a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// 网格员; scope: a grid.
    Member,
    /// 社区书记; scope: a community.
    Secretary,
    /// 网格监督员; scope: a community or the street.
    Supervisor,
    /// 街道调度员; scope: the street.
    Dispatcher,
    /// 联络员; scope: an organisation.
    Liaison,
    /// 管理员; scope: the street.
    Administrator,
}

impl Role {
    /// All roles, in the order of the table in `rights`.
    pub const ALL: [Role; 6] = [
        Self::Member,
        Self::Secretary,
        Self::Supervisor,
        Self::Dispatcher,
        Self::Liaison,
        Self::Administrator,
    ];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Secretary => "secretary",
            Self::Supervisor => "supervisor",
            Self::Dispatcher => "dispatcher",
            Self::Liaison => "liaison",
            Self::Administrator => "administrator",
        }
    }

    /// In Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Member => "网格员",
            Self::Secretary => "社区书记",
            Self::Supervisor => "网格监督员",
            Self::Dispatcher => "街道调度员",
            Self::Liaison => "联络员",
            Self::Administrator => "管理员",
        }
    }

    /// The role with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// Whether a device may take part. Decided by an administrator, known to the
/// server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceState {
    /// 使用中
    Active,
    /// 停用: for the time being; what it sends is set aside.
    Suspended,
    /// 注销: lost or handed back, for ever.
    Revoked,
}

impl DeviceState {
    /// Every state.
    pub const ALL: [DeviceState; 3] = [Self::Active, Self::Suspended, Self::Revoked];

    /// The number on the wire and in the database, from 1.
    pub fn code(self) -> u8 {
        self as u8 + 1
    }

    /// The state with this number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Revoked => "revoked",
        }
    }

    /// In Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Active => "使用中",
            Self::Suspended => "已停用",
            Self::Revoked => "已注销",
        }
    }
}

/// A role within a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What.
    pub role: Role,
    /// Where: an area code, or an organisation for a liaison.
    pub scope: String,
}

/// Somebody who works with the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Staff number.
    pub id: PersonId,
    /// Name as colleagues know it.
    pub name: String,
    /// Roles; one person may hold several.
    pub grants: Vec<Grant>,
    /// Posts held: post code and grid code.
    pub posts: Vec<(String, String)>,
}

/// A community (社区).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Community {
    /// Twelve digits.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Area class, on which limits depend.
    pub class: AreaClass,
    /// The edition in which it was given up, like a grid's.
    pub retired: Option<u64>,
}

/// A grid (网格).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// The community's code and two or three digits.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Code of its community.
    pub community: String,
    /// Grows when its outline is redrawn.
    pub version: u32,
    /// The edition in which it was given up; its code is never used again, and
    /// what was filed in it keeps its name.
    pub retired: Option<u64>,
}

/// A department, alliance unit, party organisation or social force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    /// Short id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Platform, 1 to 5.
    pub platform: u8,
}

/// A kind of post (岗位).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Short word.
    pub code: String,
    /// Its name.
    pub name: String,
    /// One of the eight (and the head), rather than one of the open-ended X.
    pub standing: bool,
}

/// What an operator may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// When a phone's time is believed.
    pub time: TimePolicy,
    /// How far from a whistle's place an arrival needs no reason, metres.
    pub arrival_radius_m: u32,
    /// Share of a limit from which its light is yellow, percent.
    pub yellow_percent: u8,
    /// Limit of a target for another round after a failed verification.
    pub rework_limit: Limit,
    /// For so long after its last contact a phone shows what others did,
    /// milliseconds.
    pub lease_ms: i64,
    /// For so long an action waits for one that it builds on, milliseconds;
    /// then it is judged without.
    pub waiting_ms: i64,
    /// How long a restored server waits for what phones bring before it numbers
    /// and escalates again, milliseconds.
    pub restore_hold_ms: i64,
    /// How far the server's clock may run from the time that has passed since
    /// the last look, before deadlines are held, milliseconds.
    pub clock_jump_ms: i64,
    /// How long a server may have been down before a person has to say that the
    /// clock is right, milliseconds.
    pub downtime_ms: i64,
}

impl Default for Policy {
    /// 200 m; four working hours for rework; ten minutes for the clock, three
    /// days for a server that is down, fourteen of lease and of waiting, an hour
    /// after a restore.
    fn default() -> Self {
        Self {
            time: TimePolicy::default(),
            arrival_radius_m: 200,
            yellow_percent: 80,
            rework_limit: Limit {
                amount: 4,
                unit: LimitUnit::WorkingHour,
            },
            lease_ms: 14 * 24 * 3_600_000,
            waiting_ms: 14 * 24 * 3_600_000,
            restore_hold_ms: 3_600_000,
            clock_jump_ms: 10 * 60_000,
            downtime_ms: 72 * 3_600_000,
        }
    }
}

/// One street's directory.
#[derive(Debug, Clone)]
pub struct Directory {
    /// Grows with every change.
    pub version: u64,
    /// Nine digits.
    pub street: String,
    /// Its name.
    pub street_name: String,
    /// Communities by code.
    pub communities: BTreeMap<String, Community>,
    /// Grids by code.
    pub grids: BTreeMap<String, Grid>,
    /// Boundaries of the grids.
    pub map: GridMap,
    /// Kinds of posts by code.
    pub posts: BTreeMap<String, Post>,
    /// People by id.
    pub people: BTreeMap<PersonId, Person>,
    /// Organisations by id.
    pub organisations: BTreeMap<String, Organisation>,
    /// Categories.
    pub codes: CodePack,
    /// Working time: the current edition.
    pub calendar: Calendar,
    /// Other editions, which the limits that began under them keep.
    pub past_calendars: Vec<Calendar>,
    /// What an operator may set: in force.
    pub policy: Policy,
    /// Who takes over from whom, and why: in force.
    pub ladder: Ladder,
    /// Former policies and ladders, oldest first, which the limits that began
    /// under them keep.
    pub past_policies: Vec<PastPolicy>,
}

impl Directory {
    /// Somebody by id.
    pub fn person(&self, id: &PersonId) -> Option<&Person> {
        self.people.get(id)
    }

    /// Names the policy in force.
    pub fn policy_edition(&self) -> String {
        self.version.to_string()
    }

    /// An edition of the calendar by its name, current or past.
    pub fn calendar(&self, version: &str) -> Option<&Calendar> {
        std::iter::once(&self.calendar)
            .chain(&self.past_calendars)
            .find(|calendar| calendar.version() == version)
    }

    /// The name to show for a person; the id if the directory has none.
    pub fn name_of(&self, id: &PersonId) -> String {
        match self.people.get(id) {
            Some(person) => person.name.clone(),
            None if id.is_server() => "服务器".to_owned(),
            None => id.0.clone(),
        }
    }

    /// The name to show for a target.
    pub fn party_name(&self, party: &Party) -> String {
        match party {
            Party::Person(person) => self.name_of(person),
            Party::Organisation(id) => self
                .organisations
                .get(id)
                .map_or_else(|| id.clone(), |organisation| organisation.name.clone()),
            Party::Post { grid, post } => format!(
                "{}{}",
                self.grids
                    .get(grid)
                    .map_or(grid.as_str(), |grid| &grid.name),
                self.posts
                    .get(post)
                    .map_or(post.as_str(), |post| &post.name),
            ),
        }
    }

    /// The name to show for an area code.
    pub fn area_name(&self, code: &str) -> String {
        let community = self.communities.get(code).map(|community| &community.name);
        let grid = self.grids.get(code).map(|grid| &grid.name);
        match community.or(grid) {
            Some(name) => name.clone(),
            None if code == self.street => self.street_name.clone(),
            None => code.to_owned(),
        }
    }

    /// Whether a code names the street, or a community or a grid of it that is
    /// in force.
    pub fn knows_area(&self, code: &str) -> bool {
        let community = self.communities.get(code).map(|it| it.retired);
        let grid = self.grids.get(code).map(|it| it.retired);
        code == self.street || community.or(grid) == Some(None)
    }

    /// The same, those included that were given up.
    pub fn has_known_area(&self, code: &str) -> bool {
        code == self.street || self.communities.contains_key(code) || self.grids.contains_key(code)
    }

    /// The grid of a position; with no exact hit the nearest within the
    /// position's own accuracy (at most 100 m).
    pub fn grid_at(&self, position: &Position) -> Option<&str> {
        let reach_m = position
            .accuracy_dm
            .map_or(0.0, |dm| f64::from(dm) / 10.0)
            .min(100.0);
        self.map
            .locate(position)
            .or_else(|| self.map.nearest(position, reach_m))
    }

    /// Code of the community that an area lies in; `None` for the street.
    pub fn community_of(&self, area: &str) -> Option<&str> {
        match self.grids.get(area) {
            Some(grid) => Some(&grid.community),
            None => self
                .communities
                .get(area)
                .map(|community| community.code.as_str()),
        }
    }

    /// Whether the person acts for the target.
    pub fn acts_for(&self, person: &PersonId, party: &Party) -> bool {
        match party {
            Party::Person(target) => target == person,
            Party::Post { grid, post } => self.people.get(person).is_some_and(|person| {
                person
                    .posts
                    .iter()
                    .any(|held| (&held.0, &held.1) == (post, grid))
            }),
            Party::Organisation(id) => self.people.get(person).is_some_and(|person| {
                person
                    .grants
                    .iter()
                    .any(|grant| grant.role == Role::Liaison && grant.scope == *id)
            }),
        }
    }

    /// The audience keys of a person: what reaches their phone. Areas for the
    /// roles that read areas, and everything that summons them.
    pub fn keys_of(&self, id: &PersonId) -> Vec<String> {
        let mut keys = vec![Party::Person(id.clone()).key()];
        if let Some(person) = self.people.get(id) {
            for grant in &person.grants {
                keys.extend(match grant.role {
                    Role::Member | Role::Secretary | Role::Supervisor | Role::Dispatcher => {
                        Some(area_key(&grant.scope))
                    }
                    Role::Liaison => Some(Party::Organisation(grant.scope.clone()).key()),
                    // An administrator has no power over records, and no view.
                    Role::Administrator => None,
                });
            }
            keys.extend(person.posts.iter().map(|(post, grid)| {
                let (post, grid) = (post.clone(), grid.clone());
                Party::Post { grid, post }.key()
            }));
        }
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The audience keys of an area: itself and everything around it.
    pub fn keys_around(&self, area: &str) -> Vec<String> {
        let mut keys = vec![area_key(&self.street)];
        keys.extend(self.community_of(area).map(area_key));
        if self.grids.contains_key(area) {
            keys.push(area_key(area));
        }
        keys
    }
}

/// Whether the scope `wide` contains the area `narrow`: codes nest by prefix.
pub fn covers(wide: &str, narrow: &str) -> bool {
    !wide.is_empty() && narrow.starts_with(wide)
}

fn area_key(code: &str) -> String {
    format!("area:{code}")
}
