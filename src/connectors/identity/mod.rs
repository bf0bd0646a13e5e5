//! An identity provider that speaks `OpenID` Connect: where its sign-in page is, and what it says of somebody who comes back.
//!
//! The provider is a remote system like any other: it answers late, with anything, or not at all. So every answer is bounded in
//! time and bytes, redirects are not followed, and what is remembered (its addresses, its keys) is asked for again: addresses
//! after an hour, keys at once when a token names an unknown one, but not more often than once in a while, because strangers
//! can make up tokens. What a token must be to be believed is in [`token`], without I/O.

pub mod token;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, RequestBuilder, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::Instant;

use self::token::{Expected, Fault};

/// The longest that one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer.
const MOST: usize = 512 * 1024;
/// How long the provider's addresses are believed.
const BELIEVED: Duration = Duration::from_hours(1);
/// How long keys are believed before they are asked for again for a token with an unknown one.
const KEYS_REST: Duration = Duration::from_secs(30);

/// Why nobody can be let in.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The provider does not answer, or not as one does.
    #[error("the identity provider is not available: {0}")]
    Unavailable(String),
    /// It refused the code.
    #[error("the identity provider refused the code: {0}")]
    Refused(String),
    /// The token is none to be believed.
    #[error("the ID token is not believed: {0}")]
    Token(#[from] Fault),
}

/// How the provider is reached.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// Its name for itself, an address.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// Our secret there; without one PKCE alone proves who asks.
    pub client_secret: Option<SecretString>,
    /// What is asked for, between blanks; `openid` is among it.
    pub scopes: String,
    /// Where people come back to.
    pub redirect_uri: String,
}

/// A provider.
pub struct Provider {
    settings: ProviderSettings,
    client: Client,
    addresses: Remembered<Addresses>,
    keys: Remembered<JwkSet>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("issuer", &self.settings.issuer).finish_non_exhaustive()
    }
}

/// What the provider says of itself.
#[derive(Debug, Deserialize)]
struct Addresses {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Tokens {
    id_token: String,
}

/// What one sign-in is held together by.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// Comes back in the address.
    pub state: &'a str,
    /// Comes back in the token.
    pub nonce: &'a str,
    /// PKCE's secret, of which the address carries the hash.
    pub verifier: &'a str,
}

impl Provider {
    /// A provider, not asked yet.
    ///
    /// # Errors
    /// A sentence: the HTTP client cannot be made.
    pub fn new(settings: ProviderSettings) -> Result<Provider, String> {
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .timeout(PATIENCE)
            .user_agent(concat!("mozhao/", env!("CARGO_PKG_VERSION")));
        // Plain HTTP, for a provider on this machine, needs no certificates: the system's are not loaded for it.
        let client = if settings.issuer.starts_with("https://") { client } else { client.tls_certs_only([]) };
        let client = client.build().map_err(|error| format!("the HTTP client cannot be built: {error}"))?;
        Ok(Provider { settings, client, addresses: Mutex::default(), keys: Mutex::default() })
    }

