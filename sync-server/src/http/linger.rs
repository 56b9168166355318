//! Reading on after a refusal. Whoever is refused before the body was read is
//! often still sending; closing then resets the connection, and the refusal
//! with its reason may never be seen. So the rest is read and thrown away, within
//! bounds, before the answer goes out.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// The most that is thrown away, bytes.
const MOST_BYTES: usize = 8 << 20;
/// The longest that this may take.
const WITHIN: Duration = Duration::from_secs(5);

/// A body that a handler reads from and that can be read on afterwards.
#[derive(Debug, Clone)]
pub(super) struct Lingering(Arc<Mutex<Incoming>>);

impl Lingering {
    pub(super) fn new(body: Incoming) -> Self {
        Self(Arc::new(Mutex::new(body)))
    }

    /// Throws away what is left, as far as that is bearable.
    pub(super) async fn throw_away(self) {
        let _ = tokio::time::timeout(WITHIN, self.rest()).await;
    }

    async fn rest(mut self) {
        let mut thrown = 0;
        while thrown < MOST_BYTES {
            let frame = std::future::poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await;
            match frame {
                Some(Ok(frame)) => thrown += frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) | None => return,
            }
        }
    }

    fn inner<T>(&self, work: impl FnOnce(&mut Incoming) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Body for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.inner(|body| Pin::new(body).poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.inner(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.inner(|body| body.size_hint())
    }
}
