//! What one evaluation may cost.
//!
//! The crate has no budget and cannot be stopped from outside: `answer.items.all(x, x in request.ids)` over two
//! long lists, or a list of a thousand copies of the whole answer, would hold a worker's thread for seconds or
//! fill its memory. The cost is counted, not timed: a clock would make the same request pass on one machine and
//! fail on another. Operators whose cost grows with their operands charge it here; the compiled tree calls them
//! in place of the crate's (`check.rs`).
//!
//! The counter is a thread-local because overloads are plain function pointers; an evaluation never awaits and
//! never starts another, so it has the thread to itself.

use std::cell::Cell;

use cel::ExecutionError;
use cel::common::types::{CelList, CelMap, CelString};
use cel::common::value::Val;

/// Units of one evaluation; one unit is about ten nanoseconds of work, or 64 bytes copied.
const LIMIT: u64 = 2_000_000;

/// Bytes of text that one unit stands for.
const BYTES_PER_UNIT: usize = 64;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(0) };
}

/// Gives the evaluation that starts now its full budget.
pub(super) fn start() {
    LEFT.with(|left| left.set(LIMIT));
}

/// Takes `units`; an error once there is nothing left.
pub(super) fn charge(units: u64) -> Result<(), ExecutionError> {
    LEFT.with(|left| match left.get().checked_sub(units) {
        Some(rest) => {
            left.set(rest);
            Ok(())
        }
        None => Err(exhausted()),
    })
}

/// Takes the cost of looking at `value` without going into its items.
pub(super) fn charge_shallow(value: &dyn Val) -> Result<(), ExecutionError> {
    charge(shallow(value))
}

/// Takes the cost of copying or comparing all of `value`.
pub(super) fn charge_deep(value: &dyn Val) -> Result<(), ExecutionError> {
    charge(shallow(value))?;
    if let Some(list) = value.downcast_ref::<CelList>() {
        list.inner().iter().try_for_each(|item| charge_deep(item.as_ref()))
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        map.inner().values().try_for_each(|item| charge_deep(item.as_ref()))
    } else {
        Ok(())
    }
}

fn shallow(value: &dyn Val) -> u64 {
    let units = if let Some(text) = value.downcast_ref::<CelString>() {
        text.inner().len() / BYTES_PER_UNIT
    } else if let Some(list) = value.downcast_ref::<CelList>() {
        list.inner().len()
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        map.inner().len()
    } else {
        0
    };
    u64::try_from(units).unwrap_or(u64::MAX).saturating_add(1)
}

fn exhausted() -> ExecutionError {
    ExecutionError::function_error("@budget", "the expression does too much work on this data")
}
