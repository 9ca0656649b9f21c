//! Deliveries through TLS to a receiver with a certificate of a private authority: taken where
//! `ca_file` names that authority, and otherwise not sent, tried again, and told.

use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::{CONVERSATION, NEW, config, set};
use crate::harness::authority::speaking;
use crate::harness::message::{Buffer, Role};
use crate::harness::upstream::response;
use crate::harness::{Message, Recgate, Upstream, file, run_to_end, until};

/// An authority of nobody's but its own.
fn authority() -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(params, key))
}

/// A receiver that proves a name by that authority, and what it took.
async fn receiver(
    issuer: &Issuer<'static, KeyPair>,
    name: &str,
) -> (Upstream, Arc<Mutex<Vec<Message>>>) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let chain = vec![params.signed_by(&key, issuer).unwrap().der().clone()];
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let acceptor = speaking(chain, key, &[]);
    let taken = Arc::<Mutex<Vec<Message>>>::default();
    let kept = Arc::clone(&taken);
    let upstream = Upstream::serving(move |stream| {
        let (acceptor, kept) = (acceptor.clone(), Arc::clone(&kept));
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut buffer = Buffer::default();
            if let Ok(Some(request)) = Message::read(&mut stream, &mut buffer, Role::Request).await
            {
                kept.lock().unwrap().push(request);
                let _ = stream.write_all(&response(&["HTTP/1.1 204 No Content"], "")).await;
                let _ = stream.shutdown().await;
            }
        }
    })
    .await;
    (upstream, taken)
}

/// The one delivery, as `recgate hook deliveries` shows it.
async fn shown(path: &str) -> Value {
    let shown = run_to_end(&["hook", "deliveries", "--json", "--config", path], &[]).await;
    assert_eq!(shown.code, Some(0), "{}", shown.errors);
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    shown["deliveries"][0].clone()
}

#[tokio::test]
async fn a_private_authority_is_believed_where_it_is_named_and_nowhere_else() {
    let ((ours, issuer), (theirs, _)) = (authority(), authority());
    let (receiver, taken) = receiver(&issuer, "localhost").await;
    let (ours, theirs) = (file("ours.pem", ours), file("theirs.pem", theirs));
    let subscription = |host: &str, trust: &str| {
        format!(
            "[[subscription]]\nname = \"crm\"\nurl = \"https://{host}:{}/hook\"\n\
             events = [\"recording.*\"]\nsecret_file = \"{}\"\nallow = [\"{host}\"]\n{trust}",
            receiver.address.port(),
            file("secret", NEW).display()
        )
    };
    let whole = config("").replace(
        "retry_schedule = [\"0s\", \"5s\", \"5m\", \"30m\", \"2h\", \"5h\", \"10h\", \"14h\", \"20h\", \"24h\"]",
        &format!("retry_schedule = [\"0s\"{}]", ", \"300ms\"".repeat(90)),
    );
    assert!(whole.contains("300ms"));
    let trust = |path: &std::path::Path| format!("ca_file = \"{}\"\n", path.display());
    let mut event = None;
    for (host, trust, told) in [
        // Another authority, the web's, and the right one for another name.
        ("localhost", trust(&theirs), "no trusted authority vouches"),
        ("localhost", String::new(), "no trusted authority vouches"),
        ("127.0.0.1", trust(&ours), "is for other names"),
    ] {
        let text = format!("{whole}{}", subscription(host, &trust));
        let path = file("tls.toml", &text).display().to_string();
        let recgate = Recgate::with_config(&text).await;
        if event.is_none() {
            assert_eq!(set(&recgate, "PAUSED").await, 202);
        }
        let delivery = until("a try that failed, and another", || async {
            let delivery = shown(&path).await;
            let failed = recgate.metric("recgate_deliveries_total", &["result=\"tls\""]).await;
            let last = delivery["last"].as_str().unwrap_or_default();
            (failed > 1.5 && last.contains(told)).then_some(delivery)
        })
        .await;
        assert_eq!(delivery["state"], "pending", "{delivery}");
        let last = delivery["last"].as_str().unwrap();
        assert!(last.starts_with("TLS failed: "), "{last}");
        let same = event.get_or_insert_with(|| delivery["event"].clone());
        assert_eq!(*same, delivery["event"]);
        recgate.stop().await;
    }
    // Nothing has left the gateway: a handshake that fails is before the first byte of a request.
    assert!(taken.lock().unwrap().is_empty());

    let text = format!("{whole}{}", subscription("localhost", &trust(&ours)));
    let path = file("tls.toml", &text).display().to_string();
    let recgate = Recgate::with_config(&text).await;
    until("the delivery", || async { (shown(&path).await["state"] == "delivered").then_some(()) })
        .await;
    recgate.stop().await;
    let taken = taken.lock().unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].one("webhook-id"), event.unwrap().as_str());
    assert!(taken[0].text().contains(CONVERSATION));
}
