//! JSON that means one thing only. A plain parser lets the last of two equal keys win, so two systems may read two
//! different requests out of the same bytes; and it nests as deep as the sender likes. Both are refused here, in one
//! pass, for what producers send and for what remote systems answer.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The deepest nesting that is read; `serde_json` itself stops at 127.
pub const MAX_DEPTH: usize = 64;
/// The most values (texts, numbers, lists, objects …) that one text may hold. A value may take three hundred times the bytes
/// that it is written in, so the size of a text says little about what reading it costs.
pub const MAX_VALUES: usize = 50_000;
/// The longest part of a key that a message shows, in characters.
const MAX_SHOWN: usize = 40;

/// Why bytes are not JSON that we read. Never holds a value of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// Nothing, or only white space.
    #[error("there is no text")]
    Empty,
    /// It begins with U+FEFF.
    #[error("the text begins with a byte order mark (U+FEFF); send UTF-8 without one")]
    ByteOrderMark,
    /// Not UTF-8.
    #[error("byte {at} is not UTF-8")]
    NotUtf8 {
        /// The offset of the first bad byte, from 0.
        at: usize,
    },
    /// Two equal keys in one object.
    #[error("the key `{key}` is there twice in one object (line {line}, column {column})")]
    Duplicate {
        /// The key, cut to 40 characters.
        key: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// Nested deeper than asked for.
    #[error("nested deeper than {max} levels (line {line}, column {column})")]
    TooDeep {
        /// The deepest that is read.
        max: usize,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// More values than are read.
    #[error("it holds more than {max} values (line {line}, column {column}); send large lists by reference")]
    TooMany {
        /// The most that are read.
        max: usize,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// A whole number that would be changed by reading it.
    #[error("the whole number at line {line}, column {column} has more than 64 bits and would be rounded; send it as text")]
    Number {
        /// From 1.
        line: usize,
        /// From 1, in bytes.
        column: usize,
    },
    /// Anything else.
    #[error("{message} (line {line}, column {column})")]
    Syntax {
        /// What the parser missed.
        message: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
}

/// Parses one JSON text nested at most `max_depth` levels (an object of numbers has one level).
pub fn parse(bytes: &[u8], max_depth: usize) -> Result<Value, JsonFault> {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err(JsonFault::ByteOrderMark);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| JsonFault::NotUtf8 { at: error.valid_up_to() })?;
    if text.bytes().all(|byte| byte.is_ascii_whitespace()) {
        return Err(JsonFault::Empty);
    }
    let mut parser = serde_json::Deserializer::from_str(text);
    let values = Cell::new(MAX_VALUES);
    let value = Strict { left: max_depth, values: &values }.deserialize(&mut parser);
    value.and_then(|value| parser.end().map(|()| value)).map_err(|error| fault(&error, max_depth))
}

/// Refuses whole numbers beyond 64 bits in a text that [`parse`] has read: as a double they are no longer what their sender
/// wrote, and an account number must not be rounded.
///
/// # Errors
/// [`JsonFault::Number`] for the first of them.
pub fn check_numbers(bytes: &[u8]) -> Result<(), JsonFault> {
    let (mut at, mut line, mut start) = (0, 1, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = text_end(bytes, at),
            b'\n' => {
                at += 1;
                (line, start) = (line + 1, at);
            }
            b'-' | b'0'..=b'9' => {
                let rest = bytes.get(at..).unwrap_or_default();
                let length =
                    rest.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).count();
                let number = rest.get(..length).and_then(|number| std::str::from_utf8(number).ok()).unwrap_or_default();
                // Shorter ones fit whatever their digits are.
                let whole = length >= 19 && !number.contains(['.', 'e', 'E']);
                if whole && number.parse::<i64>().is_err() && number.parse::<u64>().is_err() {
                    return Err(JsonFault::Number { line, column: at - start + 1 });
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    Ok(())
}

/// The index after the text whose opening quote is at `start`.
fn text_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    loop {
        match bytes.get(at) {
            None => return bytes.len(),
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}

/// The beginning of a stranger's text, fit to be shown: without control characters, and without the marks that turn the
/// direction of what stands around them on a page or a terminal.
#[must_use]
pub fn shown(text: &str, most: usize) -> String {
    let marks = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    text.chars().filter(|c| !c.is_control() && !marks(*c)).take(most).collect()
}

// Marks on our own errors: serde carries them as text through the parser, which adds line and column.
const DUPLICATE: &str = "duplicate key: ";
const TOO_DEEP: &str = "too deep";
const TOO_MANY: &str = "too many values";

fn fault(error: &serde_json::Error, max: usize) -> JsonFault {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    if let Some(key) = message.strip_prefix(DUPLICATE) {
        JsonFault::Duplicate { key: key.to_owned(), line, column }
    } else if message == TOO_DEEP || message.starts_with("recursion limit") {
        JsonFault::TooDeep { max, line, column }
    } else if message == TOO_MANY {
        JsonFault::TooMany { max: MAX_VALUES, line, column }
    } else {
        JsonFault::Syntax { message: message.to_owned(), line, column }
    }
}

/// Builds a value while it counts levels and values and compares keys.
#[derive(Clone, Copy)]
struct Strict<'v> {
    left: usize,
    values: &'v Cell<usize>,
}

impl<'v> Strict<'v> {
    fn one<E: serde::de::Error>(&self) -> Result<(), E> {
        self.values.set(self.values.get().checked_sub(1).ok_or_else(|| E::custom(TOO_MANY))?);
        Ok(())
    }

    /// For what is inside.
    fn deeper<E: serde::de::Error>(&self) -> Result<Strict<'v>, E> {
        Ok(Strict { left: self.inner()?, values: self.values })
    }

    fn inner<E: serde::de::Error>(&self) -> Result<usize, E> {
        self.left.checked_sub(1).ok_or_else(|| E::custom(TOO_DEEP))
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.one()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        Number::from_f64(number).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inside = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inside)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inside = self.deeper()?;
        let mut object = Map::new();
        while let Some(Key(key)) = entries.next_key()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("{DUPLICATE}{}", shown(&key, MAX_SHOWN))));
            }
            let value = entries.next_value_seed(inside)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        String::deserialize(deserializer).map(Key)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn word(text: &[u8]) -> String {
        match parse(text, 4) {
            Ok(_) => "ok".to_owned(),
            Err(fault) => format!("{fault:?}").split([' ', '{', '(']).next().unwrap().to_owned(),
        }
    }

    #[test]
    fn each_kind_of_bad_text_has_its_word() {
        let table: &[(&[u8], &str)] = &[
            (br#"{"a":1,"b":[true,null,"x",-2,1.5,18446744073709551615]}"#, "ok"),
            (b"", "Empty"),
            (b" \n\t", "Empty"),
            (b"\xEF\xBB\xBF{}", "ByteOrderMark"),
            (b"{\"a\":\"\xFF\"}", "NotUtf8"),
            (br#"{"a":1,"a":1}"#, "Duplicate"),
            (br#"{"a":1,"\u0061":1}"#, "Duplicate"),
            (b"[[[[]]]]", "ok"),
            (b"[[[[[]]]]]", "TooDeep"),
            (br#"{"a":{"a":{"a":{"a":{}}}}}"#, "TooDeep"),
            (b"{}{}", "Syntax"),
            (b"{} x", "Syntax"),
            (b"{'a':1}", "Syntax"),
            (b"[1,]", "Syntax"),
            (b"NaN", "Syntax"),
            (b"1e999", "Syntax"),
            (br#""\ud800""#, "Syntax"),
            (b"\"\x00\"", "Syntax"),
            (b"{\"a\":", "Syntax"),
        ];
        for (text, expected) in table {
            assert_eq!(&word(text), expected, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn the_value_is_what_serde_json_reads() {
        let text = br#"{"z":[1,-1,0.5,"\u00e9",{"k":null}],"a":false}"#;
        assert_eq!(parse(text, 8).unwrap(), serde_json::from_slice::<Value>(text).unwrap());
    }

    #[test]
    fn a_hundred_thousand_brackets_do_no_harm() {
        let text = vec![b'['; 100_000];
        assert!(matches!(parse(&text, 1_000_000), Err(JsonFault::TooDeep { .. })));
    }

    #[test]
    fn many_values_are_refused_however_short_they_are() {
        let list = |item: &str, count: usize| format!("[{}]", vec![item; count].join(","));
        assert!(parse(list("0", MAX_VALUES - 1).as_bytes(), 4).is_ok());
        for text in [list("0", MAX_VALUES), list("[]", 200_000), list("{\"\":0}", MAX_VALUES / 2)] {
            assert!(matches!(parse(text.as_bytes(), 4), Err(JsonFault::TooMany { .. })), "{} bytes", text.len());
        }
    }

    #[test]
    fn whole_numbers_are_not_rounded() {
        for good in [
            "18446744073709551615",
            "-9223372036854775808",
            "1.8446744073709551616e19",
            "[1e300,0.1]",
            "\"99999999999999999999\"",
            "{\"a\\\"\":\"123456789012345678901\"}",
            "-0",
            "123456789012345678901.5",
        ] {
            assert_eq!(check_numbers(good.as_bytes()), Ok(()), "{good}");
        }
        for (bad, line, column) in
            [("18446744073709551616", 1, 1), ("[1,\n -9223372036854775809]", 2, 2), ("{\"a\":123456789012345678901}", 1, 6)]
        {
            assert_eq!(check_numbers(bad.as_bytes()), Err(JsonFault::Number { line, column }), "{bad}");
        }
    }

    #[test]
    fn a_fault_names_its_place_and_no_value() {
        let fault = parse(b"{\n  \"secret\": 12345x\n}", 8).unwrap_err();
        assert!(matches!(&fault, JsonFault::Syntax { line: 2, .. }));
        assert!(!fault.to_string().contains("12345"), "{fault}");
    }
}
