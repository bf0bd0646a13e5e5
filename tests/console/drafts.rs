//! What a reviewer has begun to write survives whatever else they do, without scripts and without being stored anywhere.

use serde_json::json;

use crate::browser::{Browser, Page};
use crate::world::{CANARY, World};

/// A decision that somebody has begun: chosen, explained, and not sent.
const BEGUN: [(&str, &str); 4] =
    [("choice", "amend"), ("note", "my <b>long</b> words"), ("field.known_as", "Li Na"), ("version", "1")];

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    BEGUN.iter().copied().chain(more.iter().copied()).collect()
}

#[track_caller]
fn keeps(page: Page) -> Page {
    let page = page.says("value=\"amend\" checked").says("my &#60;b&#62;long&#60;/b&#62; words").says("value=\"Li Na\"");
    page.silent_about("<b>long")
}

async fn claimed(world: &World) -> (Browser<'_>, String, String) {
    let id = world.submit_until("grey-1", "in_review").await;
    let here = format!("/console/reviews/{}", world.review_of(&id).await);
    let mut li = Browser::signed_in(world, "li", &["reviewer", "operator"]).await;
    li.act(&format!("{here}/claim"), &[]).await.expect(303);
    (li, id, here)
}

#[tokio::test]
async fn other_acts_keep_a_draft() {
    let world = World::start().await;
    let (mut li, id, here) = claimed(&world).await;
    let page = li.get(&here).await.expect(200);
    let key = page.field("key");
    // The acts are buttons of the decision's own form, so that browsers without scripts send the draft along.
    for act in ["note", "snooze", "escalate", "draft"] {
        let button = format!("form=\"decide\" formaction=\"{here}/{act}");
        assert!(page.text.contains(&button), "{act}: {}", page.text);
    }
    assert!(page.text.contains("name=\"reveal\" value=\"/phone\" form=\"decide\""), "{}", page.text);
    let path = |act: &str| format!("{here}/{act}");
    // A note; sent twice, it is one.
    let noted = with(&[("said.note", "called them"), ("said.snooze", "half a reason"), ("key", &key)]);
    for _ in 0..2 {
        let page = keeps(li.act(&path("note"), &noted).await.expect(200)).says("Noted in the ledger.");
        page.says("value=\"half a reason\"").silent_about(">called them</textarea>");
    }
    let list = world.get("audit", &format!("/v1/requests/{id}/timeline")).await.expect(200);
    assert_eq!(list.body["items"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "noted").count(), 1);
    // One that is refused keeps its own text, too.
    let page = keeps(li.act(&path("snooze"), &with(&[("for", "90d"), ("said.snooze", "till spring")])).await.expect(422));
    page.says("one second to 14 days").says("value=\"till spring\"");
    keeps(li.act(&path("note"), &with(&[("said.note", "")])).await.expect(422)).says("between 1 and 4000 characters");
    // Looking behind a mask: asked for, refused, shown, hidden.
    keeps(li.act(&path("draft"), &with(&[("reveal", "/phone")])).await.expect(200)).says("Record and show").silent_about(CANARY);
    keeps(li.act(&path("reveal"), &with(&[("reveal", "/phone"), ("seen_for", "")])).await.expect(422)).silent_about(CANARY);
    let page = li.act(&path("reveal"), &with(&[("reveal", "/phone"), ("seen_for", "they call")])).await.expect(200);
    keeps(page).says(CANARY).says("data-mask=\"********34\"");
    keeps(li.act(&path("draft"), &BEGUN).await.expect(200)).silent_about(CANARY);
    // Nothing has been decided by any of it; a page that is opened anew is empty.
    assert_eq!(world.store.request(id.parse().unwrap()).await.unwrap().state, "in_review");
    li.get(&here).await.expect(200).silent_about("my &#60;b&#62;long");
    // Where the list beside it cannot be had, the page comes without it, and with what was written.
    let nowhere = [("said.note", ""), ("tab", "unassigned"), ("process", "change"), ("cursor", "<b>")];
    keeps(li.act(&path("note"), &with(&nowhere)).await.expect(422)).says("name=\"cursor\"").silent_about("id=\"list\"");
    for (part, status) in [("list", 400), ("standing", 200)] {
        let address = format!("{here}?tab=unassigned&cursor=%3Cb%3E&part={part}");
        li.send(li.request(reqwest::Method::GET, &address).header("hx-request", "true")).await.expect(status);
    }
    // The addresses of acts lead back to the review.
    for act in ["note", "decide", "draft", "reveal"] {
        assert_eq!(li.get(&path(act)).await.to(), here);
    }
}

