//! Reads for people and programs.

use mozhao::domain::time::Time;
use mozhao::engine::ports::balance::Counted;
use mozhao::engine::ports::records::RequestFilter;
use uuid::Uuid;

use super::world::{LATER, T0, World, end, entry, release, step, w};

pub(super) async fn lists_are_filtered_and_paged(world: &World) {
    let worker = world.worker().await;
    let mut ids = Vec::new();
    for n in 0..6_i64 {
        let mut accept = world.accept(worker);
        accept.row.customer = format!("c-{}", n % 2);
        accept.row.process = if n < 4 { "card_unbind".into() } else { "phone_change".into() };
        accept.row.producer = if n == 5 { "call".into() } else { "web".into() };
        accept.row.accepted_at = Time(T0.0 + n);
        ids.push(accept.row.id);
        world.write(worker, accept).await;
    }
    let mut refused = end(ids[0], 1, "refused");
    refused.summary.reason = Some("not_your_card".into());
    let mut parked = release(ids[1], 1, "parked", None);
    parked.summary.parked = Some("dependency:face".into());
    let batch = [w(refused), w(parked), w(end(ids[2], 1, "done")), w(step(ids[3], 1))];
    world.store.commit(worker, &batch).await.unwrap();
    let list = async |filter: RequestFilter| {
        let rows = world.store.requests(&filter, None, 99).await.unwrap();
        rows.into_iter().map(|row| ids.iter().position(|id| *id == row.id).unwrap()).collect::<Vec<_>>()
    };
    let all = RequestFilter::default;
    assert_eq!(list(all()).await, [5, 4, 3, 2, 1, 0]);
    assert_eq!(list(RequestFilter { processes: vec!["phone_change".into(), "x".into()], ..all() }).await, [5, 4]);
    assert_eq!(list(RequestFilter { states: vec!["queued".into(), "parked".into()], ..all() }).await, [5, 4, 1]);
    assert_eq!(list(RequestFilter { states: vec!["done".into(), "refused".into()], ..all() }).await, [2, 0]);
    assert_eq!(list(RequestFilter { states: vec!["done".into(), "queued".into()], ..all() }).await, [5, 4, 2]);
    assert_eq!(list(RequestFilter { customer: Some("c-1".into()), ..all() }).await, [5, 3, 1]);
    assert_eq!(list(RequestFilter { customer: Some("c-1".into()), states: vec!["parked".into()], ..all() }).await, [1]);
    assert_eq!(list(RequestFilter { producer: Some("call".into()), ..all() }).await, [5]);
    assert_eq!(list(RequestFilter { reason: Some("not_your_card".into()), ..all() }).await, [0]);
    assert_eq!(list(RequestFilter { parked: Some("dependency:face".into()), ..all() }).await, [1]);
    assert_eq!(list(RequestFilter { step: Some("face".into()), states: vec!["running".into()], ..all() }).await, [3]);
    assert_eq!(list(RequestFilter { before: Some(Time(T0.0 + 2)), ..all() }).await, [1, 0]);
    assert_eq!(list(RequestFilter { after: Some(Time(T0.0 + 2)), before: Some(Time(T0.0 + 4)), ..all() }).await, [3, 2]);
    assert_eq!(list(RequestFilter { processes: vec!["phone_change".into()], ..all() }).await, [5, 4]);
    assert_eq!(list(RequestFilter { processes: vec!["card_unbind".into()], states: vec!["done".into()], ..all() }).await, [2]);
    let page = world.store.requests(&RequestFilter { processes: vec!["card_unbind".into()], ..all() }, Some(ids[2]), 1).await;
    assert_eq!(page.unwrap().iter().map(|row| row.id).collect::<Vec<_>>(), [ids[1]]);
    let page = world.store.requests(&all(), Some(ids[3]), 2).await.unwrap();
    assert_eq!(page.iter().map(|row| row.id).collect::<Vec<_>>(), [ids[2], ids[1]]);
}

