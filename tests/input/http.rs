//! The API over real sockets: every operation of its OpenAPI description that takes a body, with bodies, paths, queries and
//! headers mutated; callbacks; and what is wrong before a request is one (heads without end, bodies without end).

use std::collections::BTreeMap;

use mozhao::api::document;
use serde_json::{Value, json};

use crate::answers::fits;
use crate::mutate;
use crate::raw::Wire;
use crate::run::{Kind, Random, cases};
use crate::stored;
use crate::world::World;

/// A good body for every operation that takes one.
fn seed(operation: &str) -> Value {
    match operation {
        "submit_request" => json!({"process": "anything", "payload": {"who": "a", "any": [1, {"x": "y"}]}, "channel": "web"}),
        "supplement_request" => json!({"fields": {"who": "sure", "any": {"a": [1]}}}),
        "review_request" | "note_request" | "note_review" | "escalate_review" => json!({"note": "looked fine"}),
        "withdraw_request" | "retry_request" | "release_review" | "undo_decision" | "wake_review" | "show_presence"
        | "stop_batch" => {
            json!({})
        }
        "snooze_review" => json!({"for": "2h", "note": "waits for the branch"}),
        "save_view" => json!({"place": "reviews", "name": "early ones", "query": "tab=unassigned&process=change"}),
        "rename_view" => json!({"name": "late ones"}),
        "decide_reviews" => json!({
            "reviews": [{"id": "01a2072b-8d8b-71d6-b3f3-f53be7443972", "version": 1}], "choice": "refuse", "reason": "gone",
            "note": "seen", "hold": "5s", "preview": true,
        }),
        "claim_review" => json!({"steal": true, "note": "ill"}),
        "decide_review" => {
            json!({"version": 1, "choice": "approve", "reason": "gone", "note": "seen", "fields": {"phone": "1"}, "hold": "0s"})
        }
        "create_token" => {
            json!({"name": "t-1", "roles": ["submitter"], "processes": ["change"], "review_roles": ["identity"], "expires_in": "90d"})
        }
        "reveal_value" => json!({"field": "/phone", "reason": "to compare it with the passport"}),
        "trip_dependency" | "reset_dependency" => json!({"reason": "looks down"}),
        "resume_defect" | "resume_dependency" => json!({"rate": 20, "to_version": 1}),
        "receive_callback" => json!({"code": "846213", "more": [{"a": 1}]}),
        other => panic!("{other} takes a body and has none here: write one"),
    }
}

/// What operations are done to, made anew now and then because they end.
struct Things {
    request: String,
    review: String,
    /// In review, where nothing but its values and its held decision are touched.
    kept: String,
    /// Its review, with a decision that is held.
    held: String,
    view: String,
    batch: String,
    fingerprint: String,
    callback: String,
}

impl Things {
    async fn new(world: &World, number: usize) -> Things {
        let request = world.submit_until(&format!("grey-{number}"), "in_review").await;
        let review = world.review_of(&request).await;
        let kept = world.submit_until(&format!("grey-kept-{number}"), "in_review").await;
        let held = world.review_of(&kept).await;
        let body = json!({"version": 1, "choice": "approve", "note": "seen", "hold": "1m"});
        world.post("root", &format!("/v1/reviews/{held}/decide"), &body).await.expect(202);
        let view = view(world).await;
        let body = json!({"reviews": [{"id": review, "version": 1}], "choice": "approve", "note": "seen", "hold": "1m"});
        let batch = world.post("root", "/v1/batches", &body).await.expect(202).id();
        // Always parked: whoever tries it again finds the same.
        world.submit_until(&format!("odd-{number}"), "parked").await;
        let defects = world.get("ops", "/v1/defects").await.expect(200).body;
        let fingerprint = defects["items"][0]["fingerprint"].as_str().unwrap().to_owned();
        let body = json!({"process": "anything", "payload": {"who": "a"}});
        let waiting = world.submit_with("app", &format!("things-{number}"), &body, "").await.expect(202).id();
        let url = world.engine.callback_url(waiting.parse().unwrap(), "told");
        let callback = format!("/v1/{}", url.split_once("/v1/").unwrap().1);
        Things { request, review, kept, held, view, batch, fingerprint, callback }
    }

