//! The sandbox over real sockets: if it testifies falsely, every test that relies on it does.

#![expect(clippy::unwrap_used, reason = "tests")]

mod troubles;

use std::time::Duration;

use axum::{Json, Router, extract::State, routing::post};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    bank::{Account, AccountStatus, Card, CardStatus, Customer, CustomerStatus, Loan, LoanStatus, Pending, Statements},
    *,
};

async fn sandbox() -> Sandbox {
    let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    sandbox.handle().with_bank(|bank| {
        bank.put_customer(Customer {
            customer_id: "U1".into(),
            name: "阿卜杜拉·买买提".into(),
            id_number: "11010519491231002X".into(),
            phone: "+8613800000001".into(),
            status: CustomerStatus::Active,
        });
        for card_id in ["C1", "C2"] {
            bank.put_card(Card {
                card_id: card_id.into(),
                customer_id: "U1".into(),
                status: CardStatus::Bound,
                tail: "4242".into(),
                pending: Vec::new(),
            });
        }
        bank.put_account(Account {
            account_id: "A1".into(),
            customer_id: "U1".into(),
            status: AccountStatus::Open,
            balance_minor: 12_345,
            currency: "CNY".into(),
            statements: Statements::On,
            paid_out_minor: 0,
            in_flight: 0,
        });
    });
    sandbox
}

