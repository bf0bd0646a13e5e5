//! Bodies that harm who reads them carelessly: endless ones, gzip bombs, JSON whose shape has changed. They are made
//! while they are sent, so that the sandbox itself needs no memory for them.

use std::convert::Infallible;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use serde_json::Value;

/// What a stream sends at a time.
const CHUNK: usize = 64 * 1024;

/// A JSON body after a change; what is not JSON stays as it is.
pub(super) fn json(bytes: &Bytes, change: impl FnOnce(&mut Value)) -> Body {
    match serde_json::from_slice(bytes) {
        Ok(mut value) => {
            change(&mut value);
            Body::from(value.to_string())
        }
        Err(_) => Body::from(bytes.clone()),
    }
}

/// Renames a field at every depth.
pub(super) fn rename(value: &mut Value, field: &str, to: &str) {
    match value {
        Value::Object(map) => {
            if let Some(inner) = map.remove(field) {
                map.insert(to.to_owned(), inner);
            }
            map.values_mut().for_each(|inner| rename(inner, field, to));
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| rename(inner, field, to)),
        _ => {}
    }
}

/// Gives a field another type at every depth: numbers become strings, the rest becomes a list of itself.
pub(super) fn retype(value: &mut Value, field: &str) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                if name == field {
                    let old = inner.take();
                    *inner = match old {
                        Value::Number(number) => Value::String(number.to_string()),
                        other => Value::Array(vec![other]),
                    };
                } else {
                    retype(inner, field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| retype(inner, field)),
        _ => {}
    }
}

/// A JSON string of about `bytes` bytes, made while it is sent.
pub(super) fn huge(bytes: u64) -> Body {
    let chunk = Bytes::from(vec![b'a'; CHUNK]);
    let chunks = bytes.div_ceil(CHUNK as u64);
    let middle = (0..chunks).map(move |_| chunk.clone());
    let quote = || std::iter::once(Bytes::from_static(b"\""));
    Body::from_stream(stream::iter(quote().chain(middle).chain(quote()).map(Ok::<_, Infallible>)))
}

/// A gzip stream that decompresses to about `bytes` letters: one deflate block with fixed codes, a literal and then
/// nothing but "258 times the last byte". Eight such codes of 13 bits make 13 bytes, so the stream repeats itself.
pub(super) fn bomb(bytes: u64) -> Body {
    const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    const PERIOD: usize = 13;
    let mut bits = Bits::default();
    bits.push(1, 1); // the last block
    bits.push(0b01, 2); // fixed codes
    bits.push_code(0x30 + u16::from(b'a'), 8);
    // After these 11 bits the stream has a period of 13 bytes; write two of them and cut out the repeating part.
    for _ in 0..16 {
        bits.push_code(0b1100_0101, 8); // length 258
        bits.push_code(0, 5); // distance 1
    }
    let head = bits.0.get(..2).unwrap_or_default().to_vec();
    let period = bits.0.get(2..2 + PERIOD).unwrap_or_default().to_vec();
    let repeats = CHUNK / PERIOD;
    let chunk = Bytes::from(period.repeat(repeats));
    let chunks = bytes.div_ceil(258 * 8 * repeats as u64);
    let start = Bytes::from([HEADER.to_vec(), head].concat());
    let stream = std::iter::once(start).chain((0..chunks).map(move |_| chunk.clone()));
    Body::from_stream(stream::iter(stream.map(Ok::<_, Infallible>)))
}

/// Bits in deflate's order: filled from the lowest bit of each byte.
#[derive(Default)]
struct Bits(Vec<u8>, u8);

impl Bits {
    fn bit(&mut self, bit: bool) {
        if self.1 == 0 {
            self.0.push(0);
        }
        if let Some(last) = self.0.last_mut() {
            *last |= u8::from(bit) << self.1;
        }
        self.1 = (self.1 + 1) % 8;
    }

    /// A plain number: lowest bit first.
    fn push(&mut self, value: u16, len: u8) {
        (0..len).for_each(|at| self.bit(value >> at & 1 == 1));
    }

    /// A Huffman code: highest bit first.
    fn push_code(&mut self, code: u16, len: u8) {
        (0..len).rev().for_each(|at| self.bit(code >> at & 1 == 1));
    }
}
