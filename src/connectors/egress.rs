//! Where a call may go: nowhere but below its connector's base URL. The path holds values from requests, and a URL
//! parser is generous: it drops `..`, reads `\` as `/` and takes `//host` for another host. So the path is checked as
//! text first, in every way that a server may decode it, and the parsed URL is compared with the base afterwards.

use bytes::Bytes;
use hyper::Uri;
use hyper::http::uri::{Authority, Parts, PathAndQuery, Scheme};
use reqwest::Url;

/// The longest path with its query, in bytes.
const MAX_PATH: usize = 8 * 1024;

/// A connector's base URL.
#[derive(Debug, Clone)]
pub(super) struct Base {
    url: Url,
    /// Its path: no slash at its end.
    prefix: String,
    /// Where every call goes, whatever its path.
    place: (Scheme, Authority),
}

impl Base {
    /// Reads `http://host:port/prefix`. Errors continue a sentence that began with the key's name.
    pub(super) fn parse(text: &str) -> Result<Base, String> {
        let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("begins with `{}:`; http and https are spoken", url.scheme()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("holds a user or a password; they belong under `auth`".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("holds `?` or `#`; a query belongs to a call's path".to_owned());
        }
        if url.host_str().is_none() {
            return Err("names no host".to_owned());
        }
        let scheme = if url.scheme() == "https" { Scheme::HTTPS } else { Scheme::HTTP };
        let authority = Authority::try_from(url.authority()).map_err(|error| format!("names no host: {error}"))?;
        let prefix = url.path().trim_end_matches('/').to_owned();
        Ok(Base { url, prefix, place: (scheme, authority) })
    }

    pub(super) fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The host and port that are connected to.
    pub(super) fn address(&self) -> (String, u16) {
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        (host, self.url.port_or_known_default().unwrap_or(80))
    }

    /// The address of a call. The error never repeats the path: it may hold sensitive values.
    pub(super) fn join(&self, path: &str) -> Result<Uri, String> {
        check_path(path)?;
        // What every parser reads alike, and writes as it is, needs none.
        let below = if path.bytes().all(is_plain) { format!("{}{path}", self.prefix) } else { self.parse_below(path)? };
        let refuse = |_| "the path cannot be sent".to_owned();
        let mut parts = Parts::default();
        parts.scheme = Some(self.place.0.clone());
        parts.authority = Some(self.place.1.clone());
        parts.path_and_query = Some(PathAndQuery::from_maybe_shared(Bytes::from(below)).map_err(refuse)?);
        Uri::from_parts(parts).map_err(|_| "the path cannot be sent".to_owned())
    }

    /// The path and query of a call, percent-encoded where they have to be.
    fn parse_below(&self, path: &str) -> Result<String, String> {
        // The base is not parsed again: only what follows it.
        let (only, query) = path.split_once('?').map_or((path, None), |(only, query)| (only, Some(query)));
        let mut url = self.url.clone();
        url.set_path(&format!("{}{only}", self.prefix));
        url.set_query(query);
        let same_place = url.scheme() == self.url.scheme()
            && url.host() == self.url.host()
            && url.port_or_known_default() == self.url.port_or_known_default()
            && url.username().is_empty()
            && url.password().is_none();
        let below = url.path().strip_prefix(&*self.prefix).is_some_and(|rest| rest.starts_with('/'));
        if !same_place || !below {
            return Err("the path leaves the connector's base URL".to_owned());
        }
        Ok(url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path())))
    }
}

/// A byte that stands for itself in every part of a path and a query.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~/%?=&:;,+!$()*".contains(&byte)
}

