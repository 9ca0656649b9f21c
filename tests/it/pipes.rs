//! What is written goes to whoever reads, and they may stop.

/// As of `recgate … | head`: whoever read has seen enough.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    for arguments in [
        &["config", "default"][..],
        &["changes"],
        &["spec", "lint", "specs/genesys.openapi.yaml"],
        &["check", "fixtures/har/clean.har", "--config", "fixtures/har/config.toml"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = std::process::Command::new(env!("CARGO_BIN_EXE_recgate"))
            .args(arguments)
            .stdout(writer)
            .output()
            .unwrap();
        let errors = String::from_utf8(ended.stderr).unwrap();
        assert_eq!((ended.status.code(), errors.as_str()), (Some(0), ""), "{arguments:?}");
    }
}
