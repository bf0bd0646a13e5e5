//! The functions that expressions may call, and our own operators.
//!
//! The standard library stays as it is; beside it stand our own functions under their names, and operators
//! under names that cannot be written (`@eq`), which the checked tree calls instead of the crate's where the
//! crate would answer a senseless question with `false`, or work without a bound.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use cel::common::functions::Function;
use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelString, CelUInt, DYN_TYPE, Kind, STRING_TYPE, Type};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};
use regex::{Regex, RegexBuilder};

use super::budget;
use super::error::plain_type;
use super::{cn_id, luhn, mask_text, mrz};

pub(super) const EQ: &str = "@eq";
pub(super) const NE: &str = "@ne";
/// Not `@in`: that is the interpreter's own, and it would never ask the environment.
pub(super) const IN: &str = "@within";
pub(super) const ADD: &str = "@add";
pub(super) const MATCHES: &str = "@matches";
/// Passes its argument on and charges for looking at it.
pub(super) const LOOK: &str = "@look";
/// Passes its argument on and charges for copying it.
pub(super) const COPY: &str = "@copy";

/// The one environment: declared once, shared by every scope.
pub(super) static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    let declared = declare(&mut env);
    debug_assert!(declared.is_ok(), "our functions clash with the standard library");
    Arc::new(env)
});

fn declare(env: &mut Env) -> Result<(), DeclarationError> {
    let one_string: [(&str, Function); 4] = [
        ("luhn", |args| Ok(truth(luhn(text(&args, 0)?)))),
        ("cn_id", |args| Ok(truth(cn_id(text(&args, 0)?)))),
        ("mrz", |args| Ok(truth(mrz(text(&args, 0)?)))),
        ("mask", |args| Ok(CowVal::owned(CelString::from(mask_text(text(&args, 0)?))))),
    ];
    for (name, function) in one_string {
        env.add_overload(name, name, vec![STRING_TYPE], function)?;
    }
    let operators: [(&str, usize, Function); 6] = [
        (EQ, 2, |args| Ok(truth(equals("==", &args)?))),
        (NE, 2, |args| Ok(truth(!equals("!=", &args)?))),
        (IN, 2, |args| Ok(truth(contains(&args)?))),
        (ADD, 2, |args| add(&args)),
        (LOOK, 1, |args| pass(args, budget::charge_shallow)),
        (COPY, 1, |args| pass(args, budget::charge_deep)),
    ];
    for (name, arguments, function) in operators {
        let any: Vec<Type> = (0..arguments).map(|_| DYN_TYPE).collect();
        env.add_overload(name, name, any, function)?;
    }
    env.add_overload(MATCHES, MATCHES, vec![STRING_TYPE, STRING_TYPE], |args| {
        let subject = args.first().ok_or_else(missing)?;
        budget::charge_shallow(subject.as_ref())?;
        Ok(truth(matches(text(&args, 0)?, text(&args, 1)?)?))
    })
}

fn truth<'b, 'v>(truth: bool) -> CowVal<'b, 'v> {
    CowVal::owned(CelBool::from(truth))
}

fn missing() -> ExecutionError {
    ExecutionError::function_error("@call", "an argument is missing")
}

fn text<'a>(args: &'a [CowVal<'_, '_>], index: usize) -> Result<&'a str, ExecutionError> {
    let value = args.get(index).ok_or_else(missing)?;
    value
        .downcast_ref::<CelString>()
        .map(CelString::inner)
        .ok_or_else(|| ExecutionError::function_error("@call", "expected a string"))
}

fn two<'a, 'b, 'v>(args: &'a [CowVal<'b, 'v>]) -> Result<(&'a (dyn Val + 'v), &'a (dyn Val + 'v)), ExecutionError> {
    match args {
        [left, right] => Ok((left.as_ref(), right.as_ref())),
        _ => Err(missing()),
    }
}

fn pass<'b, 'v>(
    args: Vec<CowVal<'b, 'v>>,
    charge: fn(&dyn Val) -> Result<(), ExecutionError>,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = args.into_iter().next().ok_or_else(missing)?;
    charge(value.as_ref())?;
    Ok(value)
}

fn name_of(value: &dyn Val) -> &str {
    plain_type(value.get_type().name())
}

fn equals(operator: &str, args: &[CowVal<'_, '_>]) -> Result<bool, ExecutionError> {
    let (left, right) = two(args)?;
    same(left, right)?.ok_or_else(|| {
        let (left, right) = (name_of(left), name_of(right));
        let why = if left == right { "has no answer for" } else { "does not compare" };
        ExecutionError::function_error(EQ, format!("`{operator}` {why} {left} and {right}"))
    })
}

/// Whether two values are the same; `None` where the question makes no sense (different kinds of value,
/// neither of them null; `NaN`; a poisoned value).
fn same(left: &dyn Val, right: &dyn Val) -> Result<Option<bool>, ExecutionError> {
    let (left_kind, right_kind) = (left.get_type().kind(), right.get_type().kind());
    if left_kind == Kind::Unspecified || right_kind == Kind::Unspecified {
        return Ok(None);
    }
    if left_kind == Kind::NullType || right_kind == Kind::NullType {
        return Ok(Some(left_kind == right_kind));
    }
    if let (Some(left), Some(right)) = (Numeric::of(left), Numeric::of(right)) {
        return Ok(left.same(right));
    }
    if left_kind != right_kind {
        return Ok(None);
    }
    budget::charge_deep(left)?;
    Ok(Some(left.equals(right)))
}

