//! What happened, line by line, and a digest of it: two runs of one seed have the same one.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use mozhao::engine::ports::clock::Clock;
use mozhao::proof::clock::{BEGINNING, VirtualClock};

/// The most lines that are kept.
const KEPT: usize = 6_000;

/// `MOZHAO_TRACE=1` shows every line when it happens.
static LIVE: LazyLock<bool> = LazyLock::new(|| std::env::var_os("MOZHAO_TRACE").is_some());

pub(crate) struct Trace {
    pub(crate) clock: Arc<VirtualClock>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    lines: VecDeque<String>,
    count: u64,
    digest: u64,
    violations: Vec<String>,
}

impl Trace {
    pub(crate) fn new(clock: Arc<VirtualClock>) -> Arc<Trace> {
        Arc::new(Trace { clock, inner: Mutex::default() })
    }

    pub(crate) fn say(&self, line: impl AsRef<str>) {
        let at = self.clock.now().since(BEGINNING);
        let line = format!("{:>9.3} {}", at.as_secs_f64(), line.as_ref());
        if *LIVE {
            eprintln!("{line}");
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in line.bytes() {
            inner.digest = (inner.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        inner.count += 1;
        if inner.lines.len() == KEPT {
            inner.lines.pop_front();
        }
        inner.lines.push_back(line);
    }

    /// A promise is broken. The run goes on, and fails in the end.
    pub(crate) fn violation(&self, what: impl AsRef<str>) {
        let what = what.as_ref();
        self.say(format!("VIOLATION {what}"));
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).violations.push(what.to_owned());
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).violations.clone()
    }

    pub(crate) fn digest(&self) -> (u64, u64) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        (inner.digest, inner.count)
    }

    /// The lines that name one of these, and the last ones.
    pub(crate) fn about(&self, names: &[String], last: usize) -> String {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let from = inner.lines.len().saturating_sub(last);
        let wanted = |(at, line): &(usize, &String)| *at >= from || names.iter().any(|name| line.contains(name.as_str()));
        let lines: Vec<&str> = inner.lines.iter().enumerate().filter(wanted).map(|(_, line)| line.as_str()).collect();
        lines.join("\n")
    }
}
