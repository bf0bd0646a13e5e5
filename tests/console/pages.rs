//! Every page for every role, empty and filled; and what operators do.

use std::fmt::Write as _;

use serde_json::json;

use crate::browser::Browser;
use crate::world::{CANARY, World};

const PAGES: [&str; 13] = [
    "/console/overview",
    "/console/reviews",
    "/console/reviews/views",
    "/console/reviews/batches",
    "/console/requests",
    "/console/defects",
    "/console/dependencies",
    "/console/workers",
    "/console/processes",
    "/console/processes/change",
    "/console/decisions",
    "/console/ledger",
    "/console/help",
];

#[tokio::test]
async fn every_page_for_every_role() {
    let world = World::start().await;
    let mut table = String::new();
    for filled in [false, true] {
        if filled {
            for (customer, state) in
                [("grey-1", "in_review"), ("odd-1", "parked"), ("down-1", "parked"), ("gone", "refused"), ("sure-1", "done")]
            {
                world.submit_until(customer, state).await;
            }
        }
        table.clear();
        for role in ["submitter", "reviewer", "operator", "auditor", "admin"] {
            let mut browser = Browser::signed_in(&world, role, &[role]).await;
            let mut seen = Vec::new();
            for path in PAGES {
                let page = browser.get(path).await.silent_about(CANARY);
                assert!(page.text.starts_with("<!doctype html>"), "{path}: {}", page.text);
                seen.push(page.status.as_u16().to_string());
            }
            writeln!(table, "{role:<10} {}", seen.join(" ")).unwrap();
        }
    }
    // In the order of PAGES.
    let expected = "\
submitter  403 403 403 403 200 403 403 403 200 200 403 403 200
reviewer   403 200 200 200 200 403 403 403 200 200 200 403 200
operator   200 200 200 403 200 200 200 200 200 200 200 200 200
auditor    200 200 200 403 200 200 200 200 200 200 200 200 200
admin      200 200 200 200 200 200 200 200 200 200 200 200 200
";
    assert_eq!(table, expected, "\n{table}");
}

