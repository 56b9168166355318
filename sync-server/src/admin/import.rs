//! Files of the office into a new pack: from the pack in force and what a file
//! says to the pack that would be the next edition. Nothing is published here.
//!
//! What is not in a file any more is given up, not forgotten: a grid or a
//! community stays with the number of the edition that gave it up, so that its
//! code is never used again and old findings keep its name; a person stays
//! without roles and posts, so that old records keep their name.
//!
//! What can go wrong: a column is missing, a value makes no sense, a code is
//! used twice or was given up before: the error names file and line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value as Json, json};

use shaodao_core::domain::directory::Role;

use super::table::{COMMUNITIES, ORGANISATIONS, PEOPLE, POSTS, Table};
use super::{AnyError, read};

/// Which part of the directory.
#[derive(Debug, Subcommand)]
pub enum Import {
    /// Communities (CSV) and grids (GeoJSON).
    ///
    /// The CSV has the columns code,name,class (A, B or C). The GeoJSON is a
    /// FeatureCollection of polygons with the properties code and name.
    Territory {
        /// Communities; those in force if left out.
        #[arg(long, value_name = "CSV")]
        communities: Option<PathBuf>,
        /// Grids; those in force if left out.
        #[arg(long, value_name = "GEOJSON", required_unless_present = "communities")]
        grids: Option<PathBuf>,
        /// Say what would change, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// People with their roles and posts (CSV).
    ///
    /// Columns id,name,roles,posts; several are separated by `;`. A role is
    /// `secretary:530102001006`, a post `urban:530102001006001`.
    People(File),
    /// Kinds of posts (CSV): columns code,name,standing (yes or no).
    Posts(File),
    /// Departments, units and organisations (CSV): columns id,name,platform.
    Organisations(File),
    /// Holidays and make-up days (CSV): columns date,kind (off or worked).
    Calendar(File),
    /// A whole pack (JSON), as `export directory` prints it.
    Directory(File),
}

/// A file to import.
#[derive(Debug, clap::Args)]
pub struct File {
    /// The file.
    path: PathBuf,
    /// Say what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What a new edition changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Part of the directory.
    pub part: &'static str,
    /// Code or id in it; empty for a part that is one thing.
    pub key: String,
    /// `added`, `changed` or `retired`.
    pub how: &'static str,
}

/// Lists in a pack, and what their entries are known by.
const LISTS: [(&str, &str); 5] = [
    ("communities", "code"),
    ("grids", "code"),
    ("posts", "code"),
    ("organisations", "id"),
    ("people", "id"),
];

impl Import {
    /// Whether nothing is to be changed.
    pub fn dry_run(&self) -> bool {
        match self {
            Self::Territory { dry_run, .. } => *dry_run,
            Self::People(file)
            | Self::Posts(file)
            | Self::Organisations(file)
            | Self::Calendar(file)
            | Self::Directory(file) => file.dry_run,
        }
    }

    /// In words, for the list of editions.
    pub fn what(&self) -> String {
        let name = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        };
        match self {
            Self::Territory {
                communities, grids, ..
            } => {
                let files: Vec<_> = [communities, grids].into_iter().flatten().collect();
                let names: Vec<_> = files.into_iter().map(name).collect();
                format!("territory from {}", names.join(" and "))
            }
            Self::People(file) => format!("people from {}", name(&file.path)),
            Self::Posts(file) => format!("posts from {}", name(&file.path)),
            Self::Organisations(file) => format!("organisations from {}", name(&file.path)),
            Self::Calendar(file) => format!("calendar from {}", name(&file.path)),
            Self::Directory(file) => format!("directory from {}", name(&file.path)),
        }
    }

    /// The pack that would be the next edition after `before`.
    ///
    /// # Errors
    /// What is wrong, with file and line.
    pub fn apply(&self, before: &[u8]) -> Result<Vec<u8>, AnyError> {
        let mut pack: Json = serde_json::from_slice(before)?;
        match self {
            Self::Territory {
                communities, grids, ..
            } => {
                if let Some(path) = communities {
                    import_communities(&mut pack, &Table::read(path, &COMMUNITIES)?)?;
                }
                if let Some(path) = grids {
                    import_grids(&mut pack, path)?;
                }
                no_orphans(&pack)?;
            }
            Self::People(file) => import_people(&mut pack, &Table::read(&file.path, &PEOPLE)?)?,
            Self::Posts(file) => import_posts(&mut pack, &Table::read(&file.path, &POSTS)?)?,
            Self::Organisations(file) => {
                import_organisations(&mut pack, &Table::read(&file.path, &ORGANISATIONS)?)?;
            }
            Self::Calendar(file) => import_calendar(&mut pack, &file.path)?,
            Self::Directory(file) => {
                let text = read(&file.path)?;
                let whole: Json = serde_json::from_str(&text)
                    .map_err(|error| format!("{}: {error}", file.path.display()))?;
                pack = keep_retired(&pack, whole)
                    .map_err(|error| format!("{}: {error}", file.path.display()))?;
            }
        }
        Ok(pack.to_string().into_bytes())
    }
}

