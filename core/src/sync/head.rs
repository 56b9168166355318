//! The feed as a chain: what a server has published and decided cannot be
//! rewritten without contradicting the phones that heard of it.
//!
//! 1. Every verdict and every act of an administrator is an [`Entry`]; it takes
//!    the next position, and [`Head::then`] hashes it onto everything before.
//! 2. The server signs its newest head ([`Head::sign`]) for the life
//!    (`epoch`) that it is in.
//! 3. A phone checks the signature against the key that it was enrolled with and
//!    compares the head with the one that it holds ([`compare`]).
//! 4. It keeps the newest, and cites it: in every request, and by its
//!    [`mark`](Head::mark) in every action that it signs.
//!
//! What can go wrong: (3) the signature is another's: the reply is not from
//! this server, and nothing of it is used; the head went back or differs
//! although the server claims the same life: [`Contradiction`], kept with both
//! signed heads, which prove it to anybody; (4) the server finds a citation
//! that is not in its chain: it writes that down and raises an alarm, and judges
//! the action all the same, because the fault is not its author's.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::domain::ids::HeadMark;

use super::wire::{FeedHead, Judgement};

/// Keeps a hash or a signature made here from meaning anything elsewhere.
const ENTRY: &[u8] = b"shaodao feed v1\0";
const HEAD: &[u8] = b"shaodao head v1\0";

/// Everything that a server published and decided, up to a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The newest position; 0 before the first.
    pub position: u64,
    /// Hash over all entries up to it.
    pub hash: [u8; 32],
}

/// What takes a position.
#[derive(Debug, Clone, Copy)]
pub enum Entry<'a> {
    /// A verdict, given or changed or published to one more audience.
    Verdict(&'a Judgement),
    /// Something that an administrator or the server itself did.
    Act(Act<'a>),
}

/// What an administrator or the server itself did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Act<'a> {
    /// When, milliseconds.
    pub at_ms: i64,
    /// What, a stable word.
    pub what: &'a str,
    /// Who.
    pub who: &'a str,
    /// To whom or what.
    pub about: &'a str,
    /// SHA-256 of what the act put in place, if that is kept elsewhere.
    pub content: Option<[u8; 32]>,
}

impl Head {
    /// Before the first entry.
    pub const EMPTY: Head = Head {
        position: 0,
        hash: [0; 32],
    };

    /// The head after one more entry.
    pub fn then(&self, entry: Entry<'_>) -> Head {
        let position = self.position + 1;
        let mut fields = Fields(Sha256::new());
        fields.bytes(ENTRY);
        fields.bytes(&self.hash);
        fields.number(position.cast_signed());
        match entry {
            Entry::Verdict(judgement) => {
                fields.number(1);
                fields.bytes(&judgement.hash.0);
                fields.number(judgement.standing.code().into());
                fields.bytes(
                    judgement
                        .reason
                        .map_or("", |reason| reason.code())
                        .as_bytes(),
                );
                fields.number(judgement.received_at_ms);
                let seen = judgement.seen.as_deref();
                fields.number(seen.map_or(-1, |seen| seen.len() as i64));
                for hash in seen.unwrap_or_default() {
                    fields.bytes(&hash.0);
                }
            }
            Entry::Act(act) => {
                fields.number(2);
                fields.number(act.at_ms);
                for text in [act.what, act.who, act.about] {
                    fields.bytes(text.as_bytes());
                }
                fields.bytes(act.content.as_ref().map_or(&[], |content| &content[..]));
            }
        }
        Head {
            position,
            hash: fields.0.finalize().into(),
        }
    }

    /// The part of the hash that an action cites.
    pub fn mark(&self) -> HeadMark {
        mark_of(&self.hash)
    }

    /// Signs the head for the life `epoch` of a server.
    pub fn sign(&self, epoch: &[u8], key: &SigningKey) -> SignedHead {
        SignedHead {
            head: *self,
            signature: key.sign(&self.signed_bytes(epoch)).to_bytes(),
        }
    }

    fn signed_bytes(&self, epoch: &[u8]) -> Vec<u8> {
        let length = (epoch.len() as u64).to_be_bytes();
        let position = self.position.to_be_bytes();
        [HEAD, &length, epoch, &position, &self.hash].concat()
    }
}

/// The part of a head's hash that an action cites.
pub fn mark_of(hash: &[u8; 32]) -> HeadMark {
    let mut mark = [0; 16];
    mark.copy_from_slice(&hash[..16]);
    HeadMark(mark)
}

/// A head that a server stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedHead {
    /// The head.
    pub head: Head,
    /// Ed25519 over life, position and hash.
    pub signature: [u8; 64],
}

impl SignedHead {
    /// Whether the server with this key signed it in its life `epoch`.
    pub fn verify(&self, epoch: &[u8], key: &VerifyingKey) -> bool {
        let signature = Signature::from_bytes(&self.signature);
        key.verify_strict(&self.head.signed_bytes(epoch), &signature)
            .is_ok()
    }

