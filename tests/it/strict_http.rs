//! HTTP as strictly as the RFCs have it: every case of `fixtures/http`, byte for byte, against an
//! upstream that counts. What one server could read otherwise than another is answered and never
//! forwarded; as many requests arrive as were answered with 200.
//!
//! In `send` a character up to U+00FF is one byte, and `⟦N×text⟧` stands for N times the text.

use std::collections::BTreeMap;
use std::path::Path;

use rstest::rstest;
use serde::Deserialize;

use crate::harness::upstream::ok;
use crate::harness::{RawClient, Recgate, Upstream};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

/// What is sent over a connection of its own, and the statuses that come back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    send: String,
    answers: Vec<u16>,
}

fn cases(file: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/http").join(file);
    toml::from_str::<Cases>(&std::fs::read_to_string(path).unwrap()).unwrap().case
}

fn bytes(text: &str) -> Vec<u8> {
    let mut text = text.to_owned();
    // The innermost first.
    while let Some(end) = text.find('⟧') {
        let start = text[..end].rfind('⟦').unwrap();
        let (count, unit) = text[start + '⟦'.len_utf8()..end].split_once('×').unwrap();
        let many = unit.repeat(count.parse().unwrap());
        text.replace_range(start..end + '⟧'.len_utf8(), &many);
    }
    text.chars().map(|it| u8::try_from(u32::from(it)).unwrap()).collect()
}

#[rstest]
#[case::smuggling("smuggling.toml")]
#[case::framing("framing.toml")]
#[case::host("host.toml")]
#[case::request_line("request-line.toml")]
#[case::paths("paths.toml")]
#[case::headers("headers.toml")]
#[tokio::test]
async fn http_is_read_in_one_way(#[case] file: &str) {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let recgate = Recgate::with_config(&upstream.config()).await;
    let mut wrong = BTreeMap::new();
    let mut forwarded = 0;
    for case in cases(file) {
        forwarded += case.answers.iter().filter(|status| **status == 200).count();
        if let Err(why) = play(&recgate, &case).await {
            wrong.insert(case.name.clone(), why);
        }
        if upstream.received().len() != forwarded {
            let got = upstream.received().len();
            wrong.insert(case.name, format!("{got} requests upstream, not {forwarded}"));
            forwarded = got;
        }
    }
    assert!(wrong.is_empty(), "{}: {wrong:#?}", wrong.len());
}

async fn play(recgate: &Recgate, case: &Case) -> Result<(), String> {
    let mut client = RawClient::connect(recgate.address).await;
    client.send(bytes(&case.send)).await;
    let mut last = None;
    for (index, wanted) in case.answers.iter().enumerate() {
        let Some(answer) = client.response_or_end().await else {
            return Err(format!("answer {index}: none, not {wanted}"));
        };
        let status: u16 = answer.start.split(' ').nth(1).unwrap_or_default().parse().unwrap_or(0);
        if status != *wanted {
            return Err(format!("answer {index}: {}, not {wanted}", answer.start));
        }
        if status >= 400 {
            let proxy = answer.one("proxy-status").unwrap_or_default();
            let code = answer.one("recgate-error").unwrap_or_default();
            if !proxy.starts_with("recgate; error=") || code.is_empty() {
                return Err(format!("answer {index} does not say who refused: {answer:?}"));
            }
        }
        last = Some(answer);
    }
    // Behind what is no HTTP nothing can be read as HTTP.
    let wire = ["request.malformed", "request.version", "request.coding", "request.target-too-long", "request.head-too-large"];
    if last.is_some_and(|it| it.one("recgate-error").is_some_and(|it| wire.contains(&it)))
        && !client.rest().await.is_empty()
    {
        return Err("something was said after the refusal".to_owned());
    }
    Ok(())
}