fn client() -> Client {
    Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

async fn unbind(sandbox: &Sandbox, card: &str, key: Option<&str>) -> reqwest::Result<(StatusCode, Value)> {
    let mut call = client().post(format!("{}/bank/cards/{card}/unbind", sandbox.url())).timeout(SOON);
    if let Some(key) = key {
        call = call.header("Idempotency-Key", key);
    }
    let response = call.send().await?;
    Ok((response.status(), response.json().await?))
}

/// A caller's patience in these tests.
const SOON: Duration = Duration::from_millis(200);

async fn get(sandbox: &Sandbox, path: &str) -> (StatusCode, Value) {
    let response = client().get(format!("{}{path}", sandbox.url())).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_customer_shows_what_is_held() {
    let sandbox = sandbox().await;
    sandbox.handle().with_bank(|bank| {
        bank.put_loan(Loan { loan_id: "L1".into(), customer_id: "U1".into(), outstanding_minor: 5, status: LoanStatus::Open });
    });
    let (status, customer) = get(&sandbox, "/bank/customers/U1").await;
    assert_eq!(status, 200);
    assert_eq!(customer["name"], "阿卜杜拉·买买提");
    assert_eq!(customer["balance_minor"], 12_345);
    assert_eq!((&customer["bound_cards"], &customer["open_loans"]), (&json!(2), &json!(1)));
    assert_eq!(get(&sandbox, "/bank/customers/U1/loans").await.1["items"][0]["status"], "open");
    assert_eq!(get(&sandbox, "/bank/phones/%2B8613800000001").await.1["customer_ids"], json!(["U1"]));
    assert_eq!(get(&sandbox, "/bank/customers/U2").await, (StatusCode::NOT_FOUND, json!({"error": "no_such_customer"})));
    sandbox.stop().await;
}

#[tokio::test]
async fn a_key_is_applied_once_and_answered_alike() {
    let sandbox = sandbox().await;
    let first = unbind(&sandbox, "C1", Some("k1")).await.unwrap();
    let second = unbind(&sandbox, "C1", Some("k1")).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(sandbox.handle().applied("unbind", "C1"), 1);
    let other = unbind(&sandbox, "C2", Some("k1")).await.unwrap();
    assert_eq!(other, (StatusCode::UNPROCESSABLE_ENTITY, json!({"error": "key_used_for_another_call"})));
    assert_eq!(sandbox.handle().applied("unbind", "C2"), 0);
    let totals = sandbox.handle().totals();
    assert_eq!((totals.calls, totals.applied, totals.replayed), (3, 1, 1));
    sandbox.stop().await;
}

#[tokio::test]
async fn without_a_key_every_call_counts() {
    let sandbox = sandbox().await;
    unbind(&sandbox, "C1", None).await.unwrap();
    unbind(&sandbox, "C1", None).await.unwrap();
    assert_eq!(sandbox.handle().effects(2), [("unbind".to_owned(), "C1".to_owned(), 2)]);
    sandbox.stop().await;
}

#[tokio::test]
async fn the_legacy_directory_ignores_keys() {
    let sandbox = sandbox().await;
    let person = Person {
        person_id: "E1".into(),
        name: "Łukasz".into(),
        department: "Support".into(),
        status: PersonStatus::Active,
        signing_limit_minor: 0,
        document: None,
    };
    sandbox.handle().with_legacy(|legacy| legacy.put(person.clone()));
    sandbox.handle().with_hr(|hr| hr.put(person));
    for _ in 0..2 {
        let rename = client().post(format!("{}/legacy/people/E1/rename", sandbox.url()));
        rename.header("Idempotency-Key", "k").json(&json!({"full_name": "Żaneta"})).send().await.unwrap();
        let rename = client().put(format!("{}/hr/people/E1/name", sandbox.url()));
        rename.header("Idempotency-Key", "k").json(&json!({"name": "Żaneta"})).send().await.unwrap();
    }
    assert_eq!(sandbox.handle().applied("legacy_name", "E1"), 2);
    assert_eq!(sandbox.handle().applied("hr_name", "E1"), 1);
    assert_eq!(get(&sandbox, "/legacy/people/E1").await.1["full_name"], "Żaneta");
    assert_eq!(get(&sandbox, "/hr/people/E1/document").await.0, 404);
    sandbox.stop().await;
}

#[tokio::test]
async fn money_in_flight_forbids_the_effect() {
    let sandbox = sandbox().await;
    sandbox.handle().with_bank(|bank| {
        let mut card = bank.card("C1").unwrap().clone();
        card.pending.push(Pending { payment_id: "P1".into(), amount_minor: 1, kind: "refund".into() });
        bank.put_card(card);
    });
    assert_eq!(unbind(&sandbox, "C1", None).await.unwrap(), (StatusCode::CONFLICT, json!({"error": "money_in_flight"})));
    assert_eq!(get(&sandbox, "/bank/cards/C1/pending").await.1["items"][0]["kind"], "refund");
    assert_eq!(sandbox.handle().applied("unbind", "C1"), 0);
    sandbox.stop().await;
}

#[tokio::test]
async fn an_account_is_closed_in_order_and_reopened_in_reverse() {
    let sandbox = sandbox().await;
    let call = async |effect: &str| {
        let response = client().post(format!("{}/bank/accounts/A1/{effect}", sandbox.url())).send().await.unwrap();
        response.status().as_u16()
    };
    assert_eq!(call("payout").await, 409, "not frozen");
    for effect in ["freeze", "statements/stop", "payout", "close"] {
        assert_eq!(call(effect).await, 200, "{effect}");
    }
    let (_, closed) = get(&sandbox, "/bank/accounts/A1").await;
    assert_eq!(
        (&closed["status"], &closed["balance_minor"], &closed["paid_out_minor"], &closed["statements"]),
        (&json!("closed"), &json!(0), &json!(12_345), &json!("stopped"))
    );
    for effect in ["reopen", "payout/reverse", "statements/resume", "unfreeze"] {
        assert_eq!(call(effect).await, 200, "{effect}");
    }
    let (_, open) = get(&sandbox, "/bank/accounts/A1").await;
    assert_eq!((&open["status"], &open["balance_minor"], &open["statements"]), (&json!("open"), &json!(12_345), &json!("on")));
    sandbox.stop().await;
}

/// A stand-in for the app's address: hands on what customers report.
async fn app() -> (String, mpsc::Receiver<Value>) {
    let (heard, inbox) = mpsc::channel(16);
    let router = Router::new()
        .route(
            "/callbacks/sms",
            post(async |State(heard): State<mpsc::Sender<Value>>, Json(body): Json<Value>| {
                heard.send(body).await.unwrap();
            }),
        )
        .with_state(heard);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/callbacks/sms", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, inbox)
}

#[tokio::test]
async fn customers_call_back_as_scripted() {
    let sandbox = sandbox().await;
    let (callback_url, mut heard) = app().await;
    let base = sandbox.url();
    sandbox.handle().with_sms(|sms| {
        sms.script("+1", vec![Reply::right(1), Reply::right(1)]);
        sms.script("+2", vec![Reply::wrong(1)]);
        sms.script("+3", Vec::new());
        sms.script("+4", vec![Reply { after_ms: 1, code: Said::Text("abc".into()) }]);
    });
    let send = async |to: &str| {
        let body = json!({"to": to, "template": "phone_change", "callback_url": callback_url});
        let call = client().post(format!("{base}/sms/send")).header("Idempotency-Key", to).json(&body);
        let response = call.send().await.unwrap();
        assert_eq!(response.status(), 202);
    };
    let check = async |to: &str, code: &Value| {
        let call = client().post(format!("{base}/sms/check")).json(&json!({"to": to, "code": code}));
        call.send().await.unwrap().json::<Value>().await.unwrap()["valid"].clone()
    };
    send("+3").await;
    send("+1").await;
    // The key is recognised: one message, and no further replies.
    send("+1").await;
    let (first, second) = (heard.recv().await.unwrap(), heard.recv().await.unwrap());
    assert_eq!(first, second);
    assert_eq!(check("+1", &first["code"]).await, true);
    assert_eq!(sandbox.handle().with_sms(|sms| sms.messages_to("+1").len()), 1);
    send("+2").await;
    let wrong = heard.recv().await.unwrap();
    assert_eq!(check("+2", &wrong["code"]).await, false);
    send("+4").await;
    assert_eq!(heard.recv().await.unwrap(), json!({"code": "abc"}));
    assert_eq!(get(&sandbox, "/sms/codes/%2B1").await.1["active"], true);
    client().post(format!("{base}/sms/cancel")).json(&json!({"to": "+1"})).send().await.unwrap();
    assert_eq!(check("+1", &first["code"]).await, false);
    sandbox.stop().await;
}

#[tokio::test]
async fn the_switches_work_over_http() {
    let sandbox = sandbox().await;
    let faults = format!("{}/sandbox/faults", sandbox.url());
    let rule = json!({"path": "/face/**", "trouble": {"kind": "status", "status": 500}});
    let added: Value = client().post(&faults).json(&json!([rule, rule])).send().await.unwrap().json().await.unwrap();
    assert_eq!(added, json!({"ids": [1, 2]}));
    let bad = json!({"path": "/face/**", "trouble": {"kind": "explode"}});
    let refused = client().post(&faults).json(&bad).send().await.unwrap();
    assert_eq!(refused.status(), 422);
    assert!(refused.text().await.unwrap().contains("explode"));
    let compare = format!("{}/face/compare", sandbox.url());
    let body = json!({"id": "x", "image": "selfie:0.97"});
    assert_eq!(client().post(&compare).json(&body).send().await.unwrap().status(), 500);
    assert_eq!(client().delete(format!("{faults}/1")).send().await.unwrap().status(), 204);
    assert_eq!(client().delete(format!("{faults}/1")).send().await.unwrap().status(), 404);
    assert_eq!(client().delete(&faults).send().await.unwrap().status(), 204);
    let answer: Value = client().post(&compare).json(&body).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["score"], 0.97);
    unbind(&sandbox, "C1", Some("k")).await.unwrap();
    let (_, ledger) = get(&sandbox, "/sandbox/ledger?applied=true").await;
    assert_eq!(ledger["totals"]["calls"], 3);
    assert_eq!(ledger["calls"].as_array().unwrap().len(), 1);
    assert_eq!(ledger["calls"][0]["key"], "k");
    let (_, effects) = get(&sandbox, "/sandbox/effects").await;
    assert_eq!(effects, json!({"total": 1, "items": [{"effect": "unbind", "object": "C1", "times": 1}]}));
    sandbox.stop().await;
}

#[tokio::test]
async fn a_world_is_loaded_over_http() {
    let sandbox = sandbox().await;
    let call = client().post(format!("{}/sandbox/world", sandbox.url())).json(&json!({"seed": 3, "n": 40}));
    assert_eq!(call.send().await.unwrap().status(), 201);
    let (_, page) = get(&sandbox, "/sandbox/requests?limit=5").await;
    assert_eq!((page["total"].as_u64(), page["items"].as_array().unwrap().len()), (Some(40), 5));
    let world = World::generate(3, 40);
    let customer = &world.customers[0];
    let (_, found) = get(&sandbox, &format!("/bank/customers/{}", customer.customer_id)).await;
    assert_eq!(found["name"], customer.name.as_str());
    sandbox.stop().await;
}
