//! The thread that owns the one writer, and group commit: requests that arrive
//! while a transaction is being flushed share the next one, so that fifty
//! phones cost one flush and not fifty. Nobody hears a result before the commit
//! that it depends on.

use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use crate::engine::{Engine, EngineError};

/// Most jobs in one transaction.
const GROUP: usize = 64;

type Answer = Box<dyn FnOnce(bool) + Send>;
type Job = Box<dyn FnOnce(&mut Engine) -> Answer + Send>;

/// A handle to the writer.
#[derive(Clone)]
pub struct Writer {
    jobs: mpsc::Sender<Job>,
}

/// The job was not done: the commit failed, or the server is going down.
#[derive(Debug, thiserror::Error)]
pub enum WriteFailed {
    /// The job itself failed; nothing of it was done.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The transaction could not be committed; nothing of it was done.
    #[error("the transaction could not be committed")]
    NotCommitted,
    /// The server is going down.
    #[error("the server is going down")]
    Stopping,
}

impl Writer {
    /// Starts the thread. It ends when the last handle is dropped.
    ///
    /// # Errors
    /// The system gave no thread.
    pub fn start(engine: Engine) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (jobs, queue) = mpsc::channel(1_024);
        let thread = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || run(engine, queue))?;
        Ok((Self { jobs }, thread))
    }

    /// Does a job, wholly or not at all, and returns once it is on the disk.
    ///
    /// # Errors
    /// See [`WriteFailed`].
    pub async fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Engine) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, WriteFailed> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |engine| {
            let result = engine.in_savepoint(work);
            Box::new(move |committed| {
                let result = match committed {
                    true => result.map_err(WriteFailed::from),
                    false => Err(WriteFailed::NotCommitted),
                };
                // Whoever asked may have gone: then nobody needs to hear.
                let _ = sender.send(result);
            })
        });
        self.jobs
            .send(job)
            .await
            .map_err(|_| WriteFailed::Stopping)?;
        receiver.await.map_err(|_| WriteFailed::Stopping)?
    }
}

fn run(mut engine: Engine, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.blocking_recv() {
        let mut answers = Vec::new();
        let result = engine.in_transaction(|engine| {
            answers.push(first(engine));
            while answers.len() < GROUP {
                match queue.try_recv() {
                    Ok(job) => answers.push(job(engine)),
                    Err(_) => break,
                }
            }
        });
        if let Err(error) = &result {
            tracing::error!(%error, "a transaction could not be committed");
        }
        for answer in answers {
            answer(result.is_ok());
        }
    }
}
