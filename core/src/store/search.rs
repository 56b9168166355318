//! Full-text search that finds two-character Chinese words.
//!
//! FTS5's trigram tokenizer needs three characters, and most Chinese words have
//! two. So text is indexed as overlapping pairs (北门街 → 北门 门街) and whole
//! Latin words or numbers; a query is cut the same way and all its pieces must
//! occur.

use rusqlite::OptionalExtension;

use super::{Store, StoreError, authentic};
use crate::domain::ids::RecordId;

/// Most results of one search.
pub const MAX_RESULTS: u32 = 500;

impl Store {
    /// Records whose text contains every piece of the query, newest first, at
    /// most `limit` (and [`MAX_RESULTS`]). Nothing for a query without letters
    /// or digits.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn search(&self, query: &str, limit: u32) -> Result<Vec<RecordId>, StoreError> {
        let Some(expression) = expression(query) else {
            return Ok(Vec::new());
        };
        let mut statement = self.db.prepare_cached(
            "SELECT record.record FROM search JOIN record ON record.id = search.rowid
             WHERE search MATCH ?1 ORDER BY search.rowid DESC LIMIT ?2",
        )?;
        let rows = statement.query_map((expression, limit.min(MAX_RESULTS)), |row| {
            row.get(0).map(RecordId)
        })?;
        let found = rows.collect::<Result<_, _>>()?;
        authentic(&self.db)?;
        Ok(found)
    }

    /// The record whose id begins with these hexadecimal characters, or whose
    /// number is this; `None` if there is none or more than one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn find(&self, name: &str) -> Result<Option<RecordId>, StoreError> {
        let mut by_number = self.db.prepare_cached(
            "SELECT record.record FROM finding JOIN record ON record.id = finding.record
             WHERE finding.number = ?1 AND finding.number <> ''",
        )?;
        let found = by_number
            .query_row([name], |row| row.get(0).map(RecordId))
            .optional()?;
        if found.is_some() {
            return Ok(found);
        }
        if name.len() < 4 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let mut by_id = self.db.prepare_cached(
            "SELECT record FROM record WHERE lower(hex(record)) GLOB ?1 || '*' LIMIT 2",
        )?;
        let rows = by_id.query_map([name.to_lowercase()], |row| row.get(0).map(RecordId))?;
        let found: Vec<RecordId> = rows.collect::<Result<_, _>>()?;
        Ok(match found.as_slice() {
            [one] => Some(*one),
            _ => None,
        })
    }
}

/// The pieces of a text, separated by spaces.
pub(super) fn grams(text: &str) -> String {
    let mut grams = String::with_capacity(text.len() * 2);
    for run in runs(text) {
        match run {
            Run::Word(word) => push(&mut grams, &word),
            Run::Han(han) => {
                for pair in han.windows(2) {
                    push(&mut grams, &String::from_iter(pair));
                }
                // The last character by itself, so that a query of one finds it
                // wherever it stands.
                push(&mut grams, &String::from_iter(han.last()));
            }
        }
    }
    grams
}

/// The FTS5 expression of a query; `None` if there is nothing to look for.
fn expression(query: &str) -> Option<String> {
    let mut pieces = Vec::new();
    for run in runs(query) {
        match run {
            Run::Word(word) => pieces.push(format!("\"{word}\"*")),
            Run::Han(han) if han.len() == 1 => {
                pieces.push(format!("\"{}\"*", String::from_iter(han)));
            }
            Run::Han(han) => {
                let pairs = han.windows(2);
                pieces.extend(pairs.map(|pair| format!("\"{}\"", String::from_iter(pair))));
            }
        }
    }
    (!pieces.is_empty()).then(|| pieces.join(" AND "))
}

enum Run {
    Han(Vec<char>),
    Word(String),
}

/// Runs of Chinese characters and runs of other letters and digits; everything
/// else separates.
fn runs(text: &str) -> Vec<Run> {
    let mut runs = Vec::new();
    for character in text.chars().flat_map(char::to_lowercase) {
        let han = matches!(character, '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{323af}');
        match (runs.last_mut(), han) {
            (Some(Some(Run::Han(run))), true) => run.push(character),
            (_, true) => runs.push(Some(Run::Han(vec![character]))),
            (Some(Some(Run::Word(run))), false) if character.is_alphanumeric() => {
                run.push(character);
            }
            (_, false) if character.is_alphanumeric() => {
                runs.push(Some(Run::Word(character.to_string())));
            }
            _ => runs.push(None),
        }
    }
    runs.into_iter().flatten().collect()
}

fn push(grams: &mut String, piece: &str) {
    if !grams.is_empty() {
        grams.push(' ');
    }
    grams.push_str(piece);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_is_cut_into_pairs_and_words_stay_whole() {
        assert_eq!(grams("北门街E0102号"), "北门 门街 街 e0102 号");
        assert_eq!(grams("——!"), "");
        assert_eq!(
            expression("北门街").as_deref(),
            Some("\"北门\" AND \"门街\"")
        );
        assert_eq!(expression("门").as_deref(), Some("\"门\"*"));
        assert_eq!(expression(" \"*) "), None);
    }
}
