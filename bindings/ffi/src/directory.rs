//! Who is who and what is where, as forms and filters ask for it.

use shaodao_core::domain::action::Party;
use shaodao_core::domain::directory::{Directory, Person};
use shaodao_core::domain::place::Position;

use crate::error::PhoneError;
use crate::phone::Phone;
use crate::types::{AreaClass, Level, PositionSource, Role};

/// A point on the earth, WGS-84. Domestic maps are shifted (GCJ-02): convert at
/// the map's edge, never here.
#[derive(Debug, Clone, Copy, PartialEq, uniffi::Record)]
pub struct Place {
    /// Latitude, degrees.
    pub lat: f64,
    /// Longitude, degrees.
    pub lon: f64,
    /// 68 % radius, metres; none if the phone gave none.
    pub accuracy_m: Option<f64>,
    /// Where it comes from.
    pub source: PositionSource,
}

impl Place {
    pub(crate) fn position(self) -> Result<Position, PhoneError> {
        Position::from_degrees(self.lat, self.lon, self.accuracy_m, self.source)
            .map_err(|_| PhoneError::input("place"))
    }

    /// From the text form; none of an empty one.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let position: Position = text.parse().ok()?;
        Some(Self {
            lat: position.lat(),
            lon: position.lon(),
            accuracy_m: position.accuracy_dm.map(|dm| f64::from(dm) / 10.0),
            source: position.source,
        })
    }
}

/// A street, a community or a grid.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Area {
    /// Its code; codes nest by prefix.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Code of the area around it; empty for the street.
    pub within: String,
    /// How quickly things have to go; of communities.
    pub class: Option<AreaClass>,
}

/// A role within a scope.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Grant {
    /// What.
    pub role: Role,
    /// Where: an area code, or an organisation for a liaison.
    pub scope: String,
    /// Its name.
    pub scope_name: String,
}

/// Somebody who works with the system.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Colleague {
    /// Staff number.
    pub person: String,
    /// Name.
    pub name: String,
    /// Roles.
    pub grants: Vec<Grant>,
    /// Posts held, as targets.
    pub posts: Vec<Summonable>,
}

/// Whom a whistle can summon: a person, a post in a grid, an organisation.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Summonable {
    /// Its key, such as `person:P01` or `org:D01`.
    pub key: String,
    /// Its name.
    pub name: String,
}

/// The phone's owner in the directory.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Me {
    /// Staff number.
    pub person: String,
    /// Name.
    pub name: String,
    /// Roles.
    pub grants: Vec<Grant>,
    /// Grids that a role or a post of theirs names.
    pub grids: Vec<Area>,
    /// Targets for which they act.
    pub acts_for: Vec<Summonable>,
    /// Areas for which they blow, by level.
    pub blows_for: Vec<Blows>,
}

/// Somebody blows for an area.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Blows {
    /// On which level.
    pub level: Level,
    /// Code of the area.
    pub area: String,
    /// Its name.
    pub name: String,
}

/// A category of findings.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct CategoryRow {
    /// Code, such as `E0403`.
    pub code: String,
    /// Name.
    pub name: String,
    /// Name of the major class.
    pub major_name: String,
    /// Limit in area class A, such as `4h`, `2d` (working) or `3u` (by the
    /// clock); none where it depends.
    pub limit: Option<String>,
    /// How many photos of the scene a report should have. A hint: a report without
    /// counts.
    pub photos: u64,
}

/// A department, alliance unit, party organisation or social force.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct OrganisationRow {
    /// Its key as a target.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Platform, 1 to 5.
    pub platform: u8,
}

#[uniffi::export]
impl Phone {
    /// The phone's owner: roles, grids, whom they act and blow for.
    pub async fn me(&self) -> Result<Me, PhoneError> {
        self.read(|device, _| {
            let directory = device.directory()?;
            let owner = device.owner();
            let owner = owner.ok_or(shaodao_core::device::DeviceError::NotEnrolled)?;
            let person = directory.person(&owner.person);
            let grants = person.map_or_else(Vec::new, |it| grants(&directory, it));
            let posts = person.iter().flat_map(|person| &person.posts);
            let scopes = grants.iter().map(|grant| grant.scope.as_str());
            let mut codes: Vec<&str> = scopes.chain(posts.map(|(_, grid)| grid.as_str())).collect();
            codes.sort_unstable();
            codes.dedup();
            let grids = codes.iter().filter_map(|code| directory.grids.get(*code));
            let grids = grids
                .map(|it| area(&it.code, &it.name, &it.community))
                .collect();
            let acts_for = device.own_parties()?;
            let acts_for = acts_for.iter().filter_map(|key| Party::parse(key));
            let blows_for = device.blows_for()?.into_iter();
            Ok(Me {
                person: owner.person.0.clone(),
                name: directory.name_of(&owner.person),
                grids,
                acts_for: acts_for.map(|it| party(&directory, &it)).collect(),
                blows_for: blows_for
                    .map(|(level, area)| Blows {
                        level,
                        name: directory.area_name(&area),
                        area,
                    })
                    .collect(),
                grants,
            })
        })
        .await
    }

