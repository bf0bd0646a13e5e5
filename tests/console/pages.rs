//! Every page for every role, empty and filled; and what operators do.

use std::fmt::Write as _;
use std::sync::Arc;

use mozhao::engine::clock::SystemClock;
use mozhao::store::memory::MemoryStore;
use serde_json::json;

use crate::browser::Browser;
use crate::world::{CANARY, World, later_change};

const PAGES: [&str; 15] = [
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
    "/console/processes/change/clauses",
    "/console/processes/change/difference",
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
submitter  403 403 403 403 200 403 403 403 200 200 403 403 403 403 200
reviewer   403 200 200 200 200 403 403 403 200 200 403 200 200 403 200
operator   200 200 200 200 200 200 200 200 200 200 200 200 200 200 200
auditor    200 200 200 403 200 200 200 200 200 200 200 200 200 200 200
admin      200 200 200 200 200 200 200 200 200 200 200 200 200 200 200
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
    let page = ops.get("/console/overview").await.expect(200).says("Parked under a defect of change: 3");
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
    // Also before anything waits for it.
    let waits = |count| format!("bank: down; requests that wait for it: {count} — ops: they &#60;b&#62;migrate");
    ops.get("/console/overview").await.expect(200).says(&waits(0));
    let id = world.submit_until("sure-1", "parked").await;
    ops.get("/console/overview").await.expect(200).says(&waits(1));
    ops.act("/console/dependencies/bank/reset", &[("reason", "done")]).await.expect(303);
    world.until(&id, "done").await;
    let mut audit = Browser::signed_in(&world, "audit", &["auditor"]).await;
    let page = audit.get("/console/decisions?tab=acts").await.expect(200).says("stopped calls of a dependency");
    page.says("let calls of a dependency through").says("bank: done").silent_about("<b>migrate</b>");
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
    let odd_one = ops.get("/console/requests?q=colour%3Ared").await.expect(200).says("not understood").says("colour:red");
    odd_one.silent_about("No request fits");
    ops.get("/console/requests?q=%22sure-1%22%20state%3Adone").await.expect(200).says("sure-1").silent_about("odd-1");
    // By its sender's id, which says nothing without whose it is.
    let key = world.get("ops", "/v1/requests?customer=sure-1").await.expect(200).body["items"][0]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    let both = format!("/console/requests?q=producer%3Aapp%20message%3A{key}");
    ops.get(&both).await.expect(200).says("sure-1").silent_about("odd-1").says("message:");
    let alone = ops.get(&format!("/console/requests?q=message%3A{key}")).await.expect(200).says("say whose this is");
    alone.says(&format!("<option value=\"message:{key} producer:\">")).silent_about("No request fits");
    ops.cookies.insert("mozhao_lang".to_owned(), "zh-CN".to_owned());
    ops.get(&format!("/console/requests?q=message%3A{key}")).await.expect(200).says("注明发送方");
    ops.cookies.insert("mozhao_lang".to_owned(), "en".to_owned());
    // The overview's numbers lead to what they count.
    ops.get("/console/overview?within=24h").await.expect(200).says("/console/requests?q=state%3Adone%20age%3A%3C24h");
    ops.get("/console/requests?q=state%3Adone%20age%3A%3C24h").await.expect(200).says("sure-1").silent_about("odd-1");
    ops.get("/console/requests?q=state%3Apurple").await.expect(200).says("takes queued");
    ops.get("/console/requests?q=connector%3Abank").await.expect(200).says("No request fits this search.");
    assert_eq!(ops.get(&format!("/console/requests?q={odd}")).await.to(), format!("/console/requests/{odd}"));
    let here = format!("/console/requests/{odd}");
    ops.get(&here).await.expect(200).says("Parked under").says("defect:").says("Withdraw").silent_about(CANARY);
    // What went wrong is said where it is said that it waits.
    ops.get(&here).await.expect(200).says("<span class=\"wrap\">unexpected status 418</span>");
    ops.act(&format!("{here}/review"), &[("note", "look at it")]).await.expect(303);
    world.until(&odd, "in_review").await;
    ops.get(&here).await.expect(200).says("Open the review").says("look at it");
    assert_eq!(ops.act(&format!("{here}/withdraw"), &[("note", "<b>done</b>")]).await.to(), here);
    world.until(&odd, "withdrawn").await;
    let page = ops.get(&here).await.expect(200).says("withdrawn · ops · &#60;b&#62;done&#60;/b&#62;");
    page.silent_about("Withdraw this request").silent_about("<b>done</b>");
    ops.cookies.insert("mozhao_lang".to_owned(), "zh-CN".to_owned());
    ops.get(&here).await.expect(200).says("已撤回 · ops · &#60;b&#62;done");
    ops.cookies.remove("mozhao_lang");
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
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let reveal = [("reveal", "/phone"), ("seen_for", "=compare")];
    li.act(&format!("/console/reviews/{review}/reveal"), &reveal).await.expect(200).says(CANARY);
    for act in ["claim", "release"] {
        world.post("li", &format!("/v1/reviews/{review}/{act}"), &json!({})).await.expect(200);
    }
    let decide = json!({"version": 1, "choice": "approve", "note": "=1+1 looked fine"});
    world.post("li", &format!("/v1/reviews/{review}/decide"), &decide).await.expect(200);
    world.until(&id, "done").await;
    let mut audit = Browser::signed_in(&world, "audit", &["auditor"]).await;
    audit.get("/console/decisions").await.expect(200).says("looked fine").says("li");
    audit.get("/console/decisions?by=wang").await.expect(200).says("Nobody has decided anything yet.");
    let file = audit.get("/console/decisions.csv").await.expect(200).says("\"'=1+1 looked fine\"");
    assert!(file.headers["content-disposition"].to_str().unwrap().contains("decisions.csv"));
    // Narrowed by what was decided and by days, in the page and in its tables.
    audit.get("/console/decisions?choice=approve&from=2020-01-01").await.expect(200).says("looked fine").says("2020-01-01");
    for narrowed in ["choice=refuse", "to=2020-01-01", "from=2020-01-01&to=2020-01-02"] {
        audit.get(&format!("/console/decisions?{narrowed}")).await.expect(200).says("Nobody has decided anything yet.");
        audit.get(&format!("/console/decisions.csv?{narrowed}")).await.expect(200).silent_about("looked fine");
    }
    let page = audit.get("/console/decisions?tab=acts&what=review_released").await.expect(200).says("gave a review back");
    page.says("/console/decisions.csv?tab=acts&#38;what=review%5Freleased").says("<option value=\"review_released\" selected>");
    audit.get("/console/decisions?tab=acts&what=batch_stopped").await.expect(200).says("Nothing else has been done.");
    audit.get("/console/decisions?tab=acts&to=2020-01-01").await.expect(200).says("Nothing else has been done.");
    audit.get("/console/decisions?tab=looks&to=2020-01-01").await.expect(200).says("Nobody has looked behind a mask.");
    let file = audit.get("/console/decisions.csv?tab=acts").await.expect(200).says("at,by,what").says("\"review_released\"");
    assert!(file.headers["content-disposition"].to_str().unwrap().contains("acts.csv"));
    let file = audit.get("/console/decisions.csv?tab=looks").await.expect(200).says("\"/phone\"").says("\"'=compare\"");
    file.silent_about(CANARY);
    li.get("/console/decisions.csv?tab=looks").await.expect(403);
    audit.get("/console/ledger?verify=newest").await.expect(200).says("every chain verifies");
    audit.get(&format!("/console/ledger?request={id}")).await.expect(200).says("1 requests");
    audit.get(&format!("/console/ledger?request={}", id.to_uppercase())).await.expect(200).says("1 requests");
    for unknown in ["nonsense", "0192f3a4-0000-7000-8000-00000000000a"] {
        let page = audit.get(&format!("/console/ledger?request={unknown}")).await.expect(200);
        page.says("There is no request with this id.").says(unknown).silent_about("every chain verifies");
    }
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

#[tokio::test]
async fn a_process_is_seen_over_time() {
    let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    let world = World::on(store, &[("change2.yaml", &later_change())], |_| {}).await;
    for (customer, state) in [("sure-1", "done"), ("gone", "refused"), ("grey-1", "in_review")] {
        world.submit_until(customer, state).await;
    }
    let mut ops = Browser::signed_in(&world, "ops", &["operator"]).await;
    let page = ops.get("/console/processes/change").await.expect(200).says("What its clauses decided").says("Differences");
    page.says("/console/processes/change/clauses?version=2");
    let page = ops.get("/console/processes/change/clauses").await.expect(200).says("All 3 requests of this version");
    page.says("A-1").says("/console/requests?q=process%3Achange%20reason%3Agone").silent_about(CANARY);
    ops.get("/console/processes/change/clauses?version=1&within=1h").await.expect(200).says("No request of this version");
    let page = ops.get("/console/processes/change/difference").await.expect(200).says("from version 1 to version 2");
    page.says("<del>10m</del>").says("<ins>1h</ins>").silent_about("<b>late</b>").says("Too ").says("version: 2");
    ops.get("/console/processes/change/difference?from=1&to=1").await.expect(200).says("say the same");
    ops.get("/console/processes/texted/difference").await.expect(200).says("Only one version");
    ops.get("/console/processes/change/difference?from=7").await.expect(404);
    ops.act("/console/settings", &[("lang", "zh-CN")]).await.expect(303);
    ops.get("/console/processes/change/difference").await.expect(200).says("从版本 1 到版本 2 的变化").says("新增");
    ops.get("/console/processes/change/clauses").await.expect(200).says("条款判定统计").says("转人工");
}

/// The offers stand in the page, so that browsers without scripts have them; others ask while somebody types.
#[tokio::test]
async fn searches_are_completed() {
    let world = World::start().await;
    let mut ops = Browser::signed_in(&world, "ops", &["operator"]).await;
    let page = ops.get("/console/requests").await.expect(200).says("<datalist id=\"words\">").says("list=\"words\"");
    page.says("<option value=\"state:in_review\">")
        .says("<option value=\"process:change\">")
        .says("<option value=\"connector:bank\">");
    // What was searched for stays, and the next word is offered.
    let page = ops.get("/console/requests?q=state%3Adone").await.expect(200).says("<option value=\"state:done process:change\">");
    page.silent_about("<option value=\"state:done state:");
    // What was not understood is completed itself.
    ops.get("/console/requests?q=state%3Apurple").await.expect(200).silent_about("<option value=\"state:purple");
    let part = ops.get("/console/requests/words?q=state%3Adone%20step%3Abig").await.expect(200);
    assert_eq!(part.text.trim(), "<option value=\"state:done step:big_change\"></option>");
    ops.get("/console/requests/words?q=reason%3A").await.expect(200).says("reason:gone").says("reason:unsure");
    ops.get("/console/requests/words?q=%22%3E%3Cscript%3E%20sta").await.expect(200).silent_about("<script>").says("state:");
    world.submit_until("odd-1", "parked").await;
    ops.get("/console/requests/words?q=parked%3Adef").await.expect(200).says("parked:defect:");
    // Nobody is offered what they may not search by, or what is none of theirs.
    let mut narrow = Browser::for_processes(&world, "narrow", &["operator"], &["texted"]).await;
    let page = narrow.get("/console/requests/words?q=").await.expect(200).says("process:texted");
    page.silent_about("process:change");
    narrow.get("/console/requests/words?q=parked%3A").await.expect(200).silent_about("defect:");
    let mut app = Browser::signed_in(&world, "app", &["submitter"]).await;
    app.get("/console/requests/words?q=").await.expect(200).says("state:done").silent_about("connector:").silent_about("parked:");
}
