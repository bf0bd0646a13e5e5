//! What comes from outside while a request has an owner: callbacks before anybody waits, twice, after the end, with a token
//! that somebody made up; decisions and a withdrawal at the same moment.

use std::collections::HashMap;

use mozhao::domain::request::fact::{Fact, Verdict};
use mozhao::sandbox::{Fault, Handle, Reply, Trouble};
use serde_json::json;

use super::bank;
use super::broker::Message;
use super::ledgers::Ledger;
use super::scenario::Scenario;
use super::world::{On, PATIENCE};
use crate::harness::{record, wait};

const REQUESTS: usize = 24;

/// Sends what nobody should, and the right code more often than it should be sent.
async fn torment(http: reqwest::Client, bank: Handle, phone: String, forge: u64) {
    let sent = wait::until_some("a message to the customer", PATIENCE, || {
        std::future::ready(bank.with_sms(|sms| sms.messages_to(&phone).first().cloned()))
    })
    .await;
    let url = sent.callback_url;
    let (address, token) = url.rsplit_once('/').unwrap();
    let forged: String = token.chars().rev().chain(format!("{forge:x}").chars()).collect();
    assert_eq!(post(&http, &format!("{address}/{forged}"), None, "0000").await, 404);
    assert_eq!(post(&http, &url, Some("once"), &sent.code).await, 202);
    // The same again, by key and without, and something else under the same key.
    assert_eq!(post(&http, &url, Some("once"), &sent.code).await, 202);
    assert_eq!(post(&http, &url, None, &sent.code).await, 202);
    let other = post(&http, &url, Some("once"), "9999").await;
    assert!(matches!(other, 202 | 409), "{other}");
}

async fn post(http: &reqwest::Client, url: &str, key: Option<&str>, code: &str) -> u16 {
    record::fault();
    let call = http.post(url).json(&json!({"code": code}));
    let call = key.into_iter().fold(call, |call, key| call.header("Idempotency-Key", key));
    call.send().await.unwrap().status().as_u16()
}

/// Whether the ledger holds the code before the verdict of the wait.
fn came_in_time(ledger: &Ledger) -> bool {
    let place = |wanted: &dyn Fn(&Fact) -> bool| ledger.facts.iter().position(|(_, fact)| wanted(fact));
    let code = place(&|fact| matches!(fact, Fact::Callback { .. }));
    let late = place(&|fact| matches!(fact, Fact::Verdict(verdict) if matches!(verdict.verdict, Verdict::Refuse(_))));
    code.is_some_and(|code| late.is_none_or(|late| code < late))
}

