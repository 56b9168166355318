//! The real server of one organisation, in process, and the phones of its
//! people: keys and tokens, no databases.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use axum::Router;
use axum::body::{Body as HttpBody, to_bytes};
use axum::http::Request;
use ed25519_dalek::SigningKey;
use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use tower::ServiceExt;

use shaodao_core::domain::action::{Action, Body, Facts, RecordKind};
use shaodao_core::domain::ids::{BootId, DeviceId, EnvelopeHash, RecordId};
use shaodao_core::domain::time::Claim;
use shaodao_core::envelope::{Envelope, Sealed};
use shaodao_core::sync::wire::{self, PrivateItem, SyncReply, SyncRequest};
use shaodao_server::app::App;
use shaodao_server::audit;
use shaodao_server::clock::Clock;
use shaodao_server::engine::{DATABASE, Engine, EngineError, sha256};
use shaodao_server::http::router;

use super::organisation::{Organisation, STREET, Somebody};
use crate::world::MORNING_MS;

/// Somebody's phone.
pub struct Phone {
    /// Whose.
    pub who: Somebody,
    /// Which.
    pub device: DeviceId,
    /// Its session.
    pub token: String,
    /// Everything that it has signed.
    pub signed: BTreeSet<EnvelopeHash>,
    key: SigningKey,
    boot: BootId,
    dev_seq: u64,
    prev: Option<EnvelopeHash>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Names and values, sorted.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A server with the phones of its people, one each, in the order of
/// [`Organisation::people`].
pub struct Running {
    /// The phones.
    pub phones: Vec<Phone>,
    /// The server's time.
    pub clock: Clock,
    server: Option<(Arc<App>, Router, JoinHandle<()>)>,
    runtime: tokio::runtime::Runtime,
    folder: PathBuf,
    noted: Option<Vec<(usize, EnvelopeHash)>>,
}

impl Running {
    /// Starts it in a folder of its own.
    pub fn start(name: &str, organisation: &Organisation, rng: &mut StdRng) -> Self {
        let folder =
            std::env::temp_dir().join(format!("shaodao-scope-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let clock = Clock::rehearsal(MORNING_MS);
        let pack = organisation.pack();
        let mut engine = Engine::open(&folder, clock.clone(), &pack).expect("opens");
        let people = organisation.people.iter();
        let phones: Vec<Phone> = people.map(|who| phone(who, rng)).collect();
        let enrolled = engine.in_transaction(|engine| {
            let db = engine.connection();
            phones.iter().try_for_each(|phone| enrol(db, phone))
        });
        enrolled.expect("commits").expect("enrols");
        drop(engine);
        let (app, writer) = App::start(&folder, clock.clone(), &pack).expect("starts");
        Self {
            phones,
            clock,
            server: Some((app.clone(), router(app), writer)),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime"),
            folder,
            noted: None,
        }
    }

    /// The server's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The server's write-ahead log.
    pub fn log(&self) -> PathBuf {
        self.folder.join(format!("{DATABASE}-wal"))
    }

    /// From here on it is noted how long the log was when a verdict was heard.
    pub fn begin_noting(&mut self) {
        self.noted = Some(Vec::new());
    }

    /// What was noted: the length of the log, and which envelope was judged.
    pub fn noted(&self) -> &[(usize, EnvelopeHash)] {
        self.noted.as_deref().unwrap_or_default()
    }

    /// Somebody's phone by its place.
    pub fn who(&self, nth: usize) -> Somebody {
        self.phones[nth].who.clone()
    }

    /// The server.
    pub fn app(&self) -> &Arc<App> {
        &self.server.as_ref().expect("it runs").0
    }

    /// What an administrator does.
    pub fn admin<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Engine) -> Result<T, EngineError> + Send + 'static,
    ) -> T {
        let writer = self.app().writer.clone();
        self.runtime.block_on(writer.submit(work)).expect("done")
    }

