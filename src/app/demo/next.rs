//! What to try next, ready to be pasted into another terminal.

use std::env;
use std::fmt::Write as _;
use std::path::Path;

use super::DemoOptions;
use super::books::Books;
use super::place::Place;
use crate::cli::output::Out;

/// Resumed requests per second: slow enough to be watched.
const RATE: u32 = 2;

/// The commands, with a heading.
pub(super) fn commands(books: &Books, place: &Place, options: &DemoOptions, out: Out) -> String {
    let heading = if options.exit {
        "What to try while it runs (without --exit it stays up)"
    } else {
        "Try next, in another terminal (this one stays up until Ctrl-C)"
    };
    let mut text = format!("\n{}\n", out.bold(heading));
    let path = env::current_exe().ok().and_then(|exe| exe.parent().and_then(|folder| on_path(folder, env::var_os("PATH"))));
    let ready = path.into_iter().chain([
        format!("export MOZHAO_URL={}", place.url),
        format!("export MOZHAO_TOKEN={}", place.token),
        format!("export MOZHAO_CONFIG={}", quoted(&place.config().display().to_string())),
    ]);
    block(&mut text, None, ready);
    let about = "open the console: the link signs you in, once; the command makes one for a second pair of eyes";
    block(&mut text, Some(about), [place.link.clone(), "mozhao console link wang --role reviewer".to_owned()]);
    if let Some(asked) = books.asked.iter().find(|asked| asked.simple()) {
        let (review, request) = (asked.first.id, asked.first.request);
        let about = format!("settle a review: {}", asked.question);
        block(
            &mut text,
            Some(&about),
            [
                "mozhao review list".to_owned(),
                format!("mozhao review show {review}"),
                format!("mozhao review claim {review}"),
                format!("mozhao review decide {review} approve --note \"looked at it\""),
                format!("mozhao request show {request}"),
            ],
        );
    }
    if !books.defects.is_empty() {
        let lift = format!("curl -X DELETE {}/sandbox/faults", place.sandbox.url());
        let resume = books.defects.iter().flat_map(|(defect, _)| {
            let fingerprint = &defect.fingerprint;
            [
                format!("mozhao defect show {fingerprint}"),
                format!("mozhao defect resume {fingerprint} --rate {RATE}"),
                format!("mozhao request list --parked defect:{fingerprint}"),
            ]
        });
        let about = "mend the contract at the sandbox, then let the parked requests go on: one first, then the others";
        block(&mut text, Some(about), [lift].into_iter().chain(resume));
    }
    block(
        &mut text,
        Some("check the record, and everything else"),
        ["mozhao ledger verify".to_owned(), "mozhao doctor".to_owned()],
    );
    block(
        &mut text,
        Some("see the API, and what the sandbox was really asked to do"),
        ["curl $MOZHAO_URL/openapi.json".to_owned(), format!("curl {}/sandbox/effects", place.sandbox.url())],
    );
    text
}

fn block(text: &mut String, about: Option<&str>, commands: impl IntoIterator<Item = String>) {
    if let Some(about) = about {
        writeln!(text, "\n  # {about}").ok();
    }
    for command in commands {
        writeln!(text, "  {command}").ok();
    }
}

/// How the program is put on the path, where it is not there.
fn on_path(folder: &Path, path: Option<std::ffi::OsString>) -> Option<String> {
    let known = path.is_some_and(|path| env::split_paths(&path).any(|known| known == folder));
    (!known).then(|| format!("export PATH={}:$PATH", quoted(&folder.display().to_string())))
}

/// A word for a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:=@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_a_shell() {
        assert_eq!(quoted("/tmp/a-b.yaml"), "/tmp/a-b.yaml");
        assert_eq!(quoted("/my files/it's"), r"'/my files/it'\''s'");
    }

    #[test]
    fn a_folder_on_the_path_is_not_added() {
        assert_eq!(on_path(Path::new("/usr/bin"), Some("/bin:/usr/bin".into())), None);
        assert_eq!(on_path(Path::new("/a b"), Some("/bin".into())), Some("export PATH='/a b':$PATH".into()));
    }
}
