//! Views of the inbox that have a name: saved from its filters, for everybody, changed by who may.

use serde_json::json;

use crate::browser::Browser;
use crate::world::World;

const VIEWS: &str = "/console/reviews/views";

#[tokio::test]
async fn a_view_is_saved_for_everybody() {
    let world = World::start().await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    li.get("/console/reviews?tab=team&process=change").await.expect(200).says("Save as a view").silent_about("All views");
    li.get(VIEWS).await.expect(200).says("No view is saved.");
    let fields = [("name", "<b>Changes</b> 改"), ("tab", "team"), ("process", "change"), ("elsewhere", "//evil")];
    let there = "/console/reviews?tab=team&process=change";
    assert_eq!(li.act(VIEWS, &fields).await.to(), there);
    let page = li.get(there).await.expect(200).says("Saved.").silent_about("<b>Changes");
    page.says(
        "href=\"/console/reviews?tab=team&#38;process=change\" aria-current=\"page\">&#60;b&#62;Changes&#60;/b&#62; 改</a>",
    );
    // Everybody has it, and where the filters differ it is not the place where one is.
    let mut wang = Browser::signed_in(&world, "wang", &["reviewer"]).await;
    let page = wang.get("/console/reviews?tab=team").await.expect(200);
    page.says("href=\"/console/reviews?tab=team&#38;process=change\">&#60;b&#62;Changes");
    for (name, says) in [("<b>Changes</b> 改", "There is a view of this name already."), ("", "1 to 60 characters")] {
        wang.act(VIEWS, &[("name", name), ("tab", "mine")]).await.expect(422).says(says);
    }
    let mut audit = Browser::signed_in(&world, "wu", &["auditor"]).await;
    audit.cookies.insert("mozhao_lang".to_owned(), "zh-CN".to_owned());
    audit.get("/console/reviews").await.expect(200).says("管理视图").silent_about("保存为视图");
    audit.get(VIEWS).await.expect(200).says("Changes&#60;/b&#62; 改").silent_about("重命名");
    audit.act(VIEWS, &[("name", "mine"), ("tab", "team")]).await.expect(403);
    Browser::signed_in(&world, "app", &["submitter"]).await.act(VIEWS, &fields).await.expect(403);
    li.post(VIEWS, &fields).await.expect(403).says("not sent from your session");
}

#[tokio::test]
async fn a_view_is_changed_by_who_saved_it_and_by_operators() {
    let world = World::start().await;
    let view = json!({"place": "reviews", "name": "Mine", "query": "tab=mine"});
    let id = world.post("li", "/v1/views", &view).await.expect(201).id();
    let other = json!({"place": "reviews", "name": "Other", "query": "tab=team"});
    world.post("wang", "/v1/views", &other).await.expect(201);
    let (rename, remove) = (format!("{VIEWS}/{id}"), format!("{VIEWS}/{id}/remove"));
    let mut wang = Browser::signed_in(&world, "wang", &["reviewer"]).await;
    wang.get(VIEWS).await.expect(200).says("Mine").silent_about(&remove);
    wang.act(&rename, &[("name", "Yours")]).await.expect(403);
    wang.act(&remove, &[]).await.expect(403);
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    li.get(VIEWS).await.expect(200).says(&remove);
    li.act(&rename, &[("name", "Other")]).await.expect(422).says("There is a view of this name already.");
    assert_eq!(li.act(&rename, &[("name", "Ours")]).await.to(), VIEWS);
    li.get(VIEWS).await.expect(200).says("Saved.").says("Ours").silent_about("Mine<");
    let mut ops = Browser::signed_in(&world, "ops", &["operator"]).await;
    assert_eq!(ops.act(&remove, &[]).await.to(), VIEWS);
    ops.get(VIEWS).await.expect(200).says("Other").silent_about("Ours");
    ops.act(&remove, &[]).await.expect(404);
}

#[tokio::test]
async fn a_view_holds_filters_and_nothing_else() {
    let world = World::start().await;
    let query = "tab=%22%3E%3Cscript%3E&cursor=x&back=//evil";
    let view = json!({"place": "reviews", "name": "odd", "query": query});
    world.post("li", "/v1/views", &view).await.expect(201);
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    for path in ["/console/reviews", VIEWS] {
        let page = li.get(path).await.expect(200).silent_about("<script>alert").silent_about("evil").silent_about("cursor=x");
        page.says("/console/reviews?tab=%22%3E%3Cscript%3E\"");
    }
    li.get("/console/reviews?tab=%22%3E%3Cscript%3E").await.expect(200);
}
