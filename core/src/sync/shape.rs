//! The shape of a message, looked at before anything of it is believed or
//! copied: definite lengths that the bytes bear out, little nesting, lists and
//! maps of bearable size. What has this shape can be decoded in time and memory
//! that its own size bounds.

use minicbor::Decoder;
use minicbor::data::Type;

use super::wire::WireError;

/// The deepest nesting of lists and maps; messages need four.
const MAX_DEPTH: usize = 8;
/// Most entries of a map; messages have a dozen.
const MAX_FIELDS: u64 = 64;

/// Checks that `bytes` are one item of CBOR, of at most `most_items` items in
/// all and at most `most_entries` in any list.
///
/// # Errors
/// [`WireError::TooMany`] or [`WireError::Malformed`].
pub(super) fn check(bytes: &[u8], most_items: usize, most_entries: usize) -> Result<(), WireError> {
    let mut decoder = Decoder::new(bytes);
    // How many items are still to come on each open level.
    let mut open = [0u64; MAX_DEPTH];
    let mut depth = 0;
    for _ in 0..most_items {
        let inside = head(&mut decoder, most_entries)?;
        if inside > 0 {
            let level = open.get_mut(depth).ok_or_else(|| malformed("nested"))?;
            *level = inside;
            depth += 1;
            continue;
        }
        // An item is done, and with it perhaps what it was the last of.
        loop {
            if depth == 0 {
                return match decoder.position() == bytes.len() {
                    true => Ok(()),
                    false => Err(malformed("bytes after the end")),
                };
            }
            open[depth - 1] -= 1;
            if open[depth - 1] > 0 {
                break;
            }
            depth -= 1;
        }
    }
    Err(WireError::TooMany)
}

/// Reads one item; for a list or a map only its head. Returns how many items
/// are inside.
fn head(decoder: &mut Decoder<'_>, most_entries: usize) -> Result<u64, WireError> {
    let cut = |_| malformed("cut");
    match decoder.datatype().map_err(cut)? {
        Type::Array => match decoder.array().map_err(cut)? {
            Some(length) if length <= most_entries as u64 => Ok(length),
            _ => Err(WireError::TooMany),
        },
        Type::Map => match decoder.map().map_err(cut)? {
            Some(length) if length <= MAX_FIELDS => Ok(length * 2),
            _ => Err(WireError::TooMany),
        },
        Type::Bytes => decoder.bytes().map(|_| 0).map_err(cut),
        Type::String => decoder.str().map(|_| 0).map_err(cut),
        Type::Bool
        | Type::Null
        | Type::U8
        | Type::U16
        | Type::U32
        | Type::U64
        | Type::I8
        | Type::I16
        | Type::I32
        | Type::I64
        | Type::Int => decoder.skip().map(|()| 0).map_err(cut),
        _ => Err(malformed("a type that does not exist here")),
    }
}

fn malformed(what: &str) -> WireError {
    WireError::Malformed(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bearable_shapes_pass() {
        let ok = |bytes: &[u8]| check(bytes, 100, 10);
        assert_eq!(ok(&[0x82, 0x01, 0xa1, 0x00, 0x80]), Ok(()));
        assert_eq!(ok(&[0x80]), Ok(()));
        let nested = [vec![0x81; MAX_DEPTH], vec![0x00]].concat();
        assert_eq!(ok(&nested), Ok(()));
        for bad in [
            &[0x81; 100][..],    // nested too deep
            &[0x82, 0x01],       // cut
            &[0x01, 0x01],       // something behind
            &[0x9f, 0xff],       // an open list
            &[0xc1, 0x01],       // a tag
            &[0xf9, 0x00, 0x00], // a float
            &[0x61, 0xff],       // not UTF-8
            &[],
        ] {
            assert!(matches!(ok(bad), Err(WireError::Malformed(_))), "{bad:x?}");
        }
        assert_eq!(ok(&[0x8b]), Err(WireError::TooMany));
        assert_eq!(ok(&[0xb8, 0x41]), Err(WireError::TooMany));
        // Ten lists of ten: 111 items.
        let many = [&[0x8a][..], &[&[0x8a][..], &[0x00; 10]].concat().repeat(10)].concat();
        assert_eq!(ok(&many), Err(WireError::TooMany));
    }
}
