//! The witness of stale writes is worth something: it sees each kind of them, and only them.

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

use super::bank;
use super::books::{self, Expect};
use super::broker::Message;
use super::world::{PATIENCE, Place, Plan, World};
use crate::harness::proxy::{Flow, Way};
use crate::harness::wait;

#[tokio::test(flavor = "multi_thread")]
async fn stale_writes_are_seen() {
    let mut world = World::new(Plan { through: vec![Place::Effects], ..Plan::default() }).await;
    // The row stays as it is while it is played with, however long that takes: its effect gets no answer, and nobody gives it up.
    world.effects_within("60s");
    world.proxy(Place::Effects).flow(Way::Down, Flow::Hold);
    let (first, second) = (world.worker().await, world.worker().await);
    bank::put_card(&world.bank, "U0", "K0");
    let messages = [Message::plain("app", "m-0", "matrix_none", &json!({"customer_id": "U0", "card_id": "K0"}))];
    world.publish(&messages).await;
    let bank = world.bank.clone();
    let called = || !bank.calls(|call| call.path.ends_with("/unbind")).is_empty();
    wait::until_true("the effect to be on its way", PATIENCE, called).await;
    let row =
        wait::until_some("its row", PATIENCE, || async { world.requests().await.into_iter().find(|row| row.owner.is_some()) })
            .await;
    let (request, owner) = (row.id, row.owner.unwrap());
    let workers = world.store.workers().await.unwrap();
    let other = workers.iter().map(|row| row.id).find(|id| *id != owner).unwrap();
    let (step, claim) = ("seq = seq + 1", format!("owner = '{other}'"));
    let event = format!("INSERT INTO unpublished VALUES ('{owner}', '{0}', ARRAY['{0}']::UUID[])", Uuid::now_v7());
    let update = |change: &str| format!("UPDATE requests SET {change} WHERE id = '{request}'");
    let dead = |id: Uuid| format!("DELETE FROM workers WHERE id = '{id}'");
    // Who says that he writes, what, after what; whether that is right.
    let cases = [
        ("the owner", Some(owner), String::new(), update(step), 0),
        ("nobody has passed the fence", None, String::new(), update(step), 1),
        ("another one, who lives", Some(other), String::new(), update(step), 1),
        ("the owner, declared dead", Some(owner), dead(owner), update(step), 1),
        ("another one, declared dead", Some(other), dead(other), update(step), 1),
        ("the row was released meanwhile", Some(owner), update("owner = NULL"), update(step), 1),
        ("it is taken from its owner", Some(other), String::new(), update(&claim), 1),
        ("it is taken for somebody else", Some(owner), update("owner = NULL"), update(&claim), 1),
        ("a free one is taken", Some(other), update("owner = NULL"), update(&claim), 0),
        ("the owner's event", Some(owner), String::new(), event.clone(), 0),
        ("an event of somebody else", Some(other), String::new(), event.clone(), 1),
        ("an event of a dead one", Some(owner), dead(owner), event, 1),
        ("no step at all", None, String::new(), update("signalled = signalled + 1"), 0),
    ];
    let mut connection = PgConnection::connect(&world.database).await.unwrap();
    for (case, writer, before, write, breaches) in cases {
        let writer = writer.map_or_else(String::new, |id| id.to_string());
        let play = format!("BEGIN; {before}; SELECT set_config('mozhao.worker', '{writer}', TRUE); {write}");
        sqlx::raw_sql(AssertSqlSafe(play)).execute(&mut connection).await.unwrap();
        let seen: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM e2e_breaches").fetch_one(&mut connection).await.unwrap();
        sqlx::raw_sql("ROLLBACK").execute(&mut connection).await.unwrap();
        assert_eq!(seen, breaches, "{case}");
    }
    world.heal();
    books::check(&mut world, Expect { sent: &messages, ended: 1, workers: &[&first, &second], ..Expect::default() }).await;
}
