//! HTTP/2 as somebody else speaks it: the scripts of `fixtures/http/h2`, run by Varnish's
//! `varnishtest`, whose frames are its own and may be wrong on purpose.
//!
//! What a script asks for below `/ok` arrives upstream, as often as it is asked for; what it asks
//! for below `/never` does not; `/short` is what ends before it is whole, and may have begun.
//! It assumes Debian's `varnish`, which tests/run installs.

use std::path::Path;
use std::process::Command;

use rstest::rstest;

use crate::harness::upstream::response;
use crate::harness::{Message, Recgate, Step, Upstream};

#[rstest]
#[case::connection("connection")]
#[case::flow("flow")]
#[case::frames("frames")]
#[case::headers("headers")]
#[case::requests("requests")]
#[case::streams("streams")]
#[tokio::test]
async fn http2_is_as_another_speaks_it(#[case] name: &str) {
    let upstream = Upstream::scripted(|request| vec![Step::Send(answer(request))]).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/http/h2");
    let script = folder.join(name).with_extension("vtc");
    let mut command = Command::new("varnishtest");
    command.args(["-t", "20"]).arg(format!("-Dgateway={}", recgate.address)).arg(&script);
    let ran = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .expect("varnishtest (Debian's package `varnish`) is needed; tests/run installs it");
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{told}");

    let text = std::fs::read_to_string(&script).unwrap();
    let wanted = text.lines().filter(|line| line.contains("/ok/")).count();
    let targets: Vec<String> = upstream.received().into_iter().map(|it| it.start).collect();
    let whole = targets.iter().filter(|start| start.contains(" /ok/")).count();
    assert_eq!(whole, wanted, "{targets:?}");
    assert!(!targets.iter().any(|start| start.contains("/never/")), "{targets:?}");
}

/// The request's body, or as many bytes as the path's last segment says.
fn answer(request: &Message) -> Vec<u8> {
    let target = request.start.split(' ').nth(1).unwrap_or_default();
    let last = target.rsplit('/').next().unwrap_or_default();
    let body = match last.parse() {
        Ok(bytes) => vec![b'x'; bytes],
        Err(_) => request.body.clone(),
    };
    response(&["HTTP/1.1 200 OK", "Keep-Alive: timeout=5"], body)
}
