//! What administrators read: lines for people, JSON for scripts.

use std::io::IsTerminal;

use serde_json::{Value as Json, json};

use shaodao_core::domain::action::{Facts, Value};
use shaodao_core::domain::calendar::local_text;
use shaodao_core::domain::directory::Directory;
use shaodao_core::domain::ids::PersonId;
use shaodao_core::sync::enrol::{Fingerprint, Invitation, TICKET_MS, Ticket};
use shaodao_core::sync::wire::Judgement;

use super::AnyError;
use super::import::Change;
use crate::devices::DeviceLine;
use crate::directory::EditionLine;
use crate::enrol::Candidate;
use crate::quarantine::{SetAside, short};
use crate::tls::StationCertificate;

/// A station's certificate, and the address by which phones recognise it.
pub fn certificate(made: &StationCertificate, name: &str, port: u16) -> Said {
    let address = format!("https://{name}:{port}#pin={}", made.pin);
    let lines = format!(
        "certificate  {}\nkey          {}\npin          {}\nphones       {address}\n{}\n",
        made.certificate.display(),
        made.key.display(),
        made.pin,
        match made.kept_key {
            true => "The key is the one from before: phones go on without noticing.",
            false => "The key is new: phones that pinned an earlier one have to enrol again.",
        }
    );
    let json = json!({
        "certificate": made.certificate,
        "key": made.key,
        "pin": made.pin.to_string(),
        "address": address,
        "kept_key": made.kept_key,
    });
    Said { lines, json }
}

/// What a command came to.
pub struct Said {
    lines: String,
    json: Json,
}

impl Said {
    /// As it is printed.
    ///
    /// # Errors
    /// The JSON cannot be written.
    pub fn text(&self, as_json: bool) -> Result<String, serde_json::Error> {
        match as_json {
            true => Ok(serde_json::to_string_pretty(&self.json)? + "\n"),
            false => Ok(self.lines.clone()),
        }
    }
}

/// Tickets, with QR codes where somebody can scan them.
pub fn tickets(
    opened: &[(PersonId, Ticket, Invitation)],
    directory: &Directory,
    qr: bool,
) -> Result<Said, AnyError> {
    let scan = qr || std::io::stdout().is_terminal();
    let mut lines = String::new();
    let mut list = Vec::new();
    for (person, typed, invitation) in opened {
        let name = directory.name_of(person);
        let uri = invitation.to_string();
        lines += &format!("{typed}  {person}  {name}\n");
        if scan {
            let code = qrcode::QrCode::new(&uri)?;
            lines += &scannable(&code);
            lines += &format!("{uri}\n\n");
        }
        list.push(json!({
            "person": person.0, "name": name, "ticket": typed.to_string(), "uri": uri,
        }));
    }
    if scan && let Some((_, _, invitation)) = opened.first() {
        let minutes = TICKET_MS / 60_000;
        let server = &invitation.server;
        lines += &format!(
            "Valid for {minutes} minutes. On the phone: shaodao enrol {server} TICKET\n\
             Then compare the six digits: shaodao-server admin confirm CODE\n"
        );
    }
    let json = list.into();
    Ok(Said { lines, json })
}

/// A QR code in half blocks. On a terminal the colours are set, because a code
/// in the terminal's own may come out light on dark, which not every camera
/// reads.
fn scannable(code: &qrcode::QrCode) -> String {
    let blocks = code.render::<qrcode::render::unicode::Dense1x2>().build();
    let (on, off) = match std::io::stdout().is_terminal() {
        true => ("\x1b[30;107m", "\x1b[0m"),
        false => ("", ""),
    };
    let line = |line: &str| format!("{on}{line}{off}\n");
    blocks.lines().map(line).collect()
}

/// Phones that wait to be confirmed.
pub fn candidates(candidates: &[Candidate], directory: &Directory) -> Said {
    let mut lines = String::new();
    let mut list = Vec::new();
    for candidate in candidates {
        lines += &candidate_line(candidate, directory);
        list.push(candidate_json(candidate, directory));
    }
    if candidates.is_empty() {
        lines = "No phone waits.\n".to_owned();
    }
    let json = list.into();
    Said { lines, json }
}