    /// The street, its communities and grids that are in force, by code.
    pub async fn areas(&self) -> Result<Vec<Area>, PhoneError> {
        self.read(|device, _| {
            let directory = device.directory()?;
            let street = area(&directory.street, &directory.street_name, "");
            let communities = directory.communities.values();
            let communities = communities
                .filter(|it| it.retired.is_none())
                .map(|it| Area {
                    class: Some(it.class),
                    ..area(&it.code, &it.name, &directory.street)
                });
            let grids = directory.grids.values().filter(|it| it.retired.is_none());
            let grids = grids.map(|it| area(&it.code, &it.name, &it.community));
            let mut areas: Vec<_> = std::iter::once(street)
                .chain(communities)
                .chain(grids)
                .collect();
            areas.sort_by(|one, other| one.code.cmp(&other.code));
            Ok(areas)
        })
        .await
    }

    /// The grid in which a place lies; none outside of every grid.
    pub async fn grid_at(&self, place: Place) -> Result<Option<Area>, PhoneError> {
        self.read(move |device, _| {
            let directory = device.directory()?;
            let code = directory.grid_at(&place.position()?);
            let grid = code.and_then(|code| directory.grids.get(code));
            Ok(grid.map(|it| area(&it.code, &it.name, &it.community)))
        })
        .await
    }

    /// People whose name or staff number contains a text; all for an empty one.
    pub async fn people(&self, text: String) -> Result<Vec<Colleague>, PhoneError> {
        self.read(move |device, _| {
            let directory = device.directory()?;
            let people = directory.people.values();
            let people = people.filter(|it| it.name.contains(&text) || it.id.0.contains(&text));
            Ok(people
                .map(|person| Colleague {
                    person: person.id.0.clone(),
                    name: person.name.clone(),
                    grants: grants(&directory, person),
                    posts: posts(&directory, person),
                })
                .collect())
        })
        .await
    }

    /// Organisations whose name contains a text; all for an empty one.
    pub async fn organisations(&self, text: String) -> Result<Vec<OrganisationRow>, PhoneError> {
        self.read(move |device, _| {
            let directory = device.directory()?;
            let organisations = directory.organisations.values();
            Ok(organisations
                .filter(|it| it.name.contains(&text))
                .map(|it| OrganisationRow {
                    key: Party::Organisation(it.id.clone()).key(),
                    name: it.name.clone(),
                    platform: it.platform,
                })
                .collect())
        })
        .await
    }

    /// The posts of a grid, held or not, as targets.
    pub async fn posts_of(&self, grid: String) -> Result<Vec<Summonable>, PhoneError> {
        self.read(move |device, _| {
            let directory = device.directory()?;
            if !directory.grids.contains_key(&grid) {
                return Err(PhoneError::input("grid"));
            }
            let posts = directory.posts.values();
            Ok(posts
                .map(|post| Party::Post {
                    grid: grid.clone(),
                    post: post.code.clone(),
                })
                .map(|it| party(&directory, &it))
                .collect())
        })
        .await
    }

    /// Categories whose name or code contains a text; all for an empty one.
    pub async fn categories(&self, text: String) -> Result<Vec<CategoryRow>, PhoneError> {
        self.read(move |device, _| {
            let directory = device.directory()?;
            let found: Vec<_> = match text.trim() {
                "" => directory.codes.all().collect(),
                text => directory.codes.search(text),
            };
            Ok(found
                .into_iter()
                .map(|it| CategoryRow {
                    code: it.code.to_string(),
                    name: it.name.clone(),
                    major_name: it.major_name.clone(),
                    limit: it.limit.map(|limit| limit.to_string()),
                    photos: it.photos as u64,
                })
                .collect())
        })
        .await
    }
}

fn area(code: &str, name: &str, within: &str) -> Area {
    Area {
        code: code.to_owned(),
        name: name.to_owned(),
        within: within.to_owned(),
        class: None,
    }
}

fn party(directory: &Directory, party: &Party) -> Summonable {
    Summonable {
        key: party.key(),
        name: directory.party_name(party),
    }
}

/// The name of a side of a whistle; the key where the directory has none.
pub(crate) fn side_name(directory: &Directory, key: &str) -> String {
    match Party::parse(key) {
        Some(party) => directory.party_name(&party),
        None => key.to_owned(),
    }
}

fn posts(directory: &Directory, person: &Person) -> Vec<Summonable> {
    let held = person.posts.iter().map(|(post, grid)| Party::Post {
        grid: grid.clone(),
        post: post.clone(),
    });
    held.map(|it| party(directory, &it)).collect()
}

fn grants(directory: &Directory, person: &Person) -> Vec<Grant> {
    let grants = person.grants.iter();
    grants
        .map(|grant| Grant {
            role: grant.role,
            scope: grant.scope.clone(),
            scope_name: match directory.organisations.get(&grant.scope) {
                Some(organisation) => organisation.name.clone(),
                None => directory.area_name(&grant.scope),
            },
        })
        .collect()
}
