//! Style sheet and scripts, built into the program. Their addresses carry their digest, so browsers keep them for ever and
//! never mix those of two versions.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

const FILES: [(&str, &str, &[u8]); 4] = [
    ("console.css", "text/css; charset=utf-8", include_bytes!("assets/console.css")),
    ("console.js", "text/javascript; charset=utf-8", include_bytes!("assets/console.js")),
    // htmx 4.0.1 from npm (0BSD, see htmx.LICENSE), as published; its SHA-256 is checked below.
    ("htmx.min.js", "text/javascript; charset=utf-8", include_bytes!("assets/htmx.min.js")),
    ("seal.svg", "image/svg+xml", include_bytes!("assets/seal.svg")),
];

/// One version for all of them.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for (_, _, bytes) in FILES {
        digest.update(bytes);
    }
    let mut version = hex::encode(digest.finalize());
    version.truncate(16);
    version
});

/// The address of a file.
pub(super) fn address(name: &str) -> String {
    format!("/console/assets/{}/{name}", *VERSION)
}

/// Serves a file; also under an older version's address, but then not for ever.
pub(super) async fn asset(Path((version, name)): Path<(String, String)>) -> Response {
    let Some((_, kind, bytes)) = FILES.into_iter().find(|(known, ..)| *known == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let keep = if version == *VERSION { "public, max-age=31536000, immutable" } else { "no-store" };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static(keep)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // Drawn as an image an SVG runs nothing; opened as a page it must not either.
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox")),
    ];
    (headers, bytes).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn htmx_is_what_was_published() {
        let published = "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130";
        let found =
            FILES.iter().find(|(name, ..)| *name == "htmx.min.js").map(|(_, _, bytes)| hex::encode(Sha256::digest(bytes)));
        assert_eq!(found.as_deref(), Some(published));
    }
}
