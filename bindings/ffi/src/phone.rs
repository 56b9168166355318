//! The phone as an app holds it, and how a call gets at what is inside.

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::{Mutex, oneshot, watch};

use shaodao_core::device::{Captured, Device, DeviceError, Home};
use shaodao_core::domain::time::Moment;
use shaodao_core::sync::transport::Hold;

use crate::error::PhoneError;
use crate::hours::Hours;
use crate::log::Log;
use crate::runtime::carry_out;
use crate::types::{ActionId, RecordId};

/// A phone: keep one for as long as the app runs. Every call is safe from every
/// thread.
#[derive(uniffi::Object)]
pub struct Phone {
    pub(crate) inside: Arc<Inside>,
}

/// An action that is on the disk and queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct Saved {
    /// On which record.
    pub record: RecordId,
    /// Which action.
    pub action: ActionId,
}

impl From<Captured> for Saved {
    fn from(captured: Captured) -> Self {
        Self {
            record: captured.record,
            action: captured.hash,
        }
    }
}

/// What all calls share.
pub(crate) struct Inside {
    pub(crate) home: Home,
    pub(crate) device: Mutex<Place>,
    pub(crate) hours: Arc<Hours>,
    pub(crate) log: Log,
    /// Counts changes; nobody is told which.
    pub(crate) changes: watch::Sender<u64>,
    /// Counts how often everything that uses the network was told to stop.
    pub(crate) stops: watch::Sender<u64>,
    /// Whoever uses the network holds it: one at a time.
    pub(crate) network: Mutex<()>,
    /// Own actions that are with the server, unanswered; `None` between syncs.
    pub(crate) in_flight: watch::Sender<Option<u64>>,
}

/// Where the device is.
pub(crate) enum Place {
    /// In use.
    Open(Box<Device>),
    /// Its files are closed until the app comes back.
    Suspended,
    /// For good.
    ShutDown,
}

impl Place {
    pub(crate) fn device(&mut self) -> Result<&mut Device, DeviceError> {
        match self {
            Self::Open(device) => Ok(device),
            Self::Suspended | Self::ShutDown => Err(DeviceError::Closed),
        }
    }
}

impl Inside {
    pub(crate) fn now(&self) -> Moment {
        self.hours.now()
    }

    /// Whoever shows something should look again.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

/// A source of chance, drawn from the system.
pub(crate) fn rng() -> Result<StdRng, PhoneError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(PhoneError::internal)?;
    Ok(StdRng::from_seed(seed))
}

impl Phone {
    /// Reads something.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Device, Moment) -> Result<T, PhoneError> + Send + 'static,
    ) -> Result<T, PhoneError> {
        let inside = self.inside.clone();
        carry_out(async move {
            let mut place = inside.device.lock().await;
            work(place.device()?, inside.now())
        })
        .await
    }

    /// Changes something and says so.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Device, Moment, &mut StdRng) -> Result<T, PhoneError> + Send + 'static,
    ) -> Result<T, PhoneError> {
        let inside = self.inside.clone();
        carry_out(async move {
            let mut rng = rng()?;
            let mut place = inside.device.lock().await;
            let done = work(place.device()?, inside.now(), &mut rng)?;
            drop(place);
            inside.changed();
            Ok(done)
        })
        .await
    }

    /// Uses the network, when it is its turn, until it is told to stop or nobody
    /// awaits it any more.
    pub(crate) async fn online<T, F>(
        &self,
        work: impl FnOnce(Arc<Inside>) -> F + Send + 'static,
    ) -> Result<T, PhoneError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, PhoneError>> + Send + 'static,
    {
        self.until_stopped(|inside| async move {
            let _network = inside.network.lock().await;
            work(inside.clone()).await
        })
        .await
    }

    /// Goes on until it is told to stop or nobody awaits it any more.
    pub(crate) async fn until_stopped<T, F>(
        &self,
        work: impl FnOnce(Arc<Inside>) -> F + Send + 'static,
    ) -> Result<T, PhoneError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, PhoneError>> + Send + 'static,
    {
        let inside = self.inside.clone();
        let mut stops = inside.stops.subscribe();
        let (_awaited, unwanted) = oneshot::channel::<()>();
        carry_out(async move {
            tokio::select! {
                done = work(inside) => done,
                _ = stops.changed() => Err(PhoneError::cancelled()),
                _ = unwanted => Err(PhoneError::cancelled()),
            }
        })
        .await
    }
}

/// The shared phone, as the transport gets at it.
pub(crate) struct Shared(pub(crate) Arc<Inside>);

impl Hold for Shared {
    async fn hold<T: Send>(
        &mut self,
        step: impl FnOnce(&mut Device) -> Result<T, DeviceError> + Send,
    ) -> Result<T, DeviceError> {
        step(self.0.device.lock().await.device()?)
    }
}
