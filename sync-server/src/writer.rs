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
type Receiver<T> = oneshot::Receiver<Result<T, WriteFailed>>;
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
        let (sender, answer) = oneshot::channel();
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
        self.answered(answer).await
    }

    /// What became of a job. A thread that dies takes the jobs with it that it had,
    /// but not one that was put into the queue in that very moment: tokio leaves it
    /// there, and nobody would ever answer.
    async fn answered<T>(&self, mut answer: Receiver<T>) -> Result<T, WriteFailed> {
        let answered = tokio::select! {
            answered = &mut answer => answered.ok(),
            // The answer may have come just before.
            () = self.jobs.closed() => answer.try_recv().ok(),
        };
        answered.unwrap_or(Err(WriteFailed::Stopping))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[tokio::test]
    async fn a_job_that_is_put_in_as_the_thread_dies_is_answered() {
        let folder = std::env::temp_dir().join(format!("shaodao-writer-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let pack = shaodao_core::pack::HUASHAN;
        let engine = Engine::open(&folder, Clock::rehearsal(0), pack).expect("opens");
        let (writer, thread) = Writer::start(engine).expect("starts");
        let place = writer.jobs.reserve().await.expect("room");
        let died: Result<(), _> = writer
            .submit(|_| std::panic::resume_unwind(Box::new(())))
            .await;
        assert!(matches!(died, Err(WriteFailed::Stopping)));
        assert!(thread.join().is_err());

        let (sender, answer) = oneshot::channel::<Result<(), WriteFailed>>();
        place.send(Box::new(move |_| {
            Box::new(move |_| {
                let _ = sender.send(Ok(()));
            })
        }));
        tokio::select! {
            biased;
            answered = writer.answered(answer) => {
                assert!(matches!(answered, Err(WriteFailed::Stopping)));
            }
            () = std::future::ready(()) => panic!("waits for an answer that nobody gives"),
        }
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
