//! What is written goes to whoever reads, and they may stop.

use std::io::{BufRead, BufReader};

/// Runs the binary to its end without a reader.
pub(crate) fn unread(arguments: &[&str]) -> std::process::Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_recgate"));
    command.args(arguments).stdout(writer).output().unwrap()
}

/// As of `recgate … | head`: whoever read has seen enough. What was found is told by the exit code.
#[test]
fn a_reader_that_goes_away_is_no_error_and_hides_none() {
    let check = ["check", "fixtures/har/clean.har", "--config", "fixtures/har/config.toml"];
    for (arguments, more, code, errors) in [
        (&["config", "default"][..], &[][..], 0, ""),
        (&["changes"], &[], 0, ""),
        (&["spec", "lint", "specs/genesys.openapi.yaml"], &[], 0, ""),
        (&check, &[], 0, ""),
        (&check, &["--fail-under", "90"], 1, "recgate: coverage is 33.33 %, under 90 %\n"),
    ] {
        let ended = unread(&[arguments, more].concat());
        let told = String::from_utf8(ended.stderr).unwrap();
        assert_eq!((ended.status.code(), told.as_str()), (Some(code), errors), "{arguments:?}");
    }
}

/// What serves is not there for who reads its greeting: nobody needs to.
#[test]
fn what_serves_does_so_without_a_reader() {
    for command in ["serve", "mock"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_recgate"))
            .args([command, "--set", "gateway.listen=127.0.0.1:0", "--set", "ledger.url=memory:"])
            .args(["--set", "admin.listen=127.0.0.1:0", "--set", "mock.listen=127.0.0.1:0"])
            .stdout(writer)
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // It says so where logs go, and stays.
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let told = lines.find(|line| line.as_ref().is_ok_and(|it| it.contains("not be printed")));
        assert!(told.is_some(), "{command} ended: {:?}", child.wait());
        assert_eq!(child.try_wait().unwrap(), None, "{command} goes on");
        let pid = child.id().to_string();
        std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{command} served until it was told");
    }
}