/// The pack that brings an older edition back; what was added since is given
/// up.
///
/// # Errors
/// A stored pack does not read.
pub fn revert(before: &[u8], older: &[u8]) -> Result<Vec<u8>, AnyError> {
    let before: Json = serde_json::from_slice(before)?;
    let mut pack: Json = serde_json::from_slice(older)?;
    let next = next_version(&before);
    for (list, key) in &LISTS[..2] {
        let here: BTreeSet<String> = entries(&pack, list).map(|it| text(it, key)).collect();
        for entry in entries(&before, list) {
            if !here.contains(&text(entry, key)) {
                let mut entry = entry.clone();
                retire(&mut entry, next);
                push(&mut pack, list, entry);
            }
        }
    }
    Ok(pack.to_string().into_bytes())
}

/// What is different between two packs.
///
/// # Errors
/// One of them does not read.
pub fn changes(before: &[u8], after: &[u8]) -> Result<Vec<Change>, AnyError> {
    let before: Json = serde_json::from_slice(before)?;
    let after: Json = serde_json::from_slice(after)?;
    let mut changes = Vec::new();
    for (part, key) in LISTS {
        let by_key = |pack| -> BTreeMap<String, &Json> {
            entries(pack, part).map(|it| (text(it, key), it)).collect()
        };
        let (old, new) = (by_key(&before), by_key(&after));
        for (key, entry) in &new {
            let how = match old.get(key) {
                None => "added",
                Some(old) if old == entry => continue,
                Some(_) if entry["retired"].is_null() => "changed",
                Some(_) => "retired",
            };
            let key = key.clone();
            changes.push(Change { part, key, how });
        }
        for key in old.keys().filter(|key| !new.contains_key(*key)) {
            let (key, how) = (key.clone(), "retired");
            changes.push(Change { part, key, how });
        }
    }
    for part in ["street", "calendar", "calendars", "policy", "codes"] {
        if before[part] != after[part] {
            let (key, how) = (String::new(), "changed");
            changes.push(Change { part, key, how });
        }
    }
    Ok(changes)
}

fn import_communities(pack: &mut Json, table: &Table) -> Result<(), AnyError> {
    table.keyed()?;
    let street = text(&pack["street"], "code");
    let mut fresh = Vec::new();
    for (line, cells) in &table.rows {
        let [code, name, class] = &cells[..] else {
            continue;
        };
        if code.len() != 12 || !is_digits(code) || !code.starts_with(&street) {
            let what = format!("{code} is not a community of {street}: twelve digits");
            return Err(table.wrong(*line, &what));
        }
        if !["A", "B", "C"].contains(&class.as_str()) {
            let what = format!("class `{class}` is none of A, B, C");
            return Err(table.wrong(*line, &what));
        }
        let entry = json!({ "code": code, "name": name, "class": class });
        fresh.push((table.place(*line), entry));
    }
    replace(pack, "communities", fresh)
}

fn import_grids(pack: &mut Json, path: &PathBuf) -> Result<(), AnyError> {
    let text_of_file = read(path)?;
    let collection: Json = serde_json::from_str(&text_of_file)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let features = collection["features"]
        .as_array()
        .ok_or_else(|| format!("{}: not a GeoJSON FeatureCollection", path.display()))?;
    let communities: BTreeSet<String> = entries(pack, "communities")
        .filter(|it| it["retired"].is_null())
        .map(|it| text(it, "code"))
        .collect();
    let mut fresh = Vec::new();
    let mut seen = BTreeSet::new();
    for (nth, feature) in features.iter().enumerate() {
        let properties = &feature["properties"];
        let code = match &properties["code"] {
            Json::Number(code) => code.to_string(),
            code => code.as_str().unwrap_or_default().to_owned(),
        };
        let place = format!("{}, feature {} ({code})", path.display(), nth + 1);
        let community = match code.get(..12) {
            Some(community) if matches!(code.len(), 14 | 15) && is_digits(&code) => community,
            _ => return Err(format!("{place}: a grid's code has 14 or 15 digits").into()),
        };
        if !communities.contains(community) {
            return Err(format!("{place}: there is no community {community}").into());
        }
        if !seen.insert(code.clone()) {
            return Err(format!("{place}: this code stands in the file twice").into());
        }
        let ring = outer_ring(&feature["geometry"]).map_err(|what| format!("{place}: {what}"))?;
        let entry = json!({
            "code": code,
            "name": text(properties, "name"),
            "community": community,
            "version": 1,
            "ring": ring,
        });
        fresh.push((place, entry));
    }
    replace(pack, "grids", fresh)
}

