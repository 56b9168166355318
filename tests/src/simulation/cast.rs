//! Who has a phone.

/// What somebody is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Heads a grid: finds, reports, is summoned.
    Head,
    /// Holds a post in every grid of the community: is summoned.
    Post,
    /// Accepts, whistles, concludes.
    Secretary,
    /// Takes over what goes up.
    Dispatcher,
    /// Has a grid, and a reason to cheat.
    Crook,
    /// Sits at the station: always has a signal, reviews and verifies.
    Station,
    /// Speaks for a department.
    Liaison,
    /// Heads a grid of another community, and has no business here.
    Outsider,
}

/// Somebody with a phone.
#[derive(Debug, Clone, Copy)]
pub struct Person {
    /// Staff number; also what their phone is called.
    pub id: &'static str,
    /// What they are there for.
    pub role: Role,
    /// The grid in which they report.
    pub grid: &'static str,
}

/// Everybody.
pub const EVERYBODY: [Person; 8] = [
    person("P01006-01", Role::Head, "530102001006001"),
    person("P01006-06", Role::Post, "530102001006001"),
    person("P01006-00", Role::Secretary, "530102001006001"),
    person("S-01", Role::Dispatcher, "530102001006002"),
    person("P01006-02", Role::Crook, "530102001006002"),
    person("P01006-05", Role::Station, "530102001006001"),
    person("L-D01", Role::Liaison, "530102001006001"),
    person("P01001-01", Role::Outsider, "530102001001001"),
];

/// The malicious phone's place in [`EVERYBODY`].
pub const CROOK: usize = 4;

/// The community in which everything happens.
pub const COMMUNITY: &str = "530102001006";
/// The street.
pub const STREET: &str = "530102001";

/// Whom a community's whistle may summon.
pub const PARTIES: [&str; 4] = [
    "post:530102001006001/urban",
    "person:P01006-01",
    "person:P01006-02",
    "post:530102001006001/head",
];

/// Whom a street's whistle may summon.
pub const DEPARTMENTS: [&str; 2] = ["org:D01", "post:530102001006001/urban"];

/// Whose phone speaks for a party.
pub fn speaker(party: &str) -> Option<&'static str> {
    Some(match party {
        "post:530102001006001/urban" => "P01006-06",
        "person:P01006-01" | "post:530102001006001/head" => "P01006-01",
        "person:P01006-02" => "P01006-02",
        "org:D01" => "L-D01",
        _ => return None,
    })
}

const fn person(id: &'static str, role: Role, grid: &'static str) -> Person {
    Person { id, role, grid }
}
