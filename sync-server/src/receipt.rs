//! Receipts that outlive the database: the server authenticates hash and
//! receipt time of what it answers for, and phones keep the tag. After a backup
//! was restored a phone brings what the server lost together with the tag, and
//! work that arrived in time stays in time.
//!
//! Only the server checks tags, so a message authentication code will do: 16
//! bytes instead of a signature's 64 for each envelope on the wire. Its key is in
//! the database and so in every backup.
//!
//! What can go wrong: a tag that does not verify (or none): the time of the new
//! arrival counts, and the bracket says "late sync" where it matters.

use hmac::{Hmac, KeyInit, Mac};
use rand::Rng;
use rand::rngs::StdRng;
use rusqlite::Connection;
use sha2::Sha256;

use shaodao_core::domain::ids::EnvelopeHash;
use shaodao_core::sync::wire::{self, Item, SyncRequest, Verdict};

use crate::db::{self, DbError};

const DOMAIN: &[u8] = b"shaodao receipt v1\0";
const TAG_BYTES: usize = 16;
const KEY: &str = "receipt_key";

/// Makes and checks tags.
#[derive(Clone)]
pub struct Receipts {
    mac: Hmac<Sha256>,
}

impl Receipts {
    /// With the key of this database.
    ///
    /// # Errors
    /// There is none, or the database could not.
    pub fn open(db: &Connection) -> Result<Self, DbError> {
        let key: [u8; 32] = db::meta(db, KEY)?.ok_or(DbError::Value("no key of receipts"))?;
        let mac = Hmac::new_from_slice(&key).map_err(|_| DbError::Value("key of receipts"))?;
        Ok(Self { mac })
    }

    /// Tags a verdict about an envelope that the server keeps.
    pub fn tag_verdict(&self, hash: &EnvelopeHash, verdict: &mut Verdict) {
        if verdict.standing != wire::Standing::Refused.code() {
            verdict.tag = Some(self.tag(hash, verdict.received_at_ms).into());
        }
    }

    /// Tags an envelope of the feed.
    pub fn tag_item(&self, hash: &EnvelopeHash, item: &mut Item) {
        item.tag = Some(self.tag(hash, item.received_at_ms).into());
    }

    /// When this server received an envelope of the request before it lost it;
    /// `None` if nothing proves that it did.
    pub fn received_at_ms(
        &self,
        request: &SyncRequest,
        index: usize,
        hash: &EnvelopeHash,
    ) -> Option<i64> {
        let index = u32::try_from(index).ok()?;
        // The phone lists them in the order of its pushes.
        let at = request
            .receipts
            .binary_search_by_key(&index, |receipt| receipt.index)
            .ok()?;
        let receipt = &request.receipts[at];
        let mac = self.over(hash, receipt.received_at_ms);
        let whole = receipt.tag.len() == TAG_BYTES;
        (whole && mac.verify_truncated_left(&receipt.tag).is_ok()).then_some(receipt.received_at_ms)
    }

    fn tag(&self, hash: &EnvelopeHash, received_at_ms: i64) -> Vec<u8> {
        let tag = self.over(hash, received_at_ms).finalize().into_bytes();
        tag[..TAG_BYTES].to_vec()
    }

    fn over(&self, hash: &EnvelopeHash, received_at_ms: i64) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(DOMAIN);
        mac.update(&hash.0);
        mac.update(&received_at_ms.to_be_bytes());
        mac
    }
}

/// Draws the key of the receipts and keeps it; returns it.
///
/// # Errors
/// The database could not.
pub(crate) fn make_key(db: &Connection, rng: &mut StdRng) -> Result<[u8; 32], DbError> {
    let mut key = [0; 32];
    rng.fill_bytes(&mut key);
    db::set_meta(db, KEY, &key)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shaodao_core::sync::wire::Receipt;

    #[test]
    fn a_receipt_is_for_one_envelope_one_time_and_one_server() {
        let receipts = |key: u8| Receipts {
            mac: Hmac::new_from_slice(&[key; 32]).expect("a key"),
        };
        let hash = EnvelopeHash([1; 32]);
        let request = |received_at_ms, tag| SyncRequest {
            receipts: vec![Receipt {
                index: 3,
                received_at_ms,
                tag,
            }],
            ..SyncRequest::default()
        };
        let tag = receipts(7).tag(&hash, 50);
        let good = request(50, tag.clone());
        assert_eq!(receipts(7).received_at_ms(&good, 3, &hash), Some(50));
        assert_eq!(receipts(8).received_at_ms(&good, 3, &hash), None);
        assert_eq!(receipts(7).received_at_ms(&good, 2, &hash), None);
        let other = EnvelopeHash([2; 32]);
        assert_eq!(receipts(7).received_at_ms(&good, 3, &other), None);
        let earlier = request(49, tag.clone());
        assert_eq!(receipts(7).received_at_ms(&earlier, 3, &hash), None);
        // A shorter tag would be easier to guess.
        let short = request(50, tag[..1].to_vec());
        assert_eq!(receipts(7).received_at_ms(&short, 3, &hash), None);
    }
}