pub(super) async fn a_request_is_found_by_its_message(world: &World) {
    let worker = world.worker().await;
    let mut ids = Vec::new();
    for (producer, message, process) in [
        ("web", "m:1", "card_unbind"),
        ("call", "m:1", "card_unbind"),
        ("web", "m:2", "phone_change"),
        ("web", "单 3", "card_unbind"),
    ] {
        let mut accept = world.accept(worker);
        (accept.producer, accept.message) = (producer.into(), message.into());
        (accept.row.producer, accept.row.message, accept.row.process) = (producer.into(), message.into(), process.into());
        ids.push(accept.row.id);
        world.write(worker, accept).await;
    }
    let list = async |filter: RequestFilter, before: Option<Uuid>| {
        let rows = world.store.requests(&filter, before, 9).await.unwrap();
        assert_eq!(world.store.end_of_walk(&filter, before).await.unwrap(), None);
        rows.into_iter().map(|row| ids.iter().position(|id| *id == row.id).unwrap()).collect::<Vec<_>>()
    };
    let of = |producer: &str, message: &str| RequestFilter {
        producer: Some(producer.into()),
        message: Some(message.into()),
        ..RequestFilter::default()
    };
    assert_eq!(list(of("web", "m:1"), None).await, [0]);
    assert_eq!(list(of("call", "m:1"), None).await, [1], "each producer has its own ids");
    assert_eq!(list(of("web", "单 3"), None).await, [3]);
    assert_eq!(list(of("call", "m:2"), None).await, [0; 0]);
    let nobodys = RequestFilter { message: Some("m:1".into()), ..RequestFilter::default() };
    assert_eq!(list(nobodys, None).await, [0; 0]);
    // With whatever else it should be, and not on the next page.
    assert_eq!(list(RequestFilter { processes: vec!["phone_change".into()], ..of("web", "m:2") }, None).await, [2]);
    assert_eq!(list(RequestFilter { processes: vec!["card_unbind".into()], ..of("web", "m:2") }, None).await, [0; 0]);
    assert_eq!(list(RequestFilter { states: vec!["running".into()], ..of("web", "m:2") }, None).await.len(), 0);
    assert_eq!(list(RequestFilter { customer: Some("c-1".into()), ..of("web", "m:2") }, Some(ids[3])).await, [2]);
    assert_eq!(list(of("web", "m:2"), Some(ids[2])).await, [0; 0]);
}

pub(super) async fn how_the_last_ones_went(world: &World) {
    let worker = world.worker().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let mut accept = world.accept(worker);
        accept.row.process = if n == 3 { "phone_change".into() } else { "card_unbind".into() };
        accept.row.accepted_at = Time(T0.0 + n);
        ids.push(accept.row.id);
        world.write(worker, accept).await;
    }
    let mut refused = end(ids[2], 1, "refused");
    refused.summary.reason = Some("not_your_card".into());
    world.write(worker, refused).await;
    let went = async |processes: &[&str], since: i64, limit| {
        let processes: Vec<String> = processes.iter().map(|name| (*name).to_owned()).collect();
        let found = world.store.lately(&processes, Time(T0.0 + since), limit).await.unwrap();
        found.into_iter().map(|went| (went.accepted_at.0 - T0.0, went.state, went.reason)).collect::<Vec<_>>()
    };
    let queued = |at: i64| (at, "queued".to_owned(), None);
    let third = (2, "refused".to_owned(), Some("not_your_card".to_owned()));
    assert_eq!(went(&[], 1, 9).await, [queued(4), queued(3), third.clone(), queued(1)]);
    assert_eq!(went(&[], 0, 2).await, [queued(4), queued(3)]);
    assert_eq!(went(&["card_unbind"], 2, 9).await, [queued(4), third]);
    assert_eq!(went(&["card_unbind", "phone_change"], 3, 9).await, [queued(4), queued(3)]);
    assert_eq!(went(&["phone_change"], 4, 9).await, []);
    let one = world.store.lately(&[], Time(T0.0 + 2), 3).await.unwrap().remove(2);
    assert_eq!((one.process.as_str(), one.person, one.ended_at.is_some()), ("card_unbind", false, true));
}

