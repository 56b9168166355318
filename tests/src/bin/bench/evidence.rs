//! Evidence: twenty voice notes from a phone to the server and back, against a
//! plain `PUT` and `GET` of the same files; and what it costs the server in
//! memory.

use std::io::Write;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path as Name, State};
use axum::routing::put;
use futures_util::StreamExt;
use rand::Rng;
use tokio::task::{JoinSet, block_in_place};

use shaodao_core::device::evidence::Shot;
use shaodao_core::domain::evidence::{MAX_PHOTO_BYTES, Piece, Shows};
use shaodao_core::store::pieces::Form;
use shaodao_core::sync::evidence::{Link, Setting};
use shaodao_core::sync::transport::Transport;
use shaodao_tests::process::ServerProcess;

use crate::plain::AnyError;
use crate::{Bench, Figure, Phone, PlainServer, median, moment, timed};

const PIECES: usize = 20;
const BYTES: usize = 5_000_000;
/// As many as a phone has on their way at once.
const AT_ONCE: usize = 3;
const ROUNDS: usize = 3;

/// The plain baseline: a file for each `PUT`, flushed before the answer.
pub fn routes(folder: PathBuf) -> Router {
    Router::new()
        .route("/file/{name}", put(keep).get(give))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(folder)
}

async fn keep(State(folder): State<PathBuf>, Name(name): Name<String>, body: Body) {
    let kept = async move {
        let half = folder.join(format!("{name}.half"));
        let mut file = std::fs::File::create(&half)?;
        let mut body = body.into_data_stream();
        while let Some(bytes) = body.next().await {
            let bytes = bytes?;
            block_in_place(|| file.write_all(&bytes))?;
        }
        block_in_place(|| {
            file.sync_all()?;
            std::fs::rename(&half, folder.join(name))?;
            std::fs::File::open(&folder)?.sync_all()
        })?;
        Ok::<_, AnyError>(())
    };
    kept.await.expect("keeps");
}

async fn give(State(folder): State<PathBuf>, Name(name): Name<String>) -> Vec<u8> {
    block_in_place(|| std::fs::read(folder.join(name))).expect("is there")
}

impl Bench {
    /// Up and down, against plain files; and memory.
    pub(crate) fn evidence(&mut self) -> Result<(), AnyError> {
        let server = self.server("evidence")?;
        let mut li = self.phone(&server, "P01006-01", "530102001006001")?;
        let plain_server = PlainServer::start(&self.data.join("evidence-plain.db"))?;
        let (mut ours, mut theirs, mut down) = (Vec::new(), Vec::new(), Vec::new());
        let megabytes = (PIECES * BYTES) as f64 / 1e6;
        for round in 0..ROUNDS {
            let pieces = self.attach(&mut li, &server, PIECES, BYTES)?;
            let took = timed(|| self.send(&mut li, &server, PIECES))?;
            ours.push(megabytes / took);
            let files: Vec<_> = pieces
                .iter()
                .map(|piece| li.device.sealed_file(piece.sealed, Form::Original))
                .collect();
            let took = timed(|| self.put(&plain_server.address, round, &files))?;
            theirs.push(megabytes / took);
            let took = timed(|| self.get(&li, &server, &pieces))?;
            down.push(megabytes / took);
        }
        let (ours, theirs) = (median(ours), median(theirs));
        self.figures.push(Figure {
            what: "evidence up, 20 × 5 MB, 3 at once",
            ours,
            plain: Some(theirs),
            unit: "MB/s",
            target: 0.5,
            at_least: true,
        });
        println!("evidence down: {:.0} MB/s", median(down));
        self.memory()
    }

