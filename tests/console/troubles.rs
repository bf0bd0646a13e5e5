//! Pages for what is not there, not allowed, not possible or broken: in both languages, with a way on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use mozhao::domain::request::chain::Entry;
use mozhao::domain::request::signal::Signal;
use mozhao::domain::time::Time;
use mozhao::engine::clock::SystemClock;
use mozhao::engine::ports::balance::{Balance, Went};
use mozhao::engine::ports::records::{
    ControlRow, DecisionFilter, DefectRow, Event, Heartbeat, ProcessRow, RejectedRow, RequestFilter, RequestRow, Retention,
    ReviewFilter, ReviewRow, TokenRow, Version, WorkerRow,
};
use mozhao::engine::ports::store::{
    Claimed, Loaded, RequestId, ReviewAct, ReviewPut, Sent, Store, StoreError, WorkerId, Write, Written,
};
use mozhao::store::memory::MemoryStore;
use reqwest::Method;
use uuid::Uuid;

use crate::browser::Browser;
use crate::world::World;
use crate::wrapped_store::Kind;

/// A database that is there, away, or in disorder.
struct Moody {
    inner: Arc<dyn Store>,
    mood: Arc<AtomicU8>,
}

const AWAY: u8 = 1;
const BROKEN: u8 = 2;

impl Moody {
    async fn through<T>(&self, _: Kind, _: &str, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        match self.mood.load(Ordering::SeqCst) {
            AWAY => Err(StoreError::Transient("connection refused".into())),
            BROKEN => Err(StoreError::Broken("relation \"requests\" does not exist".into())),
            _ => call.await,
        }
    }

    async fn through_commit(&self, worker: WorkerId, batch: &[Write]) -> Result<Vec<Written>, StoreError> {
        self.inner.commit(worker, batch).await
    }

    async fn through_rescue(&self, by: WorkerId, lease: Duration) -> Result<Vec<WorkerId>, StoreError> {
        self.inner.rescue(by, lease).await
    }

    async fn through_published(&self, worker: WorkerId, ids: &[Uuid]) -> Result<(), StoreError> {
        self.inner.published(worker, ids).await
    }
}

crate::wrapped_store!(Moody);

async fn moody() -> (World, Arc<AtomicU8>) {
    let mood = Arc::new(AtomicU8::new(0));
    let inner: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    (World::on(Arc::new(Moody { inner, mood: mood.clone() }), &[], |_| {}).await, mood)
}

#[tokio::test]
async fn every_trouble_has_a_page_in_both_languages() {
    let (world, mood) = moody().await;
    let id = world.submit_until("sure-1", "done").await;
    let here = format!("/console/requests/{id}");
    let mut ops = Browser::signed_in(&world, "ops", &["operator"]).await;
    let mut li = Browser::signed_in(&world, "li", &["reviewer"]).await;
    for (lang, nowhere, not_allowed, refused, unavailable, internal, again, home) in [
        (
            "en",
            "Not found",
            "Not for your roles",
            "Not done",
            "Not available at the moment",
            "went wrong on our side",
            "Try again",
            "To the start",
        ),
        ("zh-CN", "未找到", "权限不足", "未执行", "暂不可用", "系统出错", "重试", "返回首页"),
    ] {
        for browser in [&mut ops, &mut li] {
            browser.act("/console/settings", &[("lang", lang)]).await.expect(303);
        }
        let marked = format!("<html lang=\"{lang}\"");
        // No such page, no such thing: with a way to look for it.
        for path in
            ["/console/nowhere", "/console/requests/0192f3a4-0000-7000-8000-00000000000a", "/console/defects/0123456789abcdef"]
        {
            let page = ops.get(path).await.expect(404).says(&marked).says(nowhere).says(home);
            page.says("href=\"/console/requests\"").silent_about(again);
        }
        li.get("/console/overview").await.expect(403).says(&marked).says(not_allowed).says(home);
        li.act(&format!("{here}/withdraw"), &[]).await.expect(403).says(not_allowed);
        // What cannot be done is said on the page that it was asked on.
        ops.act(&format!("{here}/withdraw"), &[]).await.expect(409).says(&marked).says("has ended");
        let trip = "/console/dependencies/bank/trip";
        ops.act(trip, &[("reason", "")]).await.expect(422).says(&marked).says("1 to 500 characters");
        // Where there is no such page, the refusal says why, names an id, and leads back.
        let request =
            ops.request(Method::GET, "/console/requests/nonsense").header("referer", world.url("/console/requests?q=x"));
        let page = ops.send(request).await.expect(400).says(&marked).says(refused).says("<p class=\"wrap\" lang=\"en\">");
        page.says("href=\"/console/requests?q=x\"").says("<code>").silent_about(again);
        // The database is away: so is the page, and it says when to try again.
        mood.store(AWAY, Ordering::SeqCst);
        let page = ops.get("/console/requests?q=state%3Adone").await.expect(503).says(&marked).says(unavailable).says(again);
        assert_eq!(page.headers["retry-after"], "5");
        page.says("href=\"/console/requests?q=state%3Adone\"").silent_about("connection refused");
        mood.store(BROKEN, Ordering::SeqCst);
        let page = ops.get("/console/requests").await.expect(500).says(&marked).says(internal).says(home);
        page.silent_about("relation").says("<code>");
        mood.store(0, Ordering::SeqCst);
        ops.get("/console/requests").await.expect(200);
    }
}

/// Scripts ask for parts of pages. What is no such part never gets into the page: errors are not put in, and who is signed out
/// meanwhile is led to the door.
#[tokio::test]
async fn parts_are_never_whole_pages() {
    let (world, mood) = moody().await;
    let mut ops = Browser::signed_in(&world, "ops", &["operator"]).await;
    ops.get("/console/requests").await.expect(200).says("\"4xx\", \"5xx\"");
    mood.store(AWAY, Ordering::SeqCst);
    let part = ops.request(Method::GET, "/console/requests").header("hx-request", "true");
    ops.send(part).await.expect(503);
    mood.store(0, Ordering::SeqCst);
    ops.act("/console/sign-out", &[]).await.expect(303);
    let part = ops.request(Method::GET, "/console/requests?q=state%3Adone").header("hx-request", "true");
    let page = ops.send(part).await.expect(204);
    assert_eq!(page.headers["hx-redirect"], "/console/sign-in?to=%2Fconsole%2Frequests%3Fq%3Dstate%253Adone");
    assert!(page.text.is_empty() && !page.headers.contains_key("location"));
}