    fn path(&self, operation: &Operation) -> String {
        let template = &operation.path;
        let id = match operation.id.as_str() {
            "receive_callback" => return self.callback.clone(),
            "reveal_value" => &self.kept,
            "undo_decision" => &self.held,
            "rename_view" => &self.view,
            "stop_batch" => &self.batch,
            _ if template.contains("/reviews/") => &self.review,
            _ => &self.request,
        };
        template.replace("{id}", id).replace("{fingerprint}", &self.fingerprint).replace("{name}", "bank")
    }
}

struct Operation {
    method: String,
    path: String,
    id: String,
}

/// Operations with a body.
fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&document().to_json().unwrap()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["post", "put", "patch"] {
            if let Some(operation) = item.get(method) {
                let id = operation["operationId"].as_str().unwrap().to_owned();
                found.push(Operation { method: method.to_uppercase(), path: path.clone(), id });
            }
        }
    }
    assert!(found.len() >= 15, "{} operations", found.len());
    found
}

/// Percent-encodes what cannot stand in a request line, and now and then leaves it out.
fn in_target(random: &mut Random, text: &str) -> String {
    let encode = |c: char| if c.is_ascii_graphic() && c != '%' { c.to_string() } else { percent(c) };
    if random.one_in(3) { text.chars().map(percent).collect() } else { text.chars().map(encode).collect() }
}

