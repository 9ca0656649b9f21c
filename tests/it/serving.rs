//! `recgate serve` starts whole or not at all, says what is wrong, and ends clean.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;

use crate::harness::raw::{ask, frame, preface};
use crate::harness::upstream::{config, ok, response};
use crate::harness::{RawClient, Recgate, Step, Upstream, file, http, run_to_end, until};

const GET: &str = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n";

/// Whoever reads the log may go away: a reload, a refused reload and a drain go on without.
#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let config = file("unread.toml", include_str!("../../config.toml"));
    let mut recgate = Command::new(env!("CARGO_BIN_EXE_recgate"))
        .args(["serve", "--config"])
        .arg(&config)
        .args(["--set", "gateway.listen=127.0.0.1:0", "--set", "admin.listen=127.0.0.1:0"])
        .args(["--set", "mock.listen=127.0.0.1:0", "--set", "ledger.url=memory:"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(recgate.stdout.take().unwrap()).lines();
    let gateway = lines.next().unwrap().unwrap();
    // Nobody reads from here on.
    drop(recgate.stderr.take());
    let address = gateway.split("//").nth(1).unwrap().to_owned();
    let ask = || {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    };
    let pid = recgate.id().to_string();
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    };
    ask();
    std::fs::write(&config, "nonsense").unwrap();
    signal("-HUP");
    ask();
    signal("-TERM");
    assert_eq!(recgate.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn it_greets_and_shows_its_state() {
    let recgate = Recgate::built_in(&[]).await;
    let greeting = recgate.greeting.join("\n");
    assert!(greeting.contains(&format!("gateway  http://{}", recgate.address)), "{greeting}");
    assert_eq!(recgate.admin("/healthz").await["status"], "ok");
    assert_eq!(recgate.admin("/readyz").await["status"], "ready");
    let http = http().build().unwrap();
    let call = http.get(recgate.url("/api/v2/users/me")).bearer_auth("agent-ana");
    assert_eq!(call.send().await.unwrap().status(), 200);
    let counted = recgate
        .metric("recgate_exchanges_total", &["upstream=\"genesys\"", "status=\"200\""])
        .await;
    assert!((counted - 1.0).abs() < f64::EPSILON, "{counted}");
    let unknown = http.get(format!("http://{}/nothing", recgate.admin)).send().await.unwrap();
    assert_eq!(unknown.status(), 404);
    assert_eq!(unknown.headers()["content-type"], "application/problem+json");
    recgate.stop().await;
}

/// A signal lets what was admitted end: the request in flight is answered, then exit 0.
#[tokio::test]
async fn signals_drain() {
    for signal in ["-TERM", "-INT"] {
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&gate);
        let upstream = Upstream::scripted(move |request| match request.target() {
            "/quick" => vec![ok()],
            _ => vec![Step::Await(Arc::clone(&held)), ok()],
        })
        .await;
        let far = "[limits]\nfirst_byte_ms = 7200000\nhead_ms = 7200000\n";
        let mut recgate = Recgate::with_config(&format!("{}{far}", upstream.config())).await;
        // One that never said a word, and one that was served before.
        let mut idle = Vec::new();
        for said in ["", "GET /quick HTTP/1.1\r\nHost: x\r\n\r\n"] {
            let mut client = RawClient::connect(recgate.address).await;
            client.send(said).await;
            if said.ends_with("\r\n\r\n") {
                assert_eq!(client.response().await.status(), 200);
            }
            idle.push(client);
        }
        let mut client = RawClient::connect(recgate.address).await;
        client.send(GET).await;
        upstream.has_received(2).await;
        recgate.signal(signal);
        // Idle connections are closed, by no deadline: theirs are hours away. The one in flight
        // is not.
        for mut client in idle {
            assert_eq!(client.rest().await, b"");
        }
        until("a port that takes nobody", || async {
            tokio::net::TcpStream::connect(recgate.address).await.is_err().then_some(())
        })
        .await;
        gate.add_permits(1);
        assert_eq!(client.response().await.status(), 200, "{signal}");
        assert_eq!(client.rest().await, b"", "{signal}: kept alive after the last answer");
        assert_eq!(recgate.ended().await, Some(0), "{signal}: {}", recgate.errors());
    }
}

/// Whether its answer has not come, or a part of it, and whether or not its body is one that streams.
#[tokio::test]
async fn a_drain_that_takes_too_long_is_cut_and_says_so() {
    let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegun".to_vec();
    let post = "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
    for (request, answer) in [(GET, None), (post, None), (GET, Some(begun))] {
        let answers = answer.is_some();
        let upstream = Upstream::scripted(move |_| {
            answer.clone().map(Step::Send).into_iter().chain([Step::Hang]).collect()
        })
        .await;
        let text = format!("{}[gateway]\ndrain_ms = 200\n", upstream.config());
        let mut recgate = Recgate::with_config(&text).await;
        let mut client = RawClient::connect(recgate.address).await;
        client.send(request).await;
        upstream.has_received(1).await;
        if answers {
            assert_eq!(client.response_to_head().await.status(), 200);
        }
        recgate.signal("-TERM");
        assert_eq!(recgate.ended().await, Some(1), "{request}");
        assert!(recgate.errors().contains("drain_ms"), "{}", recgate.errors());
    }
}

/// An answer that was handed over is not one that was written: 0 is for clients that can have all.
#[tokio::test]
async fn a_drain_counts_what_is_not_written() {
    let hints = "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n".repeat(150_000);
    let hinted = [hints.as_bytes(), &response(&["HTTP/1.1 200 OK"], "the end")].concat();
    // About as much as sockets hold.
    let large = (0..12).map(|it| {
        let body = [&vec![b'x'; 2_000_000 + it * 200_000][..], b"the end"].concat();
        response(&["HTTP/1.1 200 OK"], body)
    });
    let mut cut = 0;
    for answer in large.chain([hinted]) {
        let pieces: Vec<Step> = answer.chunks(4_096).map(|it| Step::Send(it.to_vec())).collect();
        let upstream = Upstream::scripted(move |_| pieces.clone()).await;
        let text = format!("{}[gateway]\ndrain_ms = 200\n", upstream.config());
        let mut recgate = Recgate::with_config(&text).await;
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut client = socket.connect(recgate.address).await.unwrap();
        let post = "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
        client.write_all(post.as_bytes()).await.unwrap();
        upstream.has_received(1).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        recgate.signal("-TERM");
        let code = recgate.ended().await;
        let mut got = Vec::new();
        let _ = client.read_to_end(&mut got).await;
        let whole = got.ends_with(b"the end");
        assert_eq!(code, Some(i32::from(!whole)), "{} of {} bytes", got.len(), answer.len());
        cut += usize::from(!whole);
    }
    assert!(cut > 0, "everything found room");
}

/// The same over HTTP/2, for a client that opens a window of one byte.
#[tokio::test]
async fn a_drain_counts_what_waits_for_a_window() {
    let upstream =
        Upstream::scripted(|_| vec![Step::Send(response(&["HTTP/1.1 200 OK"], "two"))]).await;
    let text = format!("{}[gateway]\ndrain_ms = 200\n", upstream.config());
    let mut recgate = Recgate::with_config(&text).await;
    let mut client = RawClient::connect(recgate.address).await;
    // SETTINGS_INITIAL_WINDOW_SIZE, and a POST of HPACK's static table.
    let post = frame(1, 5, 1, b"\x83\x86\x04\x02/x\x01\x01x");
    client.send([preface(), frame(4, 0, 0, &[0, 4, 0, 0, 0, 1]), post].concat()).await;
    upstream.has_received(1).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    recgate.signal("-TERM");
    assert_eq!(recgate.ended().await, Some(1));
}

/// A request that has come behind one whose answer is under way is answered, too, and told that it
/// is the last.
#[tokio::test]
async fn a_drain_answers_what_stands_behind_a_stream() {
    let go_on = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&go_on);
    let upstream = Upstream::scripted(move |asked| match asked.target() {
        "/stream" => {
            let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nbegi".to_vec();
            vec![Step::Send(begun), Step::Await(Arc::clone(&gate)), Step::Send(b"nend".to_vec())]
        }
        _ => vec![ok()],
    })
    .await;
    let mut recgate = Recgate::with_config(&upstream.config()).await;
    let mut client = RawClient::connect(recgate.address).await;
    let put = |path| format!("PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}");
    client.send([put("/stream"), put("/two")].concat()).await;
    upstream.has_received(1).await;
    assert_eq!(client.response_to_head().await.one("connection"), None);
    recgate.signal("-TERM");
    tokio::time::sleep(Duration::from_secs(1)).await;
    go_on.add_permits(1);
    assert_eq!(client.bytes(8).await, b"beginend");
    let last = client.response().await;
    assert_eq!((last.status(), last.one("connection")), (200, Some("close")));
    assert_eq!(recgate.ended().await, Some(0));
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap();
    let free =
        ["gateway.listen", "admin.listen", "mock.listen"].map(|key| format!("{key}=127.0.0.1:0"));
    for key in ["gateway.listen", "admin.listen", "mock.listen"] {
        let set = format!("{key}={taken}");
        let ended = run_to_end(
            &["serve", "--set", &free[0], "--set", &free[1], "--set", &free[2], "--set", &set],
            &[],
        )
        .await;
        assert_eq!(ended.code, Some(1), "{key}: {}", ended.errors);
        assert_eq!(ended.errors.lines().count(), 1, "{}", ended.errors);
        assert!(ended.errors.contains(key), "{}", ended.errors);
        assert!(ended.errors.contains(&taken.to_string()), "{}", ended.errors);
        assert_eq!(ended.out, "", "{key}: something was opened");
    }
    let ended = run_to_end(&["mock", "--set", &format!("mock.listen={taken}")], &[]).await;
    assert_eq!((ended.code, ended.errors.lines().count()), (Some(1), 1), "{}", ended.errors);
}

