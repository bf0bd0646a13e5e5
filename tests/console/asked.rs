//! The question's card and its answers: why somebody is asked, what a refusal says, and what is said no to, in words that
//! reviewers use.

use crate::browser::Browser;
use crate::world::World;

#[tokio::test]
async fn a_page_says_why_it_is_there() {
    let world = World::start().await;
    let id = world.submit_until("grey-1", "in_review").await;
    let here = format!("/console/reviews/{}", world.review_of(&id).await);
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let page = li.get(&here).await.expect(200).says("Why is this here?").says("“known” could not decide by itself: ");
    page.says("sure false; gone false; passes with sure true; refused with gone true (We do not know you any more)");
    li.cookies.insert("mozhao_lang".to_owned(), "zh-CN".to_owned());
    let page = li.get(&here).await.expect(200).says("无法自动判定：sure 为 false；").says("sure 等于 true 时通过");
    page.says("<b>A-1</b><span>客户身份已知").says("<span>步骤 <span class=\"mono\">known</span>");
    let mut root = Browser::signed_in(&world, "root", &["admin"]).await;
    root.get("/console/processes/change").await.expect(200).says("The customer is known").silent_about("客户身份已知");
    root.cookies.insert("mozhao_lang".to_owned(), "zh-CN".to_owned());
    for page in ["", "/clauses"] {
        root.get(&format!("/console/processes/change{page}"))
            .await
            .expect(200)
            .says("客户身份已知")
            .silent_about("The customer is known");
    }
}

#[tokio::test]
async fn who_handed_it_over_and_why_is_said() {
    let world = World::start().await;
    let id = world.submit_until("down-1", "parked").await;
    let mut ops = Browser::signed_in(&world, "ops", &["operator"]).await;
    let note = "the bank <i>asked</i> us to look";
    ops.act(&format!("/console/requests/{id}/review"), &[("note", note)]).await.expect(303);
    world.until(&id, "in_review").await;
    let here = format!("/console/reviews/{}", world.review_of(&id).await);
    let mut root = Browser::signed_in(&world, "root", &["admin"]).await;
    let page = root.get(&here).await.expect(200).says("ops handed it over: the bank &#60;i&#62;asked");
    page.silent_about("Step <span").silent_about("<i>asked");
}

#[tokio::test]
async fn a_refusals_reason_is_chosen_by_its_text() {
    let world = World::start().await;
    let id = world.submit_until("grey-1", "in_review").await;
    world.submit_until("grey-2", "in_review").await;
    let here = format!("/console/reviews/{}", world.review_of(&id).await);
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    li.act(&format!("{here}/claim"), &[]).await.expect(303);
    let page = li.get(&here).await.expect(200).says("<option value=\"\">Choose a reason</option>");
    let page = page.says("<optgroup label=\"What this check refuses with\"><option value=\"gone\">We do not know you any more.<");
    page.silent_about("selected");
    li.act(&format!("{here}/release"), &[]).await.expect(303);
    // The same where several are decided together, with what was seen of each, and with what the customers would read.
    let page = li.get("/console/reviews/together?process=change&name=unsure").await.expect(200);
    let page = page.says("<option value=\"\">Choose a reason</option>").says("data-text-of=\"gone\"").says("Please call us.");
    let page = page.says("What would have decided it:").says("sure false; gone false").says("data-ticks=\"{} ticked\"");
    page.says("data-tick=\"all\"").says("data-tick=\"none\"");
}

#[tokio::test]
async fn what_was_ticked_stays_ticked_and_nothing_else() {
    let world = World::start().await;
    let mut reviews = Vec::new();
    for number in 1..=3 {
        let id = world.submit_until(&format!("grey-{number}"), "in_review").await;
        reviews.push(world.review_of(&id).await);
    }
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let (shown, pick) = (reviews.join(" "), format!("pick.{}", reviews[1]));
    let form = [("process", "change"), ("name", "unsure"), ("shown", shown.as_str()), ("choice", "refuse"), ("note", "kept")];
    let form: Vec<(&str, &str)> = form.into_iter().chain([(pick.as_str(), "1")]).collect();
    let page = li.act("/console/reviews/together", &form).await.expect(422).says("Choose a reason.");
    for (at, review) in reviews.iter().enumerate() {
        let ticked = page.text.contains(&format!("name=\"pick.{review}\" value=\"1\" checked"));
        assert_eq!(ticked, at == 1, "{at}");
        assert!(page.text.contains(&format!("name=\"pick.{review}\"")), "{at} is still there");
    }
}

#[tokio::test]
async fn refusals_are_told_in_the_readers_language() {
    let world = World::start().await;
    let id = world.submit_until("grey-1", "in_review").await;
    let here = format!("/console/reviews/{}", world.review_of(&id).await);
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    let mut wang = Browser::signed_in(&world, "wang", &["reviewer"]).await;
    wang.act(&format!("{here}/claim"), &[]).await.expect(303);
    let decide = [("version", "1"), ("choice", "approve"), ("note", "mine"), ("seen_state", "open"), ("seen_holder", "li")];
    let long = "x".repeat(5000);
    for (lang, taken, note, reason) in [
        ("en", "wang is working on it, until", "between 1 and 4000", "in 1 to 500 characters"),
        ("zh-CN", "wang 正在处理，至少到", "1 至 4000 个字符", "1 至 500 个字符"),
    ] {
        li.cookies.insert("mozhao_lang".to_owned(), lang.to_owned());
        li.cookies.insert("mozhao_zone".to_owned(), "Asia%2FShanghai".to_owned());
        let page = li.act(&format!("{here}/decide"), &decide).await.expect(423).says(taken);
        page.silent_about("is working on it\n").says("mine");
        li.act(&format!("{here}/note"), &[("said.note", long.as_str())]).await.expect(422).says(note);
        li.act(&format!("{here}/reveal"), &[("reveal", "/phone"), ("seen_for", long.as_str())]).await.expect(422).says(reason);
    }
}
