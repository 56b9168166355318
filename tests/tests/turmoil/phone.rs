//! A phone on its host: its owner works, and it syncs meanwhile. Its files
//! outlive a crash.

use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::sleep;

use shaodao_core::device::{Captured, Device, DeviceError};
use shaodao_core::domain::ids::{BootId, RecordId};
use shaodao_core::domain::private::PrivateKind;
use shaodao_core::domain::time::Moment;
use shaodao_core::sync::transport::{Hold, TransportError};
use shaodao_tests::home::home;
use shaodao_tests::simulation::cast::{Person, Role};
use shaodao_tests::simulation::words;

use super::street::Street;

/// A phone that is worked with while it syncs.
#[derive(Clone)]
struct Phone {
    device: Arc<Mutex<Device>>,
    boot: BootId,
    /// When the phone was switched on, after the start.
    on_ms: u64,
}

impl Hold for Phone {
    async fn hold<T: Send>(
        &mut self,
        step: impl FnOnce(&mut Device) -> Result<T, DeviceError> + Send,
    ) -> Result<T, DeviceError> {
        step(&mut self.in_hand())
    }
}

/// Somebody opens their phone and uses it until the host crashes.
pub async fn live(person: Person, street: Rc<Street>) -> turmoil::Result {
    let mut rng = StdRng::seed_from_u64(street.chance(person.id));
    let home = home(&street.phone_folder(person.id), street.now_ms());
    let phone = Phone {
        device: Arc::new(Mutex::new(Device::open(&home, &mut rng)?)),
        boot: BootId::random(&mut rng),
        on_ms: street.elapsed_ms(),
    };
    let acting = StdRng::seed_from_u64(rng.random());
    let (acted, synced) = tokio::join!(
        act(&person, &phone, &street, acting),
        sync(&person, phone.clone(), &street, rng)
    );
    acted.and(synced)
}

/// The owner works, until the evening.
async fn act(person: &Person, phone: &Phone, street: &Street, mut rng: StdRng) -> turmoil::Result {
    while !street.is_evening() {
        sleep(Duration::from_millis(rng.random_range(2_000..12_000))).await;
        for _ in 0..rng.random_range(1..3u32) {
            act_once(person, phone, street, &mut rng)?;
        }
    }
    Ok(())
}

fn act_once(
    person: &Person,
    phone: &Phone,
    street: &Street,
    rng: &mut StdRng,
) -> Result<(), DeviceError> {
    let now = phone.now(street);
    let mut device = phone.in_hand();
    let reports = person.role != Role::Station;
    let record = match reports && rng.random_range(0..100u32) < 35 {
        true => None,
        false => some_record(&device, rng)?,
    };
    let draft = match record {
        None if reports => words::report(person, rng),
        None => return Ok(()),
        Some(record) => match words::offered(&device, now, street.now_ms(), record, person, rng) {
            Some(draft) => draft,
            None => return confide(person, &mut device, street, now, record, rng),
        },
    };
    let word = draft.body.word().to_owned();
    heard(person, street, &word, device.capture(now, rng, draft))
}

fn confide(
    person: &Person,
    device: &mut Device,
    street: &Street,
    now: Moment,
    record: RecordId,
    rng: &mut StdRng,
) -> Result<(), DeviceError> {
    let done = device.confide(now, rng, record, PrivateKind::Phone, "13800000000");
    heard(person, street, "confide", done)
}

/// Writes down what came of trying something.
fn heard(
    person: &Person,
    street: &Street,
    word: &str,
    done: Result<Captured, DeviceError>,
) -> Result<(), DeviceError> {
    match done {
        Ok(captured) => {
            street.saved(person.id, word, captured);
            Ok(())
        }
        Err(DeviceError::Refused(_) | DeviceError::NoSuchRecord) => Ok(()),
        Err(error) => Err(error),
    }
}

fn some_record(device: &Device, rng: &mut StdRng) -> Result<Option<RecordId>, DeviceError> {
    let heads = device.store().heads()?;
    Ok(match heads.is_empty() {
        true => None,
        false => Some(heads[rng.random_range(0..heads.len())].0),
    })
}

/// The phone syncs, again and again; in the evening more often.
async fn sync(
    person: &Person,
    mut phone: Phone,
    street: &Street,
    mut rng: StdRng,
) -> turmoil::Result {
    loop {
        let most_ms = if street.is_evening() { 3_000 } else { 8_000 };
        sleep(Duration::from_millis(rng.random_range(500..most_ms))).await;
        let before = street.changes();
        let clock = phone.clone();
        let now = || clock.now(street);
        let synced = street.transport.sync(&mut phone, now, |_| {}).await;
        match synced {
            Ok(report) => {
                let left = phone.in_hand().store().counts()?.outbox;
                street.synced(person.id, before, &report, left);
            }
            Err(TransportError::Unreachable(why)) => street.unreachable(person.id, &why),
            Err(TransportError::ComeBack(put_off)) => street.put_off(person.id, &put_off),
            Err(TransportError::Refused { status, code, .. }) if status == 408 || status >= 500 => {
                street.unreachable(person.id, &code);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

impl Phone {
    fn in_hand(&self) -> MutexGuard<'_, Device> {
        self.device.lock().expect("nobody panics with it")
    }

    /// What its clocks show.
    fn now(&self, street: &Street) -> Moment {
        Moment {
            wall_ms: street.now_ms(),
            boot: self.boot,
            mono_ms: street.elapsed_ms() - self.on_ms + 1_000,
        }
    }
}
