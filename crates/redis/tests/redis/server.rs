//! Real servers on loopback, each in a folder of its own, ended by their own handle.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// Ports below the ephemeral range, so that no outgoing connection holds one.
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);
const READY_LOOKS: usize = 300;
const LOOK: Duration = Duration::from_millis(100);

pub(crate) fn pause(time: Duration) {
    #[expect(clippy::disallowed_methods, reason = "a test waits for another process")]
    std::thread::sleep(time);
}

fn free_port() -> u16 {
    loop {
        let start = u16::try_from(std::process::id() % 5_000).unwrap();
        let port = 12_000 + start + NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free(port) && free(port + 10_000) {
            return port;
        }
    }
}

/// One redis-server with an append-only file.
pub(crate) struct Server {
    pub(crate) port: u16,
    dir: TempDir,
    child: Child,
    flags: Vec<String>,
}

impl Server {
    pub(crate) fn start(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let child = spawn(port, &dir, &flags);
        let server = Self { port, dir, child, flags };
        server.ready();
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn ready(&self) {
        for _ in 0..READY_LOOKS {
            if self.cli(&["ping"]).trim() == "PONG" {
                return;
            }
            pause(LOOK);
        }
        panic!("redis-server on port {} did not become ready", self.port);
    }

    pub(crate) fn cli(&self, args: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        let output = command.args(["-p", &self.port.to_string()]).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts again on its own data.
    pub(crate) fn again(&mut self) {
        self.child = spawn(self.port, &self.dir, &self.flags);
        self.ready();
    }

    /// A copy of the data as it is on disk.
    pub(crate) fn copy_data(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(&self.dir, &copy);
        copy
    }

    /// Replaces the data of a server that does not run.
    pub(crate) fn put_data(&self, data: &TempDir) {
        let done =
            Command::new("rm").arg("-rf").arg(self.dir.path().join("appendonlydir")).status();
        assert!(done.unwrap().success());
        copy_folder(data, &self.dir);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn copy_folder(from: &TempDir, to: &TempDir) {
    let mut command = Command::new("cp");
    let done = command.arg("-a").arg(from.path().join(".")).arg(to.path()).status();
    assert!(done.unwrap().success());
}

fn spawn(port: u16, dir: &TempDir, flags: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
    command.arg("--dir").arg(dir.path()).args(["--appendonly", "yes"]);
    // With `everysec` an answer may precede the write to the file by two seconds.
    command.args(["--appendfsync", "always"]);
    command.args(["--enable-debug-command", "local"]).args(flags);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("redis-server is installed")
}

/// Three masters.
pub(crate) struct Cluster {
    nodes: Vec<Server>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let flags = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
        let nodes: Vec<Server> = (0..3).map(|_| Server::start(&flags)).collect();
        let hosts: Vec<String> =
            nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        let mut command = Command::new("redis-cli");
        command.args(["--cluster", "create"]).args(&hosts).arg("--cluster-yes");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let joined = |node: &Server| node.cli(&["cluster", "info"]).contains("cluster_state:ok");
        for _ in 0..READY_LOOKS {
            if nodes.iter().all(joined) {
                return Self { nodes };
            }
            pause(LOOK);
        }
        panic!("the cluster did not join");
    }

    pub(crate) fn url(&self) -> String {
        let hosts: Vec<_> =
            self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }
}

/// What a [`Proxy`] does with the next script.
const PASS: u8 = 0;
const LOSE_REQUEST: u8 = 1;
const LOSE_ANSWER: u8 = 2;

/// A network between client and server that can lose one call.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    next: Arc<AtomicU8>,
}

impl Proxy {
    pub(crate) fn start(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let next = Arc::new(AtomicU8::new(PASS));
        let shared = next.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let next = shared.clone();
                std::thread::spawn(move || carry(client, server, &next));
            }
        });
        Self { port, next }
    }

    /// The next script is lost on its way there, or its answer on its way back.
    pub(crate) fn lose(&self, after_it_ran: bool) {
        self.next.store(if after_it_ran { LOSE_ANSWER } else { LOSE_REQUEST }, Ordering::SeqCst);
    }
}

fn carry(mut client: TcpStream, mut server: TcpStream, next: &AtomicU8) {
    let (mut answers, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let losing = Arc::new(AtomicU8::new(PASS));
    let shared = losing.clone();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = answers.read(&mut buffer) {
            if shared.load(Ordering::SeqCst) == LOSE_ANSWER
                || to_client.write_all(&buffer[..count]).is_err()
            {
                break;
            }
        }
        let _ = to_client.shutdown(Shutdown::Both);
        let _ = answers.shutdown(Shutdown::Both);
    });
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        if buffer[..count].windows(7).any(|window| window == b"EVALSHA") {
            let what = next.swap(PASS, Ordering::SeqCst);
            if what == LOSE_REQUEST {
                break;
            }
            losing.store(what, Ordering::SeqCst);
        }
        if server.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
