//! A process whose machine's wall clock is wrong, whatever it is built of: `skew.c`, compiled here and preloaded.

use std::path::Path;
use std::process::Command;

/// Compiles it into this folder: the variables of a process whose clock is so many seconds ahead (negative: behind).
pub fn variables(folder: &Path, seconds: i64) -> [(&'static str, String); 2] {
    let library = folder.join("skew.so");
    if !library.exists() {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/harness/skew.c");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(source).status();
        assert!(built.is_ok_and(|status| status.success()), "cc, which Rust links with, cannot compile {source}");
    }
    [("LD_PRELOAD", library.display().to_string()), ("SKEW_SECONDS", seconds.to_string())]
}