/// A phone that was confirmed or turned away.
pub fn concluded(how: &str, candidate: &Candidate, directory: &Directory) -> Said {
    let mut json = candidate_json(candidate, directory);
    json[how] = true.into();
    Said {
        lines: format!("{how}: {}", candidate_line(candidate, directory)),
        json,
    }
}

fn candidate_line(candidate: &Candidate, directory: &Directory) -> String {
    let Candidate {
        device,
        person,
        app,
        check_code,
        ..
    } = candidate;
    let name = directory.name_of(person);
    let (first, last) = check_code.split_at(check_code.len() / 2);
    format!("{first} {last}  {person}  {name}  {app}  {device}\n")
}

fn candidate_json(candidate: &Candidate, directory: &Directory) -> Json {
    json!({
        "device": candidate.device.to_string(),
        "person": candidate.person.0,
        "name": directory.name_of(&candidate.person),
        "app": candidate.app,
        "check_code": candidate.check_code,
    })
}

/// Devices and how they stand.
pub fn devices(devices: &[DeviceLine], directory: &Directory) -> Said {
    let mut lines = String::new();
    let mut list = Vec::new();
    for line in devices {
        let name = directory.name_of(&line.person);
        let device: String = line.device.to_string().chars().take(8).collect();
        let last = line
            .last_sync_ms
            .map_or_else(|| "never".to_owned(), local_text);
        lines += &format!(
            "{device}  {}  {name}  {}  last sync {last}  backlog {}  {}",
            line.person,
            line.state.word(),
            line.backlog,
            line.app
        );
        if line.quarantined > 0 {
            lines += &format!("  {} quarantined", line.quarantined);
        }
        for gap in &line.gaps {
            let since = local_text(gap.since_ms);
            lines += &format!("  missing {}–{} since {since}", gap.from_seq, gap.to_seq);
        }
        if line.clone_signs > 0 {
            lines += &format!("  ⚠ looks like two phones ({} signs)", line.clone_signs);
        }
        lines.push('\n');
        let gaps: Vec<_> = line
            .gaps
            .iter()
            .map(|gap| json!({ "from": gap.from_seq, "to": gap.to_seq, "since_ms": gap.since_ms }))
            .collect();
        list.push(json!({
            "device": line.device.to_string(),
            "person": line.person.0,
            "name": name,
            "state": line.state.word(),
            "app": line.app,
            "enrolled_ms": line.enrolled_ms,
            "last_sync_ms": line.last_sync_ms,
            "backlog": line.backlog,
            "gaps": gaps,
            "clone_signs": line.clone_signs,
            "quarantined": line.quarantined,
        }));
    }
    let json = list.into();
    Said { lines, json }
}

/// What is in quarantine.
pub fn quarantine(list: &[SetAside], directory: &Directory) -> Said {
    let mut lines = String::new();
    let mut json = Vec::new();
    for one in list {
        let action = &one.sealed.envelope.action;
        let reason = one.reason.map_or("", |reason| reason.en());
        lines += &format!(
            "{}  {}  {}  {}  {}  {reason}\n",
            short(&one.sealed.hash),
            local_text(one.received_at_ms),
            directory.name_of(&action.person),
            action.body.word(),
            action.record,
        );
        json.push(set_aside_json(one, directory));
    }
    if list.is_empty() {
        lines = "Nothing is in quarantine.\n".to_owned();
    }
    let json = json.into();
    Said { lines, json }
}

/// One thing in quarantine, whole.
pub fn set_aside(one: &SetAside, directory: &Directory) -> Said {
    let json = set_aside_json(one, directory);
    let mut lines = String::new();
    if let Some(fields) = json.as_object() {
        for (name, value) in fields {
            match value.as_str() {
                Some(text) => lines += &format!("{name}: {text}\n"),
                None => lines += &format!("{name}: {value}\n"),
            }
        }
    }
    Said { lines, json }
}