pub(super) async fn entries_are_paged(world: &World) {
    let worker = world.worker().await;
    let id = world.running(worker).await;
    let mut more = step(id, 2);
    more.entries.push(entry(4));
    (more.summary.seq, more.summary.head) = (4, entry(4).hash);
    world.write(worker, more).await;
    assert_eq!(world.store.entries(id, 0, 9).await.unwrap(), [entry(1), entry(2), entry(3), entry(4)]);
    assert_eq!(world.store.entries(id, 1, 2).await.unwrap(), [entry(2), entry(3)]);
    assert!(world.store.entries(id, 4, 9).await.unwrap().is_empty());
    assert!(world.store.entries(Uuid::from_u128(77_777), 0, 9).await.unwrap().is_empty());
    let other = world.running(worker).await;
    let of = world.store.entries_of(&[other, Uuid::from_u128(77_777), id], 99).await.unwrap();
    let expected = [(other, 1), (other, 2), (id, 1), (id, 2), (id, 3), (id, 4)];
    assert_eq!(of, expected.map(|(id, seq)| (id, entry(seq))));
    assert!((3..=4).contains(&world.store.entries_of(&[id, other], 3).await.unwrap().len()), "a bound");
}

pub(super) async fn rejected_ones_are_paged(world: &World) {
    let worker = world.worker().await;
    let mut ids = Vec::new();
    for n in 0..4_u8 {
        let reject = world.reject(Some("k"), &[n]);
        ids.push(reject.id);
        world.write(worker, reject).await;
    }
    let page = |rows: Vec<mozhao::engine::ports::records::RejectedRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(page(world.store.rejected(None, 3).await.unwrap()), [ids[3], ids[2], ids[1]]);
    assert_eq!(page(world.store.rejected(Some(ids[1]), 3).await.unwrap()), [ids[0]]);
}

pub(super) async fn the_balance_holds(world: &World) {
    let worker = world.worker().await;
    assert!(world.store.balance().await.unwrap().holds());
    world.running(worker).await;
    world.resting(worker, Some(LATER)).await;
    // Due for long, and nobody's.
    world.resting(worker, Some(T0)).await;
    world.parked(worker, "dependency:face", T0).await;
    world.in_review(worker, false).await;
    let queued = world.in_lane(worker, "l");
    world.write(worker, queued).await;
    let ended = world.running(worker).await;
    world.write(worker, end(ended, 2, "done")).await;
    let balance = world.store.balance().await.unwrap();
    let open = (balance.queued, balance.running, balance.waiting, balance.parked, balance.in_review);
    assert_eq!(open, (1, 1, 2, 1, 1));
    assert_eq!((balance.accepted, balance.done, balance.open(), balance.overdue), (7, 1, 6, 1));
    assert!(balance.holds());
    world.store.claim(worker, 9).await.unwrap();
    assert_eq!(world.store.balance().await.unwrap().overdue, 0);
}

pub(super) async fn open_ones_are_counted(world: &World) {
    let worker = world.worker().await;
    for _ in 0..2 {
        world.parked(worker, "dependency:face", T0).await;
    }
    world.parked(worker, "defect:f1", T0).await;
    world.running(worker).await;
    let ended = world.running(worker).await;
    world.write(worker, end(ended, 2, "done")).await;
    let counted = |state: &str, parked: Option<&str>, count| Counted {
        process: "card_unbind".into(),
        state: state.into(),
        parked: parked.map(Into::into),
        step: Some("face".into()),
        count,
    };
    let rows = world.store.balance().await.unwrap().places;
    let expected =
        [counted("parked", Some("defect:f1"), 1), counted("parked", Some("dependency:face"), 2), counted("running", None, 1)];
    assert_eq!(rows, expected);
}
