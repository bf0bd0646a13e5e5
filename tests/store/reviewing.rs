//! Reviewers: leases, decisions, four eyes, lists.

use std::sync::Arc;
use std::time::Duration;

use mozhao::domain::request::signal::{Decision, Signal};
use mozhao::domain::time::Time;
use mozhao::domain::words::Choice;
use mozhao::engine::ports::records::{DecisionFilter, ReviewFilter, ReviewRow};
use mozhao::engine::ports::store::{Consumed, ReviewAct, ReviewChange, ReviewPut, StoreError, Written};
use tokio::sync::Barrier;
use uuid::Uuid;

use super::world::{LATER, T0, World, end, step};

fn claim(by: &str, until: Time, steal: bool) -> ReviewAct {
    ReviewAct::Claim { by: by.into(), until, steal }
}

pub(super) fn decide(review: &ReviewRow, by: &str, version: u32, choice: Choice) -> ReviewAct {
    let decision = Decision {
        review: review.id,
        choice,
        by: by.into(),
        first_by: None,
        first_note: None,
        reason: None,
        note: format!("by {by}"),
        fields: std::collections::BTreeMap::new(),
    };
    ReviewAct::Decide { version, decision }
}

async fn act(world: &World, review: &ReviewRow, act: &ReviewAct) -> ReviewPut {
    world.store.review_act(review.id, act, world.id(), T0).await.unwrap()
}

#[track_caller]
fn set_aside(put: ReviewPut) -> ReviewRow {
    let ReviewPut::SetAside(row) = put else { panic!("{put:?}") };
    *row
}

fn done(put: ReviewPut) -> ReviewRow {
    let ReviewPut::Done(row, None) = put else { panic!("{put:?}") };
    *row
}

pub(super) async fn claiming_is_a_lease(world: &World) {
    let worker = world.worker().await;
    let (_, review) = world.in_review(worker, false).await;
    let held = done(act(world, &review, &claim("ann", LATER, false)).await);
    assert_eq!((held.claimed_by.as_deref(), held.claimed_until, held.version), (Some("ann"), Some(LATER), 1));
    assert_eq!(world.store.review(review.id).await.unwrap(), held);
    assert_eq!(act(world, &review, &claim("bob", LATER, false)).await, ReviewPut::Taken(Box::new(held.clone())));
    let release = |by: &str| ReviewAct::Release { by: by.into() };
    assert_eq!(act(world, &review, &release("bob")).await, ReviewPut::Taken(Box::new(held.clone())));
    assert_eq!(act(world, &review, &decide(&review, "bob", 1, Choice::Approve)).await, ReviewPut::Taken(Box::new(held)));
    let renewed = done(act(world, &review, &claim("ann", Time(LATER.0 + 1), false)).await);
    assert_eq!(renewed.claimed_until, Some(Time(LATER.0 + 1)));
    assert_eq!(done(act(world, &review, &claim("bob", LATER, true)).await).claimed_by.as_deref(), Some("bob"));
    assert_eq!(done(act(world, &review, &release("bob")).await).claimed_by, None);
    done(act(world, &review, &claim("ann", T0, false)).await);
    let after_lapse = done(act(world, &review, &claim("bob", LATER, false)).await);
    assert_eq!(after_lapse.claimed_by.as_deref(), Some("bob"), "a lease that has run out holds nobody off");
    assert!(matches!(
        world.store.review_act(world.id(), &claim("a", LATER, false), world.id(), T0).await,
        Err(StoreError::NotFound(_))
    ));
    let nul = world.store.review_act(review.id, &claim("a\0", LATER, true), world.id(), T0).await;
    assert!(matches!(nul, Err(StoreError::Data(_))));
}

