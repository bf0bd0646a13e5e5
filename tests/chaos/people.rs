//! The people that the promises count on: reviewers who look at the target before they answer, operators who resume what
//! was parked under a defect once its cause is gone.

use std::time::{Duration, Instant};

use mozhao::engine::ports::records::ReviewFilter;
use serde_json::json;

use super::books::Expect;
use super::client::Client;
use super::evidence;
use super::ledgers::{Ledger, object_of};
use super::scenario::Case;
use super::world::World;
use crate::harness::wait;

/// Until every request has ended: answers questions by what the targets did, and resumes defects.
pub async fn settle(case: &Case, deadline: Duration) {
    let people = case.world.client(&case.workers[0], "people").await;
    let (start, wanted) = (Instant::now(), case.sent.len() as u64);
    // Beyond that time nobody waits: the look below ends it.
    wait::until("every request to end", deadline * 2, || async {
        let Some(balance) = case.world.balance().await else { return false };
        if balance.ended() >= wanted {
            return true;
        }
        if start.elapsed() > deadline {
            let open: Vec<_> = case.world.requests().await.into_iter().filter(|row| row.ended_at.is_none()).take(3).collect();
            let workers: Vec<_> = case.workers.iter().collect();
            let expect = Expect { sent: &case.sent, rejected: case.rejected, workers: &workers, ..Expect::default() };
            let certain = evidence::of(&case.world, &expect).await;
            panic!("not settled within {deadline:?}: {balance:?}\n{certain}\n{open:#?}");
        }
        look(&case.world, &people).await;
        false
    })
    .await;
}

/// One look at everything that asks for a person.
pub async fn look(world: &World, people: &Client) {
    for review in world.store.reviews(&ReviewFilter::default(), None, 200).await.unwrap_or_default() {
        let Ok(ledger) = Ledger::read(world.store.as_ref(), review.request).await else { continue };
        let Some((effect, object, path)) = object_of(&ledger, &review.slot) else {
            panic!("nobody here can answer `{}` about `{}`: {:?}", review.name, review.slot, ledger.facts);
        };
        // Whoever asks the target while the call is on its way gets the wrong answer.
        if world.is_called(&path) {
            continue;
        }
        let applied = world.bank.applied(&effect, &object) > 0;
        let choice = if applied { "applied" } else { "not_applied" };
        let body = json!({"version": review.version, "choice": choice, "note": "looked at the target"});
        let (status, answer) = people.post(&format!("/v1/reviews/{}/decide", review.id), &body).await;
        // 409: somebody or something was faster; the next look sees it.
        assert!(matches!(status, 200 | 202 | 409 | 503), "{status} {answer}");
    }
    for defect in world.store.defects(&[], 50).await.unwrap_or_default() {
        let group = format!("defect:{}", defect.fingerprint);
        if world.store.parked_under(&group, 1).await.is_ok_and(|parked| parked > 0) {
            let controls = world.store.controls().await.unwrap_or_default();
            let busy = controls.iter().any(|row| row.group == group && matches!(row.state.as_str(), "half_open" | "resuming"));
            if !busy {
                let (status, answer) = people.post(&format!("/v1/defects/{}/resume", defect.fingerprint), &json!({})).await;
                // 422: the resume of a moment ago is still under way.
                assert!(matches!(status, 200 | 409 | 422 | 503), "{status} {answer}");
            }
        }
    }
}
