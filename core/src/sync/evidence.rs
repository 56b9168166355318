//! Evidence between phone and server. Actions go first, thumbnails second,
//! originals last.
//!
//! Beside the envelopes of `POST /v1/sync` travel the keys
//! ([`EvidenceKey`](super::wire::EvidenceKey), from phone to server until it says
//! that it keeps them) and the news
//! ([`EvidenceNews`](super::wire::EvidenceNews), from server to every phone that
//! the record is meant for: key, arrived, seen), by a cursor of their own.
//!
//! Ciphertext travels by tus 1.0 on [`PATH`], with the session of `/v1/sync`:
//!
//! | request | what the server does |
//! |---|---|
//! | `OPTIONS /v1/evidence` | `Tus-Version: 1.0.0`, `Tus-Extension: creation`, `Tus-Max-Size` |
//! | `POST /v1/evidence` with `Tus-Resumable`, `Upload-Length`, `Upload-Metadata: sealed <base64 of 32 bytes>` | 201 and `Location: /v1/evidence/{sealed}`; again: the same, nothing is lost |
//! | `HEAD /v1/evidence/{sealed}` | 200, `Upload-Offset`, `Upload-Length`; the offset is the length once all is there and verified |
//! | `PATCH /v1/evidence/{sealed}` with `Upload-Offset`, `Content-Type: application/offset+octet-stream` | 204 and the new `Upload-Offset`; what arrived before a cut counts |
//! | `PUT /v1/evidence/{sealed}/thumbnail` | 204; the body is a sealed thumbnail of at most [`MAX_SEALED_THUMBNAIL`](crate::evidence::stream::MAX_SEALED_THUMBNAIL) bytes; again: the first one stays |
//! | `GET /v1/evidence/{sealed}` with `Range` or without | the ciphertext, immutable |
//! | `GET /v1/evidence/{sealed}/thumbnail` | the sealed thumbnail; made on demand if the phone sent none |
//!
//! `{sealed}` is the hash of the ciphertext, 64 hexadecimal characters. Anything
//! about a piece that no accepted action cites, and any `GET` by somebody whom
//! the record is not meant for, is answered 404 `no_such_evidence`: a hash alone
//! opens nothing. Further answers, as JSON like all errors: 410
//! `evidence_erased`; 409 `evidence_offset`; 423 `evidence_busy` while another
//! request writes to the same piece; 413 `evidence_size` where the length is not
//! what the action says; 460 `evidence_hash` where all is there and a hash is
//! wrong (the server forgets what it has, the offset is 0 again); 425
//! `evidence_key` where all is there and the key has not come yet; 507
//! `evidence_full`.

/// Where evidence is.
pub const PATH: &str = "/v1/evidence";
/// The version of tus that both sides speak.
pub const TUS: &str = "1.0.0";
/// Type of the body of a `PATCH`.
pub const OFFSET_STREAM: &str = "application/offset+octet-stream";
/// The name of the ciphertext's hash in `Upload-Metadata`.
pub const METADATA: &str = "sealed";