pub(super) async fn deciding_once(world: &World) {
    let worker = world.worker().await;
    let (request, review) = world.in_review(worker, false).await;
    done(act(world, &review, &claim("ann", LATER, false)).await);
    let signal_id = world.id();
    let decision = decide(&review, "ann", 1, Choice::Approve);
    let put = world.store.review_act(review.id, &decision, signal_id, T0).await.unwrap();
    let ReviewAct::Decide { decision, .. } = decision else { unreachable!() };
    let expected = ReviewRow { state: "deciding".into(), version: 2, decision: Some(decision.clone()), ..review.clone() };
    assert_eq!(put, ReviewPut::Done(Box::new(expected.clone()), Some(signal_id)));
    assert_eq!(world.store.review(review.id).await.unwrap(), expected);
    assert_eq!(world.store.signals(request).await.unwrap(), [(signal_id, Signal::Decide(decision))]);
    // Nothing more is done to it.
    for (by, version) in [("bob", 2), ("ann", 1)] {
        let put = act(world, &review, &decide(&review, by, version, Choice::Refuse)).await;
        assert_eq!(put, ReviewPut::Stale(Box::new(expected.clone())));
    }
    assert_eq!(act(world, &review, &claim("bob", LATER, true)).await, ReviewPut::Stale(Box::new(expected)));
    assert_eq!(world.store.request(request).await.unwrap().signalled, 1);
    // The owner applies it.
    assert_eq!(world.store.claim(worker, 9).await.unwrap().len(), 1);
    let mut decided = step(request, 2);
    (decided.seen, decided.review) = (1, Some(ReviewChange::Decided(review.id)));
    assert_eq!(world.write(worker, decided).await, Written::Advanced);
    let row = world.store.review(review.id).await.unwrap();
    assert_eq!((row.state.as_str(), row.closed_at, row.version), ("decided", Some(T0), 2));
}

/// Its owner does not apply a decision: the question is asked anew, by the version that it has by now, and not once it is closed.
pub(super) async fn a_decision_that_is_not_applied_is_asked_anew(world: &World) {
    let worker = world.worker().await;
    for four_eyes in [false, true] {
        let (request, review) = world.in_review(worker, four_eyes).await;
        let mut version = 1;
        if four_eyes {
            done(act(world, &review, &decide(&review, "eve", 1, Choice::Approve)).await);
            version = 2;
        }
        let (signal_id, wrong) = (world.id(), decide(&review, "ann", version, Choice::Approve));
        world.store.review_act(review.id, &wrong, signal_id, T0).await.unwrap();
        world.store.claim(worker, 9).await.unwrap();
        let mut refused = step(request, 2);
        (refused.seen, refused.review) = (1, Some(ReviewChange::Reopened(review.id)));
        refused.consumed = vec![Consumed { signal: signal_id, answer: "no".into() }];
        assert_eq!(world.write(worker, refused).await, Written::Advanced);
        let open = ReviewRow { version: version + 1, ..review.clone() };
        assert_eq!(world.store.review(review.id).await.unwrap(), open);
        let second = ReviewFilter { second: true, request: Some(request), ..Default::default() };
        assert_eq!(world.store.reviews(&second, None, 9).await.unwrap(), []);
        // Whoever sends it again hears the same; another one decides.
        let again = world.store.review_act(review.id, &wrong, signal_id, T0).await.unwrap();
        assert_eq!(again, ReviewPut::Done(Box::new(open), Some(signal_id)));
        done(act(world, &review, &claim("bob", LATER, false)).await);
        world.store.signal(world.id(), request, &Signal::Withdraw { by: "c".into(), note: None }, T0).await.unwrap();
        world.store.claim(worker, 9).await.unwrap();
        let mut last = end(request, 3, "withdrawn");
        (last.seen, last.review) = (2, Some(ReviewChange::Cancelled(review.id)));
        assert_eq!(world.write(worker, last).await, Written::Advanced);
        assert_eq!(world.store.review(review.id).await.unwrap().state, "cancelled");
    }
}

/// Who took a review over, gave it back or raised it, and from whom, is on record with the act itself.
pub(super) async fn who_took_over_is_on_record(world: &World) {
    let worker = world.worker().await;
    let (request, review) = world.in_review(worker, false).await;
    let release = |by: &str| ReviewAct::Release { by: by.into() };
    let all = [
        claim("ann", LATER, false),
        claim("ann", LATER, false),
        claim("bob", LATER, false),
        claim("bob", LATER, true),
        release("ann"),
        release("bob"),
        release("bob"),
        claim("ann", LATER, false),
        ReviewAct::Escalate { by: "bob".into() },
        ReviewAct::Escalate { by: "bob".into() },
        claim("ann", T0, false),
        claim("bob", LATER, true),
    ];
    let mut ids = Vec::new();
    for one in all {
        ids.push(world.id());
        world.store.review_act(review.id, &one, ids[ids.len() - 1], T0).await.unwrap();
    }
    let acts = world.store.reviewing().acts(None, None, 99).await.unwrap();
    assert!(acts.iter().all(|act| (act.request, act.review, act.at) == (Some(request), Some(review.id), T0)), "{acts:?}");
    let told: Vec<_> = acts.iter().map(|act| (act.id, act.by.as_str(), act.what.as_str(), act.detail.as_str())).collect();
    let expected = [
        (ids[9], "bob", "review_escalated", ""),
        (ids[8], "bob", "review_escalated", "ann"),
        (ids[5], "bob", "review_released", ""),
        (ids[3], "bob", "review_taken_over", "ann"),
    ];
    assert_eq!(told, expected);
}

