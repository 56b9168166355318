//! How often somebody may ask: a bucket for each session and one for each
//! address, filled at a steady rate (GCRA, by `governor`). Real time, also in
//! a rehearsal: this protects the machine, not the street.
//!
//! What can go wrong: somebody comes from very many addresses: buckets that
//! are full again are forgotten, and beyond [`MOST_BUCKETS`] newcomers share
//! one.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use shaodao_core::domain::ids::DeviceId;

use crate::evidence::settings::Settings;
use crate::limits::Limits;

/// Buckets kept at once; 100,000 of them take some 10 MB.
const MOST_BUCKETS: usize = 100_000;
/// While there are too many, full ones are looked for once in so many requests.
const SWEEP_EVERY: u32 = 1_024;

/// Somebody asks too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooOften {
    /// Seconds to wait, at least 1.
    pub wait_s: u64,
}

/// All buckets of a server.
pub(super) struct Rates<C: Clock = MonotonicClock> {
    addresses: Buckets<Network, C>,
    devices: Buckets<DeviceId, C>,
    evidence: Buckets<DeviceId, C>,
}

/// Who shares a bucket: an IPv4 address, or an IPv6 /64 network, which is what
/// one household is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Network(IpAddr);

impl Network {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.into()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
        }
    }
}

impl Rates {
    /// Full buckets, on the machine's monotonic clock.
    pub(super) fn new(limits: &Limits, evidence: &Settings) -> Self {
        Self::with_clock(limits, evidence, MonotonicClock)
    }
}

impl<C: Clock + Clone> Rates<C> {
    /// Full buckets on any clock.
    pub(super) fn with_clock(limits: &Limits, evidence: &Settings, clock: C) -> Self {
        Self {
            addresses: Buckets::new(limits.address_rate, limits.address_burst, clock.clone()),
            devices: Buckets::new(limits.device_rate, limits.device_burst, clock.clone()),
            evidence: Buckets::new(evidence.rate, evidence.burst, clock),
        }
    }

    /// A request that weighs so much, from an address.
    ///
    /// # Errors
    /// [`TooOften`].
    pub(super) fn address(&self, address: IpAddr, weight: u32) -> Result<(), TooOften> {
        self.addresses.take(Network::of(address), weight)
    }

    /// A request of a session about evidence.
    ///
    /// # Errors
    /// [`TooOften`].
    pub(super) fn evidence(&self, device: DeviceId) -> Result<(), TooOften> {
        self.evidence.take(device, 1)
    }

    /// Any other request of a session.
    ///
    /// # Errors
    /// [`TooOften`].
    pub(super) fn device(&self, device: DeviceId) -> Result<(), TooOften> {
        self.devices.take(device, 1)
    }
}

struct Buckets<K: Hash + Eq + Clone, C: Clock> {
    each: RateLimiter<K, HashMapStateStore<K>, C, NoOpMiddleware<C::Instant>>,
    clock: C,
    newcomers: RateLimiter<(), HashMapStateStore<()>, C, NoOpMiddleware<C::Instant>>,
    taken: AtomicU32,
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Buckets<K, C> {
    fn new(rate: u32, burst: u32, clock: C) -> Self {
        let least = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(least(rate)).allow_burst(least(burst));
        Self {
            each: RateLimiter::new(quota, HashMapStateStore::default(), clock.clone()),
            newcomers: RateLimiter::new(quota, HashMapStateStore::default(), clock.clone()),
            clock,
            taken: AtomicU32::new(0),
        }
    }

    fn take(&self, key: K, weight: u32) -> Result<(), TooOften> {
        let weight = NonZeroU32::new(weight).unwrap_or(NonZeroU32::MIN);
        let nth = self.taken.fetch_add(1, Ordering::Relaxed);
        let sweep = nth.is_multiple_of(SWEEP_EVERY);
        if sweep && self.each.len() >= MOST_BUCKETS {
            self.each.retain_recent();
        }
        let taken = match self.each.len() < MOST_BUCKETS {
            true => self.each.check_key_n(&key, weight),
            false => self.newcomers.check_key_n(&(), weight),
        };
        // A request that is heavier than a whole bucket never fits; limits are
        // checked so that there is none.
        let Ok(Err(wait)) = taken else {
            return Ok(());
        };
        let wait = wait.wait_time_from(self.clock.now());
        let wait_s = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Err(TooOften {
            wait_s: wait_s.max(1),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn a_bucket_empties_fills_again_and_is_nobody_elses() {
        let limits = Limits {
            device_rate: 1,
            device_burst: 3,
            address_rate: 1,
            address_burst: 20,
            ..Limits::default()
        };
        let clock = FakeRelativeClock::default();
        let rates = Rates::with_clock(&limits, &Settings::default(), clock.clone());
        let [li, wang] = [DeviceId([1; 16]), DeviceId([2; 16])];
        for _ in 0..3 {
            assert_eq!(rates.device(li), Ok(()));
        }
        assert_eq!(rates.device(li), Err(TooOften { wait_s: 1 }));
        assert_eq!(rates.device(wang), Ok(()));
        clock.advance(Duration::from_secs(1));
        assert_eq!(rates.device(li), Ok(()));
        assert_eq!(rates.device(li), Err(TooOften { wait_s: 1 }));

        let home: IpAddr = "2001:db8:1:2::1".parse().expect("an address");
        let same: IpAddr = "2001:db8:1:2:ffff::9".parse().expect("an address");
        let other: IpAddr = "2001:db8:1:3::1".parse().expect("an address");
        assert_eq!(rates.address(home, 10), Ok(()));
        assert_eq!(rates.address(same, 10), Ok(()));
        assert_eq!(rates.address(home, 10), Err(TooOften { wait_s: 10 }));
        assert_eq!(rates.address(other, 10), Ok(()));
    }
}
