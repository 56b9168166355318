//! A network that loses, doubles, cuts and delays.

use rand::RngExt;
use rand::rngs::StdRng;

/// How bad it is; each number is a chance in percent for each exchange.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// The request never arrives.
    pub lost: u32,
    /// The request arrives, the reply does not.
    pub reply_lost: u32,
    /// The reply is cut somewhere.
    pub reply_cut: u32,
    /// The request arrives twice.
    pub doubled: u32,
    /// The request arrives at some later time, perhaps after newer ones.
    pub delayed: u32,
}

/// What becomes of one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// As it should.
    Arrives,
    /// Request lost.
    LostOnTheWay,
    /// Reply lost.
    ReplyLost,
    /// Reply cut.
    ReplyCut,
    /// Request doubled.
    Doubled,
    /// Request delayed.
    Delayed,
}

impl Weather {
    /// Nothing goes wrong.
    pub fn fine() -> Self {
        Self {
            lost: 0,
            reply_lost: 0,
            reply_cut: 0,
            doubled: 0,
            delayed: 0,
        }
    }

    /// A stairwell in the old town.
    pub fn bad() -> Self {
        Self {
            lost: 15,
            reply_lost: 10,
            reply_cut: 10,
            doubled: 10,
            delayed: 10,
        }
    }

    pub(super) fn fate(&self, rng: &mut StdRng) -> Fate {
        let mut roll = rng.random_range(0..100u32);
        for (chance, fate) in [
            (self.lost, Fate::LostOnTheWay),
            (self.reply_lost, Fate::ReplyLost),
            (self.reply_cut, Fate::ReplyCut),
            (self.doubled, Fate::Doubled),
            (self.delayed, Fate::Delayed),
        ] {
            if roll < chance {
                return fate;
            }
            roll -= chance;
        }
        Fate::Arrives
    }

    pub(super) fn delays(&self, rng: &mut StdRng) -> bool {
        rng.random_range(0..100u32) < self.delayed
    }
}
