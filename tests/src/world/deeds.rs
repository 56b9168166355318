//! What people do over and over again in the stories, with as few words as it
//! needs, and what the server has made of it.

use std::path::{Path, PathBuf};

use shaodao_core::device::evidence::Shot;
use shaodao_core::domain::action::{Body, Party, Target};
use shaodao_core::domain::evidence::Shows;
use shaodao_core::domain::ids::{EnvelopeHash, RecordId};

use crate::photos::photo;

use super::World;

/// Somebody comes alone, at no place in particular.
pub fn arrive(party: impl Into<String>) -> Body {
    Body::Arrive {
        party: party.into(),
        heads: 1,
        position: None,
        away: None,
    }
}

/// Somebody says that the rubble is gone.
pub fn feedback(party: impl Into<String>) -> Body {
    Body::Feedback {
        party: party.into(),
        text: "已清理".into(),
    }
}

/// Somebody has looked, and says what they saw.
pub fn verify(party: impl Into<String>, passed: bool) -> Body {
    let text = match passed {
        true => "已到现场查看",
        false => "还在",
    };
    Body::Verify {
        party: party.into(),
        passed,
        text: text.into(),
    }
}

/// A ruling; with a date that differs from the asked one, or with that.
pub fn rule(request: EnvelopeHash, granted: bool, until_ms: Option<i64>) -> Body {
    Body::Rule {
        request,
        granted,
        until_ms,
        text: "已研究".into(),
    }
}

/// One more target, mandatory and in the lead.
pub fn summon(party: &str) -> Body {
    let target = Target {
        party: Party::parse(party).expect("a party"),
        lead: true,
        mandatory: true,
    };
    let targets = vec![target];
    Body::Summon { targets }
}

impl World {
    /// Somebody comes and feeds back, without a word to the server yet.
    pub fn answer(&mut self, person: &str, whistle: RecordId, party: &str) {
        self.on_whistle(person, whistle, arrive(party));
        self.on_whistle(person, whistle, feedback(party));
    }

    /// Somebody takes a photo of what is there and attaches it; where the camera
    /// has left it.
    pub fn photograph(&mut self, person: &str, record: RecordId) -> PathBuf {
        let bytes = photo(&mut self.rng, 320, 240, 1);
        let taken = files_in(self.folder()) + 1;
        let file = self.folder().join(format!("IMG_{taken:04}.jpg"));
        std::fs::write(&file, bytes).expect("writes");
        self.attach_photo(person, record, &file);
        file
    }

    /// Somebody attaches a photo that they have from somewhere.
    pub fn attach_photo(&mut self, person: &str, record: RecordId, file: &Path) {
        let shot = Shot {
            file: file.to_owned(),
            shows: Shows::Scene,
            position: None,
            taken_at_ms: None,
        };
        let attached = self.attach(person, record, &[shot]);
        attached.unwrap_or_else(|error| panic!("{person}: {error}"));
    }

    /// The first request on which nobody has ruled, as somebody sees it.
    pub fn request(&mut self, person: &str, whistle: RecordId) -> EnvelopeHash {
        let state = self.seen_whistle(person, whistle);
        let request = state.open_requests().next().expect("an open request");
        request.asked.hash
    }

    /// How many escalations the server has performed.
    pub fn escalations(&self) -> i64 {
        self.server_count("SELECT COUNT(*) FROM escalation")
    }

    /// How often the server has marked for the district.
    pub fn marks(&self) -> i64 {
        self.server_count("SELECT COUNT(*) FROM mark")
    }
}

fn files_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}