async fn callbacks(name: &'static str, on: On) {
    let scenario = Scenario::new(name).on(on).load(0, 50);
    scenario
        .run_and(
            async |case| {
                // Half of the codes come before the answer to the message that carried them: early.
                case.trouble(Fault::new("/sms/send", Trouble::ApplyThenHang { answer_after_ms: Some(600) }).probability(0.5));
                let phones: Vec<String> = (0..REQUESTS).map(|number| format!("+86{number:04}")).collect();
                for phone in &phones {
                    // The test is the customer: the sandbox' customers say nothing.
                    case.world.bank.with_sms(|sms| sms.script(phone.clone(), Vec::<Reply>::new()));
                }
                let message = |phone: &String| Message::plain("app", phone, "code_wait", &json!({"phone": phone}));
                let messages: Vec<Message> = phones.iter().map(message).collect();
                case.send(messages).await;
                let http = reqwest::Client::builder().no_proxy().build().unwrap();
                let forge = case.dice.roll();
                // All of them at once: there are three seconds from the message to the end of the wait.
                let tasks: Vec<_> = phones
                    .iter()
                    .map(|phone| tokio::spawn(torment(http.clone(), case.world.bank.clone(), phone.clone(), forge)))
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
                let all = case.sent.len() as u64;
                case.world.until("every request to end", PATIENCE, |balance| balance.ended() == all).await;
                for phone in &phones {
                    let sent = case.world.bank.with_sms(|sms| sms.messages_to(phone)[0].clone());
                    assert_eq!(
                        post(&http, &sent.callback_url, None, "late").await,
                        202,
                        "after the end: taken, and nothing comes of it"
                    );
                }
            },
            async |case, books| {
                let done = books.ledgers.iter().filter(|ledger| ledger.road() == "done").count();
                println!("of {REQUESTS} codes, {done} came in time");
                assert!(done >= REQUESTS / 2);
                for ledger in &books.ledgers {
                    // A busy machine may be slower than the customer.
                    let road = if came_in_time(ledger) { "done" } else { "refused:no_code" };
                    assert_eq!(ledger.road(), road, "{:?}", ledger.facts);
                    let codes: Vec<_> = ledger
                        .facts
                        .iter()
                        .filter_map(
                            |(_, fact)| if let Fact::Callback { body, .. } = fact { Some(body.to_string()) } else { None },
                        )
                        .collect();
                    assert!(codes.len() <= 2, "{codes:?}");
                    assert!(!codes.iter().any(|code| code.contains("\"0000\"") || code.contains("\"9999\"")), "{codes:?}");
                    assert_eq!(case.world.bank.applied("sms", ledger.payload["phone"].as_str().unwrap()), 1);
                }
            },
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_come_early_late_doubled_and_forged() {
    callbacks("callbacks_come_early_late_doubled_and_forged", On::Shared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_callbacks_come_early_late_doubled_and_forged() {
    callbacks("embedded_callbacks_come_early_late_doubled_and_forged", On::Embedded).await;
}

/// A customer who takes back what two reviewers decide about, all at the same moment: one of them wins, each is told what
/// became of it, and what was carried out is undone where the customer won.
async fn race(name: &'static str, on: On) {
    let scenario = Scenario::new(name).on(on).load(0, 50);
    let withdrawals = std::sync::Mutex::new(HashMap::new());
    scenario
        .run_and(
            async |case| {
                let messages: Vec<Message> = (0..REQUESTS)
                    .map(|number| {
                        let (customer, card) = (format!("U{number}"), format!("K{number}"));
                        bank::put_card(&case.world.bank, &customer, &card);
                        let payload = bank::unbind_with(&customer, &card, bank::GREY);
                        Message::plain("app", &format!("m-{number}"), "card_unbind", &payload)
                    })
                    .collect();
                case.send(messages).await;
                let all = REQUESTS as u64;
                case.world.until("all to be in review", PATIENCE, |balance| balance.in_review == all).await;
                let (ada, ben) = (&case.workers[0], case.workers.last().unwrap());
                let (ada, ben) = (case.world.client(ada, "ada").await, case.world.client(ben, "ben").await);
                let mut tasks = Vec::new();
                for row in case.world.requests().await {
                    let (ada, ben) = (ada.clone(), ben.clone());
                    let review = row.review.unwrap();
                    record::faults(3);
                    tasks.push(tokio::spawn(async move {
                        let (path, shown) = (format!("/v1/reviews/{review}/decide"), format!("/v1/reviews/{review}"));
                        let version = ada.get(&shown).await.1["version"].clone();
                        let yes = json!({"version": version, "choice": "approve", "note": "it is"});
                        let no = json!({"version": version, "choice": "refuse", "reason": "face_mismatch", "note": "it is not"});
                        let withdraw = format!("/v1/requests/{}/withdraw?wait=30s", row.id);
                        let nothing = json!({});
                        let (yes, no, withdrawn) =
                            tokio::join!(ada.post(&path, &yes), ben.post(&path, &no), ben.post(&withdraw, &nothing));
                        for (status, answer) in [&yes, &no, &withdrawn] {
                            assert!(matches!(status, 200 | 202 | 409), "{status} {answer}");
                        }
                        assert!(yes.0 >= 300 || no.0 >= 300, "one decision counts: {yes:?} {no:?}");
                        (row.id, (withdrawn.0, yes.0 < 300, no.0 < 300))
                    }));
                }
                let mut found = HashMap::new();
                for task in tasks {
                    let (id, answers) = task.await.unwrap();
                    found.insert(id, answers);
                }
                case.world.until("every request to end", PATIENCE, |balance| balance.ended() == all).await;
                *withdrawals.lock().unwrap() = found;
            },
            async |case, books| {
                let mut won = 0;
                let answers = withdrawals.lock().unwrap();
                for ledger in &books.ledgers {
                    let (withdrawn, yes, no) = answers[&ledger.row.id];
                    let card = ledger.payload["card_id"].as_str().unwrap();
                    let left = case.world.bank.applied("unbind", card) - case.world.bank.applied("bind", card);
                    let found = (ledger.road(), withdrawn, left);
                    let right = match found.0.as_str() {
                        "withdrawn" => withdrawn == 200 && left == 0,
                        "done" => withdrawn == 409 && yes && left == 1,
                        "refused:face_mismatch" => withdrawn == 409 && no && left == 0,
                        _ => false,
                    };
                    assert!(right, "{found:?}: approved {yes}, refused {no}: {:?}", ledger.facts);
                    won += usize::from(withdrawn == 200);
                }
                println!("of {REQUESTS} requests, {won} were withdrawn in time");
            },
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_and_two_decisions_meet() {
    race("a_withdrawal_and_two_decisions_meet", On::Shared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_a_withdrawal_and_two_decisions_meet() {
    race("embedded_a_withdrawal_and_two_decisions_meet", On::Embedded).await;
}