#[tokio::test]
async fn who_gives_it_back_by_an_act_keeps_a_draft_until_they_claim_again() {
    let world = World::start().await;
    let (mut li, _, here) = claimed(&world).await;
    let page = li.act(&format!("{here}/escalate"), &with(&[("said.escalate", "too hard")])).await.expect(200);
    let page = page.says("Escalated, and given back.").says("You wrote").says("my &#60;b&#62;long&#60;/b&#62; words");
    // The form that claims it takes the draft along.
    let page = page.says("name=\"field.known_as\" value=\"Li Na\"").says("name=\"choice\" value=\"amend\"");
    assert!(page.text.contains(&format!("action=\"{here}/claim\"")));
    keeps(li.act(&format!("{here}/claim"), &BEGUN[..3]).await.expect(200));
}

#[tokio::test]
async fn what_changed_under_a_draft_is_told_when_it_is_sent() {
    let world = World::start().await;
    let (mut li, id, here) = claimed(&world).await;
    let review = world.review_of(&id).await;
    let decide = json!({"version": 1, "choice": "ask_customer", "note": "by a tool"});
    world.post("li", &format!("/v1/reviews/{review}/decide"), &decide).await.expect(200);
    let page = li.act(&format!("{here}/note"), &with(&[("said.note", "a note")])).await.expect(200);
    page.says("Noted in the ledger.").says("You wrote").says("my &#60;b&#62;long");
    li.act(&format!("{here}/decide"), &with(&[("seen_state", "open"), ("seen_holder", "li")])).await.expect(409);
}

#[tokio::test]
async fn a_session_that_ended_loses_no_words() {
    let world = World::start().await;
    let (mut li, id, here) = claimed(&world).await;
    let old = li.get(&here).await.expect(200);
    let sessions = world.store.sessions();
    sessions.end_sessions_of("li", world.engine.clock().now()).await.unwrap();
    let (csrf, key) = (old.field("csrf"), old.field("key"));
    let sent = with(&[("csrf", csrf.as_str()), ("key", key.as_str()), ("then", "next"), ("said.note", "half a note")]);
    let page = li.post(&format!("{here}/decide"), &sent).await.expect(401);
    assert_eq!(page.headers["cache-control"], "no-store");
    let page = page.says("Nothing was done.").says("my &#60;b&#62;long&#60;/b&#62; words").says("half a note");
    let to = format!("/console/sign-in?to={}", here.replace('/', "%2F").replace('-', "%2D"));
    let page = page.says(&to).says("target=\"_blank\"").says(&format!("action=\"{here}/draft\""));
    // The list that it was opened from is where it leads back to, too.
    let from: Vec<_> = sent.iter().copied().chain([("tab", "unassigned"), ("process", "change")]).collect();
    let listed = li.post(&format!("{here}/decide"), &from).await.expect(401).says("name=\"tab\" value=\"unassigned\"");
    listed.says(&format!("{to}%3Ftab%3Dunassigned%26process%3Dchange\""));
    // Neither the former session's token nor the key of its form are in it.
    page.silent_about(&csrf).silent_about(&key);
    // Not signed in again yet: still nothing is lost.
    li.post(&format!("{here}/draft"), &with(&[])).await.expect(401).says("my &#60;b&#62;long");
    // Signed in beside it: the draft is put back, and nothing is decided by that.
    let mut again = Browser::signed_in(&world, "li", &["reviewer"]).await;
    keeps(again.post(&format!("{here}/draft"), &with(&[])).await.expect(200));
    assert_eq!(world.store.request(id.parse().unwrap()).await.unwrap().state, "in_review");
    // The old form itself is refused in the new session, with what was written in it.
    let page = again.post(&format!("{here}/decide"), &sent).await.expect(403).says("not sent from your session");
    page.says("my &#60;b&#62;long").says(&format!("action=\"{here}/draft\""));
    assert_eq!(world.store.request(id.parse().unwrap()).await.unwrap().state, "in_review");
    // From another site nothing is put into anybody's form.
    let request = again.request(reqwest::Method::POST, &format!("{here}/draft")).header("sec-fetch-site", "cross-site");
    let request = crate::browser::form(request, &BEGUN);
    again.send(request).await.expect(403).silent_about("my &#60;b&#62;long");
    // Where nothing was written, the sign-in page says that nothing was done, and leads back.
    let page = li.post(&format!("{here}/claim"), &[("csrf", csrf.as_str())]).await;
    let to = page.to().to_owned();
    assert!(to.ends_with("&lost=yes"), "{to}");
    li.get(&to).await.expect(200).says("What you sent was not done");
    li.cookies.insert("mozhao_lang".to_owned(), "zh-CN".to_owned());
    li.post(&format!("{here}/note"), &[("said.note", "你好")]).await.expect(401).says("您已退出登录").says("你好");
}