/// Another gateway shares nothing, although its own threads share the port.
#[tokio::test]
async fn a_second_gateway_does_not_join_the_first_ones_port() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let first = Recgate::with_config(&upstream.config()).await;
    let set = format!("gateway.listen={}", first.address);
    let text = file("second.toml", upstream.config());
    let ended = run_to_end(
        &[
            "serve",
            "--config",
            text.to_str().unwrap(),
            "--set",
            &set,
            "--set",
            "admin.listen=127.0.0.1:0",
        ],
        &[],
    )
    .await;
    assert_eq!(ended.code, Some(1), "{}", ended.errors);
    assert!(ended.errors.contains("gateway.listen"), "{}", ended.errors);
    assert_eq!(ask(first.address, GET).await.status(), 200);
}

#[tokio::test]
async fn a_bad_key_is_named_with_its_place_and_what_is_allowed() {
    let upstream = "[[upstream]]\nname = \"u\"\nurl = \"http://127.0.0.1:1\"\npaths = [\"/\"]\n";
    // Text, place, and words that the line must hold.
    let cases: [(&str, &str, &[&str]); 8] = [
        ("[gateway]\nlistne = \"127.0.0.1:0\"\n", ":2:1", &["listne", "listen"]),
        ("[log]\nlevel = \"loud\"\n", ":2:9", &["log.level", "loud", "debug"]),
        ("[gateway]\nlisten = \"nowhere\"\n", ":2:10", &["gateway.listen"]),
        ("[limits]\nbody_bytes = 0\n", ":2:14", &["limits.body_bytes", "must be 1 to"]),
        ("[limits]\nbody_bytes = \n", ":2:", &[]),
        ("[default_client]\ndeadline_ms = -1\n", ":2:15", &["default_client.deadline_ms"]),
        (
            "[default_client]\nfallback = \"other\"\n",
            ":2:12",
            &["fallback", "agnostic", "legacy", "none"],
        ),
        ("[mock]\ndate = \"yesterday\"\n", ":2:8", &["mock.date", "2026-09-20"]),
    ];
    for (text, place, words) in cases {
        let path = file("bad.toml", format!("{text}{upstream}"));
        let path = path.to_str().unwrap();
        for arguments in [vec!["serve", "--config", path], vec!["config", "check", path]] {
            let ended = run_to_end(&arguments, &[]).await;
            assert_eq!(ended.code, Some(2), "{text}: {}", ended.errors);
            assert!(ended.errors.contains(&format!("{path}{place}")), "{text}: {}", ended.errors);
            for word in words {
                assert!(ended.errors.contains(word), "{text}: {word}: {}", ended.errors);
            }
            assert_eq!(ended.out, "");
        }
    }
}

