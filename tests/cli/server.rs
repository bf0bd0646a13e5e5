//! Commands over the API, against the real server on SQLite and the real sandbox: a request from its submission to its
//! outcome, a question and its answer, a broken record.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mozhao::sandbox::{Planned, Road, Sandbox, World};
use serde_json::{Value, json};
use sqlx::Connection as _;
use tempfile::TempDir;

use super::harness::ports::free_port;
use super::harness::process::{Mozhao, Process};
use super::program::{Ran, command, finish, folder, run, shipped, write};

/// A worker with everything around it.
struct Place {
    folder: TempDir,
    url: String,
    token: String,
    world: World,
    server: Process,
    /// Before it the server goes.
    _sandbox: Sandbox,
}

impl Place {
    async fn start() -> Place {
        let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into()).await.unwrap();
        let mut world = World::generate(11, 400);
        // What is in it is the sandbox's; the requests are ours to send.
        sandbox.handle().load(&world);
        world.requests.retain(|planned| planned.process == "card_unbind");
        let folder = folder();
        let connectors = std::fs::read_to_string(shipped("connectors.sandbox.yaml")).unwrap();
        write(&folder, "connectors.yaml", &connectors.replace("http://127.0.0.1:9900", &sandbox.url()));
        let port = free_port();
        let database = folder.path().join("mozhao.db");
        let config = format!(
            "database: {{url: 'sqlite://{}'}}\nhttp: {{listen: '127.0.0.1:{port}'}}\nprocesses: {}\nconnectors: connectors.yaml\n",
            database.display(),
            shipped("processes")
        );
        write(&folder, "mozhao.yaml", &config);
        assert_eq!(run(folder.path(), &["migrate"]).code, 0);
        let made = run(folder.path(), &["token", "create", "boss", "--role", "admin", "--review-role", "identity"]);
        assert_eq!(made.code, 0, "{}", made.err);
        let file = folder.path().join("mozhao.yaml");
        let mut server = Mozhao::new([Path::new("serve"), Path::new("--config"), file.as_path()]).start();
        server.wait_ready(port).await;
        Place {
            token: made.out.trim().to_owned(),
            folder,
            url: format!("http://127.0.0.1:{port}"),
            world,
            server,
            _sandbox: sandbox,
        }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.run_as(&self.token, arguments)
    }

    fn run_as(&self, token: &str, arguments: &[&str]) -> Ran {
        let mut command = command(self.folder.path(), arguments);
        command.env("MOZHAO_URL", &self.url).env("MOZHAO_TOKEN", token);
        finish(command)
    }

    /// A planned request that should take this road.
    #[track_caller]
    fn planned(&self, wanted: impl Fn(&Road) -> bool) -> &Planned {
        self.world.requests.iter().find(|planned| wanted(&planned.road)).expect("the world has such a request")
    }

    /// Sends it, waits for what it comes to without a person, and gives its id.
    #[track_caller]
    fn submit(&self, planned: &Planned) -> String {
        let payload = planned.payload.to_string();
        let ran = self.run(&["request", "submit", planned.process, &payload, "--wait", "10s"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.out.trim().to_owned()
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("mozhao.db")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_worker_on_one_sqlite_file_is_a_conflict() {
    let place = Place::start().await;
    let mut second = command(place.folder.path(), &["serve", "--config", "mozhao.yaml"]);
    second.env("MOZHAO__HTTP__LISTEN", format!("127.0.0.1:{}", free_port()));
    let refused = finish(second);
    assert_eq!(refused.code, 6, "{}", refused.err);
    assert!(refused.err.contains("another worker has") && refused.err.contains("use PostgreSQL"), "{}", refused.err);
    assert_eq!(place.run(&["doctor"]).code, 0, "the first one works on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_from_submission_to_outcome() {
    let place = Place::start().await;
    let planned = place.planned(|road| *road == Road::Done);
    let payload = planned.payload.to_string();
    let submit = ["request", "submit", "card_unbind", payload.as_str(), "--key", "k-1", "--wait", "20s", "--json"];
    let first = place.run(&submit);
    assert_eq!((first.code, first.json()["outcome"].clone()), (0, "done".into()), "{}{}", first.out, first.err);
    let id = first.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(place.run(&submit).json()["id"], id.as_str(), "the same key is the same request");
    let another = place.world.requests.iter().find(|other| other.payload != planned.payload).unwrap().payload.to_string();
    let other = place.run(&["request", "submit", "card_unbind", &another, "--key", "k-1"]);
    assert_eq!(other.code, 6, "the same key with another body: {}", other.err);
    assert!(other.err.contains("hint: a key stands for one process and payload"), "{}", other.err);

    let shown = place.run(&["request", "show", &id, "--json"]).json();
    assert_eq!(shown["timeline"][0]["kind"], "accepted");
    assert_eq!(shown["timeline"].as_array().unwrap().last().unwrap()["kind"], "ended");
    let text = place.run(&["request", "show", &id]).out;
    assert!(text.contains("verdict") && text.contains("clause CARD-3.1") && text.contains("  saw {"), "{text}");
    let number = planned.payload["id_number"].as_str().unwrap();
    assert!(!text.contains(number) && !shown.to_string().contains(number), "sensitive fields are masked");

    let watched = place.run(&["request", "watch", &id, "--json"]);
    assert_eq!(watched.code, 0, "{}", watched.err);
    let seen: Vec<Value> = watched.lines().iter().map(|line| line["seq"].clone()).collect();
    let expected: Vec<Value> = (1..=shown["timeline"].as_array().unwrap().len()).map(|seq| json!(seq)).collect();
    assert_eq!(seen, expected, "every entry once, in order");

    let listed = place.run(&["request", "list", "--state", "done", "--json"]);
    assert_eq!(listed.lines()[0]["id"], id.as_str());
    let by_message = |message: &str| place.run(&["request", "list", "--producer", "boss", "--message", message, "--json"]);
    let found: Vec<Value> = by_message("k-1").lines().iter().map(|line| line["id"].clone()).collect();
    assert_eq!((found, by_message("k-2").lines().len()), (vec![id.clone().into()], 0));
    let alone = place.run(&["request", "list", "--message", "k-1"]);
    assert_eq!(alone.code, 2, "{}", alone.err);
    assert!(alone.err.contains("each producer has its own ids"), "{}", alone.err);
    assert_eq!(place.run(&["request", "list", "--open"]).err, "nothing here\n");
    let late = place.run(&["request", "withdraw", &id]);
    assert_eq!(late.code, 6, "it has ended: {}", late.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_says_why_and_what_is_wrong_says_where() {
    let place = Place::start().await;
    let planned = place.planned(|road| matches!(road, Road::Refused("no_such_card")));
    let id = place.submit(planned);
    let shown = place.run(&["request", "show", &id, "--brief", "--json"]).json();
    assert_eq!((shown["state"].clone(), shown["reason"]["name"].clone()), ("refused".into(), "no_such_card".into()));
    let bad = place.run(&["request", "submit", "card_unbind", "-f", "customer_id=C1", "-f", "card_id:=7"]);
    assert_eq!(bad.code, 1);
    assert!(bad.err.contains("because: /card_id"), "{}", bad.err);
    assert_eq!(place.run(&["request", "submit", "card_bind", "{}"]).code, 3);
    assert_eq!(place.run(&["request", "show", "0192f3a4-0000-7000-8000-00000000000a"]).code, 3);
    let stranger = place.run_as("mz_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", &["request", "list"]);
    assert_eq!(stranger.code, 1);
    assert!(stranger.err.contains("hint: the token is not known here"), "{}", stranger.err);
    let malformed = place.run_as("secret", &["request", "list"]);
    assert!(malformed.code == 1 && malformed.err.contains("hint: what was given is no token"), "{}", malformed.err);
    let long = place.run(&["request", "submit", "card_unbind", "{}", "--wait", "70s"]);
    assert_eq!(long.code, 2, "{}", long.err);
    let submitter = run(place.folder.path(), &["token", "create", "app", "--role", "submitter"]).out;
    let denied = place.run_as(submitter.trim(), &["review", "list"]);
    assert_eq!(denied.code, 1);
    assert!(denied.err.contains("hint: use a token with another role"), "{}", denied.err);
    let tokens = place.run(&["token", "list", "--json"]);
    assert_eq!(tokens.lines().len(), 2);
    assert_eq!(place.run(&["token", "revoke", "app"]).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_listed_claimed_and_answered_once() {
    let place = Place::start().await;
    let planned = place.planned(|road| matches!(road, Road::Review("face_uncertain")));
    let id = place.submit(planned);
    let listed = place.run(&["review", "list", "--request", &id, "--json"]);
    let review = listed.lines()[0]["id"].as_str().expect("a review").to_owned();
    let text = place.run(&["review", "show", &review]).out;
    for part in ["Is this the card holder?", "did not decide  ID-2.4", "approve", "score"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(place.run(&["review", "claim", &review]).code, 0);
    assert_eq!(place.run(&["review", "list", "--mine", "--json"]).lines().len(), 1);
    let without = place.run(&["review", "decide", &review, "refuse", "--note", "no"]);
    assert_eq!(without.code, 2, "a refusal needs a reason");
    let stale = place.run(&["review", "decide", &review, "approve", "--note", "clear", "--version", "99"]);
    assert_eq!(stale.code, 6, "{}", stale.err);
    let decided = place.run(&["review", "decide", &review, "approve", "--note", "clear enough"]);
    assert_eq!((decided.code, decided.err.as_str()), (0, "decided\n"));
    let again = place.run(&["review", "decide", &review, "approve", "--note", "again"]);
    assert_eq!(again.code, 6, "{}", again.err);
    let watched = place.run(&["request", "watch", &id]);
    assert!(watched.out.lines().last().unwrap().contains("ended           done"), "{}", watched.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_its_turn_says_for_whom() {
    let place = Place::start().await;
    let planned = place.planned(|road| matches!(road, Road::Review("face_uncertain")));
    let first = place.submit(planned);
    let second = place.run(&["request", "submit", planned.process, &planned.payload.to_string()]).out.trim().to_owned();
    let shown = place.run(&["request", "show", &second, "--brief"]).out;
    assert!(shown.contains(&format!("it is its turn when {first} has ended")) && !shown.contains("looked at again"), "{shown}");
    let listed = place.run(&["request", "list", "--open"]).out;
    assert!(listed.lines().any(|line| line.contains(&second) && line.contains("its turn")), "{listed}");
    let nothing_asked = place.run(&["request", "supplement", &first, "-f", "selfie=selfie:0.97"]);
    assert_eq!(nothing_asked.code, 6, "{}", nothing_asked.err);
    assert!(nothing_asked.err.contains("`mozhao request show` tells how it stands"), "{}", nothing_asked.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_defect_is_shown_and_dependencies_are_tripped() {
    let place = Place::start().await;
    let planned = place.planned(|road| *road == Road::Parked);
    place.submit(planned);
    let defects = place.run(&["defect", "list", "--json"]).lines();
    let fingerprint = defects[0]["fingerprint"].as_str().unwrap();
    assert!(place.run(&["defect", "show", fingerprint]).out.contains("pattern"));
    assert_eq!(place.run(&["defect", "show", "0000000000000000"]).code, 3);
    let tripped = place.run(&["dependency", "trip", "face", "--reason", "maintenance", "--json"]);
    assert_eq!((tripped.code, tripped.json()["state"].clone()), (0, "open".into()), "{}", tripped.err);
    let listed = place.run(&["dependency", "list", "--json"]).lines();
    let face = listed.iter().find(|item| item["name"] == "face").unwrap();
    assert_eq!(face["control"]["reason"], "maintenance");
    assert_eq!(place.run(&["dependency", "reset", "face", "--reason", "over"]).code, 0);
    assert_eq!(place.run(&["defect", "resume", fingerprint, "--rate", "5"]).code, 0);
    let doctor = run(place.folder.path(), &["doctor"]);
    assert_eq!(doctor.code, 0, "{}", doctor.out);
    assert!(doctor.out.contains("is ready") && doctor.out.contains(&format!("defect {fingerprint}")), "{}", doctor.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_changed_is_found() {
    let mut place = Place::start().await;
    let id = place.submit(place.planned(|road| *road == Road::Done));
    let good = run(place.folder.path(), &["ledger", "verify", "--json"]);
    assert_eq!((good.code, good.json()["ok"].clone()), (0, true.into()), "beside the running worker: {}", good.err);
    let second = place.submit(place.planned(|road| matches!(road, Road::Refused("no_such_card"))));
    assert!(place.server.stop(Duration::from_secs(25)).await.success(), "SIGTERM ends in order");
    let mut file = sqlx::SqliteConnection::connect(&format!("sqlite://{}", place.database().display())).await.unwrap();
    // Removed as a whole, with all that belongs to it: no chain is broken, and the number tells.
    sqlx::query("PRAGMA foreign_keys = OFF").execute(&mut file).await.unwrap();
    let gone = uuid::Uuid::parse_str(&second).unwrap();
    sqlx::query("DELETE FROM entries WHERE request = ?").bind(gone.as_bytes().to_vec()).execute(&mut file).await.unwrap();
    sqlx::query("DELETE FROM requests WHERE id = ?").bind(gone.as_bytes().to_vec()).execute(&mut file).await.unwrap();
    let less = run(place.folder.path(), &["ledger", "verify"]);
    assert_eq!(less.code, 7, "{}", less.err);
    assert!(less.out.ends_with("one request that was accepted is not there any more\n"), "{}", less.out);
    let doctor = run(place.folder.path(), &["doctor"]);
    assert!(doctor.code == 7 && doctor.out.contains("one request that was accepted is not there"), "{}", doctor.out);
    sqlx::query("UPDATE entries SET at = at + 1 WHERE seq = 2").execute(&mut file).await.unwrap();
    file.close().await.unwrap();
    let bad = run(place.folder.path(), &["ledger", "verify"]);
    assert_eq!(bad.code, 7, "{}", bad.err);
    assert!(bad.out.starts_with(&format!("{id} card_unbind entry 2: entry 2 was changed")), "{}", bad.out);
    let one = run(place.folder.path(), &["ledger", "verify", &id, "--json"]);
    assert_eq!((one.code, one.json()["broken"][0]["entry"].clone()), (7, 2.into()));
    let doctor = run(place.folder.path(), &["doctor"]);
    assert!(doctor.code == 7 && doctor.out.contains("problem  ledger"), "{}", doctor.out);
}