    /// What a piece of the largest size costs beyond one of a megabyte.
    fn memory(&mut self) -> Result<(), AnyError> {
        let server = self.server("evidence-memory")?;
        let mut li = self.phone(&server, "P01006-02", "530102001006002")?;
        let mut used = Vec::new();
        for size in [1_000_000, usize::try_from(MAX_PHOTO_BYTES)?] {
            self.attach(&mut li, &server, 6, size)?;
            self.send(&mut li, &server, 6)?;
            used.push(server.resident_bytes()? as f64 / f64::from(1 << 20));
        }
        println!("server memory: {:.1} MiB, then {:.1} MiB", used[0], used[1]);
        let grown = used[1] - used[0];
        self.at_most("server memory, 20 MB pieces over 1 MB", "MiB", grown, 10.0);
        Ok(())
    }

    fn attach(
        &mut self,
        phone: &mut Phone,
        server: &ServerProcess,
        count: usize,
        size: usize,
    ) -> Result<Vec<Piece>, AnyError> {
        let draft = self.draft(&phone.grid, 0);
        let now = self.now();
        let record = phone.device.capture(now, &mut self.rng, draft)?.record;
        let mut shots = Vec::new();
        for nth in 0..count {
            // A document of noise: nothing is unpacked or made smaller.
            let mut bytes = b"%PDF-1.7\n".to_vec();
            bytes.resize(size, 0);
            self.rng.fill_bytes(&mut bytes[9..]);
            let file = self.data.join(format!("taken-{nth}"));
            std::fs::write(&file, bytes)?;
            shots.push(Shot {
                file,
                shows: Shows::File,
                position: None,
                taken_at_ms: None,
            });
        }
        let now = self.now();
        phone.device.attach(now, &mut self.rng, record, &shots)?;
        self.sync(phone, server)?;
        let view = phone.device.show(record)?;
        Ok(view.state.evidence().iter().map(|it| it.piece).collect())
    }

    fn send(
        &self,
        phone: &mut Phone,
        server: &ServerProcess,
        count: usize,
    ) -> Result<(), AnyError> {
        let transport = Transport::new(&server.address())?;
        let now = moment(self.tick);
        let sent =
            transport.send_evidence(&mut phone.device, Setting::Now, Link::Wifi, || now, |_| {});
        let report = self.runtime.block_on(sent)?;
        match report.originals == count {
            true => Ok(()),
            false => Err(format!("{report:?}").into()),
        }
    }

    /// The same bytes to the plain server, as many at once.
    fn put(&self, address: &str, round: usize, files: &[PathBuf]) -> Result<(), AnyError> {
        let client = reqwest::Client::new();
        self.each(files.iter().enumerate().map(|(nth, file)| {
            let request = client.put(format!("{address}/file/{round}-{nth}"));
            let file = file.clone();
            async move {
                let bytes = block_in_place(|| std::fs::read(file))?;
                request.body(bytes).send().await?.error_for_status()?;
                Ok(())
            }
        }))
    }

    fn get(&self, phone: &Phone, server: &ServerProcess, all: &[Piece]) -> Result<(), AnyError> {
        let client = reqwest::Client::new();
        let token: Option<String> = phone.device.store().meta("token")?;
        let token = token.ok_or("no token")?;
        self.each(all.iter().map(|piece| {
            let address = format!("{}/v1/evidence/{}", server.address(), piece.sealed);
            let request = client.get(address).bearer_auth(&token);
            async move {
                let answer = request.send().await?.error_for_status()?;
                match answer.bytes().await?.is_empty() {
                    true => Err("nothing came".into()),
                    false => Ok(()),
                }
            }
        }))
    }

    /// Does all of it, a few at once.
    fn each<F>(&self, all: impl Iterator<Item = F>) -> Result<(), AnyError>
    where
        F: Future<Output = Result<(), AnyError>> + Send + 'static,
    {
        self.runtime.block_on(async {
            let mut going = JoinSet::new();
            for one in all {
                if going.len() == AT_ONCE
                    && let Some(done) = going.join_next().await
                {
                    done??;
                }
                going.spawn(one);
            }
            while let Some(done) = going.join_next().await {
                done??;
            }
            Ok(())
        })
    }
}

/// Where the plain server keeps its files.
pub fn folder(database: &Path) -> PathBuf {
    database.with_extension("files")
}
