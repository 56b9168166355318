//! The one canonical CBOR form (RFC 8949, section 4.2.1) of numbered fields:
//! definite lengths, shortest integers, keys ascending; no floats, tags, nulls
//! or indefinite items exist. Decoding is bounded by the input, by [`MAX_DEPTH`]
//! and by [`MAX_VALUES`]; whether the input was canonical shows when it is encoded
//! again.

use std::collections::BTreeMap;

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

use super::OpenError;
use crate::domain::action::Value;

/// The deepest nesting of lists.
pub const MAX_DEPTH: u8 = 8;
/// The most values in one envelope, lists and what is in them. The largest
/// honest order, 200 targets for 200 findings, has some 1,100.
pub const MAX_VALUES: u32 = 4_096;

const CUT: OpenError = OpenError::Malformed("cut or not CBOR");

/// Encodes numbered fields as a map.
pub fn encode_map(map: &BTreeMap<u8, Value>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(384);
    let mut encoder = Encoder::new(&mut bytes);
    // Writing to a Vec cannot fail, so the results carry nothing.
    let _ = encoder.map(map.len() as u64);
    for (key, value) in map {
        let _ = encoder.u8(*key);
        put(&mut encoder, value);
    }
    bytes
}

/// Reads back what [`encode_map`] wrote.
///
/// # Errors
/// Cut, not CBOR, nested too deep, a type that does not exist here, or bytes
/// after the end.
pub fn decode_map(bytes: &[u8]) -> Result<BTreeMap<u8, Value>, OpenError> {
    let mut decoder = Decoder::new(bytes);
    let length = decoder.map().map_err(|_| CUT)?.ok_or(CUT)?;
    let mut map = BTreeMap::new();
    let mut room = MAX_VALUES;
    for _ in 0..length {
        let key = decoder.u8().map_err(|_| CUT)?;
        if map
            .insert(key, take(&mut decoder, MAX_DEPTH, &mut room)?)
            .is_some()
        {
            return Err(OpenError::Malformed("a key stands twice"));
        }
    }
    at_end(&decoder, bytes)?;
    Ok(map)
}

/// Numbered fields as a list of number, value, number, value, ….
pub fn fields_to_list(fields: &BTreeMap<u8, Value>) -> Value {
    let pairs = fields
        .iter()
        .flat_map(|(key, value)| [Value::Int((*key).into()), value.clone()]);
    Value::List(pairs.collect())
}

/// Reads back what [`fields_to_list`] made.
///
/// # Errors
/// An odd number of items, or keys that do not ascend.
pub fn list_to_fields(list: Vec<Value>) -> Result<BTreeMap<u8, Value>, OpenError> {
    const BAD: OpenError = OpenError::Malformed("body");
    let mut fields = BTreeMap::new();
    let mut items = list.into_iter();
    while let Some(key) = items.next() {
        let Value::Int(key) = key else {
            return Err(BAD);
        };
        let key = u8::try_from(key).map_err(|_| BAD)?;
        if fields
            .last_key_value()
            .is_some_and(|(last, _)| *last >= key)
        {
            return Err(BAD);
        }
        fields.insert(key, items.next().ok_or(BAD)?);
    }
    Ok(fields)
}

fn put(encoder: &mut Encoder<&mut Vec<u8>>, value: &Value) {
    let _ = match value {
        Value::Bool(flag) => encoder.bool(*flag).map(drop),
        Value::Int(number) => encoder.i64(*number).map(drop),
        Value::Text(text) => encoder.str(text).map(drop),
        Value::Bytes(bytes) => encoder.bytes(bytes).map(drop),
        Value::List(list) => {
            let head = encoder.array(list.len() as u64).map(drop);
            list.iter().for_each(|item| put(encoder, item));
            head
        }
    };
}

fn take(decoder: &mut Decoder<'_>, depth: u8, room: &mut u32) -> Result<Value, OpenError> {
    *room = room
        .checked_sub(1)
        .ok_or(OpenError::Malformed("too many values"))?;
    let value = match decoder.datatype().map_err(|_| CUT)? {
        Type::Bool => Value::Bool(decoder.bool().map_err(|_| CUT)?),
        Type::String => Value::Text(decoder.str().map_err(|_| CUT)?.to_owned()),
        Type::Bytes => Value::Bytes(decoder.bytes().map_err(|_| CUT)?.to_vec()),
        Type::Array if depth > 0 => {
            let length = decoder.array().map_err(|_| CUT)?.ok_or(CUT)?;
            // The length is the sender's word: items are counted as they come.
            let mut list = Vec::new();
            for _ in 0..length {
                list.push(take(decoder, depth - 1, room)?);
            }
            Value::List(list)
        }
        Type::Array => return Err(OpenError::Malformed("nested too deep")),
        Type::U8
        | Type::U16
        | Type::U32
        | Type::U64
        | Type::I8
        | Type::I16
        | Type::I32
        | Type::I64
        | Type::Int => Value::Int(decoder.i64().map_err(|_| CUT)?),
        _ => return Err(OpenError::Malformed("a type that does not exist here")),
    };
    Ok(value)
}

fn at_end(decoder: &Decoder<'_>, bytes: &[u8]) -> Result<(), OpenError> {
    match decoder.position() == bytes.len() {
        true => Ok(()),
        false => Err(OpenError::Malformed("bytes after the end")),
    }
}
