//! Opening the phone, putting it aside, ending it.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Mutex, watch};
use zeroize::Zeroizing;

use shaodao_core::device::{Device, Home};
use shaodao_core::explain;
use shaodao_core::store::key::DatabaseKey;

use crate::error::{PhoneError, Sentence};
use crate::hours::{Hours, TimeSource};
use crate::log::{Log, LogSink};
use crate::phone::{Inside, Phone, Place, rng};
use crate::runtime::carry_out;

/// What it takes to open a phone.
#[derive(uniffi::Record)]
pub struct Opening {
    /// Folder of its files; made if it is not there.
    pub folder: String,
    /// A folder that backups and moves to another phone leave out: Android's
    /// `noBackupFilesDir`, on iOS a folder that is excluded from backup.
    pub unbacked: String,
    /// The 32 bytes that its files are encrypted with, kept by the app in the
    /// Keystore or the Keychain. `new_key` draws them.
    pub key: Vec<u8>,
    /// The app and its build, at most 40 bytes.
    pub app: String,
    /// What tells this start of the device from every other: Android's
    /// `Settings.Global.BOOT_COUNT`, `kern.bootsessionuuid` on iOS. Without it
    /// times recorded offline count for less.
    pub boot: Option<String>,
}

/// What opening had to mend.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Mended {
    /// Own actions that only the journal had and that are in the database again.
    pub restored: u64,
    /// The files were set aside and the phone started over; what to tell its
    /// owner.
    pub incident: Option<Sentence>,
}

/// Draws a key for a new phone: 32 bytes, once, to be kept where the system keeps
/// secrets.
#[uniffi::export]
pub fn new_key() -> Result<Vec<u8>, PhoneError> {
    Ok(DatabaseKey::random(&mut rng()?).as_bytes().to_vec())
}

/// Opens the phone that lives in a folder, or makes a new one. `time` and `log`
/// may be left out.
#[uniffi::export]
pub async fn open_phone(
    opening: Opening,
    time: Option<Box<dyn TimeSource>>,
    log: Option<Box<dyn LogSink>>,
) -> Result<Arc<Phone>, PhoneError> {
    carry_out(async move {
        let key = Zeroizing::new(opening.key);
        let key = <[u8; 32]>::try_from(key.as_slice()).map_err(|_| PhoneError::input("key"))?;
        let mut rng = rng()?;
        let hours = Hours::new(opening.boot.as_deref(), time, &mut rng);
        let home = Home {
            folder: PathBuf::from(opening.folder),
            unbacked: PathBuf::from(opening.unbacked),
            key: DatabaseKey::new(key),
            app: opening.app,
            wall_ms: hours.now().wall_ms,
        };
        let log = Log::new(log);
        let device = Device::open(&home, &mut rng)?;
        tell(&log, &device);
        Ok(Arc::new(Phone {
            inside: Arc::new(Inside {
                home,
                device: Mutex::new(Place::Open(Box::new(device))),
                hours,
                log,
                changes: watch::Sender::new(0),
                stops: watch::Sender::new(0),
                network: Mutex::new(()),
                in_flight: watch::Sender::new(None),
            }),
        }))
    })
    .await
}

#[uniffi::export]
impl Phone {
    /// What the last opening had to mend.
    pub async fn mended(&self) -> Result<Mended, PhoneError> {
        self.read(|device, _| {
            let report = device.report();
            let incident = report.incident.as_ref();
            Ok(Mended {
                restored: report.restored as u64,
                incident: incident.map(|it| explain::Sentence::from(it).into()),
            })
        })
        .await
    }

    /// Opens the phone anew and looks at every page of its database: what to do
    /// when a call failed as damaged.
    pub async fn repair(&self) -> Result<(), PhoneError> {
        self.reopen(Device::repair).await
    }

    /// Finishes what is being written, stops what uses the network and closes
    /// the files, so that no lock is held: before the app goes to the background.
    /// Calls fail as closed until `resume`.
    pub async fn suspend(&self) -> Result<(), PhoneError> {
        self.set_aside(Place::Suspended).await
    }

    /// Opens the files again. Nothing happens if they are open.
    pub async fn resume(&self) -> Result<(), PhoneError> {
        self.reopen(Device::open).await
    }

    /// Finishes, stops and closes everything, for good.
    pub async fn shutdown(&self) -> Result<(), PhoneError> {
        self.set_aside(Place::ShutDown).await
    }

    /// Stops whatever uses the network. It fails as cancelled; what was settled
    /// before stays settled.
    pub fn cancel(&self) -> Result<(), PhoneError> {
        self.inside.stops.send_modify(|count| *count += 1);
        Ok(())
    }
}

impl Phone {
    async fn set_aside(&self, place: Place) -> Result<(), PhoneError> {
        let inside = self.inside.clone();
        carry_out(async move {
            inside.stops.send_modify(|count| *count += 1);
            let mut device = inside.device.lock().await;
            if !matches!(*device, Place::ShutDown) {
                *device = place;
            }
            inside.log.info("closed");
            Ok(())
        })
        .await
    }

    async fn reopen(
        &self,
        open: impl FnOnce(
            &Home,
            &mut rand::rngs::StdRng,
        ) -> Result<Device, shaodao_core::device::DeviceError>
        + Send
        + 'static,
    ) -> Result<(), PhoneError> {
        let inside = self.inside.clone();
        carry_out(async move {
            let mut rng = rng()?;
            let home = Home {
                wall_ms: inside.now().wall_ms,
                ..inside.home.clone()
            };
            let mut place = inside.device.lock().await;
            if matches!(*place, Place::ShutDown) {
                return Err(shaodao_core::device::DeviceError::Closed.into());
            }
            // The old one gives its locks back before the new one asks for them.
            *place = Place::Suspended;
            let device = open(&home, &mut rng)?;
            tell(&inside.log, &device);
            *place = Place::Open(Box::new(device));
            drop(place);
            inside.changed();
            Ok(())
        })
        .await
    }
}

fn tell(log: &Log, device: &Device) {
    let report = device.report();
    match &report.incident {
        Some(incident) => log.error(format!("started over: {}", incident.why.word())),
        None if report.restored > 0 => log.warning(format!("restored {}", report.restored)),
        None => log.info("opened"),
    }
}
