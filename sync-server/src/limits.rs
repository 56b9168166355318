//! How much one caller may ask for: every number in one place, with its unit,
//! its default and its range. What is over a limit is told to come back or to
//! send less; nothing that was captured is lost by it, it stays on the phone.

use serde::{Deserialize, Serialize};

use shaodao_core::sync::plan::MAX_PUSH;
use shaodao_core::sync::wire::{MAX_PUSHED, MAX_REQUEST_BYTES, MIN_REQUEST_BYTES};

/// Limits of the server's edge. The defaults leave an honest phone a tenfold
/// margin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest request, bytes, as it travels and unpacked.
    pub request_bytes: usize,
    /// Most envelopes in one request.
    pub envelopes_per_request: usize,
    /// Seconds within which the head of a request must have come; also how long
    /// a silent connection is kept, and how long a TLS handshake may take.
    pub header_timeout_s: u64,
    /// Seconds within which the body of a request must have come, and within
    /// which the caller must take each piece of the answer.
    pub body_timeout_s: u64,
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address (IPv6: from one /64 network).
    pub connections_per_address: usize,
    /// Requests a second that one address may go on making; an enrolment counts
    /// as ten.
    pub address_rate: u32,
    /// Requests that one address may make at once after a pause.
    pub address_burst: u32,
    /// Requests a second that one session may go on making.
    pub device_rate: u32,
    /// Requests that one session may make at once after a pause.
    pub device_burst: u32,
    /// New actions of one device that are taken on one day (Asia/Shanghai).
    pub actions_per_day: u64,
    /// New findings and whistles of one device that are taken on one day.
    pub records_per_day: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: MAX_REQUEST_BYTES,
            envelopes_per_request: 2_000,
            header_timeout_s: 15,
            body_timeout_s: 60,
            connections: 2_000,
            connections_per_address: 500,
            address_rate: 200,
            address_burst: 6_000,
            device_rate: 5,
            device_burst: 300,
            actions_per_day: 5_000,
            records_per_day: 1_000,
        }
    }
}

/// A limit outside its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{group}.{name} is {value}, it must be {least} to {most}")]
pub struct OutOfRange {
    /// Of which group of settings.
    pub group: &'static str,
    /// Which limit.
    pub name: &'static str,
    /// What was given.
    pub value: u64,
    /// The least that leaves honest phones working.
    pub least: u64,
    /// The most that the server can answer for.
    pub most: u64,
}

impl Limits {
    /// Checks every limit against its range.
    ///
    /// # Errors
    /// The first that is outside.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let ranges = [
            (
                "request_bytes",
                self.request_bytes as u64,
                MIN_REQUEST_BYTES as u64,
                MAX_REQUEST_BYTES as u64,
            ),
            (
                "envelopes_per_request",
                self.envelopes_per_request as u64,
                MAX_PUSH as u64,
                MAX_PUSHED as u64,
            ),
            ("header_timeout_s", self.header_timeout_s, 1, 300),
            ("body_timeout_s", self.body_timeout_s, 1, 600),
            ("connections", self.connections as u64, 1, 100_000),
            (
                "connections_per_address",
                self.connections_per_address as u64,
                1,
                100_000,
            ),
            ("address_rate", self.address_rate.into(), 1, 1_000_000),
            ("address_burst", self.address_burst.into(), 10, 1_000_000),
            ("device_rate", self.device_rate.into(), 1, 1_000_000),
            ("device_burst", self.device_burst.into(), 1, 1_000_000),
            ("actions_per_day", self.actions_per_day, 1, 100_000_000),
            ("records_per_day", self.records_per_day, 1, 100_000_000),
        ];
        for (name, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(OutOfRange {
                    group: "limits",
                    name,
                    value,
                    least,
                    most,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_range_and_nothing_below_an_honest_phone_is() {
        assert_eq!(Limits::default().check(), Ok(()));
        let tight = Limits {
            envelopes_per_request: MAX_PUSH - 1,
            ..Limits::default()
        };
        let refused = tight.check().expect_err("out of range").to_string();
        assert!(refused.contains("envelopes_per_request"), "{refused}");
    }
}
