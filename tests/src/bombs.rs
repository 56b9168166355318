//! The bomb zoo: small requests that would cost a careless server seconds or
//! gigabytes. Each is a whole body of `POST /v1/sync`. That none costs much is
//! asserted by `tests/bombs.rs` (memory) and shown by `make bench` (time).

use minicbor::Encoder;

use shaodao_core::envelope;
use shaodao_core::sync::wire::{self, MAX_REQUEST_BYTES, SyncRequest, WireError};

/// A body that means harm.
pub struct Bomb {
    /// What it is.
    pub name: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// How a body is refused, with what the server itself runs before it knows the
/// sender of an envelope: the code of the refusal, or `unreadable` if it is a
/// request none of whose envelopes opens.
///
/// # Errors
/// It was not refused.
pub fn refuse(body: &[u8]) -> Result<&'static str, String> {
    let request = match wire::from_bytes_within::<SyncRequest>(body, MAX_REQUEST_BYTES) {
        Ok(request) => request,
        Err(WireError::TooLarge(_)) => return Ok("unpacks_too_large"),
        Err(WireError::TooMany) => return Ok("too_many_envelopes"),
        Err(WireError::Compression) => return Ok("bad_compression"),
        Err(WireError::Malformed(_)) => return Ok("malformed"),
    };
    let opened = request.push.iter().filter(|it| envelope::open(it).is_ok());
    match opened.count() {
        0 => Ok("unreadable"),
        count => Err(format!("{count} envelopes opened")),
    }
}

/// All bombs.
pub fn zoo() -> Vec<Bomb> {
    let mut zoo = frames();
    zoo.extend(lengths());
    zoo.extend(crowds());
    zoo.extend(envelopes());
    zoo
}

/// What zstd can be made to do.
fn frames() -> Vec<Bomb> {
    let gigabyte = repeated_block(8_192);
    let nested = pack(&pack(&vec![0; 64 << 20]));
    let fits = pack(&vec![0; MAX_REQUEST_BYTES]);
    let doubled = [fits.clone(), fits.clone()].concat();
    let mut skipped = Vec::new();
    for _ in 0..50_000 {
        // A skippable frame of no bytes (RFC 8878, section 3.1.2).
        skipped.extend([0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]);
    }
    // No checksum, window of 2^41 bytes, no content size.
    let wide = [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8][..], &[0; 40]].concat();
    // Single segment, content size in eight bytes: all of them.
    let endless = [&[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..], &[0xff; 8], &[0; 40]].concat();
    // Says that it is as large as it may be, and holds a byte.
    let mut liar = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    liar.extend((MAX_REQUEST_BYTES as u32).to_le_bytes());
    liar.extend([0x09, 0x00, 0x00, 0x41]);
    vec![
        bomb("zstd: a gigabyte of zeros, size not said", gigabyte),
        bomb("zstd: 512 MiB of zeros", pack(&vec![0; 512 << 20])),
        bomb("zstd: a bomb in a bomb", nested),
        bomb("zstd: two full frames", doubled),
        bomb("zstd: cut", fits[..fits.len() - 3].to_vec()),
        bomb("zstd: 50,000 empty frames", skipped),
        bomb("zstd: a window of two terabytes", wide),
        bomb("zstd: 2^64 bytes announced", endless),
        bomb("zstd: a size that is a lie", liar),
        bomb("zstd: zeros, just as many as may be", fits),
    ]
}