/// A grid in force lies in a community in force.
fn no_orphans(pack: &Json) -> Result<(), AnyError> {
    for grid in entries(pack, "grids").filter(|it| it["retired"].is_null()) {
        let community = text(grid, "community");
        if !has(pack, "communities", "code", &community) {
            return Err(format!(
                "community {community} would be given up, but grid {} lies in it; import the \
                 grids as well",
                text(grid, "code")
            )
            .into());
        }
    }
    Ok(())
}

/// The outer ring of a polygon without holes.
fn outer_ring(geometry: &Json) -> Result<Json, &'static str> {
    let polygon = match geometry["type"].as_str() {
        Some("Polygon") => &geometry["coordinates"],
        Some("MultiPolygon") => match geometry["coordinates"].as_array().map(Vec::as_slice) {
            Some([polygon]) => polygon,
            _ => return Err("a grid is one polygon, not several"),
        },
        _ => return Err("its geometry is not a polygon"),
    };
    let ring = match polygon.as_array().map(Vec::as_slice) {
        Some([ring]) => ring,
        Some([_, ..]) => return Err("a grid has no holes"),
        _ => return Err("its polygon has no ring"),
    };
    let points = ring.as_array().ok_or("its ring is not a list of points")?;
    let mut outline = Vec::new();
    for point in points {
        // Heights are of no use here.
        match (point[0].as_f64(), point[1].as_f64()) {
            (Some(lon), Some(lat)) => outline.push(json!([lon, lat])),
            _ => return Err("a point is not longitude and latitude"),
        }
    }
    Ok(outline.into())
}

fn import_people(pack: &mut Json, table: &Table) -> Result<(), AnyError> {
    table.keyed()?;
    let mut people = Vec::new();
    let mut ids = BTreeSet::new();
    for (line, cells) in &table.rows {
        let [id, name, roles, posts] = &cells[..] else {
            continue;
        };
        if id == "server" || id.len() > 40 || name.is_empty() {
            let what = "an id has 1 to 40 characters, a name is not empty";
            return Err(table.wrong(*line, what));
        }
        let mut grants = Vec::new();
        for (role, scope) in pairs(roles).map_err(|what| table.wrong(*line, &what))? {
            let known = Role::ALL
                .into_iter()
                .find(|it| it.word() == role || it.zh() == role);
            let known = known.ok_or_else(|| {
                let words = Role::ALL.map(Role::word).join(", ");
                table.wrong(*line, &format!("role `{role}` is none of {words}"))
            })?;
            let exists = match known {
                Role::Liaison => has(pack, "organisations", "id", &scope),
                _ => {
                    text(&pack["street"], "code") == scope
                        || has(pack, "communities", "code", &scope)
                        || has(pack, "grids", "code", &scope)
                }
            };
            if !exists {
                return Err(table.wrong(*line, &format!("there is no `{scope}` in force")));
            }
            grants.push(json!({ "role": known.word(), "scope": scope }));
        }
        let mut held = Vec::new();
        for (post, grid) in pairs(posts).map_err(|what| table.wrong(*line, &what))? {
            let code = entries(pack, "posts")
                .find(|it| text(it, "code") == post || text(it, "name") == post)
                .map(|it| text(it, "code"));
            let code =
                code.ok_or_else(|| table.wrong(*line, &format!("there is no post `{post}`")))?;
            if !has(pack, "grids", "code", &grid) {
                return Err(table.wrong(*line, &format!("there is no grid `{grid}` in force")));
            }
            held.push(json!({ "post": code, "grid": grid }));
        }
        ids.insert(id.clone());
        people.push(json!({ "id": id, "name": name, "roles": grants, "posts": held }));
    }
    for person in entries(pack, "people") {
        if !ids.contains(&text(person, "id")) {
            let mut left = person.clone();
            left["roles"] = json!([]);
            left["posts"] = json!([]);
            people.push(left);
        }
    }
    pack["people"] = people.into();
    Ok(())
}

fn import_posts(pack: &mut Json, table: &Table) -> Result<(), AnyError> {
    table.keyed()?;
    let mut posts = Vec::new();
    for (line, cells) in &table.rows {
        let [code, name, standing] = &cells[..] else {
            continue;
        };
        let standing = match standing.to_lowercase().as_str() {
            "yes" | "true" | "1" | "是" => true,
            "no" | "false" | "0" | "否" | "" => false,
            other => {
                return Err(
                    table.wrong(*line, &format!("standing `{other}` is neither yes nor no"))
                );
            }
        };
        posts.push(json!({ "code": code, "name": name, "standing": standing }));
    }
    pack["posts"] = posts.into();
    Ok(())
}

