//! Phones: out of the box, somebody's, copied; and the administrator who hands
//! out tickets and confirms them.

use std::path::PathBuf;

use serde_json::Value as Json;

use shaodao_core::device::Device;
use shaodao_core::domain::ids::{BootId, PersonId};
use shaodao_core::sync::wire::{self, EnrolOffer, SessionReply, SyncRequest};
use shaodao_server::clock::Clock;
use shaodao_server::engine::{Engine, EngineError};
use shaodao_server::enrol::Opened;

use super::{Phone, World};
use crate::home::{copied, home, unbacked};

impl World {
    /// Gives somebody a phone, by staff number, and enrols it.
    pub fn phone(&mut self, person: &str) {
        self.another_phone(person, person);
    }

    /// Gives somebody one more phone, which the stories call `name`.
    pub fn another_phone(&mut self, name: &str, person: &str) {
        let phone = self.new_phone(name);
        self.phones.insert(name.to_owned(), phone);
        self.enrol(name, person);
    }

    /// Gives somebody the phone whose files are in `folder` and enrols it; the
    /// one they had is gone.
    pub fn phone_in(&mut self, person: &str, folder: PathBuf) {
        self.phones.remove(person);
        let phone = self.new_phone_in(folder);
        self.phones.insert(person.to_owned(), phone);
        self.enrol(person, person);
    }

    /// Enrols a phone for somebody: a ticket, its check code confirmed, a
    /// session.
    pub fn enrol(&mut self, name: &str, person: &str) {
        let mut phone = self.phones.remove(name).expect("a phone");
        let typed = self.ticket(person).typed.to_string();
        let code = self
            .hand_in(&mut phone.device, &typed)
            .expect("a good ticket");
        self.admin(move |engine| engine.confirm(&code, "Wen"))
            .expect("confirmed");
        self.open_session(&mut phone);
        self.phones.insert(name.to_owned(), phone);
    }

    /// A phone out of the box, nobody's yet.
    pub fn new_phone(&mut self, name: &str) -> Phone {
        self.new_phone_in(self.folder.join(name))
    }

    fn new_phone_in(&mut self, folder: PathBuf) -> Phone {
        let device =
            Device::open(&home(&folder, self.now_ms), &mut self.rng).expect("the phone opens");
        Phone {
            device,
            offline: false,
            clock_error_ms: 0,
            folder,
            boot: BootId::random(&mut self.rng),
            booted_at_ms: self.now_ms - 1_000,
        }
    }

    /// Somebody copies a phone, bit for bit, with what backups leave out; the
    /// stories call the copy `name`.
    pub fn copy_phone(&mut self, name: &str, of: &str) {
        let folder = self.folder.join(name);
        let original = self.of(of).folder.clone();
        copied(&original, &folder);
        copied(&unbacked(&original), &unbacked(&folder));
        let copy = self.new_phone(name);
        self.phones.insert(name.to_owned(), copy);
    }

    /// Sends some of what waits on a phone, past its own order; the network
    /// loses the reply.
    pub fn push_only(&mut self, person: &str, which: &[usize]) {
        self.settled = false;
        let device = &self.of(person).device;
        let token = device.prepare_sync().expect("enrolled").token;
        let outbox = device.store().outbox(usize::MAX).expect("an outbox");
        let push = which.iter().map(|at| outbox[*at].bytes.clone().into());
        let request = SyncRequest {
            push: push.collect(),
            ..SyncRequest::default()
        };
        let (status, _) = self.post("/v1/sync", Some(&token), wire::to_bytes(&request));
        assert_eq!(status, 200);
    }

    /// An administrator opens a ticket for somebody.
    pub fn ticket(&mut self, person: &str) -> Opened {
        let id = PersonId::from(person);
        self.admin(move |engine| engine.open_ticket(&id, "Wen"))
            .expect("a ticket")
    }

    /// A phone hands a ticket in and reveals its nonce: the check code that it
    /// shows, or the server's refusal.
    pub fn hand_in(&mut self, device: &mut Device, ticket: &str) -> Result<String, String> {
        let request = device.enrol_request(&mut self.rng, ticket);
        let request = wire::to_bytes(&request.map_err(|error| error.to_string())?);
        let (status, reply) = self.post("/v1/enrol", None, request);
        if status != 200 {
            return Err(String::from_utf8_lossy(&reply).into_owned());
        }
        let offer: EnrolOffer = wire::from_bytes(&reply).expect("an offer");
        let pending = device.accept_offer("http://world", None, &offer);
        let pending = pending.expect("an offer");
        let reveal = wire::to_bytes(&pending.reveal);
        let (status, reply) = self.post("/v1/enrol/reveal", None, reveal);
        match status {
            200 => Ok(pending.check_code),
            _ => Err(String::from_utf8_lossy(&reply).into_owned()),
        }
    }

    /// A confirmed phone opens its session.
    pub(super) fn open_session(&mut self, phone: &mut Phone) {
        let mut challenge = Vec::new();
        loop {
            let ask = phone.device.session_request(&challenge).expect("a request");
            let (status, reply) = self.post("/v1/session", None, wire::to_bytes(&ask));
            if status >= 500 && self.is_doomed() {
                self.bury_server();
                challenge = Vec::new();
                continue;
            }
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&reply));
            let reply: SessionReply = wire::from_bytes(&reply).expect("a session");
            let now = phone.now(self.now_ms);
            match reply.session {
                Some(session) => {
                    let taken = phone.device.accept_enrolment("http://world", now, &session);
                    return taken.expect("enrolled");
                }
                None => challenge = reply.challenge,
            }
        }
    }

    /// An administrator does something, in a process of their own beside the
    /// running server.
    pub fn admin<T>(
        &mut self,
        work: impl FnOnce(&mut Engine) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let clock = Clock::rehearsal(self.now_ms);
        let mut engine = self.open_engine(clock).expect("the same database");
        engine.alone(work)
    }

    /// An administrator makes another edition of the directory; its number.
    pub fn edit_directory(
        &mut self,
        why: &str,
        change: impl FnOnce(&mut Json),
    ) -> Result<u64, EngineError> {
        self.admin(|engine| {
            let mut pack: Json = serde_json::from_slice(&engine.pack()?).expect("a pack");
            change(&mut pack);
            engine.publish_edition(pack.to_string().as_bytes(), "Wen", why)
        })
    }

    /// An administrator changes somebody's entry in the directory; the number of
    /// the edition.
    pub fn change_person(&mut self, person: &str, change: impl FnOnce(&mut Json)) -> u64 {
        let edited = self.edit_directory("somebody moves", |pack| {
            let people = pack["people"].as_array_mut().expect("people");
            let entry = people.iter_mut().find(|entry| entry["id"] == person);
            change(entry.expect("this person"));
        });
        edited.expect("an edition")
    }
}
