//! A PostgreSQL of the tests' own: a cluster in a temporary directory, reachable through a socket
//! in it and nowhere else, with its syncs on.
//!
//! It assumes Debian's `postgresql` (tests/run installs it). `initdb` refuses root, so root lends
//! its place to the user `postgres`. One cluster serves a test process; each test gets a database.
//! A shell watches over the server and ends it, by its process id, when the test process is gone,
//! however that ended.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use sqlx::Connection;

/// A running cluster.
struct Cluster {
    socket: PathBuf,
    user: String,
    _watcher: Child,
    /// Closed by the end of this process: that is the watcher's sign.
    _alive: ChildStdin,
}

/// The address of a new, empty database.
pub(crate) async fn database() -> String {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    let cluster = tokio::task::spawn_blocking(|| CLUSTER.get_or_init(start)).await.unwrap();
    let name = format!("t{}", uuid::Uuid::new_v4().simple());
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(&cluster.url("postgres")).await.unwrap();
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    cluster.url(&name)
}

/// Starts a cluster and waits until it takes connections.
#[allow(clippy::zombie_processes, reason = "the watcher ends when this process does")]
fn start() -> Cluster {
    let binaries = binaries();
    let directory = std::env::temp_dir().join(format!("recgate-pg-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let root = run("id", &["-u"]) == "0";
    let user = if root { "postgres".to_owned() } else { run("id", &["-un"]) };
    let mut shell = if root {
        run("chown", &["postgres", directory.to_str().unwrap()]);
        let mut setpriv = Command::new("setpriv");
        setpriv.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "sh"]);
        setpriv
    } else {
        Command::new("sh")
    };
    // `read` returns when the pipe from the test process closes.
    let script = r#"
        cd "$1" || exit 1
        "$2/initdb" -D data -U "$3" -A trust -N -E UTF8 --locale=C >initdb.log 2>&1 || { cat initdb.log; exit 1; }
        "$2/postgres" -D data -c listen_addresses= -c unix_socket_directories="$1" -c max_connections=60 >server.log 2>&1 &
        server=$!
        tries=0
        until [ -S .s.PGSQL.5432 ] && grep -q 'ready to accept' server.log; do
            tries=$((tries + 1))
            kill -0 $server 2>/dev/null && [ $tries -lt 300 ] || { cat server.log; kill $server; exit 1; }
            sleep 0.1
        done
        echo ready
        read -r _
        kill -INT $server
        wait $server
        cd / && rm -rf "$1"
    "#;
    let mut watcher = shell
        .args(["-c", script, "watch"])
        .arg(&directory)
        .arg(&binaries)
        .arg(&user)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(watcher.stdout.take().unwrap()).lines().map_while(Result::ok) {
        if line == "ready" {
            let alive = watcher.stdin.take().unwrap();
            return Cluster { socket: directory, user, _watcher: watcher, _alive: alive };
        }
        said.push(line);
    }
    panic!("PostgreSQL does not start: {}", said.join("\n"));
}

/// Where `initdb` and `postgres` are: Debian keeps them off the path, by version.
fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|it| Some((it.file_name().to_str()?.parse().ok()?, it.path().join("bin"))))
        .filter(|(_, path)| path.join("postgres").exists() && path.join("initdb").exists())
        .collect();
    found.sort();
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|it| it.join("postgres").exists())
    };
    let newest = found.pop().map(|(_, path)| path).or_else(on_path);
    newest.expect("PostgreSQL is missing: apt-get install postgresql (tests/run does)")
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

// === impl Cluster ===

impl Cluster {
    fn url(&self, database: &str) -> String {
        let socket: &Path = &self.socket;
        format!("postgres:///{database}?host={}&user={}", socket.display(), self.user)
    }
}
