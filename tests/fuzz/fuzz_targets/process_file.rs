//! A process file: read, or refused with findings.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mozhao::domain::process::{Known, describe, mermaid, parse, parse_cases};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    match parse("fuzzed.yaml", &text, &Known::default()) {
        Ok(parsed) => {
            drop((describe(&parsed.process), mermaid(&parsed.process)));
            drop(parse_cases("fuzzed.test.yaml", &text, &parsed.process));
        }
        Err(findings) => assert!(!findings.is_empty()),
    }
});
