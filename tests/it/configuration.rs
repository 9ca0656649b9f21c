//! What stops a start is told by `recgate config check` before, in the same words.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::harness::run_to_end;

/// A ledger that cannot be where it is to be, its password, and the mock's world: a check tells what a
/// start would, once, by the key alone.
#[tokio::test]
async fn what_would_stop_the_start_is_told_by_a_check() {
    let key = ("TEST_LEDGER_KEY", &*"ab".repeat(32));
    let shared = ["ledger.url=postgres://me@127.0.0.1:1/none", "ledger.key_env=TEST_LEDGER_KEY"];
    let cases: [(&[&str], (&str, &str), &str); 5] = [
        (
            &["ledger.url=sqlite:/none/l.db"],
            key,
            "--set: ledger.url: the folder /none is not there",
        ),
        (&["ledger.url=sqlite:/dev/null/l.db"], key, "--set: ledger.url: /dev/null is no folder"),
        (
            &[],
            ("RECGATE_LEDGER__URL", "sqlite:/dev"),
            "RECGATE_LEDGER__URL: ledger.url: /dev is a folder: name a file in it",
        ),
        (
            &[shared[0], shared[1], "ledger.password_env=NOBODY_SET_THIS"],
            key,
            "--set: ledger.password_env: the ledger's password: the environment has no variable",
        ),
        (
            &["ledger.url=memory:", "mock.world=/none/world.toml"],
            key,
            "--set: mock.world: /none/world.toml cannot be read",
        ),
    ];
    let ports =
        ["gateway.listen=127.0.0.1:0", "admin.listen=127.0.0.1:0", "mock.listen=127.0.0.1:0"];
    for (sets, variable, told) in cases {
        let sets: Vec<&str> = sets.iter().chain(&ports).flat_map(|it| ["--set", it]).collect();
        for command in [&["config", "check"][..], &["serve"]] {
            let ended = run_to_end(&[command, &sets].concat(), &[variable]).await;
            assert_eq!(ended.code, Some(2), "{command:?} {told}: {}", ended.errors);
            assert_eq!(ended.errors.lines().count(), 1, "{command:?} {told}: {}", ended.errors);
            let told = format!("recgate: {told}");
            assert!(ended.errors.starts_with(&told), "{command:?} {told}: {}", ended.errors);
        }
    }
}

/// Listeners that cannot be at once, and an upstream that is the gateway: where everything is served, and
/// not where the mock alone is.
#[tokio::test]
async fn addresses_that_cannot_be_are_told_before_a_port_is_taken() {
    for (sets, told) in [
        (
            ["--set", "admin.listen=127.0.0.1:8080"],
            "recgate: --set: admin.listen: 127.0.0.1:8080 is taken by gateway.listen\n",
        ),
        (
            ["--set", "upstream.webex.url=http://localhost:8080"],
            "recgate: --set: upstream.webex.url: is gateway.listen (127.0.0.1:8080): requests would go round\n",
        ),
    ] {
        let memory = ("RECGATE_LEDGER__URL", "memory:");
        for command in [&["config", "check"][..], &["serve"]] {
            let ended = run_to_end(&[command, &sets].concat(), &[memory]).await;
            assert_eq!((ended.code, &*ended.errors), (Some(2), told), "{command:?}");
        }
        let other = run_to_end(&[&["changes"][..], &sets].concat(), &[memory]).await;
        assert_eq!((other.code, &*other.errors), (Some(0), ""));
    }
}

/// Whatever bytes somebody else's variable holds; of our own the name is told, and never the value.
#[test]
fn a_variable_that_is_not_utf_8_is_told_where_it_is_ours() {
    let bytes = OsStr::from_bytes;
    let cases = [
        (bytes(b"SOMEBODY_ELSES"), bytes(b"hush\xff"), Some(0), ""),
        (bytes(b"SOMEBODY_\xff"), bytes(b"hush"), Some(0), ""),
        (
            bytes(b"RECGATE_LOG__LEVEL"),
            bytes(b"hush\xff"),
            Some(2),
            "recgate: RECGATE_LOG__LEVEL: is not UTF-8\n",
        ),
        (
            bytes(b"RECGATE_\xff"),
            bytes(b"hush"),
            Some(2),
            "recgate: RECGATE_\u{fffd}: is not UTF-8\n",
        ),
    ];
    for (name, value, code, told) in cases {
        let ended = std::process::Command::new(env!("CARGO_BIN_EXE_recgate"))
            .args(["config", "check"])
            .env("RECGATE_LEDGER__URL", "memory:")
            .env(name, value)
            .output()
            .unwrap();
        let errors = String::from_utf8(ended.stderr).unwrap();
        assert_eq!((ended.status.code(), &*errors), (code, told), "{name:?}");
    }
}

#[tokio::test]
async fn what_is_empty_is_named() {
    let ended = run_to_end(&["config", "check"], &[("RECGATE_CONFIG", "")]).await;
    let told = "recgate: RECGATE_CONFIG is empty: it has to name a file, or not to be set\n";
    assert_eq!((ended.code, &*ended.errors), (Some(2), told));
    let har = crate::harness::file("empty.har", "{\"log\":{\"entries\":[]}}");
    let ended = run_to_end(&["check", har.to_str().unwrap()], &[]).await;
    let told = "recgate: nothing was checked: the traffic has no entries\n";
    assert_eq!((ended.code, &*ended.errors), (Some(2), told));
}

/// Offline as at a start: the file of a contract that is not there has its key and its place.
#[tokio::test]
async fn recorded_traffic_is_not_judged_by_a_contract_that_is_not_there() {
    let text = "[[upstream]]\nname = \"v\"\nurl = \"https://v.example\"\npaths = [\"/v\"]\n\
                contract = { document = \"/none/c.yaml\" }\n[ledger]\nurl = \"sqlite:/none/l.db\"\n";
    let config = crate::harness::file("config.toml", text);
    let arguments = ["check", "fixtures/har/clean.har", "--config", config.to_str().unwrap()];
    let ended = run_to_end(&arguments, &[]).await;
    assert_eq!(ended.code, Some(2));
    let told = format!("recgate: {}:5:12: upstream.v.contract: ", config.display());
    assert!(ended.errors.starts_with(&told), "{}", ended.errors);
    assert_eq!(ended.errors.lines().count(), 1, "{}", ended.errors);
}
