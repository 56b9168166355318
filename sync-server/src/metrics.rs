//! What an operator wants to see, in the OpenMetrics text format.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verdict {
    standing: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    path: String,
    status: u16,
}

/// The server's metrics.
pub struct Metrics {
    registry: Registry,
    verdicts: Family<Verdict, Counter>,
    requests: Family<Request, Counter>,
    /// Seconds from the first byte of a sync request to its reply.
    pub sync_seconds: Histogram,
    /// Escalations performed.
    pub escalations: Counter,
    /// Requests that cited a head which is not in the chain: an alarm.
    pub contradictions: Counter,
    /// How far the wall clock is ahead of what is plausible, milliseconds;
    /// negative if behind, 0 if it is believed. Above 0 deadlines are held.
    pub clock_jump_ms: Gauge,
    /// Newest feed position.
    pub feed_head: Gauge,
    /// Evidence on its way.
    pub evidence: EvidenceMetrics,
}

/// What comes and goes of evidence.
#[derive(Debug, Default)]
pub struct EvidenceMetrics {
    /// Bytes received, whatever became of them.
    pub received: Counter,
    /// Bytes sent.
    pub sent: Counter,
    /// Pieces that arrived whole and right.
    pub arrived: Counter,
    /// Pieces that were dropped because they were not what was signed.
    pub dropped: Counter,
    /// Bytes that evidence may still take of its disks.
    pub free_bytes: Gauge,
}

impl EvidenceMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for (name, help, counter) in [
            (
                "evidence_received_bytes",
                "Evidence received, bytes",
                &metrics.received,
            ),
            ("evidence_sent_bytes", "Evidence sent, bytes", &metrics.sent),
            (
                "evidence_arrived",
                "Pieces of evidence that arrived whole",
                &metrics.arrived,
            ),
            (
                "evidence_dropped",
                "Pieces of evidence that were not what was signed",
                &metrics.dropped,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
        registry.register(
            "evidence_free_bytes",
            "Bytes that evidence may still take of its disks; at 0 it waits on the phones",
            metrics.free_bytes.clone(),
        );
        metrics
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("shaodao");
        let verdicts = Family::default();
        registry.register("verdicts", "Envelopes judged, by verdict", verdicts.clone());
        let requests = Family::default();
        registry.register(
            "requests",
            "HTTP requests, by path and status",
            requests.clone(),
        );
        let sync_seconds = Histogram::new(exponential_buckets(0.001, 2.0, 14));
        registry.register(
            "sync_seconds",
            "Time to answer a sync",
            sync_seconds.clone(),
        );
        let escalations = Counter::default();
        registry.register("escalations", "Escalations performed", escalations.clone());
        let contradictions = Counter::default();
        registry.register(
            "contradictions",
            "Requests that contradict this server's history",
            contradictions.clone(),
        );
        let clock_jump_ms = Gauge::default();
        registry.register(
            "clock_jump_ms",
            "How far the clock is ahead of what is plausible; above 0 deadlines are held",
            clock_jump_ms.clone(),
        );
        let feed_head = Gauge::default();
        registry.register("feed_head", "Newest feed position", feed_head.clone());
        let evidence = EvidenceMetrics::register(&mut registry);
        Self {
            evidence,
            registry,
            verdicts,
            requests,
            sync_seconds,
            escalations,
            contradictions,
            clock_jump_ms,
            feed_head,
        }
    }

    /// Counts a verdict.
    pub fn verdict(&self, standing: &str) {
        let standing = standing.to_owned();
        self.verdicts.get_or_create(&Verdict { standing }).inc();
    }

    /// Counts a request.
    pub fn request(&self, path: &str, status: u16) {
        let path = path.to_owned();
        self.requests.get_or_create(&Request { path, status }).inc();
    }

    /// The text that a scraper reads.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
