//! The plain baseline: findings as JSON rows in SQLite, one endpoint that takes
//! what is new here and returns what is new there, zstd on the wire, a cursor on
//! the phone. No signatures, no merging, no rights, no history: what the same
//! network and the same disk cost without them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use rusqlite::Connection;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::findings::Finding;
use crate::{AnyError, Phone, Shown};

/// Findings in one request and in one reply.
const PAGE: i64 = 1_000;
const LEVEL: i32 = 3;
const LARGEST: usize = 64 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct Request {
    cursor: i64,
    /// At most so many rows in the reply.
    limit: i64,
    rows: Vec<Finding>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Reply {
    cursor: i64,
    rows: Vec<Finding>,
    more: bool,
}

/// A phone of the plain baseline.
pub struct PlainPhone {
    db: Connection,
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
}

fn open(path: &Path) -> Result<Connection, AnyError> {
    let db = Connection::open(path)?;
    db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    db.pragma_update(None, "synchronous", "FULL")?;
    // A changed row moves to the end of `seq`, which is what the cursor follows.
    db.execute_batch(
        "CREATE TABLE IF NOT EXISTS finding (
             seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
             reported_at_ms INTEGER NOT NULL, sent INTEGER NOT NULL, json TEXT NOT NULL) STRICT;
         CREATE INDEX IF NOT EXISTS finding_by_time ON finding (reported_at_ms);
         CREATE INDEX IF NOT EXISTS finding_unsent ON finding (seq) WHERE sent = 0;
         CREATE TABLE IF NOT EXISTS cursor (at INTEGER NOT NULL) STRICT;",
    )?;
    Ok(db)
}

fn put(db: &Connection, finding: &Finding, sent: bool) -> Result<(), AnyError> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO finding (id, reported_at_ms, sent, json) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute((
        &finding.id,
        finding.reported_at_ms,
        sent,
        serde_json::to_string(finding)?,
    ))?;
    Ok(())
}

fn packed(value: &impl Serialize) -> Result<Vec<u8>, AnyError> {
    Ok(zstd::bulk::compress(&serde_json::to_vec(value)?, LEVEL)?)
}

fn unpacked<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, AnyError> {
    Ok(serde_json::from_slice(&zstd::bulk::decompress(
        bytes, LARGEST,
    )?)?)
}

impl PlainPhone {
    fn cursor(&self) -> Result<i64, AnyError> {
        let sql = "SELECT coalesce(max(at), 0) FROM cursor";
        Ok(self.db.query_row(sql, [], |row| row.get(0))?)
    }

    fn unsent(&self) -> Result<(i64, Vec<Finding>), AnyError> {
        let sql = "SELECT seq, json FROM finding WHERE sent = 0 ORDER BY seq LIMIT ?1";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query([PAGE])?;
        let (mut last, mut unsent) = (0, Vec::new());
        while let Some(row) = rows.next()? {
            last = row.get(0)?;
            unsent.push(serde_json::from_str(&row.get::<_, String>(1)?)?);
        }
        Ok((last, unsent))
    }

    fn get(&self, id: &str) -> Result<Finding, AnyError> {
        let sql = "SELECT json FROM finding WHERE id = ?1";
        let json: String = self.db.query_row(sql, [id], |row| row.get(0))?;
        Ok(serde_json::from_str(&json)?)
    }

    /// Exchanges until nothing is left to say; a `limit` of 0 fetches nothing.
    fn exchange(&mut self, server: &str, limit: i64) -> Result<(), AnyError> {
        loop {
            let (last, rows) = self.unsent()?;
            let full = i64::try_from(rows.len())? == PAGE;
            let cursor = self.cursor()?;
            let body = packed(&Request {
                cursor,
                limit,
                rows,
            })?;
            let exchanged = async {
                let request = self.client.post(format!("{server}/sync")).body(body);
                request.send().await?.error_for_status()?.bytes().await
            };
            let reply: Reply = unpacked(&self.runtime.block_on(exchanged)?)?;
            let transaction = self.db.transaction()?;
            transaction.execute(
                "UPDATE finding SET sent = 1 WHERE sent = 0 AND seq <= ?1",
                [last],
            )?;
            for finding in &reply.rows {
                put(&transaction, finding, true)?;
            }
            if reply.cursor != cursor {
                transaction.execute("DELETE FROM cursor", [])?;
                transaction.execute("INSERT INTO cursor VALUES (?1)", [reply.cursor])?;
            }
            transaction.commit()?;
            if !full && (!reply.more || limit == 0) {
                return Ok(());
            }
        }
    }
}

