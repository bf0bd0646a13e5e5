//! A TCP proxy that breaks connections on purpose: between a worker and its database, its broker or its targets.
//!
//! The hard part is silence. A dead peer that says so (reset) is easy; one that says nothing is not, and neither is a reply
//! that was made and never arrived. So each direction of all connections can be held (bytes are taken and not passed on until
//! the proxy heals, as when a network comes back), slowed, delayed, half-closed or reset, and a reply can be cut: the n-th
//! one that holds these bytes is swallowed, and its connection reset.
//!
//! It works on whatever passes, without knowing the protocol: a reply is recognised by bytes that only it holds
//! ([`COMMITTED`], [`CONFIRMED`], [`ANSWERED`]).

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{record, wait};

/// PostgreSQL's answer to COMMIT.
pub const COMMITTED: &[u8] = b"COMMIT\0";
/// RabbitMQ's `basic.ack`, which a server sends as a publisher's confirm only: a method frame's class 60, method 80.
pub const CONFIRMED: &[u8] = &[0, 60, 0, 80];
/// The beginning of an answer over HTTP/1.1.
pub const ANSWERED: &[u8] = b"HTTP/1.1 ";

/// How the bytes of one direction go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flow {
    /// At once.
    #[default]
    Pass,
    /// Not at all, until the flow changes; then they go on. Connections stay open, and new ones are accepted.
    Hold,
    /// Each piece this much later.
    Delay(Duration),
    /// At most so many bytes per second.
    Rate(u32),
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From whoever connected to the server.
    Up,
    /// From the server to whoever connected.
    Down,
    Both,
}

/// What happens to the connections there are, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    None,
    Reset,
    /// The server's end of the connection closes towards the client, which may go on sending.
    HalfClose,
}

#[derive(Debug, Clone, Copy)]
struct Rules {
    up: Flow,
    down: Flow,
    /// Grows with every blow: a connection is hit by those that come after it.
    blows: u64,
    blow: Blow,
    /// New connections are reset at once.
    refuse: bool,
}

/// Which replies are cut.
#[derive(Debug, Default)]
struct Cuts {
    needle: Vec<u8>,
    /// Replies that pass before the first one is cut, and between two.
    every: u64,
    seen: u64,
    left: u64,
    done: u64,
}

/// A proxy before one server; gone with its connections on drop.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    rules: watch::Sender<Rules>,
    cuts: Arc<Mutex<Cuts>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// In front of a server on this machine.
    pub async fn start(server: u16) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port for the proxy");
        let port = listener.local_addr().expect("its address").port();
        let rules = Rules { up: Flow::Pass, down: Flow::Pass, blows: 0, blow: Blow::None, refuse: false };
        let (rules, seen) = watch::channel(rules);
        let cuts = Arc::<Mutex<Cuts>>::default();
        let task = tokio::spawn(serve(listener, server, seen, cuts.clone()));
        Proxy { port, rules, cuts, task }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sets the flow of one direction, or of both.
    pub fn flow(&self, way: Way, flow: Flow) {
        record::fault();
        self.rules.send_modify(|rules| {
            if way != Way::Down {
                rules.up = flow;
            }
            if way != Way::Up {
                rules.down = flow;
            }
        });
    }

    /// Resets (RST) every connection that is open now.
    pub fn reset(&self) {
        record::fault();
        self.rules.send_modify(|rules| (rules.blows, rules.blow) = (rules.blows + 1, Blow::Reset));
    }

    /// Closes the server's side of every connection that is open now; what the client sends still arrives.
    pub fn half_close(&self) {
        record::fault();
        self.rules.send_modify(|rules| (rules.blows, rules.blow) = (rules.blows + 1, Blow::HalfClose));
    }

    /// Resets new connections, too, until it heals.
    pub fn refuse(&self) {
        self.rules.send_modify(|rules| rules.refuse = true);
        self.reset();
    }

    /// Swallows the `every`-th reply that holds `needle`, `times` times, and resets its connection.
    pub fn cut(&self, needle: &[u8], every: u64, times: u64) {
        record::fault();
        let mut cuts = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
        *cuts = Cuts { needle: needle.to_vec(), every: every.max(1), seen: 0, left: times, done: cuts.done };
    }

    /// Replies that were cut so far.
    pub fn cut_so_far(&self) -> u64 {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner).done
    }

    /// Everything passes again; what was held goes on.
    pub fn heal(&self) {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner).left = 0;
        self.rules.send_modify(|rules| (rules.up, rules.down, rules.refuse) = (Flow::Pass, Flow::Pass, false));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, server: u16, rules: watch::Receiver<Rules>, cuts: Arc<Mutex<Cuts>>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        if rules.borrow().refuse {
            drop(client.set_zero_linger());
            continue;
        }
        let (rules, cuts) = (rules.clone(), cuts.clone());
        // Ends with its connections, or with the proxy, whose sender of rules is gone then.
        tokio::spawn(async move {
            // Nobody listens there: the client is told in the same way.
            let Ok(server) = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, server))).await else {
                drop(client.set_zero_linger());
                return;
            };
            connection(client, server, rules, cuts).await;
        });
    }
}