#[tokio::test]
async fn overrides_are_named_where_they_are_wrong() {
    let good = file("good.toml", config("other", "none", &"127.0.0.1:1".parse().unwrap()));
    let check = ["config", "check", good.to_str().unwrap()];
    for (name, value, words) in [
        ("RECGATE_GATEWAY__LISTNE", "127.0.0.1:0", ["RECGATE_GATEWAY__LISTNE", "listen"]),
        ("RECGATE_NOTHING", "1", ["RECGATE_NOTHING", "gateway"]),
        ("RECGATE_LIMITS__BODY_BYTES", "many", ["RECGATE_LIMITS__BODY_BYTES", "limits.body_bytes"]),
        ("RECGATE_UPSTREAM__OTHER__URL", "mock", ["RECGATE_UPSTREAM__OTHER__URL", "it"]),
    ] {
        let ended = run_to_end(&check, &[(name, value)]).await;
        assert_eq!(ended.code, Some(2), "{name}: {}", ended.errors);
        for word in words {
            assert!(ended.errors.contains(word), "{name}: {}", ended.errors);
        }
    }
    // A flag lies over a variable.
    let set = [check[0], check[1], check[2], "--set", "log.level=debug"];
    let ended = run_to_end(&set, &[("RECGATE_LOG__LEVEL", "trace")]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert!(ended.out.contains("level = \"debug\""), "{}", ended.out);
    let ended = run_to_end(&check, &[("RECGATE_LOG__LEVEL", "trace")]).await;
    assert!(ended.out.contains("level = \"trace\""), "{}", ended.out);
}

#[tokio::test]
async fn a_spec_that_cannot_be_used_stops_the_start() {
    let address = "127.0.0.1:1".parse().unwrap();
    for (name, text, word) in [
        ("broken.yaml", "openapi: 3.0.3\ninfo: [", "broken.yaml"),
        ("none.yaml", "hello: world\n", "none.yaml"),
        (
            "ref.yaml",
            "openapi: 3.0.3\ninfo: {title: t, version: v}\npaths:\n  /x:\n    get:\n      responses:\n        '200': {$ref: '#/nowhere'}\n",
            "nowhere",
        ),
    ] {
        let spec = file(name, text);
        let document = format!("{{ document = \"{}\" }}", spec.display());
        let text = config("genesys", "none", &address).replace("\"none\"", &document);
        let path = file("spec.toml", text);
        for arguments in [
            vec![
                "serve",
                "--config",
                path.to_str().unwrap(),
                "--set",
                "gateway.listen=127.0.0.1:0",
                "--set",
                "admin.listen=127.0.0.1:0",
            ],
            vec!["config", "check", path.to_str().unwrap()],
        ] {
            let ended = run_to_end(&arguments, &[]).await;
            assert_eq!(ended.code, Some(2), "{name}: {}", ended.errors);
            assert_eq!(ended.errors.lines().count(), 1, "{name}: {}", ended.errors);
            assert!(ended.errors.contains(word), "{name}: {}", ended.errors);
            let place = "spec.toml:6:12: upstream.it.contract: ";
            assert!(ended.errors.contains(place), "{name}: {}", ended.errors);
        }
    }
}

/// The place of each file that cannot be used is told in one run, whatever else is wrong.
#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let junk = file("junk", "no key and no certificate").display().to_string();
    let text = format!(
        "[limits]\nrequests = 0\n[ledger]\nurl = \"sqlite:{junk}.db\"\nkey_file = \"{junk}\"\n\
         [gateway]\ntls = {{ certificate = \"/none/c\", key = \"{junk}\", client_ca = \"/none/a\" }}\n\
         [[upstream]]\nname = \"it\"\nvendor = \"other\"\nurl = \"https://127.0.0.1:1\"\npaths = [\"/\"]\n\
         contract = {{ documents = [\"/none/one\", \"/none/two\"] }}\nca_file = \"{junk}\"\n\
         client_certificate = \"/none/cc\"\nclient_key = \"/none/ck\"\n\
         [[upstream]]\nname = \"genesys\"\nvendor = \"genesys\"\nurl = \"http://127.0.0.1:1\"\npaths = [\"/g\"]\n\
         check_overrides = [{{ operation = \"a\", hop = \"client-request\", mode = \"off\" }}, \
         {{ operation = \"b\", hop = \"client-request\", mode = \"off\" }}]\n"
    );
    let path = file("all.toml", text).display().to_string();
    let ended = run_to_end(&["config", "check", &path], &[]).await;
    assert_eq!(ended.code, Some(2), "{}", ended.errors);
    for told in [
        "all.toml:2:12: limits.requests: ",
        "all.toml:5:12: ledger.key_file: the ledger's key in ",
        "gateway.tls.certificate: /none/c: ",
        "gateway.tls.key: ",
        "gateway.tls.client_ca: /none/a: ",
        "upstream.it.contract: upstream it: /none/one ",
        "upstream.it.contract: upstream it: /none/two ",
        "upstream.it.ca_file: ",
        "upstream.it.client_certificate: /none/cc: ",
        "upstream.it.client_key: /none/ck: ",
        "check_overrides names the operation `a`",
        "check_overrides names the operation `b`",
    ] {
        assert!(ended.errors.contains(told), "{told}\n{}", ended.errors);
    }
    assert_eq!(ended.errors.lines().count(), 12, "{}", ended.errors);
}

