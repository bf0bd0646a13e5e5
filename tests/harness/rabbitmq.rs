//! Private RabbitMQ nodes: real, on ports of their own, in a temporary folder.
//!
//! A node is found by its name through epmd, a daemon that Erlang starts by itself, shares between
//! all nodes of a machine and never stops. Each node therefore gets its own epmd, started by us before it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::child::{Folder, Running};
use super::{ports, record, wait};

/// URL of a running broker that tests may declare names on.
pub const SHARED: &str = "MOZHAO_TEST_RABBITMQ";

/// How long a node may take to accept AMQP connections, recovery after kill -9 included.
const START: Duration = Duration::from_mins(2);

/// Debian's programs behind the wrappers of `/usr/sbin`, which would change to the user rabbitmq.
const BIN: &str = "/usr/lib/rabbitmq/bin";

/// A node of this test alone. Stopped and removed on drop.
#[derive(Debug)]
pub struct RabbitMq {
    // In the order of their end: node, epmd, folder.
    node: Option<Running>,
    _epmd: Running,
    port: u16,
    distribution_port: u16,
    epmd_port: u16,
    folder: Folder,
}

/// What a broker may be short of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    Memory,
    Disk,
}

impl RabbitMq {
    /// Makes and starts a node; takes 3 to 10 seconds.
    pub async fn start() -> Self {
        let folder = Folder::new("rabbitmq");
        let file = |name: &str, content: &str| fs::write(folder.path().join(name), content).expect("write a file");
        file("enabled_plugins", "[].\n");
        file("env.conf", "");
        // The free space at which a broker stops: far below what a test machine has, since the
        // default alarm (50 MB) and a production setting would both make tests depend on the disk.
        file(
            "rabbitmq.conf",
            "disk_free_limit.absolute = 16MB\nvm_memory_high_watermark.relative = 0.6\nlog.file.level = info\n",
        );
        let epmd_port = ports::free_port();
        let mut epmd = Command::new("epmd");
        epmd.args(["-address", "127.0.0.1", "-port", &epmd_port.to_string()]);
        let epmd = Running::start(epmd, folder.path(), "epmd");
        let (port, distribution_port) = (ports::free_port(), ports::free_port());
        let mut broker = Self { node: None, _epmd: epmd, port, distribution_port, epmd_port, folder };
        wait::until("epmd to listen", START, || accepts(epmd_port)).await;
        broker.restart().await;
        broker
    }

    /// AMQP URL of the default vhost.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The node's process.
    pub fn pid(&self) -> u32 {
        self.node.as_ref().expect("running").pid()
    }

    /// Makes sure that queues declared so far survive [`Self::kill`].
    ///
    /// RabbitMQ 3.10 writes the directory of its quorum queues half a second after a declaration. A node
    /// killed before that has the queue and its messages, but no leader for it, for ever.
    pub async fn settle(&self) {
        self.ctl(&["eval", "[ok = dets:sync(Table) || Table <- dets:all()]."]).await;
    }

    /// kill -9 of the node. After a queue was declared just now: [`Self::settle`] first.
    pub fn kill(&mut self) {
        record::fault();
        if let Some(mut node) = self.node.take() {
            node.kill();
        }
    }

    /// An orderly stop.
    pub async fn stop(&mut self) {
        record::fault();
        if let Some(mut node) = self.node.take() {
            node.signal("TERM");
            node.wait(START).await;
        }
    }

    /// Freezes (SIGSTOP) the node: connections stay open and silent.
    pub fn freeze(&self) {
        record::fault();
        self.node.as_ref().expect("running").signal("STOP");
    }

    /// Ends [`Self::freeze`].
    pub fn thaw(&self) {
        self.node.as_ref().expect("running").signal("CONT");
    }

