//! `mozhao completions SHELL`.

use clap::{Args as ClapArgs, CommandFactory};
use clap_complete::Shell;

use super::exit::Exit;
use super::{Cli, Done};

/// Print a script that completes commands in a shell
///
/// For bash: `mozhao completions bash > ~/.local/share/bash-completion/completions/mozhao`
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Done {
    // The generator panics when it cannot write, so it writes into memory.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "mozhao", &mut script);
    std::io::Write::write_all(&mut std::io::stdout().lock(), &script)?;
    Ok(Exit::Ok)
}