/// The ledger's key, where it is named and where it is made.
#[tokio::test]
async fn a_key_of_the_ledger_that_cannot_be_used_stops_the_start() {
    let ledger = file("ledger.db", "").display().to_string();
    let url = format!("ledger.url=sqlite:{ledger}");
    let at = |key: &str| format!("{ledger}.{key}");
    let missing = format!("ledger.key_file={}", at("none"));
    std::fs::write(at("short"), "abcd\n").unwrap();
    let short = format!("ledger.key_file={}", at("short"));
    let listens = ["--set", "gateway.listen=127.0.0.1:0", "--set", "admin.listen=127.0.0.1:0"];
    for (set, place) in [
        (&*missing, "ledger.key_file: the ledger's key "),
        (&*short, "ledger.key_file: the ledger's key in "),
        ("ledger.key_env=NOBODY_SET_THIS", "ledger.key_env: "),
        // A ledger is there, and its key is not.
        ("ledger.keep_days=7", "ledger.key_file: the ledger "),
    ] {
        let sets = ["--set", "mock.listen=127.0.0.1:0", "--set", &url, "--set", set];
        for command in [&["config", "check"][..], &["serve"]] {
            let more: &[&str] = if command.len() == 1 { &listens } else { &[] };
            let ended = run_to_end(&[command, &sets, more].concat(), &[]).await;
            assert_eq!(ended.code, Some(2), "{command:?} {set}: {}", ended.errors);
            assert_eq!(ended.errors.lines().count(), 1, "{command:?}: {}", ended.errors);
            assert!(ended.errors.contains(place), "{command:?} {set}: {}", ended.errors);
        }
    }
}

