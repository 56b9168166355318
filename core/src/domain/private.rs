//! Personal data beside a finding (隐私信息): residents' names, telephone
//! numbers, addresses and private notes. None of it is in a document.
//!
//! 1. Somebody *confides* it: the text is encrypted under a key of its own
//!    ([`crate::seal`]), and the action that everybody sees carries its kind and
//!    the hash of the ciphertext, nothing else.
//! 2. Ciphertext and key travel beside the envelopes, to those who need them:
//!    [`reader_keys`].
//! 3. Somebody *erases* it: an action like any other. Whoever learns of it, the
//!    server and every phone, destroys the key and the ciphertext. What stays
//!    is that there was something, and who erased it and why.
//!
//! What can go wrong: (2) the ciphertext has not arrived yet, or is not meant
//! for this phone: the record says that there is something, and shows nothing;
//! (3) a copy that was made before, such as an older backup of the server, still
//! has the key: whoever erases has to destroy those too.

use std::collections::{BTreeMap, BTreeSet};

use super::action::{Level, Party};
use super::directory::{Directory, Role};
use super::finding::FindingState;
use super::ids::{PersonId, PrivateId};
use super::whistle::WhistleState;

/// Longest text that can be confided, characters.
pub const MAX_PRIVATE: usize = 1_000;

/// What kind of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PrivateKind {
    /// 姓名: a resident's name.
    Name,
    /// 电话: a telephone number.
    Phone,
    /// 住址: where somebody lives.
    Home,
    /// 私密备注: a note that is not for everybody.
    Note,
}

impl PrivateKind {
    /// Every kind.
    pub const ALL: [PrivateKind; 4] = [Self::Name, Self::Phone, Self::Home, Self::Note];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Phone => "phone",
            Self::Home => "home",
            Self::Note => "note",
        }
    }

    /// In Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Name => "姓名",
            Self::Phone => "电话",
            Self::Home => "住址",
            Self::Note => "私密备注",
        }
    }

    /// The kind with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// Something confided, as everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confided {
    /// What kind.
    pub kind: PrivateKind,
    /// Who confided it.
    pub by: PersonId,
    /// Who erased it and why; `None` while it stands.
    pub erased: Option<(PersonId, String)>,
}

/// What was confided to a finding, by id.
pub type Confidences = BTreeMap<PrivateId, Confided>;

/// The reader keys of those who need all personal data of a finding: its
/// reporter; the secretary and the supervisors over it; everybody whom a whistle
/// summons for it; and the dispatcher once the street has taken over. A grid
/// member who only works nearby is not among them, nor is one who confided
/// something: they read what they confided, or confiding anything would open
/// everything.
pub fn reader_keys<'a>(
    directory: &Directory,
    finding: &FindingState,
    whistles: impl IntoIterator<Item = &'a WhistleState>,
) -> BTreeSet<String> {
    let mut keys: BTreeSet<String> = finding
        .reporter
        .iter()
        .map(|person| Party::Person(person.clone()).key())
        .collect();
    let area = finding.area();
    keys.insert(reader_key(Role::Supervisor, &directory.street));
    match directory.community_of(area) {
        Some(community) => {
            keys.insert(reader_key(Role::Secretary, community));
            keys.insert(reader_key(Role::Supervisor, community));
        }
        None => {
            keys.insert(reader_key(Role::Dispatcher, &directory.street));
        }
    }
    for whistle in whistles {
        keys.extend(whistle.targets.keys().cloned());
        if whistle.level() == Some(Level::Street) {
            keys.insert(reader_key(Role::Dispatcher, &directory.street));
        }
    }
    keys
}

/// The reader keys of a person.
pub fn keys_of(directory: &Directory, id: &PersonId) -> BTreeSet<String> {
    let mut keys = BTreeSet::from([Party::Person(id.clone()).key()]);
    let Some(person) = directory.person(id) else {
        return keys;
    };
    keys.extend(person.grants.iter().filter_map(|grant| match grant.role {
        Role::Secretary | Role::Supervisor | Role::Dispatcher => {
            Some(reader_key(grant.role, &grant.scope))
        }
        Role::Liaison => Some(Party::Organisation(grant.scope.clone()).key()),
        Role::Member | Role::Administrator => None,
    }));
    keys.extend(person.posts.iter().map(|(post, grid)| {
        let (post, grid) = (post.clone(), grid.clone());
        Party::Post { grid, post }.key()
    }));
    keys
}

fn reader_key(role: Role, scope: &str) -> String {
    format!("{}:{scope}", role.word())
}
