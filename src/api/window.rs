//! A stretch of time that a list of what people did is narrowed to, the last ones first.
//!
//! Lists are ordered by time and read page by page, so that both ends cost nothing: the later one is where reading begins, the
//! earlier one is where it ends. What is narrowed further, by what somebody did, is looked for in a bounded number of rows;
//! a page may then have fewer than were asked for, and still a next one.

use uuid::Uuid;

use super::extract::{Query, bad};
use super::problem::Problem;
use crate::domain::time::Time;
use crate::engine::ports::store::StoreError;

/// Pages of the store that one page of an answer is made of, at most.
const PAGES: usize = 10;

/// A stretch of time; without an end it goes on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Window {
    /// At this time or later.
    after: Option<Time>,
    /// Before this time.
    before: Option<Time>,
}

impl Window {
    /// From `after` and `before`.
    pub(super) fn of(query: &Query) -> Result<Window, Problem> {
        let window = Window { after: query.time("after")?, before: query.time("before")? };
        if window.after.zip(window.before).is_some_and(|(after, before)| after >= before) {
            return Err(bad("after", "is earlier than `before`"));
        }
        Ok(window)
    }

    /// Is this time in it?
    pub(super) fn holds(self, at: Time) -> bool {
        !self.passed(at) && self.before.is_none_or(|before| at < before)
    }

    /// Is this time earlier than all of it?
    pub(super) fn passed(self, at: Time) -> bool {
        self.after.is_some_and(|after| at < after)
    }

    /// Where reading by time begins.
    pub(super) fn begin(self, cursor: Option<(Time, Uuid)>) -> Option<(Time, Uuid)> {
        let begin = self.before.map(|before| (before, Uuid::nil()));
        cursor.into_iter().chain(begin).min()
    }

    /// Where reading by ids of version 7 begins: at the millisecond after, since an id says no more.
    pub(super) fn begin_id(self, cursor: Option<Uuid>) -> Option<Uuid> {
        let millis = |before: Time| u128::try_from(before.0.div_euclid(1000).saturating_add(1)).unwrap_or_default();
        let begin = self.before.map(|before| Uuid::from_u128(millis(before) << 80));
        cursor.into_iter().chain(begin).min()
    }

    /// One page of an answer: the rows in this stretch that are wanted, and where the next page begins. `read` gives the store's
    /// page of `limit` rows from a place on, `key` a row's place and time.
    pub(super) async fn page<R, C, F>(
        self,
        limit: usize,
        mut from: Option<C>,
        read: impl Fn(Option<C>) -> F,
        key: impl Fn(&R) -> (C, Time),
        wanted: impl Fn(&R) -> bool,
    ) -> Result<(Vec<R>, Option<C>), StoreError>
    where
        C: Copy + PartialEq,
        F: Future<Output = Result<Vec<R>, StoreError>>,
    {
        let mut found = Vec::new();
        for _ in 0..PAGES {
            let rows = read(from).await?;
            let full = rows.len() == limit;
            let Some((last, at)) = rows.last().map(&key) else { return Ok((found, None)) };
            from = Some(last).filter(|_| full && !self.passed(at));
            for row in rows {
                let (place, at) = key(&row);
                if !self.holds(at) || !wanted(&row) {
                    continue;
                }
                found.push(row);
                if found.len() == limit {
                    // What comes after this one has not been looked at, unless it was the last of its page.
                    return Ok((found, if place == last { from } else { Some(place) }));
                }
            }
            if from.is_none() {
                break;
            }
        }
        Ok((found, from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_late_and_ends_early() {
        let window = Window { after: Some(Time(2_000_000)), before: Some(Time(5_000_500)) };
        let held: Vec<i64> = (0..8).map(|second| second * 1_000_000).filter(|at| window.holds(Time(*at))).collect();
        assert_eq!(held, [2_000_000, 3_000_000, 4_000_000, 5_000_000]);
        assert!(window.passed(Time(1_999_999)) && !window.passed(Time(9_000_000)));
        assert_eq!(window.begin(None), Some((Time(5_000_500), Uuid::nil())));
        let earlier = (Time(3), Uuid::max());
        assert_eq!(window.begin(Some(earlier)), Some(earlier));
        assert_eq!(Window::default().begin(Some(earlier)), Some(earlier));
        let (inside, cursor) = (Uuid::from_u128((5_000 << 80) | 7), Uuid::from_u128(3_000 << 80));
        assert!(window.begin_id(None).is_some_and(|begin| inside < begin), "nothing of the last millisecond is left out");
        assert_eq!(window.begin_id(Some(cursor)), Some(cursor));
        assert_eq!(Window::default().begin_id(None), None);
    }
}
