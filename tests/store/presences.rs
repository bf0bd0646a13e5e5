//! Who has a review open: believed for a while, and swept.

use std::time::Duration;

use mozhao::domain::time::Time;
use mozhao::engine::ports::reviewing::PresenceRow;
use mozhao::engine::ports::store::StoreError;

use super::world::{T0, World};

pub(super) async fn who_has_a_review_open_is_believed_for_a_while(world: &World) {
    let store = world.store.reviewing();
    let (one, other, third) = (world.id(), world.id(), world.id());
    let at = |seconds: u64| T0.plus(Duration::from_secs(seconds));
    let row = |review, by: &str, until: Time| PresenceRow { review, by: by.into(), until };
    for row in [row(one, "王", at(9)), row(one, "li", at(5)), row(other, "li", at(7)), row(third, "li", at(9))] {
        store.be_present(&row).await.unwrap();
    }
    assert_eq!(store.present(&[], T0, 9).await.unwrap(), []);
    let found = store.present(&[other, one], T0, 9).await.unwrap();
    let expected = [row(one, "li", at(5)), row(one, "王", at(9)), row(other, "li", at(7))];
    assert!(found.len() == 3 && expected.iter().all(|row| found.contains(row)), "{found:?}");
    assert_eq!(store.present(&[one], T0, 9).await.unwrap(), expected[..2]);
    assert_eq!(store.present(&[one], T0, 1).await.unwrap(), expected[..1]);
    assert_eq!(store.present(&[one], at(5), 9).await.unwrap(), expected[1..2], "its time is over");
    // Said again, it is the same row.
    store.be_present(&row(one, "li", at(8))).await.unwrap();
    assert_eq!(store.present(&[one], at(5), 9).await.unwrap(), [row(one, "li", at(8)), row(one, "王", at(9))]);
    assert_eq!(store.sweep_presences(at(7), 9).await.unwrap(), 1);
    assert_eq!(store.present(&[other], T0, 9).await.unwrap(), []);
    assert_eq!(store.sweep_presences(at(60), 2).await.unwrap(), 2, "in bounded steps");
    assert_eq!(world.sweep(at(60), 9).await, 1, "with everything else");
    assert_eq!(store.present(&[one, other, third], T0, 9).await.unwrap(), []);
    assert!(matches!(store.be_present(&row(one, "li\0", at(9))).await, Err(StoreError::Data(_))));
}