#[tokio::test]
async fn the_manual_is_a_configuration_and_help_names_the_commands() {
    let manual = run_to_end(&["config", "default"], &[]).await;
    assert_eq!(manual.code, Some(0));
    let path = file("manual.toml", &manual.out);
    let checked = run_to_end(&["config", "check", path.to_str().unwrap()], &[]).await;
    assert_eq!(checked.code, Some(0), "{}", checked.errors);
    // What is printed is a configuration again, and the same one.
    let again = file("again.toml", &checked.out);
    let again = run_to_end(&["config", "check", again.to_str().unwrap()], &[]).await;
    assert_eq!((again.code, &again.out), (Some(0), &checked.out), "{}", again.errors);

    let help = run_to_end(&["--help"], &[]).await;
    assert_eq!(help.code, Some(0));
    for word in ["serve", "mock", "config", "Examples"] {
        assert!(help.out.contains(word), "{}", help.out);
    }
    let wrong = run_to_end(&["sevre"], &[]).await;
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.errors.contains("serve"), "{}", wrong.errors);
    let missing = run_to_end(&["serve", "--config", "/nowhere/x.toml"], &[]).await;
    assert_eq!(missing.code, Some(2));
    assert!(missing.errors.contains("/nowhere/x.toml"), "{}", missing.errors);
}

