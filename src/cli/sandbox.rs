//! `mozhao sandbox`: the small bank and its neighbours, as a server.

use std::net::SocketAddr;

use clap::Args as ClapArgs;

use super::Done;
use super::exit::{Exit, Failure};
use super::output::say;
use super::signals::Stop;
use crate::sandbox::{Sandbox, World};

/// Run the sandbox: a small bank, face service, SMS sink and personnel systems to try processes against
///
/// Prints its address on standard output once it listens. `deploy/connectors.sandbox.yaml` has connectors for it. It knows the
/// customers C-000001 to C-000003, with cards K-000001-1 and so on; POST /sandbox/world makes thousands more.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9900")]
    listen: SocketAddr,
}

/// Runs it.
pub(super) async fn run(args: Args) -> Done {
    let stop = Stop::on_signals()?;
    let sandbox = Sandbox::start(args.listen).await.map_err(|error| {
        Failure::new(Exit::Failed, "cannot start the sandbox")
            .because(&error)
            .hint("is another program on that port? Choose another with --listen")
    })?;
    sandbox.handle().load(&World::sample());
    let url = sandbox.url();
    std::io::Write::write_all(&mut std::io::stdout().lock(), format!("{url}\n").as_bytes())?;
    say(&format!("the sandbox has /bank, /face, /sms, /hr and /legacy; /sandbox controls it: {url}/sandbox/ledger"));
    stop.drain.cancelled().await;
    tokio::select! {
        () = sandbox.stop() => {}
        () = stop.quit.cancelled() => {}
    }
    Ok(Exit::Ok)
}