    /// A request through the server's handlers.
    pub fn ask(&self, request: Request<HttpBody>) -> Answer {
        let router = self.server.as_ref().expect("it runs").1.clone();
        self.runtime.block_on(async move {
            let response = router.oneshot(request).await.expect("infallible");
            let status = response.status().as_u16();
            let headers = response.headers().iter().map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes());
                (name.as_str().to_owned(), value.into_owned())
            });
            let mut headers: Vec<_> = headers.collect();
            headers.sort();
            let body = to_bytes(response.into_body(), usize::MAX).await;
            Answer {
                status,
                headers,
                body: body.expect("a body").to_vec(),
            }
        })
    }

    /// A POST, with or without a session.
    pub fn post(&self, path: &str, token: Option<&str>, body: Vec<u8>) -> Answer {
        let mut request = Request::post(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.ask(request.body(HttpBody::from(body)).expect("a request"))
    }

    /// One exchange of somebody's phone.
    pub fn sync(&self, nth: usize, request: &SyncRequest) -> SyncReply {
        let body = wire::to_bytes(request);
        let answer = self.post("/v1/sync", Some(&self.phones[nth].token), body);
        let said = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, 200, "{said}");
        wire::from_bytes(&answer.body).expect("a reply")
    }

    /// Signs the next action of somebody's phone.
    pub fn sign(
        &mut self,
        nth: usize,
        kind: RecordKind,
        record: RecordId,
        facts: Facts,
        body: Body,
        seen: &[EnvelopeHash],
    ) -> Sealed {
        let now_ms = self.clock.now_ms();
        let phone = &mut self.phones[nth];
        let mut seen = seen.to_vec();
        seen.sort_unstable();
        let envelope = Envelope {
            street: STREET.to_owned(),
            device: phone.device,
            dev_seq: phone.dev_seq + 1,
            prev: phone.prev,
            action: Action {
                kind,
                record,
                person: phone.who.id.as_str().into(),
                facts,
                body,
            },
            seen,
            claim: Claim {
                wall_ms: now_ms,
                boot: phone.boot,
                mono_ms: 1_000,
                anchor: None,
            },
            app: "scope".to_owned(),
        };
        let sealed = envelope.seal(&phone.key).expect("small enough");
        phone.dev_seq += 1;
        phone.prev = Some(sealed.hash);
        phone.signed.insert(sealed.hash);
        sealed
    }

    /// Pushes, and asks for as little else as it can.
    pub fn push(&mut self, nth: usize, pushed: &[&Sealed], private: Vec<PrivateItem>) -> SyncReply {
        let push = pushed.iter().map(|sealed| sealed.bytes.clone().into());
        let request = SyncRequest {
            push: push.collect(),
            cursor: i64::MAX.cast_unsigned(),
            private_cursor: i64::MAX.cast_unsigned(),
            private,
            directory: 1,
            ..SyncRequest::default()
        };
        let reply = self.sync(nth, &request);
        let length = || std::fs::metadata(self.log()).expect("a log").len() as usize;
        if self.noted.is_some() {
            let length = length();
            let judged = pushed.iter().map(|sealed| (length, sealed.hash));
            self.noted
                .iter_mut()
                .for_each(|noted| noted.extend(judged.clone()));
        }
        reply
    }

    /// Everything that the server gives somebody from the start.
    pub fn pull_everything(&self, nth: usize) -> Vec<SyncReply> {
        let mut replies: Vec<SyncReply> = Vec::new();
        loop {
            let before = replies.last();
            let request = SyncRequest {
                cursor: before.map_or(0, |reply| reply.cursor),
                private_cursor: before.map_or(0, |reply| reply.private_cursor),
                budget: 1 << 20,
                ..SyncRequest::default()
            };
            let reply = self.sync(nth, &request);
            let more = reply.more;
            replies.push(reply);
            if !more {
                return replies;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some((app, router, writer)) = self.server.take() {
            drop((app, router));
            // What was put off to the runtime holds the app as well.
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            drop(std::mem::replace(
                &mut self.runtime,
                runtime.expect("a runtime"),
            ));
            let _ = writer.join();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn phone(who: &Somebody, rng: &mut StdRng) -> Phone {
    let mut secret = [0; 32];
    rng.fill_bytes(&mut secret);
    Phone {
        who: who.clone(),
        device: DeviceId::random(rng),
        token: format!("{:032x}", rng.random::<u128>()),
        signed: BTreeSet::new(),
        key: SigningKey::from_bytes(&secret),
        boot: BootId::random(rng),
        dev_seq: 0,
        prev: None,
    }
}

fn enrol(db: &rusqlite::Connection, phone: &Phone) -> Result<(), shaodao_server::db::DbError> {
    db.execute(
        "INSERT INTO device (device, person, key, token_hash, token_expires_ms, app, enrolled_ms,
                             state, backlog)
         VALUES (?1, ?2, ?3, ?4, ?5, 'scope', ?6, 1, 0)",
        rusqlite::params![
            phone.device.0,
            phone.who.id,
            phone.key.verifying_key().to_bytes(),
            sha256(phone.token.as_bytes()),
            i64::MAX,
            MORNING_MS
        ],
    )?;
    audit::device(db, MORNING_MS, "enrol", "scope", phone.device)
}
