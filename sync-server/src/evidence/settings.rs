//! How much evidence is taken, where it is kept and for how long: every number in
//! one place, with its unit, its default and its range.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::limits::OutOfRange;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Settings of the evidence. The defaults suit a street of some fifty phones on
/// a disk of a hundred gibibytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Folder of evidence that is complete; without one, `evidence` in the data
    /// folder. Not used with a bucket.
    pub folder: Option<PathBuf>,
    /// Bucket of an S3-compatible store, instead of a folder.
    pub s3_bucket: Option<String>,
    /// Address of the store; without one, that of the region at Amazon.
    pub s3_endpoint: Option<String>,
    /// Region of the bucket.
    pub s3_region: String,
    /// Name of the access key.
    pub s3_access_key: Option<String>,
    /// The access key itself.
    pub s3_secret_key: Option<Secret>,
    /// Whether to talk to the store without TLS.
    pub s3_allow_http: bool,
    /// Bytes of one device on one day (Asia/Shanghai).
    pub device_bytes_per_day: u64,
    /// Bytes of all evidence; 0 for as much as the disk takes.
    pub total_bytes: u64,
    /// Bytes of the disk that evidence never takes, so that actions always find
    /// room.
    pub reserve_bytes: u64,
    /// Hours after which an upload that nobody goes on with is given up.
    pub expire_hours: u32,
    /// Requests of one device at once.
    pub at_once: usize,
    /// Requests a second of one device, sustained.
    pub rate: u32,
    /// Requests of one device at once after a pause.
    pub burst: u32,
    /// Days after which pictures of a scene may be erased; 0 for never.
    pub keep_days_scene: u32,
    /// The same for pictures before the work.
    pub keep_days_before: u32,
    /// The same for pictures after the work.
    pub keep_days_after: u32,
    /// The same for voice notes.
    pub keep_days_voice: u32,
    /// The same for other files.
    pub keep_days_file: u32,
}

/// A setting that is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            folder: None,
            s3_bucket: None,
            s3_endpoint: None,
            s3_region: "us-east-1".to_owned(),
            s3_access_key: None,
            s3_secret_key: None,
            s3_allow_http: false,
            device_bytes_per_day: 4 * GIB,
            total_bytes: 0,
            reserve_bytes: 2 * GIB,
            expire_hours: 7 * 24,
            at_once: 8,
            rate: 20,
            burst: 1_000,
            keep_days_scene: 0,
            keep_days_before: 0,
            keep_days_after: 0,
            keep_days_voice: 0,
            keep_days_file: 0,
        }
    }
}

impl Settings {
    /// Every setting, for people: its name, and what it means with its unit.
    pub const NAMES: [(&'static str, &'static str); 19] = [
        (
            "evidence.folder",
            "folder of complete evidence; without one `evidence` in the data folder",
        ),
        (
            "evidence.s3_bucket",
            "bucket of an S3-compatible store, instead of the folder (needs a server built with the feature s3)",
        ),
        (
            "evidence.s3_endpoint",
            "address of the S3-compatible store; without one Amazon's",
        ),
        ("evidence.s3_region", "region of the bucket"),
        ("evidence.s3_access_key", "name of the access key"),
        (
            "evidence.s3_secret_key",
            "the access key itself; better in the environment than in a file",
        ),
        (
            "evidence.s3_allow_http",
            "talk to the store without TLS; what it gets is encrypted by the phones anyway",
        ),
        (
            "evidence.device_bytes_per_day",
            "bytes of new evidence of one device taken on one day (Asia/Shanghai)",
        ),
        (
            "evidence.total_bytes",
            "bytes of all evidence; 0: as much as the disk takes",
        ),
        (
            "evidence.reserve_bytes",
            "bytes of the disk that evidence leaves free for actions",
        ),
        (
            "evidence.expire_hours",
            "hours after which an upload that nobody goes on with is given up",
        ),
        (
            "evidence.at_once",
            "evidence requests of one device at once, beside its sync",
        ),
        (
            "evidence.rate",
            "evidence requests a second of one device, sustained",
        ),
        (
            "evidence.burst",
            "evidence requests of one device at once after a pause",
        ),
        (
            "evidence.keep_days_scene",
            "days after which `evidence retention` erases pictures of a scene; 0: never",
        ),
        (
            "evidence.keep_days_before",
            "the same for pictures before the work",
        ),
        (
            "evidence.keep_days_after",
            "the same for pictures after the work",
        ),
        ("evidence.keep_days_voice", "the same for voice notes"),
        ("evidence.keep_days_file", "the same for other files"),
    ];

    /// Checks every number against its range.
    ///
    /// # Errors
    /// The first that is outside.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let much = 1 << 50;
        let ranges = [
            ("device_bytes_per_day", self.device_bytes_per_day, MIB, much),
            ("total_bytes", self.total_bytes, 0, much),
            ("reserve_bytes", self.reserve_bytes, 0, much),
            ("expire_hours", self.expire_hours.into(), 1, 10_000),
            ("at_once", self.at_once as u64, 1, 1_000),
            ("rate", self.rate.into(), 1, 1_000_000),
            ("burst", self.burst.into(), 1, 1_000_000),
        ];
        for (name, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(OutOfRange {
                    group: "evidence",
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
