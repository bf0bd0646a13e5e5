//! Forms and queries, decoded. A form is read only after its session's token was compared: whoever forgets the comparison has no
//! form to work with.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::session::{Seat, find, unknown};
use super::{Console, signed_out, trouble};

/// The largest form.
const MOST: usize = 64 * 1024;
/// The longest that it may take to come.
const BODY_TIME: Duration = Duration::from_secs(15);
/// The most fields.
const FIELDS: usize = 300;

/// A text as a part of an address.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Names and values in the order that they came.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Decodes `name=value&…`; what is no UTF-8 is shown as such.
    pub(super) fn parse(text: &str) -> Fields {
        let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).take(FIELDS);
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Fields(pairs.map(|(name, value)| (decode(name), decode(value))).collect())
    }

    /// The first value of this name, trimmed; empty where there is none.
    pub(super) fn one(&self, name: &str) -> &str {
        self.whole(name).trim()
    }

    /// The first value of this name as it came.
    pub(super) fn whole(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The same where it is not empty.
    pub(super) fn some(&self, name: &str) -> Option<&str> {
        Some(self.one(name)).filter(|value| !value.is_empty())
    }

    /// All names and values.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// All that are not empty, with names that begin so, without that beginning.
    pub(super) fn starting<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.trim())))
    }
}

/// The query of a page.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(pub(super) Fields);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Query(Fields::parse(parts.uri.query().unwrap_or(""))))
    }
}

/// A form of a signed-in person, sent from a page of the same session.
#[derive(Debug)]
pub(super) struct Form {
    /// Who sent it.
    pub(super) seat: Seat,
    /// What.
    pub(super) fields: Fields,
}

impl FromRequest<Console> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Response> {
        let (parts, seat, fields) = arrived(request, console).await?;
        if !seat.csrf_fits(fields.one("csrf")) {
            return Err(signed_out::foreign(&seat.look, &parts, &fields));
        }
        Ok(Form { seat, fields })
    }
}

/// A form of a signed-in person, whose session it may not belong to: for what changes nothing.
#[derive(Debug)]
pub(super) struct Unproven {
    /// Who sent it.
    pub(super) seat: Seat,
    /// What.
    pub(super) fields: Fields,
}

impl FromRequest<Console> for Unproven {
    type Rejection = Response;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Response> {
        let (_, seat, fields) = arrived(request, console).await?;
        Ok(Unproven { seat, fields })
    }
}

async fn arrived(request: Request, console: &Console) -> Result<(Parts, Seat, Fields), Response> {
    let (parts, body) = request.into_parts();
    match find(console, &parts.headers).await {
        Ok(Some(seat)) => {
            let fields = read(&parts, body).await.ok_or_else(|| trouble::bad_form(&seat))?;
            Ok((parts, seat, fields))
        }
        // Nothing is done; but nothing that was written is lost either.
        Ok(None) => {
            let fields = read(&parts, body).await.unwrap_or_default();
            Err(signed_out::signed_out(console, &parts, &fields))
        }
        Err(error) => Err(unknown(&parts.headers, &error)),
    }
}

/// A form of somebody who is not signed in yet; what it may do does not depend on cookies.
#[derive(Debug)]
pub(super) struct OpenForm(pub(super) Fields);

impl FromRequest<Console> for OpenForm {
    type Rejection = Response;

    async fn from_request(request: Request, _: &Console) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let look = super::frame::Look::of(&parts.headers);
        read(&parts, body).await.map(OpenForm).ok_or_else(|| trouble::foreign(&look))
    }
}

async fn read(parts: &Parts, body: Body) -> Option<Fields> {
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let bytes = tokio::time::timeout(BODY_TIME, axum::body::to_bytes(body, MOST)).await.ok()?.ok()?;
    if bytes.is_empty() {
        return Some(Fields::default());
    }
    let form = kind.split(';').next().is_some_and(|kind| kind.trim() == "application/x-www-form-urlencoded");
    form.then(|| Fields::parse(&String::from_utf8_lossy(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded() {
        let fields = Fields::parse("a=1+2&b=%E5%A2%A8&a=3&field./x=y&field./z=&c");
        assert_eq!((fields.one("a"), fields.one("b"), fields.one("c"), fields.some("c")), ("1 2", "墨", "", None));
        assert_eq!(fields.starting("field.").collect::<Vec<_>>(), [("/x", "y"), ("/z", "")]);
        assert_eq!(Fields::parse(&"a=b&".repeat(1_000)).0.len(), FIELDS);
    }
}
