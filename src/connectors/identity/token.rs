//! When an ID token is believed: a pure function of the token, the provider's keys, what was asked, and the time.
//!
//! The token's header is the attacker's: which algorithm verifies it is decided by the *key* that it names, never by the header
//! alone. So a public key is never taken for a shared secret, and `none` is no algorithm.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The longest token that is looked at.
const LONGEST: usize = 32 * 1024;
/// How far the provider's clock may be from ours, in seconds.
const LEEWAY: i64 = 60;

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is no token, or its claims are none.
    #[error("it is not well formed")]
    Malformed,
    /// The provider has no such key, or none for this algorithm.
    #[error("it is signed with an unknown key")]
    UnknownKey,
    /// The signature is not of that key.
    #[error("its signature is wrong")]
    Signature,
    /// Another provider's.
    #[error("it is another issuer's")]
    Issuer,
    /// For somebody else.
    #[error("it is for another audience")]
    Audience,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// Its time has not come.
    #[error("it is from the future")]
    Early,
    /// It answers another attempt.
    #[error("its nonce is another one")]
    Nonce,
}

/// What a token has to agree with.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The provider.
    pub issuer: &'a str,
    /// Our name there.
    pub client_id: &'a str,
    /// Of this attempt.
    pub nonce: &'a str,
    /// Epoch seconds.
    pub now: i64,
}

/// What of PKCE's secret goes into the address.
#[must_use]
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

/// The claims of a token that is believed.
///
/// # Errors
/// Why it is not.
pub fn claims(token: &str, keys: &JwkSet, expected: Expected<'_>) -> Result<Map<String, Value>, Fault> {
    if token.len() > LONGEST {
        return Err(Fault::Malformed);
    }
    let header = decode_header(token).map_err(|_| Fault::Malformed)?;
    let mut fitting = keys.keys.iter().filter(|key| verifies(key, header.alg)).filter(|key| match &header.kid {
        Some(kid) => key.common.key_id.as_ref() == Some(kid),
        None => true,
    });
    // Without a name, or with the same one twice, it is not said which.
    let (Some(key), None) = (fitting.next(), fitting.next()) else { return Err(Fault::UnknownKey) };
    let key = DecodingKey::from_jwk(key).map_err(|_| Fault::UnknownKey)?;
    let mut signature_only = Validation::new(header.alg);
    signature_only.required_spec_claims.clear();
    signature_only.validate_exp = false;
    signature_only.validate_aud = false;
    let claims: Map<String, Value> = decode(token, &key, &signature_only).map_err(|_| Fault::Signature)?.claims;
    check(&claims, expected)?;
    Ok(claims)
}

/// Is this key for signatures by this algorithm?
fn verifies(key: &Jwk, algorithm: Algorithm) -> bool {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    let kind = match &key.algorithm {
        AlgorithmParameters::RSA(_) => matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512),
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => algorithm == ES256,
            EllipticCurve::P384 => algorithm == ES384,
            _ => false,
        },
        AlgorithmParameters::OctetKeyPair(pair) => pair.curve == EllipticCurve::Ed25519 && algorithm == EdDSA,
        // A shared secret has no place among public keys.
        _ => false,
    };
    let named = key.common.key_algorithm.is_none_or(|named| named.to_string() == format!("{algorithm:?}"));
    let signs = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_)));
    kind && named && signs
}