/// Refuses a path that some server may read as another one.
pub(super) fn check_path(path: &str) -> Result<(), String> {
    if path.len() > MAX_PATH {
        return Err(format!("the path is longer than {MAX_PATH} bytes"));
    }
    if !path.starts_with('/') {
        return Err("the path does not begin with `/`".to_owned());
    }
    if path.bytes().any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'#' | b'\\')) {
        return Err("the path has a space, a `\\`, a `#`, or a character outside ASCII; percent-encode it".to_owned());
    }
    let only = path.split_once('?').map_or(path, |(only, _)| only);
    if only.contains('@') {
        return Err("the path has an `@`; percent-encode it".to_owned());
    }
    if only.contains("//") {
        return Err("the path has an empty part".to_owned());
    }
    // Some servers decode twice, and `%252e` is then a dot: look at every level.
    let mut level = only.to_owned();
    for _ in 0..4 {
        if level.split(['/', '\\']).any(|part| matches!(part, "." | "..")) {
            return Err("the path has a `.` or `..` part".to_owned());
        }
        if level.chars().any(char::is_control) {
            return Err("the path has an encoded control character".to_owned());
        }
        let Ok(next) = percent_encoding::percent_decode_str(&level).decode_utf8() else {
            return Err("the path is not UTF-8 when decoded".to_owned());
        };
        if next == level {
            return Ok(());
        }
        level = next.into_owned();
    }
    Err("the path is percent-encoded more than three times".to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_call_stays_below_its_base() {
        let base = Base::parse("http://bank.internal:9900/bank/").unwrap();
        let good = [
            ("/cards/1", "http://bank.internal:9900/bank/cards/1"),
            ("/", "http://bank.internal:9900/bank/"),
            ("/cards/a%2Fb?x=1&mail=a@b.c", "http://bank.internal:9900/bank/cards/a%2Fb?x=1&mail=a@b.c"),
            ("/cards/..1/x.y/...", "http://bank.internal:9900/bank/cards/..1/x.y/..."),
            ("/cards/100%25", "http://bank.internal:9900/bank/cards/100%25"),
            ("/cards/{a}|b?x='1'^2", "http://bank.internal:9900/bank/cards/%7Ba%7D|b?x=%271%27^2"),
        ];
        for (path, url) in good {
            assert_eq!(base.join(path).unwrap().to_string(), url);
        }
        let bad = [
            "",
            "cards",
            "@evil/",
            ":80/",
            ".evil.com/",
            "//evil/x",
            "/a//b",
            "/..",
            "/../x",
            "/a/../../x",
            "/a/./b",
            "/%2e%2e/x",
            "/.%2E/x",
            "/%252e%252e/x",
            "/%25252e./x",
            "/a%2f..%2fb",
            "/a%5c..%5cb",
            "/a\\b",
            "/\\evil",
            "/a b",
            "/a\r\nHost: x",
            "/a%0d%0ab",
            "/a%00",
            "/é",
            "/a#b",
            "/user@host",
            "/%ff",
            "/a\tb",
        ];
        for path in bad {
            assert!(base.join(path).is_err(), "{path}");
        }
        assert!(base.join(&format!("/{}", "a".repeat(9000))).is_err());
    }

    #[test]
    fn what_is_plain_is_written_as_the_parser_writes_it() {
        let base = Base::parse("http://bank.internal:9900/bank/").unwrap();
        for byte in (0..=127_u8).filter(|byte| is_plain(*byte)).map(char::from) {
            for path in [format!("/a{byte}b"), format!("/a?b{byte}c"), format!("/a?b=%25{byte}"), format!("/{byte}a")] {
                if check_path(&path).is_ok() {
                    let parsed = base.parse_below(&path).unwrap();
                    assert_eq!(base.join(&path).unwrap().to_string(), format!("http://bank.internal:9900{parsed}"), "{path}");
                }
            }
        }
    }

    #[test]
    fn a_base_is_a_plain_place() {
        for bad in
            ["", "bank", "ftp://x", "http://u:p@h/", "http://u@h/", "http://h/?a", "http://h/#a", "file:///etc/passwd", "http://"]
        {
            assert!(Base::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Base::parse("https://[::1]/x").unwrap().address(), ("::1".to_owned(), 443));
        assert_eq!(Base::parse("http://h").unwrap().join("/a").unwrap().to_string(), "http://h/a");
    }
}
