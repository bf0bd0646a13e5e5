//! JSON bodies, read strictly.
//!
//! serde keeps the last of two equal names and says nothing; whoever checked the first then approved something else than
//! what is carried out. So repeated names are refused before anything is read. And serde's texts quote the value that did not
//! fit, which may be somebody's identity number: ours name the place and what was expected.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use super::kinds;
use super::problem::Problem;
use crate::domain::json::{MAX_DEPTH, MAX_VALUES, shown};

/// Reads a body of a declared form.
///
/// # Errors
/// [`kinds::BAD_JSON`] for what is no JSON, [`kinds::BAD_BODY`] for another form.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        let text = "the body begins with a byte order mark (U+FEFF); send UTF-8 without one";
        return Err(Problem::new(&kinds::BAD_JSON, text));
    }
    if let Err(error) = std::str::from_utf8(bytes) {
        let text = format!("byte {} of the body is not UTF-8; send JSON in UTF-8", error.valid_up_to());
        return Err(Problem::new(&kinds::BAD_JSON, text));
    }
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let values = Cell::new(MAX_VALUES);
    let walk = Walk { left: MAX_LEVELS, values: &values };
    walk.deserialize(&mut parser).and_then(|()| parser.end()).map_err(|error| explain(&error))?;
    serde_json::from_slice(bytes).map_err(|error| explain(&error))
}

/// The same for an object; serde would take a list for one, field by field.
pub(super) fn read_object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        Some(b'[' | b'"' | b't' | b'f' | b'n' | b'-' | b'0'..=b'9') => {
            read::<serde::de::IgnoredAny>(bytes)?;
            Err(Problem::new(&kinds::BAD_BODY, "the body is a JSON object"))
        }
        _ => read(bytes),
    }
}

fn explain(error: &serde_json::Error) -> Problem {
    let place = format!("line {}, column {}", error.line(), error.column());
    let text = error.to_string();
    match error.classify() {
        Category::Eof => Problem::new(&kinds::BAD_JSON, format!("the body ends at {place} in the middle of a value")),
        Category::Io | Category::Syntax => {
            Problem::new(&kinds::BAD_JSON, format!("the body is not JSON: {}", without_place(&text)) + " at " + &place)
        }
        Category::Data if text.starts_with(REPEATED) => Problem::new(&kinds::BAD_JSON, format!("{REPEATED} at {place}")),
        Category::Data if text.starts_with(TOO_DEEP) => {
            Problem::new(&kinds::BAD_JSON, format!("the body is nested deeper than {MAX_LEVELS} levels at {place}"))
        }
        Category::Data if text.starts_with(TOO_MANY) => {
            let what = format!("the body holds more than {MAX_VALUES} values at {place}; send large lists by reference");
            Problem::new(&kinds::TOO_LARGE, what)
        }
        Category::Data => Problem::new(&kinds::BAD_BODY, format!("{} at {place}", without_value(&text))),
    }
}

const REPEATED: &str = "an object has the same name twice";
const TOO_DEEP: &str = "too deep";
const TOO_MANY: &str = "too many values";
/// The deepest nesting: a payload's, and a few levels around it. What is stored of a body is wrapped again, and must stay below
/// the depth at which `serde_json` refuses to read it back.
const MAX_LEVELS: usize = MAX_DEPTH + 4;

fn without_place(text: &str) -> &str {
    text.rfind(" at line ").map_or(text, |end| &text[..end])
}

/// serde's texts are `invalid type: string "…", expected a map`, or name fields; only the part without a value is kept.
fn without_value(text: &str) -> String {
    let text = without_place(text);
    let names_only = ["missing field", "duplicate field", "unknown field", "unknown variant"];
    if names_only.iter().any(|start| text.starts_with(start)) {
        let mut cut = shown(text, 300);
        if cut.len() < text.len() {
            cut.push('…');
        }
        return cut;
    }
    match text.rfind("expected ") {
        Some(at) => format!("{} was expected", &text[at + "expected ".len()..]),
        None => "a value of another form was expected".to_owned(),
    }
}