fn percent(c: char) -> String {
    c.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A request's bytes; `head` says whether the head itself may be broken.
fn request(random: &mut Random, world: &World, operation: &Operation, things: &Things) -> Vec<u8> {
    let mut target = things.path(operation);
    if random.one_in(6) {
        let text = mutate::text(random, "x");
        let text = in_target(random, &text);
        let parts: Vec<&str> = operation.path.split('/').collect();
        let at = parts.iter().position(|part| part.starts_with('{')).unwrap_or(2);
        target =
            parts.iter().enumerate().map(|(n, part)| if n == at { text.as_str() } else { part }).collect::<Vec<_>>().join("/");
    }
    match random.below(12) {
        0 => target.push_str(&format!("?wait={}", {
            let text = mutate::text(random, "1ms");
            in_target(random, &text)
        })),
        1 => target.push_str(&format!("?{}", {
            let text = mutate::text(random, "wait=1ms&limit=5");
            in_target(random, &text)
        })),
        2..6 if operation.path.contains("/requests/") => target.push_str("?wait=1ms"),
        _ => {}
    }
    let body = match random.below(5) {
        0 => mutate::bytes(random, seed(&operation.id).to_string().as_bytes(), b"{\"note\": \"x\"}"),
        1 => seed(&operation.id).to_string().into_bytes(),
        _ => mutate::json(random, &seed(&operation.id), b""),
    };
    let who = ["root", "root", "root", "app", "li", "ops"][random.below(6)];
    let mut head = format!("{} {target} HTTP/1.1\r\nhost: x\r\n", operation.method);
    if !random.one_in(30) {
        head.push_str(&format!("authorization: Bearer {}\r\n", world.secret(who)));
    }
    if !random.one_in(10) {
        let kind = [
            "application/json",
            "application/json",
            "application/json",
            "application/json; charset=utf-16",
            "application/x+json",
            "text/plain",
        ];
        head.push_str(&format!("content-type: {}\r\n", kind[random.below(kind.len())]));
    }
    if operation.id == "submit_request" || random.one_in(3) {
        let key = if random.one_in(4) { mutate::text(random, "k") } else { format!("k-{:x}", random.next()) };
        let key: String = key.chars().filter(|c| !c.is_control()).collect();
        head.push_str(&format!("idempotency-key: {key}\r\n"));
    }
    if random.one_in(12) {
        let name =
            ["content-encoding", "traceparent", "x-request-id", "expect", "accept", "x-forwarded-for", "te", "last-event-id"]
                [random.below(8)];
        let value: String = mutate::text(random, "gzip").chars().filter(|c| !c.is_control()).take(2_000).collect();
        // An unknown expectation is the client's own trouble, and hyper's answer.
        let value = if name == "expect" { "100-nothing".to_owned() } else { value };
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    [head.into_bytes(), body].concat()
}

/// What these make is there then.
const ONCE: [&str; 2] = ["create_token", "save_view"];

/// Where every body is refused at the door, nothing behind it was tried: 4 of 100 are done, 1 of 50 or more of each operation.
fn something_was_done(answered: &BTreeMap<String, (usize, usize)>) {
    let (all, done) = answered.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert!(all < 500 || done * 50 >= all, "of {all} bodies only {done} were taken");
    for (operation, (tried, done)) in answered.iter().filter(|(_, (tried, _))| *tried >= 200) {
        let least = match operation.as_str() {
            name if ONCE.contains(&name) => 1,
            _ => tried / 100,
        };
        assert!(*done >= least, "{operation} was tried {tried} times and done {done} times");
    }
}

/// The view that has the name of the seed, so that it can be given again; else any, and at first a new one.
async fn view(world: &World) -> String {
    let views = world.get("root", "/v1/views").await.expect(200).body;
    let items = views["items"].as_array().unwrap();
    let found = items.iter().find(|view| view["name"] == seed("rename_view")["name"]).or(items.first());
    match found {
        Some(view) => view["id"].as_str().unwrap().to_owned(),
        None => world.post("root", "/v1/views", &seed("save_view")).await.expect(201).id(),
    }
}

/// A request that waits for a dependency that somebody stopped.
async fn parked(world: &World) -> String {
    world.post("root", "/v1/dependencies/bank/trip", &json!({"reason": "off"})).await.expect(200);
    world.submit_until("sure", "parked").await
}

async fn bodies(postgres: bool) {
    let operations = operations();
    let (world, keep) = stored::database(postgres).await;
    let mut wire = Wire::to(world.addr);
    let mut things = Things::new(&world, 0).await;
    // By operation: how often it was tried, and how often it was done.
    let mut answered = BTreeMap::<String, (usize, usize)>::new();
    let mut statuses = BTreeMap::<u16, usize>::new();
    // Half of the cases each: the databases differ in what they refuse.
    for (case, mut random) in cases(Kind::Bodies).half(postgres) {
        if case.number % 100 < 2 {
            // A person's batches that are not done are few.
            world.post("root", &format!("/v1/batches/{}/stop", things.batch), &json!({})).await.expect(200);
            things = Things::new(&world, case.number + 1).await;
        }
        let operation = &operations[random.below(operations.len())];
        let bytes = request(&mut random, &world, operation, &things);
        let parked = if operation.id == "resume_dependency" { Some(parked(&world).await) } else { None };
        let reply = wire.send(&bytes).await;
        let what = format!("{} {}", operation.id, String::from_utf8_lossy(&bytes[..bytes.len().min(400)]));
        let reply = reply.unwrap_or_else(|| panic!("case {}: no answer to {what}", case.number));
        // A tripped dependency parks what the next cases need; with nothing parked, a reset closes it.
        if let Some(id) = &parked {
            let told = world.post("root", &format!("/v1/requests/{id}/withdraw?wait=10s"), &json!({})).await;
            assert!(matches!(told.status.as_u16(), 200 | 409), "{}", told.text);
        }
        if parked.is_some() || (operation.id == "trip_dependency" && reply.status == 200) {
            world.post("root", "/v1/dependencies/bank/reset", &json!({"reason": "on"})).await.expect(200);
        }
        // What is no HTTP, or has too long a head, the HTTP library answers, without a body.
        if !matches!(reply.status, 400 | 414 | 431) || !reply.body.is_empty() {
            fits(&case, &what, &reply);
        }
        *statuses.entry(reply.status).or_default() += 1;
        let (tried, done) = answered.entry(operation.id.clone()).or_default();
        (*tried, *done) = (*tried + 1, *done + usize::from((200..300).contains(&reply.status)));
    }
    println!("{answered:?}");
    something_was_done(&answered);
    println!("{statuses:?}");
    stored::adds_up(&world).await;
    drop(keep);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mutated_body_is_answered_on_postgres() {
    bodies(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mutated_body_is_answered_on_sqlite() {
    bodies(false).await;
}

/// Callbacks are stored for the request's owner, who must be able to read them, and the request must go on or end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mutated_callback_is_answered_and_read() {
    for postgres in [false, true] {
        let (world, keep) = stored::database(postgres).await;
        let mut wire = Wire::to(world.addr);
        let mut requests = Vec::new();
        for (case, mut random) in cases(Kind::Callbacks) {
            let body = json!({"process": "anything", "payload": {"who": "a"}});
            let id = world.submit_with("app", &world.key(), &body, "").await.expect(202).id();
            let url = world.engine.callback_url(id.parse().unwrap(), "told");
            let path = format!("/v1/{}", url.split_once("/v1/").unwrap().1);
            for _ in 0..=random.below(3) {
                let body = mutate::json(&mut random, &seed("receive_callback"), b"\"no\"");
                let head = format!(
                    "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                let what = format!("a callback {}", String::from_utf8_lossy(&body[..body.len().min(300)]));
                let reply = wire.send(&[head.into_bytes(), body].concat()).await.unwrap_or_else(|| panic!("no answer to {what}"));
                fits(&case, &what, &reply);
            }
            requests.push(id);
        }
        for id in requests {
            let id = id.parse().unwrap();
            // Whatever was sent: a request that can still be read, whose signals can be read, and that takes a withdrawal.
            world.store.load(id).await.unwrap();
            world.store.signals(id).await.unwrap();
            let told = world.post("root", &format!("/v1/requests/{id}/withdraw?wait=10s"), &json!({})).await;
            assert!(matches!(told.status.as_u16(), 200 | 409), "{id}: {}", told.text);
        }
        drop(keep);
    }
}

/// Heads that are broken: answered or cut, and the server goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mutated_head_is_survived() {
    let world = stored::memory().await;
    let mut wire = Wire::to(world.addr);
    let good = format!(
        "POST /v1/requests?wait=1ms HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nidempotency-key: h\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n",
        world.secret("app")
    );
    for (case, mut random) in cases(Kind::Heads) {
        let mut bytes =
            mutate::bytes(&mut random, good.as_bytes(), b"transfer-encoding: chunked\r\ncontent-length: 5\r\nupgrade: h2c\r\n");
        bytes.extend_from_slice(b"\r\n\r\n{}");
        wire.close();
        // Half a head is waited for: give up on it as a client would.
        let reply = tokio::time::timeout(std::time::Duration::from_millis(200), wire.send(&bytes)).await;
        if let Ok(Some(reply)) = reply {
            assert!(reply.status < 500 || reply.status == 505, "case {}: {} {}", case.number, reply.status, reply.shown());
        }
    }
    world.get("app", "/v1/me").await.expect(200);
}

/// A database cannot even be asked for a text with NUL, or for a number above 2^63: both were a 500.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_no_database_can_answer_is_refused_before() {
    let (world, keep) = stored::database(true).await;
    for query in ["customer=%00", "producer=a%00", "reason=%00", "parked=%00", "step=%00", "process=%00"] {
        let reply = world.get("root", &format!("/v1/requests?{query}")).await.expect(400);
        assert_eq!(reply.problem(), "bad-query", "{query}");
    }
    let id = world.submit_until("grey", "in_review").await;
    for query in
        ["timeline?cursor=9223372036854775808", "timeline?cursor=18446744073709551615", "events?after=9223372036854775808"]
    {
        let reply = world.get("root", &format!("/v1/requests/{id}/{query}")).await.expect(400);
        assert_eq!(reply.problem(), "bad-query", "{query}");
    }
    drop(keep);
}

/// What is stored is wrapped and read again: a body as deep as the parser goes could be written and never read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deep_callback_never_keeps_its_request_from_going_on() {
    let (world, keep) = stored::database(false).await;
    for depth in [60, 64, 68, 69, 100, 125, 126, 127, 128, 5_000] {
        let body = json!({"process": "anything", "payload": {"who": "a"}});
        let id = world.submit_with("app", &world.key(), &body, "").await.expect(202).id();
        let url = world.engine.callback_url(id.parse().unwrap(), "told");
        let url = world.url(&format!("/v1/{}", url.split_once("/v1/").unwrap().1));
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let sent = world.http.post(url).header("content-type", "application/json").body(deep);
        let expected = if depth <= 68 { 202 } else { 400 };
        world.send(sent).await.expect(expected);
        world.store.signals(id.parse().unwrap()).await.unwrap();
        world.store.load(id.parse().unwrap()).await.unwrap();
        let told = world.post("root", &format!("/v1/requests/{id}/withdraw?wait=10s"), &json!({})).await;
        assert!(matches!(told.status.as_u16(), 200 | 409), "{depth}: {}", told.text);
    }
    drop(keep);
}

/// A body that is compressed, or in another charset, is told so, not "no JSON".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_body_is_not_is_said() {
    let world = stored::memory().await;
    let send = |name: &'static str, value: &'static str, body: Vec<u8>| {
        let request = world.http.post(world.url("/v1/requests")).bearer_auth(world.secret("app")).header("idempotency-key", "k");
        let kind = if name == "content-type" { value } else { "application/json" };
        world.send(request.header(name, value).header("content-type", kind).body(body))
    };
    let gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0];
    let table = [
        (send("content-encoding", "gzip", gzip).await, 415, "compressed"),
        (send("content-type", "application/json; charset=utf-16", b"{}".to_vec()).await, 415, "UTF-8"),
        (send("accept", "*/*", b"\xef\xbb\xbf{}".to_vec()).await, 400, "byte order mark"),
        (send("accept", "*/*", b"{\"process\": \"\xff\"}".to_vec()).await, 400, "byte 13 of the body is not UTF-8"),
        (send("accept", "*/*", format!("[{}]", vec!["0"; 60_000].join(",")).into_bytes()).await, 413, "50000 values"),
    ];
    for (reply, status, word) in table {
        let reply = reply.expect(status);
        assert!(reply.body["detail"].as_str().unwrap().contains(word), "{}", reply.text);
    }
}

