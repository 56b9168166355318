//! The plain baseline: findings as JSON rows in SQLite, a batch endpoint and a
//! paged read over HTTP. No signatures, no merging, no rights, no history: what
//! the same network and the same disk cost without them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::evidence;

pub type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// A finding as a plain application would keep it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlainFinding {
    pub id: String,
    pub category: String,
    pub title: String,
    pub description: String,
    pub grid: String,
    pub position: String,
    pub stage: String,
    pub reporter: String,
    pub reported_at_ms: i64,
}

#[derive(Debug, Deserialize)]
struct Page {
    after: i64,
    limit: i64,
}

/// A page of findings and where it ended.
#[derive(Debug, Serialize, Deserialize)]
pub struct PageReply {
    pub rows: Vec<PlainFinding>,
    pub last: i64,
}

/// Opens a database of plain findings.
pub fn open(path: &Path) -> Result<Connection, AnyError> {
    let db = Connection::open(path)?;
    db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.execute_batch(
        "CREATE TABLE IF NOT EXISTS finding (
             seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, stage TEXT NOT NULL,
             reported_at_ms INTEGER NOT NULL, sent INTEGER NOT NULL, json TEXT NOT NULL) STRICT;
         CREATE INDEX IF NOT EXISTS finding_by_stage ON finding (stage, reported_at_ms);",
    )?;
    Ok(db)
}

/// Inserts a finding, committed by whoever holds the transaction.
pub fn insert(db: &Connection, finding: &PlainFinding, sent: bool) -> Result<(), AnyError> {
    db.prepare_cached(
        "INSERT INTO finding (id, stage, reported_at_ms, sent, json) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (id) DO UPDATE SET json = excluded.json",
    )?
    .execute((
        &finding.id,
        &finding.stage,
        finding.reported_at_ms,
        sent,
        serde_json::to_string(finding)?,
    ))?;
    Ok(())
}

/// Serves until killed; says where it listens.
pub async fn serve(path: &Path) -> Result<(), AnyError> {
    let db = Arc::new(Mutex::new(open(path)?));
    let files = evidence::folder(path);
    std::fs::create_dir_all(&files)?;
    let routes = Router::new()
        .route("/batch", post(batch))
        .route("/page", get(page))
        .layer(axum::extract::DefaultBodyLimit::max(64 << 20))
        .with_state(db)
        .merge(evidence::routes(files));
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    Ok(axum::serve(listener, routes).await?)
}

type Db = State<Arc<Mutex<Connection>>>;

async fn batch(State(db): Db, Json(findings): Json<Vec<PlainFinding>>) -> Json<usize> {
    let stored = move || -> Result<usize, AnyError> {
        let mut db = db.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = db.transaction()?;
        for finding in &findings {
            insert(&transaction, finding, true)?;
        }
        transaction.commit()?;
        Ok(findings.len())
    };
    let stored = tokio::task::spawn_blocking(stored).await;
    Json(stored.expect("runs").expect("stores"))
}

async fn page(State(db): Db, Query(page): Query<Page>) -> Json<PageReply> {
    let read = move || -> Result<PageReply, AnyError> {
        let db = db.lock().unwrap_or_else(PoisonError::into_inner);
        let mut statement = db
            .prepare_cached("SELECT seq, json FROM finding WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
        let mut rows = statement.query((page.after, page.limit))?;
        let mut reply = PageReply {
            rows: Vec::new(),
            last: page.after,
        };
        while let Some(row) = rows.next()? {
            reply.last = row.get(0)?;
            reply
                .rows
                .push(serde_json::from_str(&row.get::<_, String>(1)?)?);
        }
        Ok(reply)
    };
    let read = tokio::task::spawn_blocking(read).await;
    Json(read.expect("runs").expect("reads"))
}
