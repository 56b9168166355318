//! The server on its host: its own loop over connections, its own limits, and
//! the database in its folder, which outlives a crash.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use rand::SeedableRng;
use rand::rngs::StdRng;
use turmoil::net::TcpListener;

use shaodao_core::pack;
use shaodao_server::app::App;
use shaodao_server::clock::Clock;
use shaodao_server::engine::Engine;
use shaodao_server::evidence::settings::Settings;
use shaodao_server::http;
use shaodao_server::limits::Limits;
use shaodao_tests::world::repeat::dying_at;

use super::street::Street;
use super::wire::{Door, PORT};

/// How finely the server's clock goes.
const CLOCK: Duration = Duration::from_millis(100);
/// It looks at its deadlines once in so many times.
const LOOK_EVERY: u64 = 50;

/// Opens the server on its folder and serves until the host crashes.
pub async fn serve(street: Rc<Street>) -> turmoil::Result {
    let folder = street.server_folder();
    let clock = Clock::rehearsal(street.now_ms());
    let chance = StdRng::seed_from_u64(street.chance("server"));
    let engine = Engine::open_by(&folder, clock.clone(), pack::HUASHAN, chance)?;
    let (app, writer) = App::start_on(&folder, engine, Settings::default())?;
    street.writer.replace(Some(writer));
    {
        let _still = Stillness::begins();
        app.look_at_clock().await?;
    }
    let limits = Limits::default();
    let router = http::limited_router(app.clone(), limits.clone()).layer(from_fn(thinking));
    let door = Door(TcpListener::bind(("0.0.0.0", PORT)).await?);
    let serving = http::serve(door, None, router, &limits, std::future::pending());
    tokio::join!(serving, watch(app, clock, street));
    Ok(())
}

/// Time goes by, deadlines are looked at, and if it is to die, it is told where.
async fn watch(app: Arc<App>, clock: Clock, street: Rc<Street>) {
    let mut ticks = tokio::time::interval(CLOCK);
    for nth in 0u64.. {
        ticks.tick().await;
        clock.set(street.now_ms());
        // A server that is dying says so; so does whoever starts it again.
        let _still = Stillness::begins();
        if let Some((point, nth)) = street.doom.take() {
            let died = street.died.clone();
            let dying = dying_at(point, nth, move || died.store(true, Ordering::SeqCst));
            let told = app.writer.submit(move |engine| {
                engine.rehearse(dying);
                Ok(())
            });
            let _ = told.await;
        }
        if nth.is_multiple_of(LOOK_EVERY) {
            let _ = app.watch_deadlines().await;
        }
    }
}

/// Time stands still while the server thinks, or the simulated time of an answer
/// would depend on how quick the machine is; it goes by while the body of a
/// request is awaited.
async fn thinking(request: Request, next: Next) -> Response {
    let still = Arc::new(Mutex::new(Some(Stillness::begins())));
    let request = request.map(|body| {
        Body::new(Awaited {
            body,
            still: still.clone(),
        })
    });
    let response = next.run(request).await;
    still.lock().expect("nobody panics with it").take();
    response
}

/// While it lives, time stands still on its host: tokio's simulated time does not
/// advance while something blocks.
struct Stillness {
    _ends: mpsc::Sender<()>,
}

impl Stillness {
    fn begins() -> Self {
        let (ends, ended) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || ended.recv());
        Self { _ends: ends }
    }
}

/// The body of a request.
struct Awaited {
    body: Body,
    still: Arc<Mutex<Option<Stillness>>>,
}

impl HttpBody for Awaited {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let mut still = self.still.lock().expect("nobody panics with it");
        match polled {
            Poll::Pending => *still = None,
            Poll::Ready(_) if still.is_none() => *still = Some(Stillness::begins()),
            Poll::Ready(_) => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
