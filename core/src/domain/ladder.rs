//! The ladder, as data that an operator may set: which whistles go up, why, how
//! long they are held first, and how long the next level then has. The street
//! takes over from a community; above the street there is only a mark for the
//! district.
//!
//! The first [`Rung`] that fits a whistle counts, so the strictest stands first.
//! A whistle that fits none goes up from its level by no cause at all.

use super::calendar::{AreaClass, Limit, LimitUnit};
use super::order::{EscalationCause, Level, Order};

/// The rungs, the first that fits first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder {
    /// In the order in which they are tried.
    pub rungs: Vec<Rung>,
}

/// When whistles of one kind go up from one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rung {
    /// Whose whistles.
    pub from: Level,
    /// Beginnings of category codes, such as `E04`; one finding that has one of
    /// them is enough. Empty: whatever the findings.
    pub categories: Vec<String>,
    /// Platforms, 1 to 5. Empty: every platform.
    pub platforms: Vec<u8>,
    /// Classes of the blowing community. Empty: every class.
    pub classes: Vec<AreaClass>,
    /// What makes them go up.
    pub causes: Vec<EscalationCause>,
    /// So many failed verifications do.
    pub failed_verifications: u32,
    /// How long a passed time is held before anything follows from it,
    /// milliseconds, 0 or more: whoever is done by then is late, and nobody
    /// takes over.
    pub hold_ms: i64,
    /// Limit of the whistle that the next level opens.
    pub limit: Limit,
    /// By when somebody has to arrive at it; `None`: by no time in particular.
    pub report_by: Option<Limit>,
}

impl Ladder {
    /// The rung of a whistle. `class` is that of the blowing community, if a
    /// community blew; `categories` are those of its findings.
    pub fn rung<'a>(
        &self,
        order: &Order,
        class: Option<AreaClass>,
        categories: impl Iterator<Item = &'a str> + Clone,
    ) -> Option<&Rung> {
        self.rungs.iter().find(|rung| {
            let begins = |code: &str| rung.categories.iter().any(|with| code.starts_with(with));
            rung.from == order.level
                && (rung.platforms.is_empty() || rung.platforms.contains(&order.platform))
                && (rung.classes.is_empty() || class.is_some_and(|it| rung.classes.contains(&it)))
                && (rung.categories.is_empty() || categories.clone().any(begins))
        })
    }
}

impl Rung {
    /// Every cause that a level knows, two failed verifications, held for no
    /// time; three days for the next level, and one to arrive.
    pub fn usual(from: Level) -> Self {
        use EscalationCause::{Asked, DuePassed, NoArrival, ObjectionUpheld};
        let hours = |amount| Limit {
            amount,
            unit: LimitUnit::UrgentHour,
        };
        Self {
            from,
            categories: Vec::new(),
            platforms: Vec::new(),
            classes: Vec::new(),
            causes: match from {
                Level::Community => {
                    vec![Asked, EscalationCause::TwoFailedVerifications, DuePassed]
                }
                Level::Street => vec![ObjectionUpheld, NoArrival],
            },
            failed_verifications: 2,
            hold_ms: 0,
            limit: hours(72),
            report_by: Some(hours(24)),
        }
    }
}

impl Default for Ladder {
    /// One usual rung for each level.
    fn default() -> Self {
        Self {
            rungs: vec![Rung::usual(Level::Community), Rung::usual(Level::Street)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(platform: u8) -> Order {
        Order {
            level: Level::Community,
            platform,
            area: "530102001006".to_owned(),
            findings: Vec::new(),
            targets: Vec::new(),
            sign_by_ms: None,
            report_by_ms: None,
            due_ms: 0,
            terms: None,
            parent: None,
        }
    }

    #[test]
    fn the_first_rung_that_fits_counts_and_no_rung_means_no_escalation() {
        let mut ladder = Ladder::default();
        let urgent = Rung {
            categories: vec!["E04".to_owned()],
            platforms: vec![5],
            classes: vec![AreaClass::A],
            hold_ms: 7,
            ..Rung::usual(Level::Community)
        };
        ladder.rungs.insert(0, urgent);
        let hold = |platform, class, category: &str| {
            let rung = ladder.rung(&order(platform), class, [category].into_iter());
            rung.map(|rung| rung.hold_ms)
        };
        assert_eq!(hold(5, Some(AreaClass::A), "E0403"), Some(7));
        assert_eq!(hold(5, Some(AreaClass::B), "E0403"), Some(0));
        assert_eq!(hold(5, None, "E0403"), Some(0));
        assert_eq!(hold(2, Some(AreaClass::A), "E0403"), Some(0));
        assert_eq!(hold(5, Some(AreaClass::A), "E0103"), Some(0));
        let nothing = Ladder { rungs: Vec::new() };
        assert_eq!(nothing.rung(&order(5), None, [].into_iter()), None);
    }
}
