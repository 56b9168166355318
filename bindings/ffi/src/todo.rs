//! What waits for the phone's owner.

use crate::error::PhoneError;
use crate::phone::Phone;
use crate::rows::{FindingRow, Names, WhistleRow};
use crate::types::{ActionId, Light, Question, RecordId};

/// Something that waits for the phone's owner.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct ToDoRow {
    /// What is asked.
    pub question: Question,
    /// The target that it is about, by its key, or `blower`.
    pub party: Option<String>,
    /// The earlier action that an answer names: a request, a supervision.
    pub answers: Option<ActionId>,
    /// In the words of who asks; empty if they are nobody's.
    pub text: String,
    /// The date that goes with the question, Unix milliseconds.
    pub at_ms: Option<i64>,
    /// Whether something was done in time cannot be told by any clock: whoever
    /// answers decides that too.
    pub unsure: bool,
    /// On which record.
    pub record: RecordId,
    /// Due time of a whistle, Unix milliseconds; a finding has none.
    pub due_at_ms: Option<i64>,
    /// Its light; none while the clock stands still.
    pub light: Option<Light>,
    /// The whistle, if it is one.
    pub whistle: Option<WhistleRow>,
    /// The finding, if it is one.
    pub finding: Option<FindingRow>,
}

#[uniffi::export]
impl Phone {
    /// What waits for the phone's owner: whistles, then findings.
    pub async fn todo(&self) -> Result<Vec<ToDoRow>, PhoneError> {
        self.read(|device, now| {
            let names = Names::of(device, now)?;
            let store = device.store();
            let mut rows = Vec::new();
            for todo in device.todo(now)? {
                let whistle = store.whistle(todo.record)?;
                let finding = store.finding(todo.record)?;
                rows.push(ToDoRow {
                    question: todo.waiting.question,
                    party: todo.waiting.party,
                    answers: todo.waiting.answers,
                    text: todo.waiting.text,
                    at_ms: todo.waiting.at_ms,
                    unsure: todo.waiting.unsure,
                    record: todo.record,
                    due_at_ms: todo.due_at_ms,
                    light: todo.light,
                    whistle: whistle.map(|row| names.whistle(&row)).transpose()?,
                    finding: finding.map(|row| names.finding(&row)),
                });
            }
            Ok(rows)
        })
        .await
    }
}