impl Phone for PlainPhone {
    fn open(folder: &Path) -> Result<Self, AnyError> {
        std::fs::create_dir_all(folder)?;
        // HTTP alone is spoken, but the client wants a provider for TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self {
            db: open(&folder.join("plain.db"))?,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
            client: reqwest::Client::new(),
        })
    }

    fn join(&mut self, _: &str, _: Option<&str>) -> Result<Value, AnyError> {
        Ok(json!({}))
    }

    fn capture(&mut self, _: usize, finding: &Finding) -> Result<(), AnyError> {
        put(&self.db, finding, false)
    }

    fn sync(&mut self, server: &str) -> Result<(), AnyError> {
        self.exchange(server, PAGE)
    }

    fn push(&mut self, server: &str) -> Result<(), AnyError> {
        self.exchange(server, 0)
    }

    fn count(&self) -> Result<usize, AnyError> {
        let sql = "SELECT count(*) FROM finding";
        let count: i64 = self.db.query_row(sql, [], |row| row.get(0))?;
        Ok(usize::try_from(count)?)
    }

    fn edit(&mut self, finding: &Finding, field: &str, value: &str) -> Result<(), AnyError> {
        let mut json = serde_json::to_value(self.get(&finding.id)?)?;
        json[field] = value.into();
        put(&self.db, &serde_json::from_value(json)?, false)
    }

    fn show(&self, finding: &Finding, field: &str) -> Result<Shown, AnyError> {
        let json = serde_json::to_value(self.get(&finding.id)?)?;
        let value = json[field].as_str().unwrap_or_default().to_owned();
        Ok(Shown {
            kept: vec![value.clone()],
            value,
            told: false,
        })
    }

    fn newest(&self, limit: usize) -> Result<Vec<String>, AnyError> {
        let sql = "SELECT json FROM finding ORDER BY reported_at_ms DESC LIMIT ?1";
        let mut statement = self.db.prepare(sql)?;
        let rows = statement.query_map([i64::try_from(limit)?], |row| row.get::<_, String>(0))?;
        rows.map(|row| Ok(serde_json::from_str::<Finding>(&row?)?.title))
            .collect()
    }
}

/// Serves until killed; says where it listens.
pub async fn serve(database: &Path) -> Result<(), AnyError> {
    let db = Arc::new(Mutex::new(open(database)?));
    let routes = Router::new()
        .route("/sync", post(exchange))
        .layer(axum::extract::DefaultBodyLimit::max(LARGEST))
        .with_state(db);
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    Ok(axum::serve(listener, routes).await?)
}

async fn exchange(State(db): State<Arc<Mutex<Connection>>>, body: Bytes) -> Vec<u8> {
    let answered = move || {
        let mut db = db.lock().unwrap_or_else(PoisonError::into_inner);
        packed(&answer(&mut db, &unpacked(&body)?)?)
    };
    let answered = tokio::task::spawn_blocking(answered).await;
    answered.expect("runs").expect("stores and reads")
}

fn answer(db: &mut Connection, request: &Request) -> Result<Reply, AnyError> {
    let transaction = db.transaction()?;
    let newest = "SELECT coalesce(max(seq), 0) FROM finding";
    let before: i64 = transaction.query_row(newest, [], |row| row.get(0))?;
    // What it sends moves behind `before`, and so need not come back.
    for finding in &request.rows {
        put(&transaction, finding, true)?;
    }
    let limit = request.limit.min(PAGE);
    let mut reply = Reply {
        cursor: request.cursor,
        rows: Vec::new(),
        more: false,
    };
    {
        let sql =
            "SELECT seq, json FROM finding WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3";
        let mut statement = transaction.prepare_cached(sql)?;
        let mut rows = statement.query((request.cursor, before, limit))?;
        while let Some(row) = rows.next()? {
            reply.cursor = row.get(0)?;
            let json: String = row.get(1)?;
            reply.rows.push(serde_json::from_str(&json)?);
        }
    }
    reply.more = i64::try_from(reply.rows.len())? == limit;
    if !reply.more {
        reply.cursor = transaction.query_row(newest, [], |row| row.get(0))?;
    }
    transaction.commit()?;
    Ok(reply)
}