    /// Starts the node on the same data and port, and waits until it speaks AMQP.
    pub async fn restart(&mut self) {
        let mut command = self.program("rabbitmq-server");
        // Makes the script become the Erlang VM instead of its parent, so that our pid is the node's.
        command.env("RUNNING_UNDER_SYSTEMD", "true");
        let mut node = Running::start(command, self.folder.path(), "node");
        let port = self.port;
        wait::until("RabbitMQ to speak AMQP", START, || {
            if let Some(status) = node.ended() {
                panic!("rabbitmq-server ended: {status}\n{}\n{}", self.folder.tail("node"), self.folder.tail("node.err"));
            }
            speaks_amqp(port)
        })
        .await;
        self.node = Some(node);
    }

    /// A new vhost: its AMQP URL. Takes a second or two (an Erlang VM starts).
    pub async fn create_vhost(&self) -> String {
        let name = format!("v-{}", uuid::Uuid::now_v7().simple());
        self.ctl(&["add_vhost", &name]).await;
        self.ctl(&["set_permissions", "-p", &name, "guest", ".*", ".*", ".*"]).await;
        format!("amqp://guest:guest@127.0.0.1:{}/{name}", self.port)
    }

    /// Raises an alarm, as a machine does that is short of it: every connection that publishes is blocked.
    pub async fn raise(&self, alarm: Alarm) {
        record::fault();
        match alarm {
            Alarm::Memory => self.ctl(&["set_vm_memory_high_watermark", "absolute", "1"]).await,
            Alarm::Disk => self.ctl(&["set_disk_free_limit", "900GB"]).await,
        };
    }

    /// Clears it.
    pub async fn clear(&self, alarm: Alarm) {
        match alarm {
            Alarm::Memory => self.ctl(&["set_vm_memory_high_watermark", "0.6"]).await,
            Alarm::Disk => self.ctl(&["set_disk_free_limit", "16MB"]).await,
        };
    }

    /// Runs `rabbitmqctl`; its standard output.
    pub async fn ctl(&self, arguments: &[&str]) -> String {
        let mut command = tokio::process::Command::from(self.program("rabbitmqctl"));
        let output = command.arg("-q").args(arguments).output().await.expect("run rabbitmqctl");
        assert!(output.status.success(), "rabbitmqctl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A program of RabbitMQ with the environment that makes it speak to this node only.
    fn program(&self, name: &str) -> Command {
        let path = Path::new(BIN).join(name);
        let path = if path.exists() { path } else { name.into() };
        let folder = self.folder.path();
        let mut command = Command::new(path);
        command
            .current_dir(folder)
            .env("HOME", folder)
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", format!("mozhao-{}@localhost", self.port))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("enabled_plugins"))
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
            .env("RABBITMQ_CONF_ENV_FILE", folder.join("env.conf"))
            // Two schedulers that do not spin: a test machine is small and runs several nodes.
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none")
            .env("RABBITMQ_CTL_ERL_ARGS", "+S 1:1 +sbwt none");
        command
    }
}

/// A broker for one test: names that start with `prefix` are its own.
#[derive(Debug)]
pub struct Broker {
    /// AMQP URL.
    pub url: String,
    /// For `amqp.prefix`: no other test uses it.
    pub prefix: String,
    _node: Option<RabbitMq>,
}

/// The run's shared broker if there is one, else a node of its own; with a fresh prefix.
pub async fn broker() -> Broker {
    let (url, node) = if let Ok(url) = std::env::var(SHARED) {
        (url, None)
    } else {
        let node = RabbitMq::start().await;
        (node.url(), Some(node))
    };
    Broker { url, prefix: format!("t-{}", uuid::Uuid::now_v7().simple()), _node: node }
}

async fn accepts(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).await.is_ok()
}

/// Whether the port answers the protocol header with Connection.Start (a method frame on channel 0, class 10, method 10).
async fn speaks_amqp(port: u16) -> bool {
    let greet = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
        let mut head = [0_u8; 11];
        stream.read_exact(&mut head).await?;
        std::io::Result::Ok(head[..3] == [1, 0, 0] && head[7..] == [0, 10, 0, 10])
    };
    matches!(tokio::time::timeout(Duration::from_secs(5), greet).await, Ok(Ok(true)))
}
