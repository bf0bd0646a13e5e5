//! Points around what only people's work goes through: held decisions, notes and views, batches of decisions.

use std::sync::Arc;

use mozhao::domain::time::Time;
use mozhao::engine::ports::batches::{Added, BatchRow, Batches, Came, ItemRow};
use mozhao::engine::ports::reviewing::{ActRow, EndRow, HeldRow, PresenceRow, Reviewing, SnoozeRow, ViewRow};
use mozhao::engine::ports::store::{Store, StoreError};
use uuid::Uuid;

use crate::points::Points;
use crate::wrapped_store::Kind;

macro_rules! wrapped {
    ($port:ident as $wrapper:ident, $part:ident, $prefix:literal:
        $($kind:ident $name:ident [$($argument:ident: $type:ty),*] -> $out:ty;)*) => {
        pub(crate) struct $wrapper {
            pub(crate) inner: Arc<dyn Store>,
            pub(crate) points: Arc<Points>,
        }

        #[async_trait::async_trait]
        impl $port for $wrapper {
            $(async fn $name(&self, $($argument: $type),*) -> Result<$out, StoreError> {
                let call = self.inner.$part().$name($($argument),*);
                self.points.through(Kind::$kind, concat!($prefix, stringify!($name)), call).await
            })*
        }
    };
}

wrapped! { Reviewing as PointReviewing, reviewing, "reviewing ":
    Change hold [held: &HeldRow] -> bool;
    Change take_back [review: Uuid, now: Time, act: &ActRow] -> Option<HeldRow>;
    Read held [review: Uuid] -> Option<HeldRow>;
    Change due_held [now: Time, limit: usize] -> Vec<HeldRow>;
    Change drop_held [review: Uuid, signal_id: Uuid] -> ();
    Change end_held [signal_id: Uuid, end: &EndRow] -> ();
    Read held_end [review: Uuid] -> Option<EndRow>;
    Change sweep_ends [before: Time, limit: usize] -> u64;
    Change snooze [snooze: &SnoozeRow, act: &ActRow] -> ();
    Change wake [review: Uuid, act: &ActRow] -> bool;
    Read snoozed [reviews: &[Uuid], now: Time] -> Vec<SnoozeRow>;
    Change sweep_snoozes [before: Time, limit: usize] -> u64;
    Change be_present [presence: &PresenceRow] -> ();
    Read present [reviews: &[Uuid], now: Time, limit: usize] -> Vec<PresenceRow>;
    Change sweep_presences [now: Time, limit: usize] -> u64;
    Change add_view [view: &ViewRow, act: &ActRow] -> bool;
    Read views [place: &str, limit: usize] -> Vec<ViewRow>;
    Read view [id: Uuid] -> ViewRow;
    Change rename_view [id: Uuid, name: &str, act: &ActRow] -> bool;
    Change remove_view [id: Uuid, act: &ActRow] -> bool;
    Read acts [by: Option<&str>, before: Option<Uuid>, limit: usize] -> Vec<ActRow>;
}

wrapped! { Batches as PointBatches, batches, "batches ":
    Change add_batch [batch: &BatchRow, items: &[ItemRow], most: usize] -> Added;
    Read batch [id: Uuid] -> BatchRow;
    Read batch_items [id: Uuid] -> Vec<ItemRow>;
    Read batches [by: Option<&str>, limit: usize] -> Vec<BatchRow>;
    Change take_batch [now: Time, until: Time] -> Option<BatchRow>;
    Change leave_batch [id: Uuid, at: Time] -> ();
    Change begin_item [id: Uuid, review: Uuid] -> bool;
    Change settle_item [id: Uuid, review: Uuid, came: &Came] -> ();
    Change stop_batch [id: Uuid, came: &Came, act: &ActRow] -> u64;
    Change close_batch [id: Uuid, at: Time] -> bool;
    Change sweep_batches [before: Time, limit: usize] -> u64;
}
