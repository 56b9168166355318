//! What waits for the phone's owner.

use crate::error::PhoneError;
use crate::phone::Phone;
use crate::rows::{FindingRow, Names, WhistleRow};
use crate::types::{Light, RecordId, Waiting};

/// Something that waits for the phone's owner.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct ToDoRow {
    /// What for.
    pub waiting: Waiting,
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
                    waiting: todo.waiting,
                    record: todo.record,
                    due_at_ms: todo.due_at_ms,
                    light: todo.light,
                    whistle: whistle.map(|row| names.whistle(&row)),
                    finding: finding.map(|row| names.finding(&row)),
                });
            }
            Ok(rows)
        })
        .await
    }
}
