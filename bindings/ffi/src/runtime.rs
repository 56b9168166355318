//! The library's own threads. A future is polled on the thread of whoever awaits
//! it, in an app the thread of the screen; so every call is carried out here.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::error::PhoneError;

/// Enough for one that works on the disk and one that waits for the network.
const WORKERS: usize = 2;
/// For listeners: an app may call the phone from one, and waits there.
const LISTENERS: usize = 4;

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

fn runtime() -> Result<&'static Runtime, PhoneError> {
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let made = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(LISTENERS)
        // A thread that is known to a virtual machine is not made anew.
        .thread_keep_alive(Duration::from_secs(3_600))
        .thread_name("shaodao")
        .enable_all()
        .build()
        .map_err(PhoneError::internal)?;
    // Two first calls at once: one runtime stays, the other ends unused.
    Ok(RUNTIME.get_or_init(|| made))
}

/// Begins something that goes on by itself.
pub(crate) fn begin<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<JoinHandle<T>, PhoneError> {
    Ok(runtime()?.spawn(work))
}

/// Does something on the library's threads. A panic there is an error here.
pub(crate) async fn carry_out<T: Send + 'static>(
    work: impl Future<Output = Result<T, PhoneError>> + Send + 'static,
) -> Result<T, PhoneError> {
    match begin(work)?.await {
        Ok(done) => done,
        Err(failed) => Err(PhoneError::internal(failed)),
    }
}
