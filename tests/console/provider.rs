//! A small identity provider over real sockets: discovery, its sign-in page (which lets everybody in), codes with PKCE that are
//! good once, ID tokens signed with RSA or on a curve, and keys that can be changed. A plan says what it does wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Who it is for.
pub(crate) const CLIENT: &str = "mozhao console";
/// The client's secret, with what has to be encoded in it.
pub(crate) const SECRET: &str = "s3cret:/+ %";

type Texts = BTreeMap<String, String>;

/// What it does.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Claims of the next token; null takes one out.
    pub(crate) claims: Value,
    /// The key that the next token is signed with, of those below.
    pub(crate) signs_with: usize,
    /// What the next token's header calls that key.
    pub(crate) kid: Option<String>,
    /// The keys that it tells.
    pub(crate) tells: Vec<usize>,
    /// It does not answer for keys and tokens.
    pub(crate) away: bool,
    /// It refuses people with this word.
    pub(crate) refuses: Option<&'static str>,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan { claims: json!({}), signs_with: 0, kid: None, tells: vec![0], away: false, refuses: None }
    }
}

#[derive(Debug)]
struct Inner {
    issuer: String,
    plan: Mutex<Plan>,
    /// Code to the query that it was given out for.
    codes: Mutex<BTreeMap<String, Texts>>,
    /// How often keys were asked for.
    keys_told: Mutex<u32>,
}

/// A provider.
#[derive(Debug, Clone)]
pub(crate) struct Provider(Arc<Inner>);

fn key(number: usize) -> (EncodingKey, Algorithm) {
    match number {
        0 => (EncodingKey::from_rsa_der(include_bytes!("../fixtures/identity/rsa.der")), Algorithm::RS256),
        _ => (EncodingKey::from_ec_der(include_bytes!("../fixtures/identity/p256.der")), Algorithm::ES256),
    }
}

impl Provider {
    pub(crate) async fn start() -> Provider {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}/realms/bank", listener.local_addr().unwrap());
        let (plan, codes, keys_told) = (Mutex::default(), Mutex::default(), Mutex::default());
        let provider = Provider(Arc::new(Inner { issuer, plan, codes, keys_told }));
        let pages = Router::new()
            .route("/realms/bank/.well-known/openid-configuration", get(discovery))
            .route("/realms/bank/auth", get(authorize))
            .route("/realms/bank/token", post(token))
            .route("/realms/bank/keys", get(keys))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, pages).await.unwrap() });
        provider
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.0.issuer
    }

    pub(crate) fn plan(&self, change: impl FnOnce(&mut Plan)) {
        change(&mut self.0.plan.lock().unwrap());
    }

    pub(crate) fn keys_told(&self) -> u32 {
        *self.0.keys_told.lock().unwrap()
    }

    fn planned(&self) -> Plan {
        self.0.plan.lock().unwrap().clone()
    }
}

async fn discovery(State(provider): State<Provider>) -> Json<Value> {
    let at = |name: &str| format!("{}/{name}", provider.issuer());
    Json(json!({
        "issuer": provider.issuer(),
        "authorization_endpoint": at("auth"),
        "token_endpoint": at("token"),
        "jwks_uri": at("keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
    }))
}

async fn authorize(State(provider): State<Provider>, Query(query): Query<Texts>) -> Response {
    let asked = |name: &str| query.get(name).map_or("", String::as_str);
    let fine = asked("client_id") == CLIENT && asked("response_type") == "code" && asked("code_challenge_method") == "S256";
    let scopes = asked("scope").split(' ').any(|scope| scope == "openid");
    if !fine || !scopes || asked("nonce").len() < 20 || asked("code_challenge").len() != 43 {
        return (StatusCode::BAD_REQUEST, format!("{query:?}")).into_response();
    }
    let (back, state) = (asked("redirect_uri"), asked("state"));
    if let Some(word) = provider.planned().refuses {
        return Redirect::to(&format!("{back}?error={word}&state={state}")).into_response();
    }
    let code = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>());
    let to = format!("{back}?code={code}&state={state}");
    provider.0.codes.lock().unwrap().insert(code, query);
    Redirect::to(&to).into_response()
}

async fn token(State(provider): State<Provider>, headers: HeaderMap, Form(form): Form<Texts>) -> Response {
    let plan = provider.planned();
    if plan.away {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let refuse = |word: &str| (StatusCode::BAD_REQUEST, Json(json!({"error": word}))).into_response();
    let login = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Basic "));
    let login = login.and_then(|login| String::from_utf8(STANDARD.decode(login).ok()?).ok());
    if login.as_deref() != Some("mozhao%20console:s3cret%3A%2F%2B%20%25") {
        return refuse("invalid_client");
    }
    let given = |name: &str| form.get(name).map_or("", String::as_str);
    // Good once, whatever comes of it.
    let Some(asked) = provider.0.codes.lock().unwrap().remove(given("code")) else { return refuse("invalid_grant") };
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(given("code_verifier").as_bytes()));
    if asked["code_challenge"] != challenge || asked["redirect_uri"] != given("redirect_uri") {
        return refuse("invalid_grant");
    }
    let now = i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let mut claims = json!({
        "iss": provider.issuer(),
        "sub": "5f0c",
        "aud": CLIENT,
        "exp": now + 300,
        "iat": now,
        "nonce": asked["nonce"],
        "preferred_username": "li",
        "roles": ["mozhao-reviewer", "mozhao-review:identity", "other-thing"],
    });
    for (name, value) in plan.claims.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    if let Some(away) = claims["exp"].as_str() {
        claims["exp"] = json!(now + away.parse::<i64>().unwrap());
    }
    let (signer, algorithm) = key(plan.signs_with);
    let mut header = Header::new(algorithm);
    header.kid = Some(plan.kid.unwrap_or_else(|| format!("key {}", plan.signs_with)));
    let id_token = encode(&header, &claims, &signer).unwrap();
    Json(json!({"access_token": "unused", "token_type": "Bearer", "id_token": id_token})).into_response()
}

async fn keys(State(provider): State<Provider>) -> Json<Value> {
    *provider.0.keys_told.lock().unwrap() += 1;
    let told = provider.planned().tells.into_iter().map(|number| {
        let (signer, algorithm) = key(number);
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&signer, algorithm).unwrap()).unwrap();
        jwk["kid"] = json!(format!("key {number}"));
        jwk["use"] = json!("sig");
        jwk
    });
    // One of a kind that nobody here knows.
    let odd = json!({"kty": "XYZ", "kid": "odd", "use": "sig"});
    let all: Vec<Value> = [odd].into_iter().chain(told).collect();
    Json(json!({"keys": all}))
}
