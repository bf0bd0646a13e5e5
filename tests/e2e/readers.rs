//! What somebody may read who sees every request and may not reveal a value (G9): pages of the console, answers of the API.

use std::collections::BTreeMap;
use std::time::Duration;

use mozhao::api::hash;
use mozhao::engine::ports::records::TokenRow;
use mozhao::engine::ports::sessions::{Person, SessionRow};
use reqwest::header::{AUTHORIZATION, COOKIE};
use uuid::Uuid;

use super::ledgers::Ledger;
use super::world::{Worker, World};

/// Sees all, changes nothing, reveals nothing.
const ROLE: &str = "auditor";
/// Pages and answers about everything.
const LISTS: [&str; 9] = [
    "/v1/requests?limit=200",
    "/v1/reviews?limit=200",
    "/v1/events?limit=200",
    "/v1/rejected?limit=200",
    "/v1/decisions?limit=200",
    "/v1/defects",
    "/console/requests",
    "/console/reviews",
    "/console/decisions",
];
/// Requests that are looked at one by one: one of each process and road, and no more than this.
const SOME: usize = 8;

/// Each of them with its address.
pub async fn all(world: &World, worker: &Worker, ledgers: &[Ledger]) -> Vec<(String, String)> {
    let http = signed_in(world).await;
    let mut kinds: BTreeMap<(&str, String), Uuid> = BTreeMap::new();
    for ledger in ledgers {
        kinds.entry((&ledger.row.process, ledger.road())).or_insert(ledger.row.id);
    }
    let mut paths: Vec<String> = LISTS.map(str::to_owned).to_vec();
    for id in kinds.into_values().take(SOME) {
        paths.extend(["", "/timeline?limit=200"].map(|of| format!("/v1/requests/{id}{of}")));
        paths.extend(["", "/record.json"].map(|of| format!("/console/requests/{id}{of}")));
    }
    let mut places = Vec::new();
    for path in paths {
        let answer = http.get(format!("http://127.0.0.1:{}{path}", worker.port)).send().await.expect("an answer");
        let (status, text) = (answer.status(), answer.text().await.expect("a text"));
        assert!(status == 200, "{path}: {status} {text}");
        places.push((format!("{path}, as {ROLE}"), text));
    }
    places
}

/// Somebody with a token and a session of their own.
async fn signed_in(world: &World) -> reqwest::Client {
    let own = Uuid::now_v7().simple().to_string();
    let secret = format!("mz_{own:0>40}");
    let (sha256, now) = (hash(&secret), world.store.now().await.expect("the database's clock"));
    let (name, roles, later) = (format!("reader-{own}"), vec![ROLE.to_owned()], now.plus(Duration::from_hours(1)));
    let token = TokenRow {
        name: name.clone(),
        sha256,
        roles: roles.clone(),
        processes: Vec::new(),
        review_roles: Vec::new(),
        created_at: now,
        expires_at: Some(later),
        revoked_at: None,
    };
    world.store.add_token(&token).await.expect("a token");
    let person = Person { name, roles, processes: Vec::new(), review_roles: Vec::new() };
    let session = SessionRow { sha256, person, created_at: now, seen_at: now, expires_at: later, ended_at: None };
    world.store.sessions().add_session(&session).await.expect("a session");
    let headers = [(AUTHORIZATION, format!("Bearer {secret}")), (COOKIE, format!("mozhao_session={secret}"))];
    let headers = headers.into_iter().map(|(name, value)| (name, value.parse().expect("a header"))).collect();
    let redirects = reqwest::redirect::Policy::none();
    reqwest::Client::builder().no_proxy().redirect(redirects).default_headers(headers).build().expect("a client")
}
