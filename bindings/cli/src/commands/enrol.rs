//! Becoming somebody's phone: hand a ticket in, show six digits, wait until the
//! administrator has confirmed them.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::json;

use shaodao_core::device::DeviceError;
use shaodao_core::device::enrol::PendingEnrolment;
use shaodao_core::explain::Sentence;
use shaodao_core::sync::enrol::Invitation;
use shaodao_core::sync::transport::{Transport, TransportError};

use super::{Done, Hand, runtime, said};
use crate::args::Enrol;
use crate::view::Answer;

/// How often the server is asked whether somebody has confirmed.
const ASK_EVERY: Duration = Duration::from_secs(2);

impl Hand {
    pub(super) fn enrol(&mut self, how: &Enrol) -> Done {
        if let (Some(owner), false, false) = (self.device.owner(), how.again, how.resume) {
            return Err(said(&DeviceError::AlreadyEnrolled(owner.person.clone())));
        }
        let pending = match (&how.server, &how.ticket) {
            _ if how.resume => self.pending()?,
            (Some(uri), None) => self.hand_in_invitation(uri)?,
            (Some(server), Some(ticket)) => {
                let transport = transport(server)?;
                let (device, rng) = (&mut self.device, &mut self.rng);
                let handed_in = transport.hand_in(device, rng, ticket, None);
                runtime()?
                    .block_on(handed_in)
                    .map_err(|error| Sentence::from(&error))?
            }
            (None, _) => self.pending()?,
        };
        let confirmed = match how.no_wait {
            true => false,
            false => self.wait(&pending, how.resume)?,
        };
        if !confirmed {
            return Ok(self.to_confirm(&pending));
        }
        let clock = self.clock;
        let transport = transport(&pending.server)?;
        runtime()?
            .block_on(transport.open_session(&mut self.device, || clock.now()))
            .map_err(|error| Sentence::from(&error))?;
        self.enrolled()
    }

    fn hand_in_invitation(&mut self, uri: &str) -> Result<PendingEnrolment, Sentence> {
        let invitation: Invitation = uri
            .parse()
            .map_err(|error| said(&DeviceError::Ticket(error)))?;
        let transport = transport(&invitation.address())?;
        let (device, rng) = (&mut self.device, &mut self.rng);
        let ticket = invitation.ticket.to_string();
        let handed_in = transport.hand_in(device, rng, &ticket, Some(invitation.fingerprint));
        runtime()?
            .block_on(handed_in)
            .map_err(|error| Sentence::from(&error))
    }

    fn pending(&self) -> Result<PendingEnrolment, Sentence> {
        let pending = self.device.pending_enrolment();
        pending
            .map_err(|error| said(&error))?
            .ok_or_else(|| match self.device.owner() {
                Some(owner) => said(&DeviceError::AlreadyEnrolled(owner.person.clone())),
                None => said(&DeviceError::NotEnrolled),
            })
    }

    /// Waits for the administrator; with scripts, or when asked to resume, one
    /// question has to do.
    fn wait(&self, pending: &PendingEnrolment, once: bool) -> Result<bool, Sentence> {
        let transport = transport(&pending.server)?;
        let code = spaced(&pending.check_code);
        let text = self.lang.pick(
            format!("核对码 {code}:请管理员核对并确认"),
            format!("Check code {code}: ask the administrator to compare and confirm"),
        );
        let spinner = match std::io::stderr().is_terminal() && !self.json {
            true => ProgressBar::new_spinner().with_message(text),
            false => {
                eprintln!("{text}");
                ProgressBar::hidden()
            }
        };
        spinner.enable_steady_tick(Duration::from_millis(120));
        let confirmed: Result<bool, TransportError> = runtime()?.block_on(async {
            let mut ticks = tokio::time::interval(ASK_EVERY);
            loop {
                ticks.tick().await;
                let confirmed = match transport.is_confirmed(pending).await {
                    // A cellar on the way to the office: ask again.
                    Err(TransportError::Unreachable(_)) if !once => false,
                    answer => answer?,
                };
                if confirmed || once {
                    return Ok(confirmed);
                }
            }
        });
        spinner.finish_and_clear();
        confirmed.map_err(|error| Sentence::from(&error))
    }

    fn to_confirm(&self, pending: &PendingEnrolment) -> Answer {
        let code = spaced(&pending.check_code);
        let text = self.lang.pick(
            format!("核对码 {code}。管理员确认后,运行 shaodao enrol --resume。"),
            format!("Check code {code}. Once it is confirmed, run: shaodao enrol --resume"),
        );
        let json = json!({
            "enrolled": false,
            "check_code": pending.check_code,
            "device": self.device.id().to_string(),
            "server": pending.server,
        });
        Answer::new(text, json)
    }

    fn enrolled(&self) -> Done {
        let directory = self.device.directory().map_err(|error| said(&error))?;
        let owner = self.device.owner();
        let person = owner.ok_or_else(|| said(&DeviceError::NotEnrolled))?;
        let person = person.person.clone();
        let name = directory.name_of(&person);
        let text = self.lang.pick(
            format!("已登记:{name}({person}),{}。", directory.street_name),
            format!("Enrolled: {name} ({person}), {}.", directory.street_name),
        );
        let json = json!({
            "enrolled": true,
            "person": person.0,
            "name": name,
            "street": directory.street,
        });
        Ok(Answer::new(text, json))
    }
}

fn transport(server: &str) -> Result<Transport, Sentence> {
    Transport::new(server).map_err(|error| Sentence::from(&error))
}

fn spaced(code: &str) -> String {
    let (first, last) = code.split_at(code.len() / 2);
    format!("{first} {last}")
}
