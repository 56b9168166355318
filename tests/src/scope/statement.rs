//! Who may read what, written from the design (section 4: "Who may do what",
//! "Personal data reaches only the phones that need it"; section 9: "the lower
//! level keeps reading") and from nothing in the server. Told of everything that
//! counted, in order; whoever was once let in stays.
//!
//! - A finding is read by whoever works in its grid, its community or for the
//!   whole street, by who reported it, and by those whom a whistle summons to it,
//!   if whoever blew has a say over the place.
//! - A whistle is read by whoever works in the community or street that blew it,
//!   by the blower, by those whom it summons, by whoever works where one of its
//!   findings lies, and, if it takes over from another one, by that one's
//!   readers.
//! - Personal data beside a finding is read by who reported it and who confided
//!   it, by the secretary and the supervisors over the place, by those who are
//!   summoned to it, and by the dispatcher where the street has blown or nobody
//!   else is over the place.
//! - An administrator reads nothing.

use std::collections::{BTreeMap, BTreeSet};

use shaodao_core::domain::ids::{PrivateId, RecordId};

use super::organisation::{STREET, Somebody};

/// A finding, as far as reading it is concerned.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Who reported it.
    pub reporter: String,
    /// Where it lies: a grid, a community or the street.
    pub place: String,
}

/// A whistle, likewise.
#[derive(Debug, Clone)]
pub struct Whistle {
    /// Who blew; nobody for one that the server opened.
    pub blower: Option<String>,
    /// The community or the street that blew.
    pub area: String,
    /// Whom it summons, as they are written.
    pub targets: BTreeSet<String>,
    /// What it is about.
    pub findings: Vec<RecordId>,
    /// The whistle that it takes over from.
    pub from: Option<RecordId>,
}

/// Personal data.
#[derive(Debug, Clone)]
pub struct Private {
    /// The finding.
    pub beside: RecordId,
    /// Who confided it.
    pub confider: String,
}

/// One way to be let in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Reader {
    /// Whoever works in exactly this grid or community, or for the street.
    WorksIn(String),
    /// Whoever has this role over exactly this place.
    Is(&'static str, String),
    /// Whoever is, or acts for, who is written so.
    Party(String),
}

/// Everything that counted.
#[derive(Debug, Clone, Default)]
pub struct Statement {
    /// Findings.
    pub findings: BTreeMap<RecordId, Finding>,
    /// Whistles.
    pub whistles: BTreeMap<RecordId, Whistle>,
    /// Personal data.
    pub private: BTreeMap<PrivateId, Private>,
    readers: BTreeMap<RecordId, BTreeSet<Reader>>,
    private_readers: BTreeMap<PrivateId, BTreeSet<Reader>>,
}

impl Statement {
    /// Something has changed: whoever is let in by it is let in for good.
    pub fn changed(&mut self) {
        loop {
            let before = self.readers.clone();
            for (id, finding) in &self.findings {
                let mut readers = who_works_at(&finding.place);
                readers.insert(Reader::Party(format!("person:{}", finding.reporter)));
                for whistle in self.whistles_over(id, finding) {
                    readers.extend(whistle.targets.iter().cloned().map(Reader::Party));
                }
                self.readers.entry(*id).or_default().extend(readers);
            }
            for (id, whistle) in &self.whistles {
                let mut readers = who_works_at(&whistle.area);
                readers.extend(whistle.targets.iter().cloned().map(Reader::Party));
                let blower = whistle.blower.iter();
                readers.extend(blower.map(|it| Reader::Party(format!("person:{it}"))));
                for finding in whistle
                    .findings
                    .iter()
                    .filter_map(|it| self.findings.get(it))
                {
                    if has_a_say(&whistle.area, &finding.place) {
                        readers.extend(who_works_at(&finding.place));
                    }
                }
                let below = whistle.from.and_then(|from| before.get(&from));
                readers.extend(below.into_iter().flatten().cloned());
                self.readers.entry(*id).or_default().extend(readers);
            }
            if before == self.readers {
                break;
            }
        }
        for (id, private) in &self.private {
            let Some(finding) = self.findings.get(&private.beside) else {
                continue;
            };
            let mut readers = BTreeSet::from([
                Reader::Party(format!("person:{}", finding.reporter)),
                Reader::Party(format!("person:{}", private.confider)),
                Reader::Is("supervisor", STREET.to_owned()),
            ]);
            match finding.place.get(..12) {
                Some(community) => {
                    readers.insert(Reader::Is("secretary", community.to_owned()));
                    readers.insert(Reader::Is("supervisor", community.to_owned()));
                }
                None => {
                    readers.insert(Reader::Is("dispatcher", STREET.to_owned()));
                }
            }
            for whistle in self.whistles_over(&private.beside, finding) {
                readers.extend(whistle.targets.iter().cloned().map(Reader::Party));
                if whistle.area == STREET {
                    readers.insert(Reader::Is("dispatcher", STREET.to_owned()));
                }
            }
            self.private_readers.entry(*id).or_default().extend(readers);
        }
    }

    /// Whether somebody may read a record.
    pub fn may_read(&self, who: &Somebody, record: &RecordId) -> bool {
        let readers = self.readers.get(record);
        readers.is_some_and(|readers| readers.iter().any(|it| it.is(who)))
    }

    /// Whether somebody may read a piece of personal data.
    pub fn may_read_private(&self, who: &Somebody, item: &PrivateId) -> bool {
        let readers = self.private_readers.get(item);
        readers.is_some_and(|readers| readers.iter().any(|it| it.is(who)))
    }

    /// Every record that somebody may read.
    pub fn readable(&self, who: &Somebody) -> BTreeSet<RecordId> {
        let all = self.findings.keys().chain(self.whistles.keys());
        all.filter(|record| self.may_read(who, record))
            .copied()
            .collect()
    }

    fn whistles_over<'a>(
        &'a self,
        id: &'a RecordId,
        finding: &'a Finding,
    ) -> impl Iterator<Item = &'a Whistle> {
        self.whistles.values().filter(move |whistle| {
            whistle.findings.contains(id) && has_a_say(&whistle.area, &finding.place)
        })
    }
}

impl Reader {
    fn is(&self, who: &Somebody) -> bool {
        const WORK: [&str; 4] = ["member", "secretary", "supervisor", "dispatcher"];
        let role = |role: &str, place: &str| {
            let mut roles = who.roles.iter();
            roles.any(|(held, over)| *held == role && over == place)
        };
        match self {
            Self::WorksIn(place) => WORK.iter().any(|it| role(it, place)),
            Self::Is(it, place) => role(it, place),
            Self::Party(party) => match party.split_once(':') {
                Some(("person", id)) => who.id == id,
                Some(("org", id)) => role("liaison", id),
                Some(("post", place)) => {
                    let mut posts = who.posts.iter();
                    posts.any(|(post, grid)| format!("{grid}/{post}") == place)
                }
                _ => false,
            },
        }
    }
}

fn who_works_at(place: &str) -> BTreeSet<Reader> {
    // A street has 9 digits, a community 12, a grid 15.
    [9, 12, 15]
        .into_iter()
        .filter_map(|digits| place.get(..digits))
        .map(|code| Reader::WorksIn(code.to_owned()))
        .collect()
}

fn has_a_say(area: &str, place: &str) -> bool {
    place.get(..area.len()) == Some(area)
}
