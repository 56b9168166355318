//! Syncing, and how it stands.

use std::sync::Arc;

use shaodao_core::device::DeviceError;
use shaodao_core::domain::directory::DeviceState;
use shaodao_core::explain;
use shaodao_core::sync::transport::{SyncReport, Transport};

use crate::error::{PhoneError, Sentence};
use crate::phone::{Inside, Phone, Shared};
use crate::rows::own_only;
use crate::troubles::{TroubleRow, troubles};

/// What a sync did.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct SyncDone {
    /// Own actions that were accepted.
    pub accepted: u64,
    /// Own actions that were not plainly accepted; `troubles` says which and why.
    pub troubles: u64,
    /// Envelopes of others that are new here.
    pub received: u64,
    /// Requests sent.
    pub requests: u32,
    /// Bytes of request bodies.
    pub bytes_up: u64,
    /// Bytes of reply bodies.
    pub bytes_down: u64,
    /// What this phone did is not sent before a time; why.
    pub put_off: Option<Sentence>,
}

/// How it stands between this phone and its server.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct SyncStatus {
    /// Own actions that no verdict has named yet, those in flight included.
    pub pending: u64,
    /// Of those, with the server at this moment.
    pub in_flight: u64,
    /// A sync is running.
    pub running: bool,
    /// Own actions that were not plainly accepted and not done again, with the
    /// reasons.
    pub refused: Vec<TroubleRow>,
    /// Server time of the newest contact, Unix milliseconds.
    pub last_contact_ms: Option<i64>,
    /// The server asked to wait until then, by the phone's wall clock, Unix
    /// milliseconds; none if it may be asked at any time.
    pub next_try_ms: Option<i64>,
    /// Why it asked to wait.
    pub put_off: Option<Sentence>,
    /// Why only the owner's own records are shown, where that is so.
    pub own_only: Option<Sentence>,
    /// The newest directory is one that only a newer build of the app reads.
    pub needs_newer_app: bool,
    /// How the server contradicted what it had signed before, if it did.
    pub contradiction: Option<Sentence>,
    /// The administrator has suspended or revoked this phone.
    pub barred: bool,
    /// Findings on this phone.
    pub findings: u64,
    /// Whistles on this phone.
    pub whistles: u64,
    /// Findings about whose facts people disagree.
    pub conflicts: u64,
    /// Own actions of a former device that wait to be done again.
    pub salvaged: u64,
    /// Own pieces of evidence of records of which one is still on the way to the
    /// server; 0 when everything has arrived.
    pub evidence: u64,
    /// Of those, arrived at the server.
    pub evidence_arrived: u64,
    /// More pieces that belong only to actions that were not accepted: nobody
    /// waits for them.
    pub evidence_set_aside: u64,
}

#[uniffi::export]
impl Phone {
    /// Says everything on both sides. It may take minutes and can be cancelled;
    /// what was settled before stays settled. Other calls go on beside it.
    pub async fn sync(&self) -> Result<SyncDone, PhoneError> {
        self.online(|inside| async move {
            let mut so_far = SyncReport::default();
            exchange(inside, &mut so_far).await?;
            Ok(so_far.into())
        })
        .await
    }

    /// How it stands between this phone and its server.
    pub async fn status(&self) -> Result<SyncStatus, PhoneError> {
        let in_flight = *self.inside.in_flight.borrow();
        self.read(move |device, now| {
            let store = device.store();
            let counts = store.counts()?;
            let mut refused = troubles(device)?;
            refused.retain(|trouble| trouble.redone.is_none());
            let put_off = device.put_off(now)?;
            let (arrivals, _) = store.own_arrivals()?;
            let contradiction = device.contradiction()?;
            Ok(SyncStatus {
                pending: counts.outbox,
                in_flight: in_flight.unwrap_or(0).min(counts.outbox),
                running: in_flight.is_some(),
                refused,
                last_contact_ms: store.contact()?.map(|contact| contact.server_ms),
                next_try_ms: put_off.as_ref().map(|it| it.until_ms),
                put_off: put_off.map(|it| explain::Sentence::from(&it).into()),
                own_only: match device.owner() {
                    Some(_) => own_only(device, now)?,
                    None => None,
                },
                needs_newer_app: device.needs_newer_app()?,
                contradiction: contradiction.map(|(it, _)| explain::Sentence::from(it).into()),
                barred: device.state()? != DeviceState::Active,
                findings: counts.findings,
                whistles: counts.whistles,
                conflicts: counts.conflicts,
                salvaged: store.salvaged()?.len() as u64,
                evidence: arrivals.pieces as u64,
                evidence_arrived: arrivals.arrived as u64,
                evidence_set_aside: arrivals.set_aside as u64,
            })
        })
        .await
    }
}

/// Syncs to the end, and keeps what was done so far where it stands.
pub(crate) async fn exchange(
    inside: Arc<Inside>,
    so_far: &mut SyncReport,
) -> Result<(), PhoneError> {
    let owner = inside.device.lock().await.device()?.owner().cloned();
    let owner = owner.ok_or(DeviceError::NotEnrolled)?;
    let transport = Transport::new(&owner.server)?;
    let _running = Running::begin(inside.clone());
    let hours = inside.hours.clone();
    let mut phone = Shared(inside.clone());
    let telling = inside.clone();
    let synced = transport.sync(
        &mut phone,
        || hours.now(),
        |report| {
            *so_far = report.clone();
            telling
                .in_flight
                .send_replace(Some(report.in_flight as u64));
            telling.changed();
        },
    );
    match synced.await {
        Ok(report) => {
            inside
                .log
                .info(format!("synced, {} requests", report.requests));
            *so_far = report;
            Ok(())
        }
        Err(error) => {
            let error = PhoneError::from(error);
            inside.log.warning(format!("sync: {}", error.said().code));
            Err(error)
        }
    }
}

/// A sync is running for as long as this lives, however it ends.
struct Running(Arc<Inside>);

impl Running {
    fn begin(inside: Arc<Inside>) -> Self {
        inside.in_flight.send_replace(Some(0));
        inside.changed();
        Self(inside)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.in_flight.send_replace(None);
        self.0.changed();
    }
}

impl From<SyncReport> for SyncDone {
    fn from(report: SyncReport) -> Self {
        Self {
            accepted: report.outcome.accepted as u64,
            troubles: report.outcome.troubles.len() as u64,
            received: report.outcome.pulled as u64,
            requests: report.requests,
            bytes_up: report.bytes_up,
            bytes_down: report.bytes_down,
            put_off: report.put_off.map(|it| explain::Sentence::from(&it).into()),
        }
    }
}
