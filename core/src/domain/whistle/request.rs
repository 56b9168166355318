//! What targets ask of the blower and superiors of both: records inside the
//! whistle with an outcome of their own. None of them is a stage.

use super::super::action::{BLOWER, Body};
use super::super::history::Entry;
use super::super::ids::EnvelopeHash;
use super::super::reason::Reason;
use super::target::Deed;
use super::{Recomputed, WhistleState};

/// What a target asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// 退单: the order is not theirs.
    Objection,
    /// 延期: a later due time.
    Extension {
        /// Until when, Unix milliseconds.
        until_ms: i64,
    },
    /// 挂账: a stopped clock.
    Suspension {
        /// When it is looked at again, Unix milliseconds.
        review_ms: i64,
    },
}

impl Ask {
    /// The word of the action that asks.
    pub fn word(self) -> &'static str {
        match self {
            Self::Objection => "object",
            Self::Extension { .. } => "ask_extension",
            Self::Suspension { .. } => "ask_suspension",
        }
    }

    /// The date that is asked for; an objection has none.
    pub fn date_ms(self) -> Option<i64> {
        match self {
            Self::Objection => None,
            Self::Extension { until_ms } => Some(until_ms),
            Self::Suspension { review_ms } => Some(review_ms),
        }
    }
}

/// The blower's word on a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// Who ruled, and in which words.
    pub deed: Deed,
    /// Granted (an objection: upheld), or not.
    pub granted: bool,
    /// The approved date, if it differs from the asked one.
    pub until_ms: Option<i64>,
}

/// A request of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Key of the target.
    pub party: String,
    /// What for.
    pub ask: Ask,
    /// Who asked, and why; its hash names the request.
    pub asked: Deed,
    /// The outcome; `None` while nobody has ruled.
    pub ruling: Option<Ruling>,
    /// A suspension that was ended before its review date.
    pub resumed: Option<Deed>,
}

impl Request {
    /// The ruling that granted it, with the date that it grants.
    pub fn granted(&self) -> Option<(&Ruling, Option<i64>)> {
        let ruling = self.ruling.as_ref().filter(|ruling| ruling.granted)?;
        Some((ruling, ruling.until_ms.or(self.ask.date_ms())))
    }

    /// Its outcome as a stable word: `asked`, `granted`, `refused` or
    /// `resumed`.
    pub fn outcome(&self) -> &'static str {
        match &self.ruling {
            None => "asked",
            Some(_) if self.resumed.is_some() => "resumed",
            Some(ruling) if ruling.granted => "granted",
            Some(_) => "refused",
        }
    }
}

/// An answer that a superior demands (督办).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervision {
    /// Who has to answer: a target's key, or `blower`.
    pub party: String,
    /// Who demanded what; its hash names the supervision.
    pub deed: Deed,
    /// Until when, Unix milliseconds.
    pub reply_by_ms: i64,
    /// The answer, once there is one.
    pub reply: Option<Deed>,
}

impl WhistleState {
    /// What a target asks for.
    pub(super) fn ask(&mut self, entry: &Entry) -> Result<(), Reason> {
        let (party, ask, reason) = match &entry.body {
            Body::Object { party, reason } => (party, Ask::Objection, reason),
            Body::AskExtension {
                party,
                until_ms,
                reason,
            } => {
                let until_ms = *until_ms;
                (party, Ask::Extension { until_ms }, reason)
            }
            Body::AskSuspension {
                party,
                review_ms,
                reason,
            } => {
                let review_ms = *review_ms;
                (party, Ask::Suspension { review_ms }, reason)
            }
            _ => return Err(Reason::NoSuchRequest),
        };
        self.open_target(party)?;
        let objected = |request: &Request| request.party == *party && request.ask == ask;
        if ask == Ask::Objection && self.requests.iter().any(objected) {
            return Err(Reason::AlreadyObjected);
        }
        self.requests.push(Request {
            party: party.clone(),
            ask,
            asked: Deed::of(entry, reason),
            ruling: None,
            resumed: None,
        });
        Ok(())
    }

    /// What the blower decides about requests and the clock, and what superiors
    /// demand.
    pub(super) fn rule(&mut self, entry: &Entry) -> Result<(), Reason> {
        // A superior is owed an answer even after the end.
        if !matches!(entry.body, Body::Reply { .. }) {
            self.must_be_open()?;
        }
        match &entry.body {
            Body::Rule {
                request,
                granted,
                until_ms,
                text,
            } => self.rule_on(entry, *request, *granted, *until_ms, text)?,
            Body::Resume { reason } => {
                let stopped = |request: &&mut Request| {
                    matches!(request.ask, Ask::Suspension { .. })
                        && request.granted().is_some()
                        && request.resumed.is_none()
                };
                let mut stopped = self.requests.iter_mut().filter(stopped).peekable();
                stopped.peek().ok_or(Reason::NotSuspended)?;
                stopped.for_each(|request| request.resumed = Some(Deed::of(entry, reason)));
            }
            Body::Recompute {
                due_ms,
                terms,
                reason,
            } => {
                let start_ms = self.started_at_ms();
                if terms.as_ref().is_some_and(|it| it.start_ms != start_ms) {
                    return Err(Reason::ClockRestarted);
                }
                self.recomputed = Some(Recomputed {
                    due_ms: *due_ms,
                    terms: terms.clone(),
                    deed: Deed::of(entry, reason),
                });
            }
            Body::Supervise {
                party,
                text,
                reply_by_ms,
            } => {
                if party != BLOWER && !self.targets.contains_key(party) {
                    return Err(Reason::NoSuchTarget);
                }
                self.supervisions.push(Supervision {
                    party: party.clone(),
                    deed: Deed::of(entry, text),
                    reply_by_ms: *reply_by_ms,
                    reply: None,
                });
            }
            Body::Reply { supervision, text } => {
                let mut supervisions = self.supervisions.iter_mut();
                let demanded = supervisions
                    .find(|it| it.deed.hash == *supervision)
                    .ok_or(Reason::NoSuchSupervision)?;
                if demanded.reply.is_some() {
                    return Err(Reason::AlreadyAnswered);
                }
                demanded.reply = Some(Deed::of(entry, text));
            }
            _ => return Err(Reason::NoSuchRequest),
        }
        Ok(())
    }

    fn rule_on(
        &mut self,
        entry: &Entry,
        request: EnvelopeHash,
        granted: bool,
        until_ms: Option<i64>,
        text: &str,
    ) -> Result<(), Reason> {
        let mut requests = self.requests.iter_mut();
        let asked = requests
            .find(|it| it.asked.hash == request)
            .ok_or(Reason::NoSuchRequest)?;
        if asked.ruling.is_some() {
            return Err(Reason::AlreadyRuled);
        }
        asked.ruling = Some(Ruling {
            deed: Deed::of(entry, text),
            granted,
            until_ms,
        });
        // An upheld objection lets the target go.
        if granted && asked.ask == Ask::Objection {
            let why = asked.asked.text.clone();
            if let Some(target) = self.targets.get_mut(&asked.party) {
                target.excused = Some(why);
            }
        }
        Ok(())
    }
}