/// Lengths that nobody should believe.
fn lengths() -> Vec<Bomb> {
    let long = [0xff; 8];
    let field = |key: u8, head: u8| [&[0xa1, key, head][..], &long].concat();
    let deep = |opening: &[u8]| {
        let levels = MAX_REQUEST_BYTES / opening.len() - 4;
        [&[0xa1, 0x18, 0x63][..], &opening.repeat(levels)].concat()
    };
    let mut endless_text = vec![0xa1, 0x07, 0x7f];
    let mut endless_bytes = vec![0xa1, 0x00, 0x5f];
    for _ in 0..(MAX_REQUEST_BYTES / 3) {
        endless_text.extend([0x61, b'a']);
        endless_bytes.extend([0x41, b'a']);
    }
    let mut invalid = vec![0xa1, 0x07, 0x7a];
    invalid.extend((MAX_REQUEST_BYTES as u32 - 7).to_be_bytes());
    invalid.resize(MAX_REQUEST_BYTES, 0xff);
    let mut twice = vec![0xbf];
    for _ in 0..(MAX_REQUEST_BYTES / 3 - 1) {
        twice.extend([0x08, 0x41, 0x00]);
    }
    vec![
        bomb("a list of 2^64 entries", field(5, 0x9b)),
        bomb("bytes of length 2^64", field(0, 0x5b)),
        bomb("a text of length 2^64", field(7, 0x7b)),
        bomb("a map of 2^64 entries", [&[0xbb][..], &long].concat()),
        bomb("lists in lists, 786,000 deep", deep(&[0x81])),
        bomb("open lists in lists", deep(&[0x9f])),
        bomb("maps in maps", deep(&[0xa1, 0x00])),
        bomb("tags of tags", deep(&[0xc1])),
        bomb("a text in 262,144 pieces", endless_text),
        bomb("bytes in 262,144 pieces", endless_bytes),
        bomb("0.75 MiB of invalid UTF-8", invalid),
        bomb("one key 262,143 times", twice),
    ]
}

/// Very many of something small.
fn crowds() -> Vec<Bomb> {
    let empty = |count: usize| {
        let mut body = vec![0xa1, 0x05, 0x9a];
        body.extend(u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
        body.extend(vec![0x40; count]);
        body
    };
    let mut open_ended = vec![0xa1, 0x05, 0x9f];
    open_ended.extend(vec![0x40; 700_000]);
    open_ended.push(0xff);
    let nothings = SyncRequest {
        push: vec![Vec::new().into(); wire::MAX_PUSHED],
        ..SyncRequest::default()
    };
    // A request that is whole but for its last byte: everything before it has
    // been copied when that is noticed.
    let request = SyncRequest {
        push: vec![vec![0x55; 180].into(); wire::MAX_PUSHED],
        ..SyncRequest::default()
    };
    let mut late = minicbor::to_vec(&request).unwrap_or_default();
    late.push(0x00);
    vec![
        bomb("700,000 empty envelopes", empty(700_000)),
        bomb("700,000 of them, packed", pack(&empty(700_000))),
        bomb("empty envelopes in an open list", open_ended),
        bomb("4,096 empty envelopes", wire::to_bytes(&nothings)),
        bomb("a byte too many at the very end", pack(&late)),
    ]
}

/// Envelopes that are as bad as they may be large.
fn envelopes() -> Vec<Bomb> {
    let one = |payload: &[u8]| {
        let mut envelope = Vec::new();
        let mut encoder = Encoder::new(&mut envelope);
        // Writing to a Vec cannot fail.
        let _ = encoder
            .array(2)
            .and_then(|encoder| encoder.bytes(payload))
            .and_then(|encoder| encoder.bytes(&[7; 64]));
        let request = SyncRequest {
            push: vec![envelope.into()],
            ..SyncRequest::default()
        };
        wire::to_bytes(&request)
    };
    let list_in = |key: u8, entry: &[u8], count: u16| {
        let head = [&[0xa1, key, 0x99][..], &count.to_be_bytes()].concat();
        one(&[head, entry.repeat(count.into())].concat())
    };
    let hash = [&[0x58, 0x20][..], &[3; 32]].concat();
    vec![
        bomb("a body of 32,000 numbers", list_in(10, &[0x00], 32_000)),
        bomb("a body of empty lists", list_in(10, &[0x80], 32_000)),
        bomb("900 envelopes seen", list_in(11, &hash, 900)),
        bomb("an envelope 32,000 deep", one(&[0x81; 32_000])),
        bomb("a megabyte of one envelope", {
            let request = SyncRequest {
                push: vec![vec![0x82; 700_000].into()],
                ..SyncRequest::default()
            };
            wire::to_bytes(&request)
        }),
    ]
}

fn bomb(name: &'static str, body: Vec<u8>) -> Bomb {
    Bomb { name, body }
}

fn pack(plain: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(plain, 19).unwrap_or_default()
}

/// A frame that does not say its size, of so many blocks of 128 KiB that are
/// one repeated byte each (RFC 8878, section 3.1.1.2).
fn repeated_block(count: usize) -> Vec<u8> {
    // No content size, no single segment; a window of 128 KiB.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
    for nth in 1..=count {
        let last = u32::from(nth == count);
        let header = last | 1 << 1 | (128 * 1024) << 3;
        frame.extend(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}