    /// As it travels.
    pub fn to_wire(&self) -> FeedHead {
        FeedHead {
            position: self.head.position,
            hash: self.head.hash.to_vec(),
            signature: self.signature.to_vec(),
        }
    }

    /// Back from the wire; `None` if a length is wrong.
    pub fn from_wire(head: &FeedHead) -> Option<Self> {
        Some(Self {
            head: Head {
                position: head.position,
                hash: head.hash.as_slice().try_into().ok()?,
            },
            signature: head.signature.as_slice().try_into().ok()?,
        })
    }
}

/// How a server contradicts what it signed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contradiction {
    /// Its newest position is lower than one that it had reached.
    WentBack,
    /// It signed two different histories up to the same position.
    Differs,
}

impl Contradiction {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::WentBack => "went_back",
            Self::Differs => "differs",
        }
    }

    /// The contradiction with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Self::WentBack, Self::Differs];
        all.into_iter().find(|it| it.word() == word)
    }
}

/// Compares a server's newest head with the one held, both of one life.
///
/// # Errors
/// The two cannot both be true.
pub fn compare(held: &Head, newest: &Head) -> Result<(), Contradiction> {
    if newest.position < held.position {
        Err(Contradiction::WentBack)
    } else if newest.position == held.position && newest.hash != held.hash {
        Err(Contradiction::Differs)
    } else {
        Ok(())
    }
}

/// Fields one after another, each with its length, so that no two lists of
/// fields give the same bytes.
struct Fields(Sha256);

impl Fields {
    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as i64);
        self.0.update(bytes);
    }

    fn number(&mut self, number: i64) {
        self.0.update(number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::EnvelopeHash;
    use crate::domain::reason::Reason;
    use crate::sync::wire::Standing;

    fn judgement() -> Judgement {
        Judgement {
            hash: EnvelopeHash([1; 32]),
            standing: Standing::Late,
            reason: Some(Reason::Closed),
            seen: None,
            received_at_ms: 7,
        }
    }

    #[test]
    fn every_field_and_the_order_count() {
        let plain = judgement();
        let mut heads = vec![Head::EMPTY.then(Entry::Verdict(&plain))];
        let changes: [fn(&mut Judgement); 6] = [
            |it| it.hash.0[31] ^= 1,
            |it| it.standing = Standing::Accepted,
            |it| it.reason = None,
            |it| it.seen = Some(Vec::new()),
            |it| it.seen = Some(vec![EnvelopeHash([2; 32])]),
            |it| it.received_at_ms += 1,
        ];
        for change in changes {
            let mut changed = plain.clone();
            change(&mut changed);
            heads.push(Head::EMPTY.then(Entry::Verdict(&changed)));
        }
        let act = Act {
            at_ms: 1,
            what: "ab",
            who: "c",
            about: "",
            content: None,
        };
        for act in [
            act,
            Act { at_ms: 2, ..act },
            // The same letters, cut elsewhere.
            Act {
                what: "a",
                who: "bc",
                ..act
            },
            Act {
                who: "",
                about: "c",
                ..act
            },
            Act {
                content: Some([0; 32]),
                ..act
            },
        ] {
            heads.push(Head::EMPTY.then(Entry::Act(act)));
        }
        let (one, two) = (Entry::Act(act), Entry::Verdict(&plain));
        heads.push(Head::EMPTY.then(one).then(two));
        heads.push(Head::EMPTY.then(two).then(one));
        let mut hashes: Vec<_> = heads.iter().map(|head| head.hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), heads.len());
    }

    #[test]
    fn a_signed_head_is_for_one_server_one_life_and_one_history() {
        let key = SigningKey::from_bytes(&[4; 32]);
        let other = SigningKey::from_bytes(&[5; 32]).verifying_key();
        let head = Head::EMPTY.then(Entry::Verdict(&judgement()));
        let signed = head.sign(b"one", &key);
        assert!(signed.verify(b"one", &key.verifying_key()));
        assert!(!signed.verify(b"two", &key.verifying_key()));
        assert!(!signed.verify(b"one", &other));
        let moved = SignedHead {
            head: head.then(Entry::Verdict(&judgement())),
            ..signed
        };
        assert!(!moved.verify(b"one", &key.verifying_key()));
        assert_eq!(SignedHead::from_wire(&signed.to_wire()), Some(signed));
    }

    #[test]
    fn a_history_only_grows() {
        let one = Head {
            position: 5,
            hash: [1; 32],
        };
        let other = Head {
            position: 5,
            hash: [2; 32],
        };
        let later = Head {
            position: 6,
            hash: [3; 32],
        };
        assert_eq!(compare(&one, &one), Ok(()));
        assert_eq!(compare(&one, &later), Ok(()));
        assert_eq!(compare(&one, &other), Err(Contradiction::Differs));
        assert_eq!(compare(&later, &one), Err(Contradiction::WentBack));
    }
}
