//! Whether every piece that has arrived is where it was put, and still is what
//! was signed; part of `shaodao-server verify --evidence`.

use std::path::Path;

use tokio::runtime::{Builder, Handle};

use super::catalogue;
use super::check::{Source, check};
use super::objects::{Name, Objects, ObjectsError, blocking};
use super::settings::Settings;
use crate::db;
use crate::engine::{DATABASE, EngineError};
use crate::verify::Report;

/// The evidence cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// Where it should be cannot be read.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    /// The database cannot be read.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A piece cannot be read.
    #[error("evidence {sealed}: {error}")]
    Piece {
        /// Which.
        sealed: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// The system gives no threads.
    #[error("no threads from the system: {0}")]
    Threads(#[from] std::io::Error),
}

/// Reads every piece, and adds to the report what does not fit.
///
/// # Errors
/// See [`InspectError`].
pub fn inspect(settings: &Settings, data: &Path, report: &mut Report) -> Result<(), InspectError> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let objects = Objects::open(settings, data)?;
    let db = db::connect(&data.join(DATABASE)).map_err(EngineError::from)?;
    let arrived = catalogue::all_arrived(&db).map_err(EngineError::from)?;
    report.evidence = Some(arrived.len() as u64);
    for known in arrived {
        let name = Name::Piece(known.sealed);
        let size = runtime.block_on(objects.size(&name))?;
        let problem = match size {
            None => Some("it is not where it was put"),
            Some(size) if size != known.sealed_size() => Some("it has another size"),
            Some(_) if known.key.is_none() => Some("its key is gone"),
            Some(_) => {
                let (objects, sealed) = (objects.clone(), known.sealed);
                let rows = [known.clone()];
                let checked = runtime.block_on(blocking(move || {
                    check(&sealed, &rows, || {
                        let read = Handle::current().block_on(objects.read(&name, None));
                        let read = read.map_err(std::io::Error::other)?;
                        let read = read.ok_or(std::io::ErrorKind::NotFound)?;
                        Ok(Source::Object(read))
                    })
                }));
                let checked = checked.map_err(|error| InspectError::Piece {
                    sealed: known.sealed.to_string(),
                    error,
                })?;
                match (checked.named_right, checked.right.is_empty()) {
                    (false, _) => Some("its bytes are not those that were signed"),
                    (true, true) => Some("its key does not open it to what was signed"),
                    (true, false) => None,
                }
            }
        };
        if let Some(problem) = problem {
            report.add("evidence", known.sealed, problem);
        }
    }
    Ok(())
}
