//! The built binary as a process: started with free ports, waited for, stopped.
//!
//! A process that is dropped is killed, so that a failed test leaves nothing behind; a test that
//! is about ending calls [`Recgate::stop`], which sends SIGTERM and hands back the exit code.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::{Mock, http, soon, until};

/// A gateway that serves.
pub(crate) struct Recgate {
    /// Where clients go.
    pub(crate) address: SocketAddr,
    /// Where the operator looks.
    pub(crate) admin: SocketAddr,
    mock: Option<SocketAddr>,
    /// The configuration's file, where it has one.
    pub(crate) config: Option<PathBuf>,
    /// Process id.
    pub(crate) pid: u32,
    /// What it has printed so far.
    pub(crate) greeting: Vec<String>,
    exited: watch::Receiver<Option<ExitStatus>>,
    errors: Arc<Mutex<String>>,
    client: reqwest::Client,
}

/// A process that has ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) errors: String,
}

/// The binary, without any variable of its own from the surroundings. `RECGATE_MEASURED` names another
/// one: a release build, where a test prints what something costs.
fn command(arguments: &[&str]) -> Command {
    let measured = std::env::var_os("RECGATE_MEASURED");
    let program = measured.unwrap_or_else(|| env!("CARGO_BIN_EXE_recgate").into());
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let own = |name: &OsStr| name.as_encoded_bytes().starts_with(b"RECGATE_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| own(name)) {
        command.env_remove(name);
    }
    // A test that wants a ledger that stays says where, by a flag or in a configuration.
    if arguments.first() == Some(&"serve") {
        command.env("RECGATE_LEDGER__URL", "memory:");
    }
    command
}

/// Runs the binary until it ends by itself.
pub(crate) async fn run_to_end(arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    run_to_end_within(super::PATIENCE, arguments, variables).await
}

/// The same for work that grows with what a long run has left.
pub(crate) async fn run_to_end_within(
    patience: Duration,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Ended {
    let mut command = command(arguments);
    command.envs(variables.iter().copied());
    let mut child = command.spawn().unwrap();
    let mut streams = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let pid = child.id();
    let errors = std::thread::spawn(move || text_of(&mut streams.1));
    let out = std::thread::spawn(move || text_of(&mut streams.0));
    let waiting = tokio::task::spawn_blocking(move || child.wait().unwrap());
    let status = tokio::time::timeout(patience, waiting).await;
    let Ok(status) = status else {
        signal(pid, "-KILL");
        panic!("recgate {arguments:?} did not end by itself");
    };
    Ended { code: status.unwrap().code(), out: out.join().unwrap(), errors: errors.join().unwrap() }
}

fn text_of(stream: &mut impl Read) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([name, &pid.to_string()]).status();
    assert!(sent.is_ok(), "kill is missing");
}

// === impl Recgate ===

impl Recgate {
    /// `recgate serve` with the built-in configuration and these keys set.
    pub(crate) async fn built_in(set: &[&str]) -> Self {
        Self::start(None, set).await
    }

    /// `recgate serve` with a configuration of this text.
    pub(crate) async fn with_config(text: &str) -> Self {
        Self::start(Some(text), &[]).await
    }

    /// `recgate serve`, every port a free one. Resolves when it is ready.
    pub(crate) async fn start(config: Option<&str>, set: &[&str]) -> Self {
        Self::start_marked(config, set, None).await.unwrap_or_else(|errors| {
            panic!("recgate ended: {errors}");
        })
    }

    /// The same for a process that ends itself at a mark (`change::mark`), maybe before it is
    /// ready: then what it wrote to standard error.
    pub(crate) async fn start_marked(
        config: Option<&str>,
        set: &[&str],
        mark: Option<&str>,
    ) -> Result<Self, String> {
        Self::launch(config, set, &[], mark).await
    }

