//! Data packs: the JSON form of a directory, and the code packs that are built
//! in. The only place where serde meets what the domain needs; the domain's own
//! types know nothing of it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::domain::calendar::{AreaClass, BadLimit};
use crate::domain::codes::{CodePack, CodePackError};
use crate::domain::directory::{
    Community, Directory, Grant, Grid, Organisation, Person, Policy, Post, Role,
};
use crate::domain::ids::PersonId;
use crate::domain::ladder::{Ladder, Rung};
use crate::domain::order::{EscalationCause, Level};
use crate::domain::place::{BadBoundary, Boundary, GridMap};
use crate::domain::rules::PastPolicy;
use crate::domain::time::TimePolicy;

pub mod calendar;

use calendar::{CalendarError, CalendarPack};

/// The directory of 华山街道 to try things with: real communities and codes,
/// invented grids and people.
pub const HUASHAN: &[u8] = include_bytes!("../packs/huashan/directory.json");

const CJT214_COMPONENTS: &str = include_str!("../packs/cjt214-2007/component-codes.csv");
const CJT214_EVENTS: &str = include_str!("../packs/cjt214-2007/event-codes.csv");

/// A pack that does not read, and why.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Not JSON of this shape.
    #[error("directory pack: {0}")]
    Json(#[from] serde_json::Error),
    /// The code pack does not read.
    #[error(transparent)]
    Codes(#[from] CodePackError),
    /// The calendars do not read.
    #[error("directory pack: {0}")]
    Calendars(#[from] CalendarError),
    /// No such code pack.
    #[error("directory pack: unknown code pack `{0}`; known: cjt214-2007")]
    UnknownCodes(String),
    /// A grid's ring encloses nothing.
    #[error("directory pack: grid {code}: {error}")]
    Grid {
        /// Which grid.
        code: String,
        /// What is wrong.
        error: BadBoundary,
    },
    /// Not a limit.
    #[error("directory pack: policy: {0}")]
    Limit(#[from] BadLimit),
    /// Something refers to something that is not there.
    #[error("directory pack: {what} refers to {to}, which does not exist")]
    Dangling {
        /// What refers.
        what: String,
        /// To what.
        to: String,
    },
    /// Former policies that do not follow one another.
    #[error(
        "directory pack: past_policies: each `until` is later than the one before, and earlier than the pack's own version"
    )]
    PastPolicies,
    /// A word that means nothing here.
    #[error("directory pack: {what}: `{word}` is not one of {known}")]
    Word {
        /// Where.
        what: String,
        /// What was given.
        word: String,
        /// What would do.
        known: &'static str,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DirectoryPack {
    version: u64,
    street: StreetPack,
    codes: String,
    calendar: String,
    calendars: Vec<CalendarPack>,
    policy: PolicyPack,
    /// Left out while there is none: builds that do not know it go on reading.
    #[serde(default)]
    past_policies: Vec<PastPolicyPack>,
    communities: Vec<CommunityPack>,
    posts: Vec<PostPack>,
    organisations: Vec<OrganisationPack>,
    grids: Vec<GridPack>,
    people: Vec<PersonPack>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreetPack {
    code: String,
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyPack {
    max_anchor_age_hours: u32,
    max_drift_minutes: u32,
    arrival_radius_m: Option<u32>,
    rework_limit: Option<String>,
    yellow_percent: Option<u8>,
    #[serde(default = "fortnight")]
    lease_days: u32,
    #[serde(default = "fortnight")]
    waiting_days: u32,
    #[serde(default = "restore_hold_minutes")]
    restore_hold_minutes: u32,
    clock_jump_minutes: Option<u32>,
    downtime_hours: Option<u32>,
    ladder: Option<Vec<RungPack>>,
}

/// Fourteen days, where a pack does not say.
fn fortnight() -> u32 {
    14
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PastPolicyPack {
    until: u64,
    policy: PolicyPack,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RungPack {
    from: String,
    #[serde(default)]
    categories: Vec<String>,
    #[serde(default)]
    platforms: Vec<u8>,
    #[serde(default)]
    classes: Vec<String>,
    causes: Vec<String>,
    failed_verifications: Option<u32>,
    #[serde(default)]
    hold_minutes: u32,
    limit: Option<String>,
    report_by: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommunityPack {
    code: String,
    name: String,
    class: String,
    #[serde(default)]
    retired: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PostPack {
    code: String,
    name: String,
    standing: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrganisationPack {
    id: String,
    name: String,
    platform: u8,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GridPack {
    code: String,
    name: String,
    community: String,
    version: u32,
    #[serde(default)]
    retired: Option<u64>,
    ring: Vec<(f64, f64)>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PersonPack {
    id: String,
    name: String,
    roles: Vec<RolePack>,
    posts: Vec<HeldPack>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RolePack {
    role: String,
    scope: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeldPack {
    post: String,
    grid: String,
}

/// Reads a directory pack and checks that everything in it fits together.
///
/// # Errors
/// See [`PackError`]; it names the place.
pub fn directory(json: &[u8]) -> Result<Directory, PackError> {
    let pack: DirectoryPack = serde_json::from_slice(json)?;
    let communities = pack
        .communities
        .into_iter()
        .map(|community| {
            let class = class(&community.class, || {
                format!("class of community {}", community.code)
            })?;
            let CommunityPack {
                code,
                name,
                retired,
                ..
            } = community;
            let community = Community {
                code,
                name,
                class,
                retired,
            };
            Ok((community.code.clone(), community))
        })
        .collect::<Result<BTreeMap<_, _>, PackError>>()?;
    let mut grids = BTreeMap::new();
    let mut outlines = Vec::new();
    for grid in pack.grids {
        if !communities.contains_key(&grid.community) {
            return Err(dangling(format!("grid {}", grid.code), &grid.community));
        }
        let boundary = Boundary::new(grid.ring).map_err(|error| PackError::Grid {
            code: grid.code.clone(),
            error,
        })?;
        // Nothing is found in a grid that was given up.
        if grid.retired.is_none() {
            outlines.push((grid.code.clone(), boundary));
        }
        let GridPack {
            code,
            name,
            community,
            version,
            retired,
            ..
        } = grid;
        grids.insert(
            code.clone(),
            Grid {
                code,
                name,
                community,
                version,
                retired,
            },
        );
    }
    let (calendar, past_calendars) = calendar::editions(&pack.calendar, pack.calendars)?;
    let mut directory = Directory {
        version: pack.version,
        street: pack.street.code,
        street_name: pack.street.name,
        communities,
        grids,
        map: GridMap::new(outlines),
        posts: pack
            .posts
            .into_iter()
            .map(
                |PostPack {
                     code,
                     name,
                     standing,
                 }| {
                    (
                        code.clone(),
                        Post {
                            code,
                            name,
                            standing,
                        },
                    )
                },
            )
            .collect(),
        people: BTreeMap::new(),
        organisations: pack
            .organisations
            .into_iter()
            .map(|OrganisationPack { id, name, platform }| {
                (id.clone(), Organisation { id, name, platform })
            })
            .collect(),
        codes: codes(&pack.codes)?,
        calendar,
        past_calendars,
        policy: policy(&pack.policy)?,
        ladder: ladder(pack.policy.ladder)?,
        past_policies: past_policies(pack.past_policies, pack.version)?,
    };
    for person in pack.people {
        let person = read_person(person, &directory)?;
        directory.people.insert(person.id.clone(), person);
    }
    Ok(directory)
}

/// The edition that a pack says it is, without reading the rest.
///
/// # Errors
/// Not JSON with a version.
pub fn version(json: &[u8]) -> Result<u64, PackError> {
    #[derive(Deserialize)]
    struct Numbered {
        version: u64,
    }
    Ok(serde_json::from_slice::<Numbered>(json)?.version)
}

/// A code pack that is built in.
///
/// # Errors
/// There is none by that name.
pub fn codes(scheme: &str) -> Result<CodePack, PackError> {
    match scheme {
        "cjt214-2007" => Ok(CodePack::parse(scheme, CJT214_COMPONENTS, CJT214_EVENTS)?),
        unknown => Err(PackError::UnknownCodes(unknown.to_owned())),
    }
}

fn class(word: &str, what: impl FnOnce() -> String) -> Result<AreaClass, PackError> {
    match word {
        "A" => Ok(AreaClass::A),
        "B" => Ok(AreaClass::B),
        "C" => Ok(AreaClass::C),
        word => Err(PackError::Word {
            what: what(),
            word: word.to_owned(),
            known: "A, B, C",
        }),
    }
}

/// An hour: most phones call within one on a working day.
fn restore_hold_minutes() -> u32 {
    60
}

fn policy(pack: &PolicyPack) -> Result<Policy, PackError> {
    let usual = Policy::default();
    Ok(Policy {
        time: TimePolicy {
            max_anchor_age_ms: u64::from(pack.max_anchor_age_hours) * 3_600_000,
            max_drift_ms: u64::from(pack.max_drift_minutes) * 60_000,
        },
        arrival_radius_m: pack.arrival_radius_m.unwrap_or(usual.arrival_radius_m),
        yellow_percent: match pack.yellow_percent {
            Some(percent @ 1..=100) => percent,
            Some(percent) => {
                return Err(PackError::Word {
                    what: "policy: yellow_percent".to_owned(),
                    word: percent.to_string(),
                    known: "1 to 100",
                });
            }
            None => usual.yellow_percent,
        },
        rework_limit: match &pack.rework_limit {
            Some(limit) => limit.parse()?,
            None => usual.rework_limit,
        },
        clock_jump_ms: pack
            .clock_jump_minutes
            .map_or(usual.clock_jump_ms, |minutes| i64::from(minutes) * 60_000),
        downtime_ms: pack
            .downtime_hours
            .map_or(usual.downtime_ms, |hours| i64::from(hours) * 3_600_000),
        lease_ms: i64::from(pack.lease_days) * 24 * 3_600_000,
        waiting_ms: i64::from(pack.waiting_days) * 24 * 3_600_000,
        restore_hold_ms: i64::from(pack.restore_hold_minutes) * 60_000,
    })
}

/// Former policies, oldest first; each ends before the next one and before the
/// pack's own edition.
fn past_policies(packs: Vec<PastPolicyPack>, version: u64) -> Result<Vec<PastPolicy>, PackError> {
    let until = packs.iter().map(|past| past.until).chain([version]);
    if !until.is_sorted_by(|one, next| one < next) {
        return Err(PackError::PastPolicies);
    }
    let past = packs.into_iter().map(|past| {
        Ok(PastPolicy {
            until: past.until,
            policy: policy(&past.policy)?,
            ladder: ladder(past.policy.ladder)?,
        })
    });
    past.collect()
}

fn ladder(pack: Option<Vec<RungPack>>) -> Result<Ladder, PackError> {
    let Some(pack) = pack else {
        return Ok(Ladder::default());
    };
    let rungs: Result<_, PackError> = pack.into_iter().map(rung).collect();
    Ok(Ladder { rungs: rungs? })
}

fn rung(pack: RungPack) -> Result<Rung, PackError> {
    let wrong = |what: &str, word: &str, known| PackError::Word {
        what: format!("ladder: {what}"),
        word: word.to_owned(),
        known,
    };
    let from = match pack.from.as_str() {
        "community" => Level::Community,
        "street" => Level::Street,
        word => return Err(wrong("from", word, "community, street")),
    };
    let usual = Rung::usual(from);
    let cause = |word: &String| {
        EscalationCause::from_code(word)
            .filter(|cause| usual.causes.contains(cause))
            .ok_or_else(|| match from {
                Level::Community => wrong(
                    "cause",
                    word,
                    "asked, two_failed_verifications, due_passed (of a community)",
                ),
                Level::Street => wrong(
                    "cause",
                    word,
                    "objection_upheld, no_arrival (of the street)",
                ),
            })
    };
    let classes = pack.classes.iter().map(|word| {
        let what = || "ladder: class".to_owned();
        class(word, what)
    });
    Ok(Rung {
        from,
        categories: pack.categories,
        platforms: pack.platforms,
        classes: classes.collect::<Result<_, _>>()?,
        causes: pack.causes.iter().map(cause).collect::<Result<_, _>>()?,
        failed_verifications: pack
            .failed_verifications
            .unwrap_or(usual.failed_verifications),
        hold_ms: i64::from(pack.hold_minutes) * 60_000,
        limit: match pack.limit {
            Some(limit) => limit.parse()?,
            None => usual.limit,
        },
        report_by: pack.report_by.map(|limit| limit.parse()).transpose()?,
    })
}

fn read_person(pack: PersonPack, directory: &Directory) -> Result<Person, PackError> {
    let mut grants = Vec::new();
    for RolePack { role, scope } in pack.roles {
        let role = Role::from_word(&role).ok_or_else(|| PackError::Word {
            what: format!("role of {}", pack.id),
            word: role,
            known: "member, secretary, supervisor, dispatcher, liaison, administrator",
        })?;
        let exists = match role {
            Role::Liaison => directory.organisations.contains_key(&scope),
            // A role outlives its grid until somebody moves its holder.
            _ => directory.has_known_area(&scope),
        };
        if !exists {
            return Err(dangling(format!("a role of {}", pack.id), &scope));
        }
        grants.push(Grant { role, scope });
    }
    let mut posts = Vec::new();
    for HeldPack { post, grid } in pack.posts {
        if !directory.posts.contains_key(&post) {
            return Err(dangling(format!("a post of {}", pack.id), &post));
        }
        if !directory.grids.contains_key(&grid) {
            return Err(dangling(format!("a post of {}", pack.id), &grid));
        }
        posts.push((post, grid));
    }
    Ok(Person {
        id: PersonId(pack.id),
        name: pack.name,
        grants,
        posts,
    })
}

fn dangling(what: String, to: &str) -> PackError {
    PackError::Dangling {
        what,
        to: to.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::place::{Position, PositionSource};

    #[test]
    fn the_sample_street_fits_together() {
        let directory = directory(HUASHAN).expect("reads");
        assert_eq!(directory.communities.len(), 10);
        assert_eq!(directory.grids.len(), 40);
        assert_eq!(directory.codes.all().count(), 84 + 55);
        let here = Position::from_degrees(25.042, 102.7005, Some(10.0), PositionSource::Gps);
        let grid = here
            .ok()
            .and_then(|here| directory.grid_at(&here).map(str::to_owned));
        assert_eq!(grid.as_deref(), Some("530102001001001"));
    }

    #[test]
    fn a_pack_that_refers_to_nothing_is_refused_by_name() {
        let json =
            String::from_utf8_lossy(HUASHAN).replace("\"scope\": \"D01\"", "\"scope\": \"D99\"");
        let refused = directory(json.as_bytes())
            .expect_err("dangling")
            .to_string();
        assert!(
            refused.contains("L-D01") && refused.contains("D99"),
            "{refused}"
        );
    }
}