pub(super) async fn four_eyes(world: &World) {
    let worker = world.worker().await;
    let (request, review) = world.in_review(worker, true).await;
    done(act(world, &review, &claim("ann", LATER, false)).await);
    let first = done(act(world, &review, &decide(&review, "ann", 1, Choice::Approve)).await);
    assert_eq!((first.state.as_str(), first.version, first.claimed_by.as_deref()), ("open", 2, None));
    assert_eq!(first.decision.as_ref().unwrap().by, "ann");
    assert!(world.store.signals(request).await.unwrap().is_empty());
    // The second person must differ.
    for again in [decide(&review, "ann", 2, Choice::Approve), claim("ann", LATER, true)] {
        assert_eq!(act(world, &review, &again).await, ReviewPut::Taken(Box::new(first.clone())));
    }
    // They disagree: it starts over.
    let (apart, refuse) = (world.id(), decide(&review, "bob", 2, Choice::Refuse));
    let reopened = set_aside(world.store.review_act(review.id, &refuse, apart, T0).await.unwrap());
    assert_eq!((reopened.state.as_str(), reopened.version, &reopened.decision), ("open", 3, &None));
    assert_eq!(set_aside(world.store.review_act(review.id, &refuse, apart, T0).await.unwrap()), reopened);
    let signals = world.store.signals(request).await.unwrap();
    let [(_, Signal::Note { by, text })] = signals.as_slice() else { panic!("{signals:?}") };
    assert_eq!(by, "bob");
    assert!(text.contains("ann decided approve") && text.contains("bob decided refuse"), "{text}");
    done(act(world, &review, &decide(&review, "bob", 3, Choice::Approve)).await);
    let signal_id = world.id();
    let second = decide(&review, "ann", 4, Choice::Approve);
    let put = world.store.review_act(review.id, &second, signal_id, T0).await.unwrap();
    let ReviewPut::Done(row, Some(sent)) = put else { panic!("{put:?}") };
    let decision = row.decision.unwrap();
    assert_eq!((row.state.as_str(), row.version, sent), ("deciding", 5, signal_id));
    assert_eq!((decision.by.as_str(), decision.first_by.as_deref()), ("ann", Some("bob")));
    assert_eq!(world.store.signals(request).await.unwrap()[1..], [(signal_id, Signal::Decide(decision))]);
    // Whoever was set aside hears so even now: the decision that came of it is not theirs.
    let late = set_aside(world.store.review_act(review.id, &refuse, apart, T0).await.unwrap());
    assert_eq!((late.state.as_str(), late.version), ("deciding", 5));
    // The same choice for another reason, or with other fields, is not the same decision.
    let (_, review) = world.in_review(worker, true).await;
    let with_reason = |by: &str, version, reason: &str| {
        let ReviewAct::Decide { mut decision, .. } = decide(&review, by, version, Choice::Refuse) else { unreachable!() };
        decision.reason = Some(reason.into());
        ReviewAct::Decide { version, decision }
    };
    done(act(world, &review, &with_reason("ann", 1, "face_mismatch")).await);
    assert_eq!(set_aside(act(world, &review, &with_reason("bob", 2, "not_your_card")).await).decision, None);
}