/// Walks a value and fails where an object repeats a name, and where it is too deep or holds too much.
#[derive(Clone, Copy)]
struct Walk<'v> {
    left: usize,
    values: &'v Cell<usize>,
}

impl<'v> Walk<'v> {
    fn deeper<E: serde::de::Error>(&self) -> Result<Walk<'v>, E> {
        let left = self.left.checked_sub(1).ok_or_else(|| E::custom(TOO_DEEP))?;
        Ok(Walk { left, values: self.values })
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        let left = self.values.get().checked_sub(1).ok_or_else(|| D::Error::custom(TOO_MANY))?;
        self.values.set(left);
        parser.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inside = self.deeper()?;
        while items.next_element_seed(inside)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let inside = self.deeper()?;
        let mut names: HashSet<Name<'de>> = HashSet::new();
        while let Some(name) = fields.next_key::<Name<'de>>()? {
            if !names.insert(name) {
                return Err(A::Error::custom(REPEATED));
            }
            fields.next_value_seed(inside)?;
        }
        Ok(())
    }
}

/// An object's name, borrowed where the text has no escapes.
#[derive(PartialEq, Eq, Hash)]
struct Name<'de>(std::borrow::Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(parser: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(text.into()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(text.to_owned().into()))
            }
        }
        parser.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use axum::response::IntoResponse;

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Form {
        process: String,
        #[serde(default)]
        more: serde_json::Value,
    }

    async fn told(body: &str) -> (u16, String) {
        match read_object::<Form>(body.as_bytes()) {
            Ok(form) => (200, format!("{} {}", form.process, form.more)),
            Err(problem) => {
                let response = problem.into_response();
                let status = response.status().as_u16();
                let bytes = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
                let body: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                (status, body["detail"].as_str().unwrap().to_owned())
            }
        }
    }

    #[tokio::test]
    async fn bodies_are_read_strictly() {
        let table = [
            (r#"{"process": "a", "more": {"x": [1, {"y": null}]}}"#, 200, r#"a {"x":[1,{"y":null}]}"#),
            (r#"{"process": "a", "process": "b"}"#, 400, "an object has the same name twice at line 1, column 26"),
            (
                r#"{"process": "a", "more": [{"x": 1, "\u0078": 2}]}"#,
                400,
                "an object has the same name twice at line 1, column 43",
            ),
            (r#"{"process": "a""#, 400, "the body ends at line 1, column 15 in the middle of a value"),
            ("", 400, "the body ends at line 1, column 0 in the middle of a value"),
            (r#"{"process": "a"} {}"#, 400, "the body is not JSON: trailing characters at line 1, column 18"),
            ("{process: 1}", 400, "the body is not JSON: key must be a string at line 1, column 2"),
            (r#"{"proces": "a"}"#, 422, "unknown field `proces`, expected `process` or `more` at line 1, column 9"),
            ("{}", 422, "missing field `process` at line 1, column 2"),
            (r#"{"process": 4111111111111111}"#, 422, "a string was expected at line 1, column 28"),
            (r#" ["x"]"#, 422, "the body is a JSON object"),
            ("\u{feff}{}", 400, "the body begins with a byte order mark (U+FEFF); send UTF-8 without one"),
            ("{\"proc\u{202e}es\": 1}", 422, "unknown field `proces`, expected `process` or `more`… at line 1, column 12"),
        ];
        for (body, status, text) in table {
            let (found, detail) = told(body).await;
            assert_eq!((found, detail.as_str()), (status, text), "{body}");
        }
    }

    #[tokio::test]
    async fn depth_is_bounded_and_nothing_is_quoted() {
        let (status, detail) = told(&format!("{}{}", "[".repeat(5_000), "]".repeat(5_000))).await;
        assert_eq!((status, detail.contains("deeper than 68 levels")), (400, true), "{detail}");
        let (_, detail) = told(r#"{"process": ["secret"]}"#).await;
        assert!(!detail.contains("secret"), "{detail}");
    }
}
