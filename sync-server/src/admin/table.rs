//! CSV files as offices write them: with a byte order mark, with Chinese heads,
//! with empty lines at the end. Every row knows its line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{AnyError, read};

/// A table from a CSV file, with the lines that its rows stand on.
pub struct Table {
    path: PathBuf,
    /// Line and cells, in the order of the columns asked for.
    pub rows: Vec<(u64, Vec<String>)>,
}

/// A column: what it may be called.
pub type Column = &'static [&'static str];

/// Communities.
pub const COMMUNITIES: [Column; 3] = [&["code", "代码"], &["name", "名称"], &["class", "类别"]];
/// People.
pub const PEOPLE: [Column; 4] = [
    &["id", "工号"],
    &["name", "姓名"],
    &["roles", "角色"],
    &["posts", "岗位"],
];
/// Kinds of posts.
pub const POSTS: [Column; 3] = [&["code", "代码"], &["name", "名称"], &["standing", "常设"]];
/// Organisations.
pub const ORGANISATIONS: [Column; 3] = [&["id", "编号"], &["name", "名称"], &["platform", "平台"]];

impl Table {
    /// Reads a file; its columns may stand in any order and there may be more.
    ///
    /// # Errors
    /// A column is missing, or the file is no CSV: with file and line.
    pub fn read(path: &PathBuf, columns: &[Column]) -> Result<Self, AnyError> {
        let text = read(path)?;
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let failed = |error: csv::Error| {
            let line = error.position().map_or(1, csv::Position::line);
            format!("{}, line {line}: {error}", path.display())
        };
        let head = reader.headers().map_err(failed)?.clone();
        let mut at = Vec::new();
        for names in columns {
            let column = head.iter().position(|head| names.contains(&head));
            at.push(column.ok_or_else(|| {
                let names = names.join(" or ");
                format!("{}, line 1: there is no column {names}", path.display())
            })?);
        }
        let mut rows = Vec::new();
        let (mut counted, mut line) = (0, 1);
        for record in reader.records() {
            let record = record.map_err(failed)?;
            // The reader counts empty lines to the record behind them.
            let start = record.position().map_or(0, csv::Position::byte);
            let start = usize::try_from(start).unwrap_or(text.len()).min(text.len());
            let bytes = &text.as_bytes()[start..];
            let empty = bytes
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n'));
            let start = start + empty.count();
            let passed = &text.as_bytes()[counted..start];
            line += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
            counted = start;
            let cells: Vec<String> = at.iter().map(|at| record[*at].to_owned()).collect();
            // Spreadsheets leave empty lines at the end.
            if cells.iter().any(|cell| !cell.is_empty()) {
                rows.push((line, cells));
            }
        }
        let path = path.clone();
        Ok(Self { path, rows })
    }

    /// What is wrong on a line.
    pub fn wrong(&self, line: u64, what: &str) -> AnyError {
        format!("{}: {what}", self.place(line)).into()
    }

    /// A line, in words.
    pub fn place(&self, line: u64) -> String {
        format!("{}, line {line}", self.path.display())
    }

    /// Refuses a key that is empty or stands on two lines.
    ///
    /// # Errors
    /// With file and line.
    pub fn keyed(&self) -> Result<(), AnyError> {
        let mut lines = BTreeMap::new();
        for (line, cells) in &self.rows {
            let key = &cells[0];
            if key.is_empty() {
                return Err(self.wrong(*line, "the first column is empty"));
            }
            if let Some(before) = lines.insert(key, line) {
                let what = format!("{key} stands on line {before} already");
                return Err(self.wrong(*line, &what));
            }
        }
        Ok(())
    }
}