async fn connection(client: TcpStream, server: TcpStream, rules: watch::Receiver<Rules>, cuts: Arc<Mutex<Cuts>>) {
    drop((client.set_nodelay(true), server.set_nodelay(true)));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let born = rules.borrow().blows;
    let mut up = Pump { rules: rules.clone(), born, way: Way::Up, cuts: None };
    let mut down = Pump { rules, born, way: Way::Down, cuts: Some(cuts) };
    let (mut from_client, mut to_client, mut from_server, mut to_server) = (from_client, to_client, from_server, to_server);
    let ended = {
        let (up, down) = (up.run(&mut from_client, &mut to_server), down.run(&mut from_server, &mut to_client));
        tokio::pin!(up, down);
        tokio::select! {
            ended = &mut up => if ended == End::Closed { down.await } else { ended },
            ended = &mut down => if ended == End::Closed { up.await } else { ended },
        }
    };
    if ended == End::Reset {
        for half in [from_client.reunite(to_client), from_server.reunite(to_server)].into_iter().flatten() {
            drop(half.set_zero_linger());
        }
    }
}

/// How one direction came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The sender closed it, and the receiver was told.
    Closed,
    Reset,
}

struct Pump {
    rules: watch::Receiver<Rules>,
    born: u64,
    way: Way,
    cuts: Option<Arc<Mutex<Cuts>>>,
}

impl Pump {
    async fn run(&mut self, from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) -> End {
        let mut buffer = vec![0_u8; 16 * 1024];
        loop {
            // Blows first: what was held when a connection was reset is lost, also where the proxy heals at the same moment.
            let read = tokio::select! {
                biased;
                end = self.struck() => return strike(end, to).await,
                read = from.read(&mut buffer) => read,
            };
            let count = match read {
                Ok(0) => {
                    drop(to.shutdown().await);
                    return End::Closed;
                }
                Ok(count) => count,
                Err(_) => return End::Reset,
            };
            let piece = &buffer[..count];
            if self.is_cut(piece) {
                return End::Reset;
            }
            tokio::select! {
                biased;
                end = self.struck() => return strike(end, to).await,
                passed = pass(self.rules.clone(), self.way, piece, to) => if passed.is_err() { return End::Reset },
            }
        }
    }

    /// Waits for a blow to this direction.
    async fn struck(&self) -> Blow {
        let (mut rules, born, way) = (self.rules.clone(), self.born, self.way);
        let hit = |rules: &Rules| rules.blows > born && (rules.blow == Blow::Reset || way == Way::Down);
        rules.wait_for(hit).await.map_or(Blow::Reset, |rules| rules.blow)
    }

    fn is_cut(&self, piece: &[u8]) -> bool {
        let Some(cuts) = &self.cuts else { return false };
        let mut cuts = cuts.lock().unwrap_or_else(PoisonError::into_inner);
        if cuts.left == 0 || !piece.windows(cuts.needle.len()).any(|part| part == cuts.needle) {
            return false;
        }
        cuts.seen += 1;
        let cut = cuts.seen.is_multiple_of(cuts.every);
        if cut {
            (cuts.left, cuts.done) = (cuts.left - 1, cuts.done + 1);
            record::fault();
        }
        cut
    }
}

/// Lets a connection feel a blow.
async fn strike(blow: Blow, to: &mut OwnedWriteHalf) -> End {
    if blow == Blow::HalfClose {
        drop(to.shutdown().await);
        return End::Closed;
    }
    End::Reset
}

/// Writes a piece as the rules say.
async fn pass(mut rules: watch::Receiver<Rules>, way: Way, piece: &[u8], to: &mut OwnedWriteHalf) -> io::Result<()> {
    let flow = move |rules: &Rules| if way == Way::Up { rules.up } else { rules.down };
    let now = flow(&rules.borrow_and_update());
    match now {
        Flow::Pass => {}
        Flow::Delay(time) => wait::let_pass(time).await,
        Flow::Hold => drop(rules.wait_for(|rules| flow(rules) != Flow::Hold).await.map_err(|_| io::ErrorKind::BrokenPipe)?),
        Flow::Rate(bytes) => {
            // Twenty pieces a second.
            let size = usize::try_from(bytes / 20).unwrap_or(1).max(1);
            for part in piece.chunks(size) {
                to.write_all(part).await?;
                if flow(&rules.borrow()) == now {
                    wait::let_pass(Duration::from_millis(50)).await;
                }
            }
            return Ok(());
        }
    }
    to.write_all(piece).await
}