/// Whoever sends the first of two decisions again, because no answer came, hears what the first sending came to.
pub(super) async fn the_first_of_two_decisions_again(world: &World) {
    let worker = world.worker().await;
    let (request, review) = world.in_review(worker, true).await;
    let (signal_id, decision) = (world.id(), decide(&review, "ann", 1, Choice::Approve));
    for _ in 0..2 {
        let put = world.store.review_act(review.id, &decision, signal_id, T0).await.unwrap();
        let kept = done(put);
        assert_eq!((kept.version, kept.state.as_str(), kept.decision.unwrap().by), (2, "open", "ann".into()));
    }
    assert!(world.store.signals(request).await.unwrap().is_empty());
    let other = act(world, &review, &decide(&review, "ann", 1, Choice::Refuse)).await;
    assert!(matches!(other, ReviewPut::Stale(_)), "another decision is not the same: {other:?}");
}

/// One person with a token and a tool is still one pair of eyes.
pub(super) async fn a_tool_does_not_make_two_of_one(world: &World) {
    let worker = world.worker().await;
    for (first, second) in [("ann", "ann@desk"), ("ann@desk", "ann"), ("ann@desk", "ann@app")] {
        let (_, review) = world.in_review(worker, true).await;
        done(act(world, &review, &decide(&review, first, 1, Choice::Approve)).await);
        let put = act(world, &review, &decide(&review, second, 2, Choice::Approve)).await;
        assert!(matches!(put, ReviewPut::Taken(_)), "{first}, {second}: {put:?}");
        let put =
            world.store.review_act(review.id, &decide(&review, "bob@desk", 2, Choice::Approve), world.id(), T0).await.unwrap();
        assert!(matches!(put, ReviewPut::Done(_, Some(_))), "{put:?}");
    }
}

pub(super) async fn stale_decisions(world: &World) {
    let worker = world.worker().await;
    let (_, review) = world.in_review(worker, true).await;
    let first = done(act(world, &review, &decide(&review, "ann", 1, Choice::Approve)).await);
    for version in [1, 3] {
        let put = act(world, &review, &decide(&review, "bob", version, Choice::Approve)).await;
        assert_eq!(put, ReviewPut::Stale(Box::new(first.clone())));
    }
    assert_eq!(world.store.review(review.id).await.unwrap(), first);
}