    /// Its name for itself.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// The address of its sign-in page for one attempt.
    ///
    /// # Errors
    /// [`IdentityError::Unavailable`]
    pub async fn sign_in_url(&self, attempt: Attempt<'_>) -> Result<String, IdentityError> {
        let addresses = self.addresses().await?;
        let mut url = Url::parse(&addresses.authorization_endpoint).map_err(|_| odd("its authorization_endpoint is no URL"))?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", &self.settings.redirect_uri)
            .append_pair("scope", &self.settings.scopes)
            .append_pair("state", attempt.state)
            .append_pair("nonce", attempt.nonce)
            .append_pair("code_challenge", &token::challenge(attempt.verifier))
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// What the provider says of the person that a code stands for; believed as of `now` (epoch seconds).
    ///
    /// # Errors
    /// All of [`IdentityError`].
    pub async fn redeem(&self, code: &str, attempt: Attempt<'_>, now: i64) -> Result<Map<String, Value>, IdentityError> {
        let addresses = self.addresses().await?;
        let tokens: Tokens = self.exchange(&addresses, code, attempt.verifier).await?;
        let ProviderSettings { issuer, client_id, .. } = &self.settings;
        let expected = Expected { issuer, client_id, nonce: attempt.nonce, now };
        let keys = self.keys(&addresses, false).await?;
        match token::claims(&tokens.id_token, &keys, expected) {
            // The provider may have changed its keys since.
            Err(Fault::UnknownKey) => {
                let keys = self.keys(&addresses, true).await?;
                Ok(token::claims(&tokens.id_token, &keys, expected)?)
            }
            other => Ok(other?),
        }
    }

    async fn exchange(&self, addresses: &Addresses, code: &str, verifier: &str) -> Result<Tokens, IdentityError> {
        let ProviderSettings { client_id, client_secret, redirect_uri, .. } = &self.settings;
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier),
        ];
        let mut request = self.client.post(&addresses.token_endpoint);
        let methods = addresses.token_endpoint_auth_methods_supported.as_deref();
        let basic = methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"));
        match client_secret {
            Some(secret) if basic => {
                request = request.basic_auth(encoded(client_id), Some(encoded(secret.expose_secret())));
            }
            Some(secret) => form.extend([("client_id", client_id.as_str()), ("client_secret", secret.expose_secret())]),
            None => form.push(("client_id", client_id)),
        }
        let body: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let request = request.header("content-type", "application/x-www-form-urlencoded").header("accept", "application/json");
        let (status, bytes) = answer(request.body(body.join("&"))).await?;
        match status {
            200..300 => read(&bytes, "its token endpoint"),
            400..500 => {
                // `error` is a word of RFC 6749; the rest of the answer is not ours to log.
                let word =
                    serde_json::from_slice::<Value>(&bytes).ok().and_then(|value| Some(value["error"].as_str()?.to_owned()));
                Err(IdentityError::Refused(word.unwrap_or_else(|| status.to_string()).chars().take(100).collect()))
            }
            other => Err(odd(&format!("its token endpoint answered {other}"))),
        }
    }

    async fn addresses(&self) -> Result<Arc<Addresses>, IdentityError> {
        if let Some(known) = remembered(&self.addresses, BELIEVED) {
            return Ok(known);
        }
        let issuer = self.settings.issuer.trim_end_matches('/');
        let found: Addresses = self.get(&format!("{issuer}/.well-known/openid-configuration")).await?;
        if found.issuer != self.settings.issuer {
            return Err(odd("it calls itself by another name than `oidc.issuer`"));
        }
        let secure = self.settings.issuer.starts_with("https://");
        let safe = |url: &str| url.starts_with("https://") || !secure && url.starts_with("http://");
        if ![&found.authorization_endpoint, &found.token_endpoint, &found.jwks_uri].into_iter().all(|url| safe(url)) {
            return Err(odd("one of its addresses is not https"));
        }
        Ok(remember(&self.addresses, found))
    }

    async fn keys(&self, addresses: &Addresses, anew: bool) -> Result<Arc<JwkSet>, IdentityError> {
        let age = if anew { KEYS_REST } else { BELIEVED };
        if let Some(known) = remembered(&self.keys, age) {
            return Ok(known);
        }
        // A key of a kind that is not known here must not hide the others.
        let found: Value = self.get(&addresses.jwks_uri).await?;
        let keys = found["keys"].as_array().ok_or_else(|| odd("its keys are no list"))?;
        let keys = keys.iter().filter_map(|key| serde_json::from_value(key.clone()).ok()).collect();
        Ok(remember(&self.keys, JwkSet { keys }))
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, IdentityError> {
        let (status, bytes) = answer(self.client.get(url)).await?;
        if status != 200 {
            return Err(odd(&format!("{url} answered {status}")));
        }
        read(&bytes, url)
    }
}

/// With when it was heard.
type Remembered<T> = Mutex<Option<(Arc<T>, Instant)>>;

fn remembered<T>(place: &Remembered<T>, for_long: Duration) -> Option<Arc<T>> {
    let known = place.lock().unwrap_or_else(PoisonError::into_inner);
    known.as_ref().filter(|(_, since)| since.elapsed() < for_long).map(|(known, _)| known.clone())
}

fn remember<T>(place: &Remembered<T>, found: T) -> Arc<T> {
    let found = Arc::new(found);
    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some((found.clone(), Instant::now()));
    found
}

fn odd(why: &str) -> IdentityError {
    IdentityError::Unavailable(why.to_owned())
}

/// The status and the body, bounded in bytes; in time by the client.
async fn answer(request: RequestBuilder) -> Result<(u16, Vec<u8>), IdentityError> {
    // Without its URL: codes are in bodies, but a provider's address may carry more than one would log.
    let failed = |error: reqwest::Error| odd(&error.without_url().to_string());
    let mut response = request.send().await.map_err(failed)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if bytes.len() + chunk.len() > MOST {
            return Err(odd("its answer is too large"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((response.status().as_u16(), bytes))
}

fn read<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, IdentityError> {
    // The error's own text would repeat parts of a token.
    serde_json::from_slice(bytes).map_err(|_| odd(&format!("the answer of {what} has another form")))
}