#[tokio::test]
async fn every_page_speaks_both_languages() {
    let world = World::start().await;
    let grey = world.submit_until("grey-1", "in_review").await;
    let review = world.review_of(&grey).await;
    world.submit_until("odd-1", "parked").await;
    let defects = world.get("ops", "/v1/defects").await.expect(200);
    let defect = defects.body["items"][0]["fingerprint"].as_str().unwrap().to_owned();
    let mut root = Browser::signed_in(&world, "root", &["admin"]).await;
    let more = [format!("/console/reviews/{review}"), format!("/console/requests/{grey}"), format!("/console/defects/{defect}")];
    for (lang, says) in [("zh-CN", "lang=\"zh-CN\""), ("en", "lang=\"en\"")] {
        root.act("/console/settings", &[("lang", lang)]).await.expect(303);
        for path in PAGES.iter().map(|path| (*path).to_owned()).chain(more.clone()) {
            let page = root.get(&path).await.expect(200).says(says);
            // Nothing is left of the other language but what says so itself, and texts for customers.
            if lang == "en" && !path.contains("reviews/") && !path.contains("processes/") {
                let text = page.text.replace("简体中文", "");
                assert!(!text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn an_incident() {
    let world = World::start().await;
    let mut ops = Browser::signed_in(&world, "ops", &["operator"]).await;
    ops.get("/console/overview").await.expect(200).says("Nothing needs attention.");
    let mut ids = Vec::new();
    for number in 1..=3 {
        ids.push(world.submit_until(&format!("odd-{number}"), "parked").await);
    }
    let page = ops.get("/console/overview").await.expect(200).says("3 requests are parked under a defect of change");
    let here = page.text.split("href=\"/console/defects/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let here = format!("/console/defects/{here}");
    ops.get("/console/defects").await.expect(200).says("unexpected status").says(&here);
    ops.get(&here).await.expect(200).says("418").says("Resume 3 requests").says("odd-1");
    let mut audit = Browser::signed_in(&world, "audit", &["auditor"]).await;
    audit.get(&here).await.expect(200).silent_about("Resume 3 requests");
    audit.act(&format!("{here}/resume"), &[("rate", "5")]).await.expect(403);
    ops.act(&format!("{here}/resume"), &[("rate", "0")]).await.expect(422).says("1 to 10000");
    *world.bank.healed.lock().unwrap() = true;
    assert_eq!(ops.act(&format!("{here}/resume"), &[("rate", "1000")]).await.to(), here);
    for id in &ids {
        world.until(id, "done").await;
    }
    ops.get(&here).await.expect(200).says("Resuming: one request goes first.").says("Nothing is parked under it.");
}

#[tokio::test]
async fn a_dependency_is_stopped_and_let_through() {
    let world = World::start().await;
    let mut ops = Browser::signed_in(&world, "ops", &["operator"]).await;
    ops.get("/console/dependencies").await.expect(200).says("bank").says("Stop calling it");
    ops.act("/console/dependencies/bank/trip", &[("reason", "")]).await.expect(422);
    let page = ops.act("/console/dependencies/bank/trip", &[("reason", "they <b>migrate</b>")]).await;
    assert_eq!(page.to(), "/console/dependencies");
    let page = ops.get("/console/dependencies").await.expect(200).says("Let calls through").says("(ops)");
    page.silent_about("<b>migrate</b>").says("migrate");
    let id = world.submit_until("sure-1", "parked").await;
    ops.get("/console/overview").await.expect(200).says("bank is down: 1 requests wait for it");
    ops.act("/console/dependencies/bank/reset", &[("reason", "done")]).await.expect(303);
    world.until(&id, "done").await;
    ops.act("/console/dependencies/nobody/trip", &[("reason", "x")]).await.expect(404);
    ops.act("/console/dependencies/bank/drop", &[("reason", "x")]).await.expect(404);
    let mut narrow = Browser::for_processes(&world, "narrow", &["operator"], &["texted"]).await;
    narrow.get("/console/dependencies").await.expect(200).silent_about("Stop calling it");
    narrow.act("/console/dependencies/bank/trip", &[("reason", "x")]).await.expect(403);
}

#[tokio::test]
async fn requests_are_searched_and_steered() {
    let world = World::start().await;
    let mut ops = Browser::signed_in(&world, "ops", &["operator"]).await;
    let odd = world.submit_until("odd-1", "parked").await;
    world.submit_until("sure-1", "done").await;
    ops.get("/console/requests").await.expect(200).says("odd-1").says("sure-1");
    ops.get("/console/requests?q=state%3Aparked").await.expect(200).says("odd-1").silent_about("sure-1");
    ops.get("/console/requests?q=sure-1").await.expect(200).says("sure-1").silent_about("odd-1");
    ops.get("/console/requests?q=state%3Aparked%20age%3A%3E1h").await.expect(200).says("No request fits this search.");
    ops.get("/console/requests?q=colour%3Ared").await.expect(200).says("not understood").says("colour:red");
    ops.get("/console/requests?q=state%3Apurple").await.expect(200).says("takes queued");
    assert_eq!(ops.get(&format!("/console/requests?q={odd}")).await.to(), format!("/console/requests/{odd}"));
    let here = format!("/console/requests/{odd}");
    ops.get(&here).await.expect(200).says("Parked under").says("defect:").says("Withdraw").silent_about(CANARY);
    ops.act(&format!("{here}/review"), &[("note", "look at it")]).await.expect(303);
    world.until(&odd, "in_review").await;
    ops.get(&here).await.expect(200).says("Open the review").says("look at it");
    assert_eq!(ops.act(&format!("{here}/withdraw"), &[]).await.to(), here);
    world.until(&odd, "withdrawn").await;
    ops.get(&here).await.expect(200).says("withdrawn").silent_about("Withdraw this request");
    ops.act(&format!("{here}/withdraw"), &[]).await.expect(409).says("has ended");
    ops.get("/console/requests/0192f3a4-0000-7000-8000-00000000000a").await.expect(404);
    ops.get("/console/requests/..%2F..%2Fv1").await.expect(400);
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    li.get(&here).await.expect(200).silent_about("Withdraw this request");
    li.act(&format!("{here}/withdraw"), &[]).await.expect(403);
}

#[tokio::test]
async fn auditors_see_who_decided_and_verify_the_record() {
    let world = World::start().await;
    let id = world.submit_until("grey-1", "in_review").await;
    let review = world.review_of(&id).await;
    let decide = json!({"version": 1, "choice": "approve", "note": "=1+1 looked fine"});
    world.post("li", &format!("/v1/reviews/{review}/decide"), &decide).await.expect(200);
    world.until(&id, "done").await;
    let mut audit = Browser::signed_in(&world, "audit", &["auditor"]).await;
    audit.get("/console/decisions").await.expect(200).says("looked fine").says("li");
    audit.get("/console/decisions?by=wang").await.expect(200).says("Nobody has decided anything yet.");
    let file = audit.get("/console/decisions.csv").await.expect(200).says("\"'=1+1 looked fine\"");
    assert!(file.headers["content-disposition"].to_str().unwrap().contains("decisions.csv"));
    audit.get("/console/ledger?verify=newest").await.expect(200).says("every chain verifies");
    audit.get(&format!("/console/ledger?request={id}")).await.expect(200).says("1 requests");
    audit.get("/console/ledger?request=nonsense").await.expect(200).silent_about("every chain verifies");
    let record = audit.get(&format!("/console/requests/{id}/record.json")).await.expect(200).silent_about(CANARY);
    let record: serde_json::Value = serde_json::from_str(&record.text).unwrap();
    assert_eq!((&record["request"]["state"], &record["verified"]["whole"]), (&json!("done"), &json!(true)));
    assert_eq!(record["entries"].as_array().unwrap().len() as u64, record["request"]["seq"].as_u64().unwrap());
}

#[tokio::test]
async fn parts_are_asked_for_anew_and_streams_tell_when() {
    let world = World::start().await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    world.submit_until("grey-1", "in_review").await;
    let request = li.request(reqwest::Method::GET, "/console/reviews?tab=unassigned").header("hx-request", "true");
    let part = li.send(request).await.expect(200).says("grey-1");
    assert!(part.text.starts_with("<div id=\"list\""), "{}", part.text);
    let cookies = format!("mozhao_session={}", li.cookies["mozhao_session"]);
    let stream = world.http.get(world.url("/console/live")).header("cookie", cookies).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut stream = stream;
    world.submit_until("grey-2", "in_review").await;
    let told = tokio::time::timeout(std::time::Duration::from_secs(10), stream.chunk()).await.unwrap().unwrap().unwrap();
    assert_eq!(&told[..], b"event: changed\ndata: 1\n\n");
    let nobody = Browser::new(&world).get("/console/live").await;
    assert!(nobody.to().starts_with("/console/sign-in"));
}
