//! The address guard, judged by whether anything is dialled.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::net::TcpStream;

use crate::config::raw::Http2;
use crate::hook::delivery::guard::{Allowed, forbidden};
use crate::hook::delivery::post::{Dial, Http, Line};
use crate::hook::delivery::subscription::Subscription;
use crate::hook::delivery::target::{Scheme, Target, TargetError};
use crate::hook::delivery::{Answer, Claimed, Post, Why};
use crate::hook::signature::Secret;

/// A network in which nothing is reached; the n-th look-up gives the n-th answer, and the last one
/// from then on.
#[derive(Clone, Default)]
struct Nowhere {
    answers: Arc<Vec<Vec<IpAddr>>>,
    lookups: Arc<AtomicUsize>,
    dialled: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Dial for Nowhere {
    fn resolve(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let at = self.lookups.fetch_add(1, Ordering::SeqCst).min(self.answers.len() - 1);
        let answer = self.answers[at].clone();
        Box::pin(async move { Ok(answer) })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<TcpStream>> {
        self.dialled.lock().unwrap().push(address);
        Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) })
    }
}

/// Sends to a URL whose name has these addresses. Gives the answer, if the URL is one, and what
/// was dialled.
async fn send(
    url: &str,
    addresses: Vec<Vec<IpAddr>>,
    allow: &[&str],
) -> (Result<Answer, TargetError>, Vec<SocketAddr>) {
    let allow: Vec<Allowed> = allow.iter().map(|it| it.parse().unwrap()).collect();
    let target = match Target::parse(url, Scheme::Http, &allow) {
        Ok(target) => target,
        Err(error) => return (Err(error), Vec::new()),
    };
    let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let subscription = Subscription {
        name: Arc::from("crm"),
        target,
        events: vec!["*".parse().unwrap()],
        secrets: Arc::from([secret]),
        allow,
        timeout: Duration::from_secs(20),
        ca_file: None,
    };
    let tls = crate::gateway::tls::client(None, None, Http2::Never).unwrap().config;
    let nowhere = Nowhere { answers: Arc::new(addresses), ..Nowhere::default() };
    let http = Http::new(vec![Line { subscription, tls }], nowhere.clone());
    let claimed = Claimed {
        number: 1,
        claim: 1,
        event: "e1".to_owned(),
        subscription: Arc::from("crm"),
        payload: "{}".to_owned(),
        failed: 0,
    };
    let answer = http.post(&claimed).await;
    assert!(nowhere.lookups.load(Ordering::SeqCst) <= 1, "looked up twice");
    let dialled = nowhere.dialled.lock().unwrap().clone();
    (Ok(answer), dialled)
}

/// Addresses that no delivery reaches.
const FORBIDDEN: [&str; 47] = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:93.184.216.34",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "3fff::1",
    "3fff:fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456:789a::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
];

#[tokio::test]
async fn names_of_forbidden_addresses_are_not_dialled() {
    for text in FORBIDDEN {
        let address: IpAddr = text.parse().unwrap();
        let (answer, dialled) = send("http://hooks.example/", vec![vec![address]], &[]).await;
        assert_eq!(dialled, [], "{text}");
        let why = forbidden(address).unwrap_or_else(|| panic!("{text} is let through"));
        assert_eq!(answer, Ok(Answer::Failed { why: Why::Forbidden(why), wait: None }), "{text}");
    }
}

