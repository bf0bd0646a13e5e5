//! Corrections of the payload: what an effect was made of and whose request it is stay as they are.

use std::collections::BTreeMap;

use mozhao::domain::process::cases::Scripted;
use mozhao::domain::request::signal::{Decision, Signal};
use mozhao::domain::words::Choice;
use mozhao::proof::world::WorldError;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{SWAP, Stage, decision, play, says};

pub(crate) fn answers() -> Vec<(&'static str, Vec<Scripted>)> {
    let ok = || vec![says(json!({ "ok": true, "account": "A1" }))];
    vec![("card", ok()), ("customer", ok()), ("cut", ok()), ("undo.cut", ok())]
}

fn with(choice: Choice, fields: &Value) -> Decision {
    let note = "Which one?".to_owned();
    Decision { fields: serde_json::from_value(fields.clone()).unwrap(), note, ..decision("li", choice) }
}

async fn cut(stage: &mut Stage) -> Uuid {
    stage.add(SWAP);
    let request = stage.submit("swap", &json!({"customer": "C1", "card": "K1", "note": ""})).await;
    stage.at(60).await;
    assert_eq!((stage.state(request).await.as_str(), stage.paths("cut")), ("in_review", vec!["/cut/K1".to_owned()]));
    request
}

async fn refuse(stage: &Stage, request: Uuid) {
    let refusal = Decision { reason: Some("no".into()), ..decision("li", Choice::Refuse) };
    stage.world.decide(request, "look", refusal).await.unwrap();
    stage.at(600).await;
    assert_eq!(stage.state(request).await, "refused");
}

#[test]
fn an_undo_names_what_its_effect_named() {
    play(answers(), |mut stage| async move {
        let request = cut(&mut stage).await;
        let refused = stage.world.decide(request, "look", with(Choice::Amend, &json!({"card": "K2"}))).await;
        let Err(WorldError::Decision(why)) = refused else { panic!("{refused:?}") };
        assert!(why.contains("`request.card`"), "{why}");
        // A field that nothing rests on may change, and what the undo needs of earlier answers is still there when the
        // refusal comes before the checks were made again.
        stage.script.answer("card", vec![says(json!({ "ok": true, "account": "A2" }))]);
        stage.world.decide(request, "look", with(Choice::Amend, &json!({"note": "x"}))).await.unwrap();
        stage.at(120).await;
        refuse(&stage, request).await;
        let undone = stage.paths("undo.cut");
        assert!(undone.len() == 1 && undone[0].starts_with("/mend/K1/"), "{undone:?}");
    });
}

#[test]
fn an_undo_after_a_correction_finds_what_was_kept() {
    play(answers(), |mut stage| async move {
        let request = cut(&mut stage).await;
        stage.script.answer("card", vec![crate::support::slowly(json!({ "ok": true, "account": "A1" }), 30)]);
        stage.world.decide(request, "look", with(Choice::Amend, &json!({"note": "x"}))).await.unwrap();
        stage.at(70).await;
        // The checks are on their way again; a withdrawal comes first.
        stage.withdraw(request).await;
        stage.at(600).await;
        assert_eq!((stage.state(request).await.as_str(), stage.paths("undo.cut")), ("withdrawn", vec!["/mend/K1/A1".to_owned()]));
    });
}

#[test]
fn a_customer_who_is_asked_cannot_become_another_one() {
    play(answers(), |mut stage| async move {
        let request = cut(&mut stage).await;
        stage.world.decide(request, "look", with(Choice::AskCustomer, &json!({}))).await.unwrap();
        stage.at(70).await;
        for (fields, place) in [(json!({"customer": "C2"}), "`customer`"), (json!({"card": "K2"}), "`request.card`")] {
            let fields: BTreeMap<String, Value> = serde_json::from_value(fields).unwrap();
            let sent = stage.send(request, &Signal::Supplement { fields, by: "app".into() }).await;
            stage.at(80).await;
            let told = stage.told(sent).await;
            assert!(told.contains(place), "{told}");
        }
        let fields = BTreeMap::from([("note".to_owned(), json!("K1 it is"))]);
        let sent = stage.send(request, &Signal::Supplement { fields, by: "app".into() }).await;
        stage.at(90).await;
        assert_eq!((stage.told(sent).await.as_str(), stage.state(request).await.as_str()), ("applied", "in_review"));
        refuse(&stage, request).await;
        assert_eq!(stage.paths("undo.cut"), ["/mend/K1/A1"]);
    });
}
