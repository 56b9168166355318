//! "Come back later": what a phone remembers when the server had no room for
//! it. Nothing is lost by it: the outbox keeps everything, screens say why and
//! when it goes on.

/// The server asked the phone to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOff {
    /// When to try again, by the phone's wall clock, Unix milliseconds.
    pub until_ms: i64,
    /// The server's machine code.
    pub code: String,
    /// Why, in Chinese.
    pub zh: String,
    /// Why, in English.
    pub en: String,
}

/// The machine code of a day's limit.
pub const DAILY_LIMIT: &str = "daily_limit";
/// The longest that a phone lets itself be put off, milliseconds: a day and an
/// hour.
pub const LONGEST_MS: i64 = 25 * 3_600_000;

impl PutOff {
    /// Whether it still holds. A wall clock that was set back does not make a
    /// day into a year.
    pub fn holds(&self, wall_ms: i64) -> bool {
        let left = self.until_ms.saturating_sub(wall_ms);
        (1..=LONGEST_MS).contains(&left)
    }

    /// Only sending has to wait; what others did can be fetched.
    pub fn only_sending(&self) -> bool {
        self.code == DAILY_LIMIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_set_back_does_not_silence_a_phone() {
        let put_off = PutOff {
            until_ms: 1_749_603_600_000,
            code: DAILY_LIMIT.to_owned(),
            zh: String::new(),
            en: String::new(),
        };
        assert!(put_off.holds(put_off.until_ms - 1));
        assert!(!put_off.holds(put_off.until_ms));
        assert!(!put_off.holds(0));
        assert!(!put_off.holds(i64::MIN));
    }
}