fn import_organisations(pack: &mut Json, table: &Table) -> Result<(), AnyError> {
    table.keyed()?;
    let mut organisations = Vec::new();
    for (line, cells) in &table.rows {
        let [id, name, platform] = &cells[..] else {
            continue;
        };
        let platform = platform.parse::<u8>().ok();
        let platform = platform
            .filter(|platform| (1..=5).contains(platform))
            .ok_or_else(|| table.wrong(*line, "a platform is a number from 1 to 5"))?;
        organisations.push(json!({ "id": id, "name": name, "platform": platform }));
    }
    pack["organisations"] = organisations.into();
    Ok(())
}

/// The current calendar with the years of the table as the table has them, as
/// an edition of its own, named after the file.
fn import_calendar(pack: &mut Json, path: &PathBuf) -> Result<(), AnyError> {
    let table = read(path)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let taken: BTreeSet<String> = entries(pack, "calendars")
        .map(|calendar| text(calendar, "version"))
        .collect();
    let name = (1..)
        .map(|nth| match nth {
            1 => stem.to_string(),
            nth => format!("{stem}.{nth}"),
        })
        .find(|name| !taken.contains(name))
        .unwrap_or_default();
    shaodao_core::pack::calendar::import(pack, &name, &table)
        .map_err(|error| format!("{}: {error}", path.display()).into())
}

/// Replaces a list of the territory: versions go on, and what is not there any
/// more is given up.
fn replace(pack: &mut Json, list: &str, fresh: Vec<(String, Json)>) -> Result<(), AnyError> {
    let next = next_version(pack);
    let old: BTreeMap<String, Json> = entries(pack, list)
        .map(|it| (text(it, "code"), it.clone()))
        .collect();
    let mut codes = BTreeSet::new();
    let mut entries = Vec::new();
    for (place, mut entry) in fresh {
        let code = text(&entry, "code");
        if let Some(old) = old.get(&code) {
            if let Some(edition) = old["retired"].as_u64() {
                return Err(format!(
                    "{place}: {code} was given up in edition {edition}; a code is never used again"
                )
                .into());
            }
            if let Some(version) = old["version"].as_u64() {
                let redrawn = u64::from(old["ring"] != entry["ring"]);
                entry["version"] = (version + redrawn).into();
            }
        }
        codes.insert(code);
        entries.push(entry);
    }
    for (code, mut entry) in old {
        if !codes.contains(&code) {
            if entry["retired"].is_null() {
                retire(&mut entry, next);
            }
            entries.push(entry);
        }
    }
    pack[list] = entries.into();
    Ok(())
}

/// A whole pack keeps what was given up before, and gives up what it leaves
/// out.
fn keep_retired(before: &Json, mut pack: Json) -> Result<Json, AnyError> {
    for (list, _) in &LISTS[..2] {
        let fresh: Vec<(String, Json)> = entries(&pack, list)
            .filter(|it| it["retired"].is_null())
            .map(|it| (list.to_string(), it.clone()))
            .collect();
        let mut with_old = before.clone();
        replace(&mut with_old, list, fresh)?;
        pack[*list] = with_old[*list].take();
    }
    Ok(pack)
}

/// `role:scope;role:scope` in parts.
fn pairs(cell: &str) -> Result<Vec<(String, String)>, String> {
    cell.split([';', ';'])
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .map(|pair| match pair.split_once([':', ':']) {
            Some((what, place)) => Ok((what.trim().to_owned(), place.trim().to_owned())),
            None => Err(format!("`{pair}` has no `:` between what and where")),
        })
        .collect()
}

/// Whether a list has an entry in force.
fn has(pack: &Json, list: &str, key: &str, wanted: &str) -> bool {
    entries(pack, list).any(|it| text(it, key) == wanted && it["retired"].is_null())
}

fn entries<'a>(pack: &'a Json, list: &str) -> impl Iterator<Item = &'a Json> {
    pack[list].as_array().into_iter().flatten()
}

fn push(pack: &mut Json, list: &str, entry: Json) {
    if let Some(list) = pack[list].as_array_mut() {
        list.push(entry);
    }
}

fn retire(entry: &mut Json, version: u64) {
    entry["retired"] = version.into();
}

fn next_version(pack: &Json) -> u64 {
    pack["version"].as_u64().unwrap_or(0) + 1
}

fn text(entry: &Json, key: &str) -> String {
    entry[key].as_str().unwrap_or_default().to_owned()
}

fn is_digits(code: &str) -> bool {
    code.bytes().all(|byte| byte.is_ascii_digit())
}