fn check(claims: &Map<String, Value>, expected: Expected<'_>) -> Result<(), Fault> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let seconds =
        |name: &str| claims.get(name).map(|value| value.as_i64().or_else(|| whole(value.as_f64()?)).ok_or(Fault::Malformed));
    if text("iss") != Some(expected.issuer) {
        return Err(Fault::Issuer);
    }
    let many = match claims.get("aud") {
        Some(Value::String(one)) if one == expected.client_id => false,
        Some(Value::Array(many)) if many.iter().any(|one| one == expected.client_id) => many.len() > 1,
        _ => return Err(Fault::Audience),
    };
    if (many || claims.contains_key("azp")) && text("azp") != Some(expected.client_id) {
        return Err(Fault::Audience);
    }
    let expires = seconds("exp").ok_or(Fault::Malformed)??;
    if expires.saturating_add(LEEWAY) <= expected.now {
        return Err(Fault::Expired);
    }
    for from in [seconds("iat").ok_or(Fault::Malformed)?, seconds("nbf").unwrap_or(Ok(0))] {
        if from?.saturating_sub(LEEWAY) > expected.now {
            return Err(Fault::Early);
        }
    }
    let nonce = text("nonce").ok_or(Fault::Nonce)?;
    if !bool::from(nonce.as_bytes().ct_eq(expected.nonce.as_bytes())) {
        return Err(Fault::Nonce);
    }
    if text("sub").is_none_or(str::is_empty) { Err(Fault::Malformed) } else { Ok(()) }
}

/// Seconds that were written with a fraction.
#[expect(clippy::cast_possible_truncation, reason = "the range is looked at before")]
fn whole(number: f64) -> Option<i64> {
    (number.is_finite() && number.abs() < 1e15).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EXPECTED: Expected<'_> = Expected { issuer: "https://id.example", client_id: "mozhao", nonce: "n-1", now: 1_000_000 };

    fn good() -> Value {
        json!({"iss": "https://id.example", "sub": "7", "aud": "mozhao", "exp": 1_000_300, "iat": 1_000_000, "nonce": "n-1"})
    }

    fn checked(change: &Value) -> Result<(), Fault> {
        let mut claims = good();
        if let (Some(claims), Some(change)) = (claims.as_object_mut(), change.as_object()) {
            for (name, value) in change {
                if value.is_null() {
                    claims.remove(name)
                } else {
                    claims.insert(name.clone(), value.clone())
                };
            }
        }
        check(claims.as_object().unwrap_or(&Map::new()), EXPECTED)
    }

    #[test]
    fn what_is_believed() {
        for change in [
            json!({}),
            json!({"aud": ["mozhao"]}),
            json!({"aud": ["mozhao", "other"], "azp": "mozhao"}),
            json!({"exp": 999_941}),
            json!({"exp": 1_000_300.5, "iat": 1_000_060, "nbf": 999_999}),
        ] {
            assert_eq!(checked(&change), Ok(()), "{change}");
        }
    }

    #[test]
    fn what_is_not() {
        for (change, fault) in [
            (json!({"iss": "https://id.example/"}), Fault::Issuer),
            (json!({"iss": null}), Fault::Issuer),
            (json!({"aud": "other"}), Fault::Audience),
            (json!({"aud": ["other"]}), Fault::Audience),
            (json!({"aud": null}), Fault::Audience),
            (json!({"aud": ["mozhao", "other"]}), Fault::Audience),
            (json!({"azp": "other"}), Fault::Audience),
            (json!({"exp": 999_940}), Fault::Expired),
            (json!({"exp": null}), Fault::Malformed),
            (json!({"exp": "1000300"}), Fault::Malformed),
            (json!({"iat": 1_000_061}), Fault::Early),
            (json!({"iat": null}), Fault::Malformed),
            (json!({"nbf": 1_000_061}), Fault::Early),
            (json!({"nonce": "n-2"}), Fault::Nonce),
            (json!({"nonce": null}), Fault::Nonce),
            (json!({"sub": ""}), Fault::Malformed),
        ] {
            assert_eq!(checked(&change), Err(fault), "{change}");
        }
    }

    #[test]
    fn the_challenge_is_that_of_the_standard() {
        // RFC 7636, appendix B.
        assert_eq!(challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn tokens_that_are_none() {
        let keys = JwkSet { keys: Vec::new() };
        // {"alg":"none"}.{}. and the like.
        for token in ["", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", &"a".repeat(LONGEST + 1)] {
            assert_eq!(claims(token, &keys, EXPECTED), Err(Fault::Malformed), "{}", &token[..token.len().min(40)]);
        }
        assert_eq!(claims("eyJhbGciOiJSUzI1NiJ9.e30.AA", &keys, EXPECTED), Err(Fault::UnknownKey));
    }
}
