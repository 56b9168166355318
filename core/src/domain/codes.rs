//! What findings are about: categories by code. A code pack is data; the one in
//! the repository follows the numbering of CJ/T 214-2007 for city components
//! (部件, C) and events (事件, E).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::calendar::{BadLimit, Limit};
use super::evidence::MAX_PIECES;

/// A category: kind, major and minor class, `E0102`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CategoryCode {
    /// Event (E) rather than component (C).
    pub event: bool,
    /// Major class, 0 to 99.
    pub major: u8,
    /// Minor class, 0 to 99.
    pub minor: u8,
}

/// A text that is not a category code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a category code: `{0}`; expected C or E and four digits, such as E0102")]
pub struct BadCode(pub String);

impl fmt::Display for CategoryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = if self.event { 'E' } else { 'C' };
        write!(f, "{letter}{:02}{:02}", self.major, self.minor)
    }
}

impl FromStr for CategoryCode {
    type Err = BadCode;

    fn from_str(text: &str) -> Result<Self, BadCode> {
        let bytes = text.as_bytes();
        let digit = |at: usize| {
            bytes
                .get(at)
                .filter(|byte| byte.is_ascii_digit())
                .map(|byte| byte - b'0')
        };
        let read = || {
            let event = match bytes.first()? {
                b'E' | b'e' => true,
                b'C' | b'c' => false,
                _ => return None,
            };
            (bytes.len() == 5).then_some(())?;
            Some(Self {
                event,
                major: digit(1)? * 10 + digit(2)?,
                minor: digit(3)? * 10 + digit(4)?,
            })
        };
        read().ok_or_else(|| BadCode(text.chars().take(40).collect()))
    }
}

/// One category of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// Its code.
    pub code: CategoryCode,
    /// Name of the major class.
    pub major_name: String,
    /// Its name.
    pub name: String,
    /// Handling limit for area class A; `None` for components, whose limit
    /// depends on what is wrong with them.
    pub limit: Option<Limit>,
    /// The kind of whistle that usually solves it.
    pub whistle_hint: Option<String>,
    /// How many photos of the scene a report asks for, up to [`MAX_PIECES`]. A
    /// hint for screens: a report without photos counts.
    pub photos: usize,
}

/// The categories of one scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodePack {
    /// Name of the scheme, such as `cjt214-2007`.
    pub scheme: String,
    categories: BTreeMap<CategoryCode, Category>,
}

/// A code pack that does not read, and where.
#[derive(Debug, thiserror::Error)]
pub enum CodePackError {
    /// Not CSV with the expected columns.
    #[error("code pack: {0}")]
    Csv(#[from] csv::Error),
    /// A code that is not one.
    #[error("code pack: {0}")]
    Code(#[from] BadCode),
    /// A limit that is not one.
    #[error("code pack: {0}")]
    Limit(#[from] BadLimit),
    /// One code twice.
    #[error("code pack: {0} stands twice")]
    Twice(CategoryCode),
    /// Not a number of photos.
    #[error("code pack: {code}: `{photos}` is not a number of photos, 0 to {MAX_PIECES}")]
    Photos {
        /// Of which category.
        code: CategoryCode,
        /// What stands there.
        photos: String,
    },
}

impl CodePack {
    /// Reads the two tables of a scheme: columns `major, major_name, minor,
    /// name`, for events also `limit_a, whistle_hint`, for both perhaps `photos`.
    ///
    /// # Errors
    /// See [`CodePackError`].
    pub fn parse(scheme: &str, components: &str, events: &str) -> Result<Self, CodePackError> {
        let mut categories = BTreeMap::new();
        for (letter, table) in [('C', components), ('E', events)] {
            let mut reader = csv::Reader::from_reader(table.as_bytes());
            for row in reader.deserialize::<BTreeMap<String, String>>() {
                let row = row?;
                let cell = |name: &str| row.get(name).map(String::as_str).unwrap_or_default();
                let code = format!("{letter}{}{}", cell("major"), cell("minor")).parse()?;
                let limit = match cell("limit_a") {
                    "" => None,
                    limit => Some(limit.parse()?),
                };
                let hint = cell("whistle_hint");
                let photos = match cell("photos") {
                    "" => usual_photos(code),
                    photos => asked_for(photos).ok_or_else(|| CodePackError::Photos {
                        code,
                        photos: photos.to_owned(),
                    })?,
                };
                let category = Category {
                    code,
                    major_name: cell("major_name").to_owned(),
                    name: cell("name").to_owned(),
                    limit,
                    whistle_hint: (!hint.is_empty()).then(|| hint.to_owned()),
                    photos,
                };
                if categories.insert(code, category).is_some() {
                    return Err(CodePackError::Twice(code));
                }
            }
        }
        Ok(Self {
            scheme: scheme.to_owned(),
            categories,
        })
    }

    /// A category by code.
    pub fn get(&self, code: &CategoryCode) -> Option<&Category> {
        self.categories.get(code)
    }

    /// All categories by code.
    pub fn all(&self) -> impl Iterator<Item = &Category> {
        self.categories.values()
    }

    /// Categories whose code begins with the text, or whose name contains it.
    pub fn search(&self, text: &str) -> Vec<&Category> {
        let code = text.to_uppercase();
        self.all()
            .filter(|category| {
                category.code.to_string().starts_with(&code)
                    || category.name.contains(text)
                    || category.major_name.contains(text)
            })
            .collect()
    }
}

/// Where a pack does not say: two (a near and a far one) for a component, of which
/// it has to be judged from afar what is wrong and where, else one.
fn usual_photos(code: CategoryCode) -> usize {
    match code.event {
        true => 1,
        false => 2,
    }
}

fn asked_for(photos: &str) -> Option<usize> {
    let photos = photos.parse().ok()?;
    (photos <= MAX_PIECES).then_some(photos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_survives_its_text_form_and_nonsense_is_named() {
        let code: CategoryCode = "e0102".parse().expect("a code");
        assert_eq!(code.to_string(), "E0102");
        for bad in ["", "E01", "X0102", "E01023", "E0a02"] {
            assert!(bad.parse::<CategoryCode>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pack_says_how_many_photos_a_category_asks_for_or_the_usual_ones() {
        let components = "major,major_name,minor,name\n01,公用设施,01,上水井盖\n";
        let events = |photos: &str| {
            format!(
                "major,major_name,minor,name,limit_a,whistle_hint,photos\n\
                 01,市容环境,01,私搭乱建,7d,综合执法,{photos}\n\
                 01,市容环境,02,暴露垃圾,4h,,\n"
            )
        };
        let pack = |photos: &str| CodePack::parse("test", components, &events(photos));
        for (said, wanted) in [("3", [2, 3, 1]), ("0", [2, 0, 1]), ("", [2, 1, 1])] {
            let pack = pack(said).expect("reads");
            let photos: Vec<_> = pack.all().map(|category| category.photos).collect();
            assert_eq!(photos, wanted, "{said}");
        }
        for bad in ["21", "two", "-1"] {
            let refused = pack(bad).expect_err("refused").to_string();
            assert!(
                refused.contains("E0101") && refused.contains(bad),
                "{refused}"
            );
        }
    }
}
