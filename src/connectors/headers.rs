//! Which headers a process may add to a call. A header from a process file holds data from a request: it must not be
//! able to end its line and begin another one, to claim another identity, or to frame the message anew.

/// Headers that belong to the connection, the message's frame or the connector.
const OURS: [&str; 20] = [
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];
/// The longest value, in bytes.
const MAX_VALUE: usize = 4096;

/// The names that nobody but the connector sets.
#[derive(Debug, Clone)]
pub(super) struct Protected {
    own: Vec<String>,
}

impl Protected {
    /// Besides the fixed ones: the header that carries the secret, and the one that carries the key.
    pub(super) fn new(auth: Option<&str>, key: Option<&str>) -> Protected {
        // A process that sets a key's usual header at a target without keys would only pretend to be safe.
        let own = auth.into_iter().chain(key).chain(["idempotency-key"]).map(str::to_ascii_lowercase).collect();
        Protected { own }
    }

    /// May a process, or `headers` of the file, set this?
    pub(super) fn check(&self, name: &str, value: &str) -> Result<(), String> {
        check_name(name)?;
        let lower = name.to_ascii_lowercase();
        if OURS.contains(&lower.as_str()) || self.own.contains(&lower) {
            return Err(format!("the header `{name}` is set by the connector itself"));
        }
        if value.len() > MAX_VALUE {
            return Err(format!("the header `{name}` is longer than {MAX_VALUE} bytes"));
        }
        // Visible ASCII and spaces: anything else is read differently by different servers.
        if value.bytes().any(|byte| !(byte == b' ' || byte.is_ascii_graphic())) {
            return Err(format!("the header `{name}` has a character that no header may have"));
        }
        Ok(())
    }
}

/// Is it a header's name?
pub(super) fn check_name(name: &str) -> Result<(), String> {
    match reqwest::header::HeaderName::from_bytes(name.as_bytes()) {
        Ok(_) if name.len() <= 64 => Ok(()),
        _ => Err(format!("`{}` is no name for a header", name.escape_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_overrides_identity_or_frame() {
        let own = Protected::new(Some("X-Api-Key"), Some("X-Once"));
        for name in ["Host", "authorization", "Content-Length", "x-api-key", "X-ONCE", "Idempotency-Key", "Transfer-Encoding"] {
            assert!(own.check(name, "x").is_err(), "{name}");
        }
        for (name, value) in [("X-A", "a\r\nHost: evil"), ("X-A", "a\nb"), ("X-A", "\0"), ("X-A", "é"), ("X A", "a"), ("", "a")]
        {
            assert!(own.check(name, value).is_err(), "{name:?} {value:?}");
        }
        assert_eq!(own.check("X-Client", "mozhao 1.0; (test)"), Ok(()));
        assert_eq!(own.check("X-Empty", ""), Ok(()));
    }
}