#[tokio::test]
async fn every_spelling_of_a_forbidden_address_is_that_address() {
    let spellings = [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "0x7f.1",
        "0x7f000001",
        "0X7F.0x0.0x0.0x1",
        "2130706433",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "①②⑦.⓪.⓪.①",
        "0",
        "0x0",
        "10.1",
        "0xa.1",
        "167772161",
        "012.0.0.1",
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "192.168.257",
        "3232235777",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:0001::]",
        "[fe80::1]",
        "[fd00::1]",
        "[FF02::1]",
        "user@127.0.0.1",
        "crm.example@127.0.0.1",
        "127.0.0.1:80#@crm.example",
    ];
    for host in spellings {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}/hook");
            let (answer, dialled) = send(&url, vec![vec!["127.0.0.1".parse().unwrap()]], &[]).await;
            assert_eq!(dialled, [], "{url}");
            // None of these is a name: it is refused before anything is sent.
            assert!(answer.is_err(), "{url}: {answer:?}");
        }
    }
    for (name, address) in
        [("localhost", "127.0.0.1"), ("LOCALHOST.", "::1"), ("metadata", "169.254.169.254")]
    {
        let url = format!("https://{name}/");
        let (answer, dialled) = send(&url, vec![vec![address.parse().unwrap()]], &[]).await;
        assert!(matches!(answer, Ok(Answer::Failed { why: Why::Forbidden(_), .. })), "{name}");
        assert_eq!(dialled, [], "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_changes_after_the_check_changes_nothing() {
    let public: IpAddr = "93.184.216.34".parse().unwrap();
    let inside: IpAddr = "10.0.0.1".parse().unwrap();
    // Public when it is judged, private from then on: what was judged is what is dialled.
    let (_, dialled) = send("https://crm.example/", vec![vec![public], vec![inside]], &[]).await;
    assert_eq!(dialled, [SocketAddr::new(public, 443)]);
    // The other way round nothing is dialled at all.
    let (_, dialled) = send("https://crm.example/", vec![vec![inside], vec![public]], &[]).await;
    assert_eq!(dialled, []);
    // Of several addresses only the public ones.
    let both = vec![vec![inside, public, "fe80::1".parse().unwrap()]];
    let (_, dialled) = send("https://crm.example:8443/", both, &[]).await;
    assert_eq!(dialled, [SocketAddr::new(public, 8443)]);
}

#[tokio::test]
async fn what_is_allowed_by_name_is_dialled_and_nothing_else() {
    let inside: IpAddr = "10.1.2.3".parse().unwrap();
    let dialled = |url: &'static str, allow: &'static [&'static str]| async move {
        send(url, vec![vec![inside]], allow).await.1.len()
    };
    assert_eq!(dialled("http://hooks.internal/", &["hooks.internal"]).await, 1);
    assert_eq!(dialled("http://HOOKS.internal./", &["hooks.internal"]).await, 1);
    assert_eq!(dialled("http://hooks.internal/", &["10.1.0.0/16"]).await, 1);
    assert_eq!(dialled("http://10.1.2.3/", &["10.1.2.3"]).await, 1);
    assert_eq!(dialled("http://other.internal/", &["hooks.internal"]).await, 0);
    assert_eq!(dialled("http://x.hooks.internal/", &["hooks.internal"]).await, 0);
    assert_eq!(dialled("http://hooks.internal/", &["10.2.0.0/16"]).await, 0);
    assert_eq!(dialled("http://10.1.2.3/", &["10.1.2.4"]).await, 0);
}

#[test]
fn only_https_urls_with_a_plain_host_are_targets() {
    let parse = |url: &str| Target::parse(url, Scheme::Https, &[]);
    for url in [
        "",
        "crm.example",
        "ftp://crm.example/",
        "https://",
        "https://u:p@crm.example/",
        "https://crm.example/#x",
        "https://crm.example:0/",
        "https://[::1",
        "https://1.2.3.4.5/",
        "https://256.256.256.256/",
        "file:///etc/passwd",
        "javascript:1",
        "https://crm .example/",
    ] {
        assert_eq!(parse(url), Err(TargetError::Unreadable), "{url}");
    }
    assert_eq!(parse("http://crm.example/"), Err(TargetError::InClear));
    let target = parse("https://Crm.Example/hook?key=1").unwrap();
    assert_eq!((&*target.authority(), target.path()), ("crm.example", "/hook?key=1"));
    assert_eq!(parse("https://crm.example:8443").unwrap().authority(), "crm.example:8443");
    assert!(!format!("{target:?}").contains("key"));
}

#[test]
fn public_addresses_pass() {
    for text in [
        "93.184.216.34",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "198.17.0.1",
        "198.20.0.1",
        "223.255.255.255",
        "2606:4700::1111",
        "2a00:1450::1",
        "2001:200::1",
        "2001:4860::8888",
    ] {
        assert_eq!(forbidden(text.parse().unwrap()), None, "{text}");
    }
}
