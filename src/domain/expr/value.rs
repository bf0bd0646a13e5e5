//! JSON to CEL values and back.
//!
//! Done by hand because the crate's own conversion makes a positive JSON integer unsigned, and `answer.n + 1`
//! then fails: here an integer is signed whenever it fits. Data that is too long or too deep becomes a
//! [`Poison`] in its place: `has()` still sees the key, every other use of it is an error. Cutting the list
//! instead would let `all(…)` pass on items that nobody looked at.

use std::any::Any;
use std::collections::HashMap;

use cel::ExecutionError;
use cel::common::types::{
    CelBool, CelDouble, CelDuration, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelTimestamp, CelUInt, Type,
};
use cel::common::value::{CowVal, StaticVal, Val};
use serde_json::{Map, Number, Value};

use super::budget;
use super::error::plain_type;
use super::functions::ENV;

/// Items of one list, and keys of one object, that an expression may see.
pub(super) const MAX_ITEMS: usize = 10_000;

/// Levels of lists and objects inside each other.
pub(super) const MAX_DEPTH: usize = 64;

static TOO_LONG: Type = Type::new_unspecified_type("a list of more than 10,000 items");
static TOO_WIDE: Type = Type::new_unspecified_type("an object of more than 10,000 keys");
static TOO_DEEP: Type = Type::new_unspecified_type("data nested deeper than 64 levels");
static NO_TIME: Type = Type::new_unspecified_type("a time outside the years 1 to 9999");

/// A value that no operator accepts; its type's name says why.
#[derive(Debug, Clone, Copy)]
struct Poison(&'static Type);

impl Val for Poison {
    fn get_type(&self) -> &Type {
        self.0
    }

    fn cel_type() -> &'static Type {
        &TOO_LONG
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Poison {}

/// `value` for use in expressions; signed integers first.
pub(super) fn from_json(value: &Value) -> Box<dyn Val> {
    from_json_at(value, 0)
}

fn from_json_at(value: &Value, depth: usize) -> Box<dyn Val> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(b) => Box::new(CelBool::from(*b)),
        Value::Number(n) => from_number(n),
        Value::String(s) => Box::new(CelString::from(s.clone())),
        Value::Array(_) | Value::Object(_) if depth >= MAX_DEPTH => Box::new(Poison(&TOO_DEEP)),
        Value::Array(items) if items.len() > MAX_ITEMS => Box::new(Poison(&TOO_LONG)),
        Value::Object(entries) if entries.len() > MAX_ITEMS => Box::new(Poison(&TOO_WIDE)),
        Value::Array(items) => {
            let items: Vec<Box<dyn Val>> = items.iter().map(|item| from_json_at(item, depth + 1)).collect();
            Box::new(CelList::from(items))
        }
        Value::Object(entries) => {
            let entries: HashMap<CelMapKey<'static>, Box<dyn Val>> =
                entries.iter().map(|(key, item)| (CelMapKey::from(key.clone()), from_json_at(item, depth + 1))).collect();
            Box::new(CelMap::from(entries))
        }
    }
}

fn from_number(number: &Number) -> Box<dyn Val> {
    if let Some(signed) = number.as_i64() {
        Box::new(CelInt::from(signed))
    } else if let Some(unsigned) = number.as_u64() {
        Box::new(CelUInt::from(unsigned))
    } else {
        Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN)))
    }
}

/// A CEL timestamp, made with CEL's own conversion: its calendar type is not one of our dependencies.
pub(super) fn from_micros(micros: i64) -> Box<dyn Val> {
    jiff::Timestamp::from_microsecond(micros)
        .ok()
        .and_then(|at| convert("timestamp", CowVal::owned(CelString::from(at.to_string()))))
        .map_or_else(|| Box::new(Poison(&NO_TIME)) as Box<dyn Val>, CowVal::into_owned)
}

/// One of CEL's one-argument conversions; `None` where it does not take the value.
fn convert<'b, 'v>(function: &str, value: CowVal<'b, 'v>) -> Option<CowVal<'b, 'v>> {
    let args = vec![value];
    let call = ENV.find_overload(function, &args)?;
    call(args).ok()
}

/// The result of an expression as JSON. A timestamp becomes RFC 3339 in UTC, a duration `"90s"`; other types
/// that JSON lacks, `NaN` and the infinities are errors. Draws on the evaluation's budget.
pub(super) fn to_json(value: &dyn Val) -> Result<Value, ExecutionError> {
    budget::charge_shallow(value)?;
    if let Some(text) = value.downcast_ref::<CelString>() {
        Ok(Value::String(text.inner().to_owned()))
    } else if let Some(int) = value.downcast_ref::<CelInt>() {
        Ok(Value::from(*int.inner()))
    } else if let Some(truth) = value.downcast_ref::<CelBool>() {
        Ok(Value::Bool(*truth.inner()))
    } else if let Some(double) = value.downcast_ref::<CelDouble>() {
        Number::from_f64(*double.inner()).map(Value::Number).ok_or_else(|| unfit("the result is not a finite number".to_owned()))
    } else if value.downcast_ref::<CelNull>().is_some() {
        Ok(Value::Null)
    } else if let Some(list) = value.downcast_ref::<CelList>() {
        let items = list.inner().iter().map(|item| to_json(item.as_ref()));
        Ok(Value::Array(items.collect::<Result<_, _>>()?))
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        let mut object = Map::new();
        for (key, item) in map.inner() {
            let CelMapKey::String(key) = key else {
                return Err(unfit("the keys of an object must be strings".to_owned()));
            };
            object.insert(key.inner().to_owned(), to_json(item.as_ref())?);
        }
        Ok(Value::Object(object))
    } else if let Some(uint) = value.downcast_ref::<CelUInt>() {
        Ok(Value::from(*uint.inner()))
    } else {
        time_to_json(value)
    }
}

fn time_to_json(value: &dyn Val) -> Result<Value, ExecutionError> {
    let is_time = value.downcast_ref::<CelTimestamp>().is_some() || value.downcast_ref::<CelDuration>().is_some();
    is_time
        .then(|| convert("string", CowVal::Borrowed(value)))
        .flatten()
        .and_then(|text| text.downcast_ref::<CelString>().map(|text| text.inner().to_owned()))
        .map(Value::String)
        .ok_or_else(|| unfit(format!("the result cannot be {}", plain_type(value.get_type().name()))))
}

fn unfit(message: String) -> ExecutionError {
    ExecutionError::function_error("@result", message)
}
