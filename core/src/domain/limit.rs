//! How long things may take, and how that looks at a glance.
//!
//! 1. A [`Limit`] counts one of three units; `4h` is its text form.
//! 2. An [`AreaClass`] stretches it.
//! 3. The share of it that is used gives a [`Light`].
//!
//! What can go wrong: (1) a text that is no limit, or a limit of nothing:
//! [`BadLimit`]; (2) a stretched limit that no number holds stays the largest
//! one, which no calendar reaches.

use std::fmt;
use std::str::FromStr;

/// Share of a limit from which its light is yellow, percent, where the policy
/// does not say.
pub const YELLOW_PERCENT: i64 = 80;

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitUnit {
    /// 紧急工作时: runs day and night.
    UrgentHour,
    /// 工作时: an hour of working time.
    WorkingHour,
    /// 工作日: as many minutes as a full working day has.
    WorkingDay,
}

/// A handling limit, such as `4h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit {
    /// How many; at least one where it was read from a text.
    pub amount: u32,
    /// Of what.
    pub unit: LimitUnit,
}

/// A text that is not a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a limit: `{0}`; expected a number from 1 and u (urgent hours), h (working hours) or d (working days), such as 4h"
)]
pub struct BadLimit(pub String);

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.unit {
            LimitUnit::UrgentHour => 'u',
            LimitUnit::WorkingHour => 'h',
            LimitUnit::WorkingDay => 'd',
        };
        write!(f, "{}{letter}", self.amount)
    }
}

impl FromStr for Limit {
    type Err = BadLimit;

    fn from_str(text: &str) -> Result<Self, BadLimit> {
        let bad = || BadLimit(text.chars().take(40).collect());
        let unit = match text.chars().last() {
            Some('u') => LimitUnit::UrgentHour,
            Some('h') => LimitUnit::WorkingHour,
            Some('d') => LimitUnit::WorkingDay,
            _ => return Err(bad()),
        };
        let digits = &text[..text.len() - 1];
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad());
        }
        match digits.parse::<u32>() {
            Ok(0) | Err(_) => Err(bad()),
            Ok(amount) => Ok(Self { amount, unit }),
        }
    }
}

/// How quickly things have to go in an area.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AreaClass {
    /// The limit as it stands.
    A,
    /// Half as long again.
    B,
    /// Twice as long.
    C,
}

impl Limit {
    /// The limit in an area of this class, rounded up.
    pub fn for_class(self, class: AreaClass) -> Self {
        let amount = match class {
            AreaClass::A => self.amount,
            AreaClass::B => self.amount.saturating_add(self.amount.div_ceil(2)),
            AreaClass::C => self.amount.saturating_mul(2),
        };
        Self { amount, ..self }
    }
}

/// What a clock shows at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Light {
    /// There is time.
    Green,
    /// 黄灯: [`YELLOW_PERCENT`] of the limit are used.
    Yellow,
    /// 红灯: all of it is used.
    Red,
}

impl Light {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
        }
    }

    /// In Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Green => "绿灯",
            Self::Yellow => "黄灯",
            Self::Red => "红灯",
        }
    }
}

/// The light of a clock that has used so much of the whole (both in the same
/// unit, such as minutes); none while the clock is suspended.
///
/// ```
/// use shaodao_core::domain::limit::{Light, light};
/// assert_eq!(light(191, 240, false), Some(Light::Green));
/// assert_eq!(light(192, 240, false), Some(Light::Yellow));
/// assert_eq!(light(240, 240, false), Some(Light::Red));
/// assert_eq!(light(240, 240, true), None);
/// ```
pub fn light(used: i64, whole: i64, suspended: bool) -> Option<Light> {
    light_from(YELLOW_PERCENT, used, whole, suspended)
}

/// The same with a yellow light from another share, percent.
pub fn light_from(yellow: i64, used: i64, whole: i64, suspended: bool) -> Option<Light> {
    let percent = i128::from(used) * 100;
    let from = |share: i64| percent >= i128::from(whole) * i128::from(share);
    match (suspended, from(100), from(yellow)) {
        (true, ..) => None,
        (_, true, _) => Some(Light::Red),
        (_, _, true) => Some(Light::Yellow),
        _ => Some(Light::Green),
    }
}