/// A body in chunks without end, one that trickles, a head that trickles: each is answered or cut within its bound, and meanwhile
/// others are served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_and_heads_without_end_are_cut() {
    let world = stored::memory().await;
    let head = format!(
        "POST /v1/requests HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nidempotency-key: h\r\ncontent-type: application/json\r\n",
        world.secret("app")
    );
    let chunked = async {
        let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
        let bytes = format!("{head}transfer-encoding: chunked\r\n\r\n{}", chunk.repeat(100));
        Wire::to(world.addr).send(bytes.as_bytes()).await.unwrap().status
    };
    let trickling = async {
        let bytes = format!("{head}content-length: 100\r\n\r\n{{");
        Wire::to(world.addr).send(bytes.as_bytes()).await.unwrap().status
    };
    let without_end = async {
        let long = format!("{head}x-long: {}", "x".repeat(1024 * 1024));
        Wire::to(world.addr).send(long.as_bytes()).await.map_or(431, |reply| reply.status)
    };
    let half = async {
        Wire::to(world.addr).send(b"GET /v1/me HTTP/1.1\r\nhost: x\r\nx-slow: ").await.map_or(408, |reply| reply.status)
    };
    let served = async { world.get("app", "/v1/me").await.status.as_u16() };
    let found = tokio::join!(chunked, trickling, without_end, half, served);
    assert_eq!(found, (413, 408, 431, 408, 200));
}
