//! The words of the language: functions, macros, types and variables, and what to suggest for a wrong one.

/// How a function may be called: arguments as `f(…)`, and as `x.f(…)`.
pub(super) struct Signature {
    pub(super) name: &'static str,
    global: Option<usize>,
    member: Option<(usize, usize)>,
}

const fn global(name: &'static str) -> Signature {
    Signature { name, global: Some(1), member: None }
}

const fn member(name: &'static str, least: usize, most: usize) -> Signature {
    Signature { name, global: None, member: Some((least, most)) }
}

/// Every function of the language; anything else is refused when the expression is loaded.
pub(super) const FUNCTIONS: &[Signature] = &[
    Signature { name: "size", global: Some(1), member: Some((0, 0)) },
    Signature { name: "matches", global: Some(2), member: Some((1, 1)) },
    member("contains", 1, 1),
    member("startsWith", 1, 1),
    member("endsWith", 1, 1),
    global("int"),
    global("uint"),
    global("double"),
    global("string"),
    global("bool"),
    global("type"),
    global("timestamp"),
    global("duration"),
    member("getFullYear", 0, 1),
    member("getMonth", 0, 1),
    member("getDate", 0, 1),
    member("getDayOfMonth", 0, 1),
    member("getDayOfWeek", 0, 1),
    member("getDayOfYear", 0, 1),
    member("getHours", 0, 1),
    member("getMinutes", 0, 1),
    member("getSeconds", 0, 1),
    member("getMilliseconds", 0, 1),
    global("luhn"),
    global("cn_id"),
    global("mrz"),
    global("mask"),
];

/// Names of types that may stand in an expression (`type(answer.n) == int`).
pub(super) const TYPE_NAMES: &[&str] = &["bool", "int", "uint", "double", "string", "list", "map", "null_type", "type"];

/// Variables that a loop variable must not hide.
pub(in crate::domain) const ROOTS: &[&str] = &["request", "answer", "status", "answers", "meta", "now", "callbacks"];

/// Macros, for telling a wrong use from an unknown function.
const MACROS: &[&str] = &["has", "all", "exists", "exists_one", "existsOne", "map", "filter"];

impl Signature {
    /// Whether it may be called with `count` arguments, on a value (`x.f(…)`) or not.
    pub(super) fn takes(&self, on_value: bool, count: usize) -> bool {
        if on_value {
            self.member.is_some_and(|(least, most)| (least..=most).contains(&count))
        } else {
            self.global == Some(count)
        }
    }

    /// How to write a call of it.
    pub(super) fn usage(&self) -> String {
        let name = self.name;
        let global = self.global.map(|count| match count {
            2 => format!("{name}(x, y)"),
            _ => format!("{name}(x)"),
        });
        let member = self.member.map(|(least, _)| match least {
            0 => format!("x.{name}()"),
            _ => format!("x.{name}(y)"),
        });
        let usage: Vec<String> = global.into_iter().chain(member).collect();
        usage.join(" or ")
    }
}

/// What to write in place of a function that does not exist.
pub(super) fn instead_of(name: &str) -> String {
    if MACROS.contains(&name) {
        return "write has(a.b), a.exists(x, …), a.all(x, …), a.map(x, …) or a.filter(x, …)".to_owned();
    }
    let plain = |name: &str| name.to_lowercase().replace('_', "");
    let names = || FUNCTIONS.iter().map(|known| known.name);
    let wanted = plain(name);
    let alike = names().chain(MACROS.iter().copied()).find(|known| plain(known).starts_with(&wanted));
    alike.map_or_else(
        || format!("the functions are {}", names().collect::<Vec<_>>().join(", ")),
        |known| format!("did you mean `{known}`?"),
    )
}