#[derive(Clone, Copy)]
enum Numeric {
    Whole(i128),
    Double(f64),
}

impl Numeric {
    fn of(value: &dyn Val) -> Option<Numeric> {
        if let Some(int) = value.downcast_ref::<CelInt>() {
            Some(Numeric::Whole(i128::from(*int.inner())))
        } else if let Some(uint) = value.downcast_ref::<CelUInt>() {
            Some(Numeric::Whole(i128::from(*uint.inner())))
        } else {
            value.downcast_ref::<CelDouble>().map(|double| Numeric::Double(*double.inner()))
        }
    }

    /// By exact value: 2^53 + 1 is not the double 2^53. `None` for `NaN`.
    #[expect(
        clippy::float_cmp,
        clippy::cast_possible_truncation,
        reason = "exact equality is what is asked; the cast saturates, and no saturated value is in range"
    )]
    fn same(self, other: Numeric) -> Option<bool> {
        match (self, other) {
            (Numeric::Whole(left), Numeric::Whole(right)) => Some(left == right),
            (Numeric::Double(left), Numeric::Double(right)) => (!left.is_nan() && !right.is_nan()).then_some(left == right),
            (Numeric::Whole(whole), Numeric::Double(double)) | (Numeric::Double(double), Numeric::Whole(whole)) => {
                (!double.is_nan()).then_some(double.fract() == 0.0 && double as i128 == whole)
            }
        }
    }
}

/// `left in right`: an item of a list, or a key of an object. As with `exists`, an item that cannot be compared
/// matters only if no other is the same.
fn contains(args: &[CowVal<'_, '_>]) -> Result<bool, ExecutionError> {
    let (left, right) = two(args)?;
    if let Some(list) = right.downcast_ref::<CelList>() {
        let mut senseless = None;
        for item in list.inner() {
            budget::charge(1)?;
            match same(left, item.as_ref())? {
                Some(true) => return Ok(true),
                Some(false) => {}
                None => senseless = Some(item),
            }
        }
        return senseless.map_or(Ok(false), |item| {
            let (left, item) = (name_of(left), name_of(item.as_ref()));
            Err(ExecutionError::function_error(IN, format!("`in` does not compare {left} and {item}")))
        });
    }
    let (kind, name) = (left.get_type().kind(), name_of(right));
    match right.as_container() {
        Some(keys) if kind == Kind::String => keys.contains(left),
        Some(_) => Err(ExecutionError::function_error(IN, format!("the keys of an object are strings, not {}", name_of(left)))),
        None => Err(ExecutionError::function_error(IN, format!("`in` needs a list or an object on its right, found {name}"))),
    }
}

/// `left + right`, charged by the size of the result.
fn add<'b, 'v>(args: &[CowVal<'b, 'v>]) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (left, right) = two(args)?;
    if matches!(left.get_type().kind(), Kind::String | Kind::List) {
        budget::charge_deep(left)?;
        budget::charge_deep(right)?;
    }
    let adder = left.as_adder().ok_or_else(|| {
        let (left, right) = (name_of(left), name_of(right));
        ExecutionError::function_error(ADD, format!("`+` does not go with {left} and {right}"))
    })?;
    Ok(CowVal::Owned(adder.add(right)?.into_owned()))
}

/// The compiled form of a pattern that `check.rs` has already accepted; the crate compiles it on every call.
fn matches(subject: &str, pattern: &str) -> Result<bool, ExecutionError> {
    thread_local! {
        static COMPILED: RefCell<HashMap<String, Regex>> = RefCell::new(HashMap::new());
    }
    COMPILED.with_borrow_mut(|compiled| {
        if let Some(regex) = compiled.get(pattern) {
            return Ok(regex.is_match(subject));
        }
        let regex = compile_pattern(pattern).map_err(|_| ExecutionError::function_error(MATCHES, "the pattern is not valid"))?;
        // Patterns come from process files: a few dozen. A full cache means many versions went by; start over.
        if compiled.len() >= 256 {
            compiled.clear();
        }
        let truth = regex.is_match(subject);
        compiled.insert(pattern.to_owned(), regex);
        Ok(truth)
    })
}

/// Bytes of a pattern; together with the size limit it bounds what refusing a bad one costs.
pub(super) const MAX_PATTERN: usize = 256;

/// Compiles a pattern of `matches`, bounded in length and in the size of its automaton.
pub(super) fn compile_pattern(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > MAX_PATTERN {
        return Err(format!("the pattern has more than {MAX_PATTERN} bytes"));
    }
    RegexBuilder::new(pattern).size_limit(256 * 1024).dfa_size_limit(256 * 1024).nest_limit(32).build().map_err(|error| {
        match error {
            regex::Error::CompiledTooBig(_) => "the pattern's repetitions are too large".to_owned(),
            _ => "the pattern is not a valid regular expression".to_owned(),
        }
    })
}