/// The mock's control plane is the tester's, never a client's: in no spelling.
#[tokio::test]
async fn the_control_plane_is_not_reachable_through_the_gateway() {
    let recgate = Recgate::built_in(&[]).await;
    let everything = config("genesys", "none", &recgate.mock().address);
    let proxy = Recgate::with_config(&everything).await;
    let spellings = [
        "/_mock/journal",
        "/_mock",
        "/%5fmock/journal",
        "/%5Fmock/journal",
        "/_%6dock/journal",
        "/%255fmock/journal",
        "//_mock/journal",
        "/_MOCK/journal",
        "/./_mock/journal",
        "/x/../_mock/journal",
        "/_mock;v=1/journal",
        "/;/_mock/journal",
        "/_mock%2fjournal",
        "/x%2f..%2f_mock%2fjournal",
        "/x\\_mock\\journal",
        "/_mock%20/journal",
        "/_mock?x",
    ];
    for spelling in spellings {
        for (gateway, prefix) in [
            (&recgate, "/genesys"),
            (&recgate, "/webex"),
            (&recgate, "/genesys-login"),
            (&recgate, ""),
            (&proxy, ""),
        ] {
            let line = format!("GET {prefix}{spelling} HTTP/1.1\r\nHost: x\r\n\r\n");
            let answer = ask(gateway.address, line).await;
            assert_eq!(answer.status(), 404, "{prefix}{spelling}");
            assert_eq!(answer.one("recgate-error"), Some("route.none"), "{prefix}{spelling}");
        }
    }
    // In absolute form too, and it is really there for those who may.
    let absolute = format!(
        "GET http://{}/genesys/_mock/journal HTTP/1.1\r\nHost: {}\r\n\r\n",
        recgate.address, recgate.address
    );
    assert_eq!(ask(recgate.address, absolute).await.status(), 404);
    assert_eq!(recgate.mock().journal().await.len(), 0);
    // Nor is the admin side.
    for path in ["/findings", "/metrics", "/ledger", "/healthz"] {
        let answer = ask(recgate.address, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert_eq!(answer.status(), 404, "{path}");
    }
}

/// HTTP/2 in clear, by its preface: the same gateway, the same answers.
#[tokio::test]
async fn http_2_in_clear_is_served() {
    let recgate = Recgate::built_in(&[]).await;
    let client = http().http2_prior_knowledge().build().unwrap();
    let url = recgate.url("/api/v2/conversations/calls/c0000000-0000-4000-8000-000000000001");
    let call = client.patch(url).bearer_auth("supervisor-dee");
    let answer = call.json(&serde_json::json!({"recordingState": "PAUSED"})).send().await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert_eq!(answer.status(), 202);
    assert_eq!(answer.headers()["recgate-changes"], "WEM-449");
    let calls = recgate.mock().calls().await;
    assert!(calls[0].starts_with("PUT ") && calls[0].ends_with("/recordingstate"), "{calls:?}");
    recgate.stop().await;
}

/// A drain ends HTTP/2 as it ends HTTP/1.1: streams under way are answered, new ones not taken.
#[tokio::test]
async fn http_2_is_drained_too() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let upstream = Upstream::scripted(move |_| vec![Step::Await(Arc::clone(&held)), ok()]).await;
    let mut recgate = Recgate::with_config(&upstream.config()).await;
    let client = http().http2_prior_knowledge().build().unwrap();
    let under_way: Vec<_> = (0..5)
        .map(|number| tokio::spawn(client.get(recgate.url(&format!("/{number}"))).send()))
        .collect();
    upstream.has_received(5).await;
    recgate.signal("-TERM");
    until("a port that takes nobody", || async {
        tokio::net::TcpStream::connect(recgate.address).await.is_err().then_some(())
    })
    .await;
    gate.add_permits(5);
    for task in under_way {
        assert_eq!(task.await.unwrap().unwrap().status(), 200);
    }
    assert_eq!(recgate.ended().await, Some(0), "{}", recgate.errors());
}

/// HEAD is a GET without its body, at the vendor and through the gateway (RFC 9110 §9.3.2).
#[tokio::test]
async fn head_is_answered_where_get_is() {
    let recgate = Recgate::built_in(&[]).await;
    let client = http().build().unwrap();
    let path = "/api/v2/conversations/c0000000-0000-4000-8000-000000000001";
    for base in [format!("http://{}", recgate.mock().address), recgate.url("")] {
        let ask = async |method: reqwest::Method| {
            let request = client.request(method, format!("{base}{path}")).bearer_auth("agent-ana");
            request.send().await.unwrap()
        };
        let (got, head) = (ask(reqwest::Method::GET).await, ask(reqwest::Method::HEAD).await);
        assert_eq!((got.status().as_u16(), head.status().as_u16()), (200, 200), "{base}");
        assert_eq!(got.headers()["content-length"], head.headers()["content-length"], "{base}");
        assert!(head.bytes().await.unwrap().is_empty(), "{base}");
    }
    recgate.stop().await;
}
