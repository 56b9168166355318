//! Becoming somebody's phone: hand a ticket in, show six digits, ask until the
//! administrator has confirmed them.

use shaodao_core::device::DeviceError;
use shaodao_core::device::enrol::PendingEnrolment;
use shaodao_core::sync::enrol::Invitation;
use shaodao_core::sync::transport::Transport;

use crate::error::PhoneError;
use crate::phone::{Phone, Shared, rng};

/// An enrolment that an administrator has still to confirm.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct CheckCode {
    /// Address of the server.
    pub server: String,
    /// Six digits; the administrator must see the same ones.
    pub check_code: String,
}

/// Whose phone this is.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Owner {
    /// Staff number.
    pub person: String,
    /// Name; the staff number where the directory is not here.
    pub name: String,
    /// Code of the street.
    pub street: String,
    /// Address of the server.
    pub server: String,
}

impl From<PendingEnrolment> for CheckCode {
    fn from(pending: PendingEnrolment) -> Self {
        Self {
            server: pending.server,
            check_code: pending.check_code,
        }
    }
}

#[uniffi::export]
impl Phone {
    /// Takes what a camera has read, `shaodao://enrol?…`, to the server that it
    /// names.
    pub async fn enrol_scanned(&self, payload: String) -> Result<CheckCode, PhoneError> {
        let invitation: Invitation = payload
            .parse()
            .map_err(|error| PhoneError::from(DeviceError::Ticket(error)))?;
        let ticket = invitation.ticket.to_string();
        let fingerprint = Some(invitation.fingerprint);
        self.hand_in(invitation.address(), ticket, fingerprint)
            .await
    }

    /// Takes a typed ticket, ten letters or digits, to a server.
    pub async fn enrol_typed(
        &self,
        server: String,
        ticket: String,
    ) -> Result<CheckCode, PhoneError> {
        self.hand_in(server, ticket, None).await
    }

    /// The enrolment that waits to be confirmed, if there is one.
    pub async fn pending_enrolment(&self) -> Result<Option<CheckCode>, PhoneError> {
        let pending = self.read(|device, _| Ok(device.pending_enrolment()?));
        Ok(pending.await?.map(CheckCode::from))
    }

    /// Asks whether the administrator has confirmed; if so, the phone is
    /// somebody's when this returns. `None` if not yet: ask again.
    pub async fn finish_enrolment(&self) -> Result<Option<Owner>, PhoneError> {
        let is_done = self
            .online(|inside| async move {
                let pending = inside.device.lock().await.device()?.pending_enrolment()?;
                let pending = pending.ok_or(DeviceError::NotEnrolled)?;
                let transport = Transport::new(&pending.server)?;
                if !transport.is_confirmed(&pending).await? {
                    return Ok(false);
                }
                let hours = inside.hours.clone();
                let mut phone = Shared(inside.clone());
                transport.open_session(&mut phone, || hours.now()).await?;
                inside.log.info("enrolled");
                inside.changed();
                Ok(true)
            })
            .await?;
        match is_done {
            true => self.owner().await,
            false => Ok(None),
        }
    }

    /// Whose phone this is; `None` before enrolment.
    pub async fn owner(&self) -> Result<Option<Owner>, PhoneError> {
        self.read(|device, _| {
            let Some(owner) = device.owner() else {
                return Ok(None);
            };
            let directory = device.directory().ok();
            let name = directory.map(|directory| directory.name_of(&owner.person));
            Ok(Some(Owner {
                person: owner.person.0.clone(),
                name: name.unwrap_or_else(|| owner.person.0.clone()),
                street: owner.street.clone(),
                server: owner.server.clone(),
            }))
        })
        .await
    }
}

impl Phone {
    async fn hand_in(
        &self,
        server: String,
        ticket: String,
        fingerprint: Option<shaodao_core::sync::enrol::Fingerprint>,
    ) -> Result<CheckCode, PhoneError> {
        self.online(move |inside| async move {
            let mut rng = rng()?;
            let transport = Transport::new(&server)?;
            let mut phone = Shared(inside.clone());
            let pending = transport.hand_in(&mut phone, &mut rng, &ticket, fingerprint);
            let pending = pending.await?;
            inside.changed();
            Ok(pending.into())
        })
        .await
    }
}