fn set_aside_json(one: &SetAside, directory: &Directory) -> Json {
    let envelope = &one.sealed.envelope;
    let action = &envelope.action;
    json!({
        "hash": one.sealed.hash.to_string(),
        "record": one.record.to_string(),
        "action": action.body.word(),
        "body": format!("{:?}", action.body),
        "facts": facts_json(&action.facts),
        "person": action.person.0,
        "name": directory.name_of(&action.person),
        "device": envelope.device.to_string(),
        "chain_number": envelope.dev_seq,
        "reason": one.reason.map(|reason| reason.code()),
        "zh": one.reason.map(|reason| reason.zh()),
        "en": one.reason.map(|reason| reason.en()),
        "claimed": local_text(envelope.claim.reading_ms()),
        "received": local_text(one.received_at_ms),
    })
}

fn facts_json(facts: &Facts) -> Json {
    facts
        .iter()
        .map(|(name, value)| {
            let value = match value {
                Value::Text(text) => Json::from(text.as_str()),
                other => Json::from(format!("{other:?}")),
            };
            (name.clone(), value)
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// What became of something that was in quarantine.
pub fn judged(judgement: &Judgement) -> Said {
    let hash = short(&judgement.hash);
    let standing = judgement.standing;
    let reason = judgement.reason;
    let because = reason.map_or_else(String::new, |reason| format!(": {}", reason.en()));
    Said {
        lines: format!("{hash}  {}{because}\n", standing.word()),
        json: json!({
            "hash": judgement.hash.to_string(),
            "standing": standing.word(),
            "reason": reason.map(|reason| reason.code()),
        }),
    }
}

/// What an edition changes; without a number, what it would change.
pub fn changes(changes: &[Change], version: Option<u64>) -> Said {
    let mut lines: String = changes
        .iter()
        .map(|Change { part, key, how }| format!("{how}  {part}  {key}\n"))
        .collect();
    lines += &match (version, changes.is_empty()) {
        (Some(version), _) => format!("Edition {version} is in force.\n"),
        (None, false) => "Nothing was changed: this was a dry run.\n".to_owned(),
        (None, true) => "Nothing to change.\n".to_owned(),
    };
    let list: Vec<_> = changes
        .iter()
        .map(|Change { part, key, how }| json!({ "part": part, "key": key, "how": how }))
        .collect();
    let json = json!({ "edition": version, "changes": list });
    Said { lines, json }
}

/// Editions of the directory.
pub fn editions(editions: &[EditionLine]) -> Said {
    let mut lines = String::new();
    let mut list = Vec::new();
    for line in editions {
        let at = local_text(line.signed_at_ms);
        lines += &format!("{}  {at}  {}  {}\n", line.version, line.who, line.what);
        list.push(json!({
            "version": line.version,
            "signed_at_ms": line.signed_at_ms,
            "who": line.who,
            "what": line.what,
        }));
    }
    let json = list.into();
    Said { lines, json }
}

/// A whole pack.
///
/// # Errors
/// It does not read.
pub fn pack(pack: &[u8]) -> Result<Said, AnyError> {
    let json: Json = serde_json::from_slice(pack)?;
    let lines = serde_json::to_string_pretty(&json)? + "\n";
    Ok(Said { lines, json })
}

/// A new key of the server.
pub fn rotated(fingerprint: &Fingerprint, version: u64) -> Said {
    let key: String = fingerprint.0.iter().map(|b| format!("{b:02x}")).collect();
    Said {
        lines: format!("The server's key is {key} from edition {version} on.\n"),
        json: json!({ "key": key, "edition": version }),
    }
}

/// 64 hexadecimal digits.
pub fn unhex(text: &str) -> Option<[u8; 32]> {
    text.parse::<shaodao_core::domain::ids::EnvelopeHash>()
        .ok()
        .map(|hash| hash.0)
}

/// The time that was confirmed.
pub fn clock(now_ms: i64) -> Said {
    Said {
        lines: format!("The clock is right: {}.\n", local_text(now_ms)),
        json: json!({ "now_ms": now_ms }),
    }
}