pub(super) async fn two_decisions_race(world: &World) {
    let worker = world.worker().await;
    for _ in 0..20 {
        let (request, review) = world.in_review(worker, false).await;
        let barrier = Arc::new(Barrier::new(4));
        let tasks: Vec<_> = ["ann", "bob", "eve", "dan"]
            .into_iter()
            .enumerate()
            .map(|(n, by)| {
                let store = if n % 2 == 0 { world.store.clone() } else { world.other.clone() };
                let (gate, id, signal_id) = (barrier.clone(), review.id, world.id());
                let act = decide(&review, by, 1, Choice::Approve);
                tokio::spawn(async move {
                    gate.wait().await;
                    store.review_act(id, &act, signal_id, T0).await.unwrap()
                })
            })
            .collect();
        let mut winners = 0;
        for task in tasks {
            match task.await.unwrap() {
                ReviewPut::Done(_, Some(_)) => winners += 1,
                ReviewPut::Stale(row) => assert_eq!((row.state.as_str(), row.version), ("deciding", 2)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(winners, 1);
        assert_eq!(world.store.signals(request).await.unwrap().len(), 1);
        assert_eq!(world.store.request(request).await.unwrap().signalled, 1);
    }
}

pub(super) async fn the_same_decision_again(world: &World) {
    let worker = world.worker().await;
    let (request, review) = world.in_review(worker, false).await;
    let (signal_id, decision) = (world.id(), decide(&review, "ann", 1, Choice::Approve));
    let first = world.store.review_act(review.id, &decision, signal_id, T0).await.unwrap();
    let again = world.store.review_act(review.id, &decision, signal_id, T0).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(world.store.request(request).await.unwrap().signalled, 1);
}

pub(super) async fn escalating_releases(world: &World) {
    let worker = world.worker().await;
    let (_, review) = world.in_review(worker, false).await;
    done(act(world, &review, &claim("ann", LATER, false)).await);
    let row = done(act(world, &review, &ReviewAct::Escalate { by: "timer".into() }).await);
    assert_eq!((row.escalated, row.claimed_by, row.claimed_until, row.version), (1, None, None, 1));
    assert_eq!(done(act(world, &review, &ReviewAct::Escalate { by: "timer".into() }).await).escalated, 2);
}

pub(super) async fn decisions_on_ended_requests(world: &World) {
    let worker = world.worker().await;
    let (request, review) = world.in_review(worker, false).await;
    world.store.signal(world.id(), request, &Signal::Withdraw { by: "c".into(), note: None }, T0).await.unwrap();
    world.store.claim(worker, 9).await.unwrap();
    let mut last = end(request, 2, "withdrawn");
    (last.seen, last.review) = (1, Some(ReviewChange::Cancelled(review.id)));
    assert_eq!(world.write(worker, last).await, Written::Advanced);
    let put = act(world, &review, &decide(&review, "ann", 1, Choice::Approve)).await;
    let ReviewPut::Stale(row) = put else { panic!("{put:?}") };
    assert_eq!(row.state, "cancelled");
    assert_eq!(world.store.request(request).await.unwrap().signalled, 1);
}

pub(super) async fn lists_are_filtered_and_paged(world: &World) {
    let worker = world.worker().await;
    let mut ids = Vec::new();
    for n in 0..5_u64 {
        let accept = world.accept(worker);
        let request = accept.row.id;
        world.write(worker, accept).await;
        let (_, template) = world.in_review(worker, false).await;
        let review = ReviewRow {
            id: world.id(),
            request,
            process: if n < 2 { "phone_change".into() } else { "card_unbind".into() },
            name: if n == 0 { "late".into() } else { "face_uncertain".into() },
            role: [None, Some("identity".into()), Some("fraud".into())][usize::try_from(n).unwrap() % 3].clone(),
            // The first is due last; two are due at the same time.
            due_at: T0.plus(Duration::from_secs(10 - n.max(1))),
            ..template.clone()
        };
        let mut ask = step(request, 1);
        ask.review = Some(ReviewChange::Open(Box::new(review.clone())));
        assert_eq!(world.write(worker, ask).await, Written::Advanced);
        // The template's own review is closed.
        world.store.signal(world.id(), template.request, &Signal::Withdraw { by: "c".into(), note: None }, T0).await.unwrap();
        world.store.claim(worker, 9).await.unwrap();
        let mut close = step(template.request, 2);
        (close.seen, close.review) = (1, Some(ReviewChange::Cancelled(template.id)));
        world.write(worker, close).await;
        ids.push(review.id);
    }
    done(world.store.review_act(ids[3], &claim("ann", LATER, false), world.id(), T0).await.unwrap());
    done(world.store.review_act(ids[4], &claim("bob", T0, false), world.id(), T0).await.unwrap());
    let list = async |filter: ReviewFilter| {
        let rows = world.store.reviews(&filter, None, 99).await.unwrap();
        rows.into_iter().map(|row| ids.iter().position(|id| *id == row.id).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(list(ReviewFilter::default()).await, [4, 3, 2, 0, 1]);
    assert_eq!(list(ReviewFilter { processes: vec!["phone_change".into()], ..Default::default() }).await, [0, 1]);
    assert_eq!(list(ReviewFilter { roles: Some(vec!["identity".into()]), ..Default::default() }).await, [4, 3, 0, 1]);
    assert_eq!(list(ReviewFilter { roles: Some(vec![]), ..Default::default() }).await, [3, 0], "for anybody");
    assert_eq!(list(ReviewFilter { name: Some("late".into()), ..Default::default() }).await, [0]);
    assert_eq!(list(ReviewFilter { claimed_by: Some(("ann".into(), T0)), ..Default::default() }).await, [3]);
    let held_by = |name: &str, at| ReviewFilter { claimed_by: Some((name.into(), at)), ..Default::default() };
    assert_eq!(list(held_by("ann", Time(LATER.0 - 1))).await, [3]);
    assert_eq!(list(held_by("ann", LATER)).await, Vec::<usize>::new(), "a lease that has run out holds nothing");
    assert_eq!(list(held_by("bob", T0)).await, Vec::<usize>::new());
    assert_eq!(list(ReviewFilter { unclaimed_at: Some(T0), ..Default::default() }).await, [4, 2, 0, 1]);
    let request = world.store.review(ids[2]).await.unwrap().request;
    assert_eq!(list(ReviewFilter { request: Some(request), ..Default::default() }).await, [2]);
    let states = vec!["cancelled".into(), "deciding".into()];
    assert_eq!(world.store.reviews(&ReviewFilter { states, ..Default::default() }, None, 99).await.unwrap().len(), 5);
    // Pages.
    let mut pages: Vec<Uuid> = Vec::new();
    let mut after = None;
    loop {
        let page = world.store.reviews(&ReviewFilter::default(), after, 2).await.unwrap();
        let Some(end) = page.last() else { break };
        after = Some((end.due_at, end.id));
        pages.extend(page.iter().map(|row| row.id));
    }
    assert_eq!(pages, [ids[4], ids[3], ids[2], ids[0], ids[1]]);
}

pub(super) async fn decisions_are_listed_last_first(world: &World) {
    let worker = world.worker().await;
    let mut ids = Vec::new();
    for (n, by) in ["ann", "bob", "ann"].into_iter().enumerate() {
        let (request, review) = world.in_review(worker, n == 1).await;
        if n == 1 {
            done(act(world, &review, &decide(&review, "eve", 1, Choice::Approve)).await);
            let second = ReviewFilter { second: true, ..Default::default() };
            let listed = world.store.reviews(&second, None, 9).await.unwrap();
            assert_eq!(listed.iter().map(|row| row.id).collect::<Vec<_>>(), [review.id], "a second person must decide");
            // Known by the person, whichever of their names they decided under; and by nobody whose name begins so.
            for (name, found) in [("eve", true), ("ev", false), ("eve@", false), ("ann", false)] {
                let first = ReviewFilter { second: true, first_by: Some(name.to_owned()), ..Default::default() };
                let listed = world.store.reviews(&first, None, 9).await.unwrap();
                assert_eq!(listed.len(), usize::from(found), "{name}");
            }
        }
        let version = if n == 1 { 2 } else { 1 };
        let mut decided = decide(&review, by, version, Choice::Approve);
        if let ReviewAct::Decide { decision, .. } = &mut decided {
            // What a JSON type would not take must not make anybody's decisions unreadable.
            decision.note.push_str(" \0 \u{1f642}\"");
        }
        let put = act(world, &review, &decided).await;
        assert!(matches!(put, ReviewPut::Done(_, Some(_))), "{put:?}");
        assert_eq!(world.store.decisions(&DecisionFilter::default(), None, 9).await.unwrap().len(), n, "not applied yet");
        world.store.claim(worker, 9).await.unwrap();
        let mut close = step(request, 2);
        (close.seen, close.review) = (1, Some(ReviewChange::Decided(review.id)));
        close.summary.at = T0.plus(Duration::from_secs(n as u64));
        assert_eq!(world.write(worker, close).await, Written::Advanced);
        ids.insert(0, review.id);
    }
    let list = async |filter: DecisionFilter, before, limit| {
        let rows = world.store.decisions(&filter, before, limit).await.unwrap();
        rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let all = world.store.decisions(&DecisionFilter::default(), None, 9).await.unwrap();
    assert_eq!(all.iter().map(|row| row.id).collect::<Vec<_>>(), ids);
    let by = |name: &str| DecisionFilter { by: Some(name.into()), ..Default::default() };
    assert_eq!(list(by("ann"), None, 9).await, [ids[0], ids[2]]);
    assert_eq!(list(by("eve"), None, 9).await, [ids[1]], "also as the first of two");
    assert_eq!(list(DecisionFilter { processes: vec!["other".into()], ..Default::default() }, None, 9).await, Vec::<Uuid>::new());
    let of = |names: &[&str]| DecisionFilter { processes: names.iter().map(|name| (*name).into()).collect(), by: None };
    assert_eq!(list(of(&["card_unbind", "other", "card_unbind"]), None, 2).await, ids[..2]);
    assert_eq!(list(DecisionFilter { by: Some("ann".into()), ..of(&["other"]) }, None, 9).await, Vec::<Uuid>::new());
    assert_eq!(list(DecisionFilter { by: Some("eve".into()), ..of(&["card_unbind"]) }, None, 9).await, [ids[1]]);
    let first = (all[0].closed_at.unwrap(), all[0].id);
    assert_eq!(list(DecisionFilter::default(), Some(first), 1).await, [ids[1]]);
    assert_eq!(list(of(&["card_unbind"]), Some(first), 9).await, ids[1..]);
    assert_eq!(list(by("ann"), Some(first), 9).await, [ids[2]]);
}
