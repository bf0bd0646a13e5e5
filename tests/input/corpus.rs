//! The corpora beside the project's folder (or in `MOZHAO_TEST_CORPORA`), where they are present; else files of the same kind, generated.
//!
//! `y_` is JSON and must be accepted, `n_` is none and must be refused, `i_` may be either; in no case a panic.

use std::fs;
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora");
    std::env::var_os("MOZHAO_TEST_CORPORA").map_or_else(beside, PathBuf::from).join(name)
}

/// The parsing cases of JSONTestSuite by name, or what we generate in their place.
pub(crate) fn json_cases() -> Vec<(String, Vec<u8>)> {
    let mut cases: Vec<(String, Vec<u8>)> = fs::read_dir(folder("json-parsing"))
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    cases.sort();
    if cases.is_empty() {
        println!("JSONTestSuite is not present: generated cases stand in for it");
        cases = generated();
    }
    cases
}

/// The public list of naughty strings, where it is present, and ours.
pub(crate) fn naughty() -> Vec<String> {
    let mut texts: Vec<String> = crate::dictionary::TEXTS.iter().map(|text| (*text).to_owned()).collect();
    let ours = texts.len();
    for name in ["blns.json", "naughty-strings/blns.json", "naughty-strings.json"] {
        if let Ok(text) = fs::read(folder(name)) {
            texts.extend(serde_json::from_slice::<Vec<String>>(&text).unwrap());
        }
    }
    if texts.len() == ours {
        println!("the public list of naughty strings is not present: {ours} of our own stand in for it");
    }
    texts
}

fn generated() -> Vec<(String, Vec<u8>)> {
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    let mut put = |name: String, text: &[u8]| cases.push((name, text.to_vec()));
    let good: &[&[u8]] = &[
        b"[]",
        b"{}",
        b"[null]",
        b"[-0]",
        b"[1e-10]",
        b"[\"\\u0000\"]",
        b"[\"\\ud83d\\ude00\"]",
        b"{\"\":0}",
        b" [1 , 2] ",
        b"\"x\"",
        b"true",
        b"[123.456e78]",
        b"[\"\xe2\x80\xa8\"]",
        b"[\"\x7f\"]",
        b"{\"a\":{\"a\":[]}}",
    ];
    for (number, text) in good.iter().enumerate() {
        put(format!("y_generated_{number}"), text);
    }
    let bad: &[&[u8]] = &[
        b"",
        b" ",
        b"[",
        b"]",
        b"{",
        b"[1,]",
        b"[,1]",
        b"{\"a\"}",
        b"{\"a\":}",
        b"{\"a\":1,}",
        b"{a:1}",
        b"['a']",
        b"[1]x",
        b"[01]",
        b"[+1]",
        b"[.5]",
        b"[5.]",
        b"[1e]",
        b"[0x1]",
        b"[NaN]",
        b"[Infinity]",
        b"[\"\\x41\"]",
        b"[\"\t\"]",
        b"[\"a",
        b"[\"\\u12\"]",
        b"[tru]",
        b"[\"\0\"]",
        b"\xff[]",
        b"[\"\xff\"]",
        b"/**/[]",
        b"[] //",
        b"{\"a\":1 \"b\":2}",
        b"[1 2]",
        b"[--1]",
        b"\0",
    ];
    for (number, text) in bad.iter().enumerate() {
        put(format!("n_generated_{number}"), text);
    }
    put("n_generated_deep".to_owned(), &vec![b'['; 100_000]);
    for (number, text) in
        [&b"[1e400]"[..], b"[\"\\ud800\"]", b"\xef\xbb\xbf{}", b"[123456789012345678901234567890]"].iter().enumerate()
    {
        put(format!("i_generated_{number}"), text);
    }
    cases
}