    /// The same with these arguments besides.
    pub(crate) async fn launch(
        config: Option<&str>,
        set: &[&str],
        more: &[&str],
        mark: Option<&str>,
    ) -> Result<Self, String> {
        let mut arguments = vec!["serve".to_owned()];
        let written = config.map(|text| super::file("config.toml", text));
        if let Some(path) = &written {
            arguments.extend(["--config".to_owned(), path.display().to_string()]);
        }
        arguments.extend(more.iter().map(|&it| it.to_owned()));
        let ports = ["gateway.listen", "admin.listen", "mock.listen"]
            .map(|key| format!("{key}=127.0.0.1:0"));
        // Two threads, so that what they share is shared.
        let usual = ["gateway.threads=2", "log.level=warn"].map(str::to_owned);
        for key in ports.into_iter().chain(usual).chain(set.iter().map(|&set| set.to_owned())) {
            arguments.extend(["--set".to_owned(), key]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = command(&arguments);
        // The manual's own ledger is one that all tests would share.
        let own = |text: &str| text.contains("[ledger]") && !text.contains("recgate-ledger.db");
        if config.is_some_and(own) {
            command.env_remove("RECGATE_LEDGER__URL");
        }
        command.envs(mark.map(|mark| ("RECGATEMARK", mark)));
        let mut child = command.spawn().unwrap();
        let pid = child.id();
        let (out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (lines, mut printed) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        let errors = Arc::new(Mutex::new(String::new()));
        let collected = Arc::clone(&errors);
        let last_words = std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = err.read(&mut chunk) {
                collected.lock().unwrap().push_str(&String::from_utf8_lossy(&chunk[..read]));
            }
        });
        let (exit, exited) = watch::channel(None);
        std::thread::spawn(move || {
            let status = child.wait().unwrap();
            // Who knows of its end knows all that it wrote.
            let _ = last_words.join();
            let _ = exit.send(Some(status));
        });

        let (mut gateway, mut mock, mut admin, mut greeting) = (None, None, None, Vec::new());
        while admin.is_none() {
            let Some(line) = soon("an address line of recgate", printed.recv()).await else {
                return Err(errors.lock().unwrap().clone());
            };
            let address = |line: &str| line.rsplit_once("//")?.1.parse::<SocketAddr>().ok();
            match line.split_whitespace().next() {
                Some("gateway") => gateway = address(&line),
                Some("mock") => mock = address(&line),
                Some("admin") => admin = address(&line),
                _ => {}
            }
            greeting.push(line);
        }
        while let Ok(line) = printed.try_recv() {
            greeting.push(line);
        }
        let this = Self {
            address: gateway.unwrap(),
            admin: admin.unwrap(),
            mock,
            config: written,
            pid,
            greeting,
            exited,
            errors,
            client: http().build().unwrap(),
        };
        let ready = until("readiness", || async {
            let answer = this.client.get(format!("http://{}/readyz", this.admin)).send().await;
            let ready = answer.is_ok_and(|answer| answer.status() == 200);
            (ready || this.has_ended()).then_some(ready)
        })
        .await;
        if ready { Ok(this) } else { Err(this.errors()) }
    }

    /// Whether the process is gone.
    pub(crate) fn has_ended(&self) -> bool {
        self.exited.borrow().is_some()
    }

    /// `kill -9`, and its end; nothing where it has ended by itself. Gives what it has written to
    /// standard error.
    pub(crate) async fn kill(mut self) -> String {
        if !self.has_ended() {
            self.signal("-KILL");
        }
        self.ended().await;
        self.errors()
    }

    /// The address of a path on the client side, in clear.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The mock's control plane.
    pub(crate) fn mock(&self) -> Mock {
        Mock::at(self.mock.expect("no mock runs"))
    }

    /// One of the admin side's JSON documents.
    pub(crate) async fn admin(&self, path: &str) -> Value {
        let url = format!("http://{}{path}", self.admin);
        self.client.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// One counter of the metrics: the sum over the lines that begin with `name` and hold every
    /// one of `labels`.
    pub(crate) async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let url = format!("http://{}/metrics", self.admin);
        let text = self.client.get(url).send().await.unwrap().text().await.unwrap();
        text.lines()
            .filter(|line| line.starts_with(name) && labels.iter().all(|it| line.contains(it)))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum()
    }

    /// Waits until no client has a connection that the gateway knows of.
    pub(crate) async fn has_no_connections(&self) {
        until("the end of the clients' connections", || async {
            (self.metric("recgate_connections", &[]).await < 0.5).then_some(())
        })
        .await;
    }

    /// Sends a signal (`-TERM`, `-INT`).
    pub(crate) fn signal(&self, name: &str) {
        signal(self.pid, name);
    }

    /// The exit code, once it has ended.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let status = soon("the end of recgate", self.exited.wait_for(Option::is_some)).await;
        status.unwrap().and_then(|status| status.code())
    }

    /// Writes its configuration anew, and tells it so.
    pub(crate) fn reload(&self, text: &str) {
        std::fs::write(self.config.as_ref().unwrap(), text).unwrap();
        self.signal("-HUP");
    }

    /// Resolves when so many reloads of this kind have had this result.
    pub(crate) async fn has_reloaded(&self, of: &str, result: &str, count: f64) {
        let labels = [format!("of=\"{of}\""), format!("result=\"{result}\"")];
        let labels = labels.each_ref().map(String::as_str);
        until(&format!("reload {count} of {of}, {result}"), || async {
            (self.metric("recgate_reloads_total", &labels).await >= count).then_some(())
        })
        .await;
    }

    /// SIGTERM, and the end that is promised: exit 0.
    pub(crate) async fn stop(mut self) {
        self.signal("-TERM");
        let code = self.ended().await;
        assert_eq!(code, Some(0), "{}", self.errors());
    }

    /// What it has written to standard error.
    pub(crate) fn errors(&self) -> String {
        self.errors.lock().unwrap().clone()
    }

    /// A size out of `/proc/PID/status`, in bytes: `VmRSS`, `VmHWM`.
    pub(crate) fn memory(&self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kibibytes * 1024
    }
}

impl Recgate {
    /// Seconds of processors that it has used so far, all threads together.
    pub(crate) fn cpu(&self) -> f64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid)).unwrap();
        // The first number is the time on a processor, in nanoseconds (proc(5), schedstat).
        let used = tasks.filter_map(|task| {
            let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        std::time::Duration::from_nanos(used.sum()).as_secs_f64()
    }
}

impl Drop for Recgate {
    fn drop(&mut self) {
        if self.exited.borrow().is_none() {
            signal(self.pid, "-KILL");
        }
        if std::thread::panicking() {
            eprintln!("--- recgate wrote:\n{}", self.errors());
        }
    }
}
