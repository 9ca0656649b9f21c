//! TLS in and out: the protocol is chosen by ALPN, and an upstream that cannot prove its name is
//! no upstream.

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

use crate::harness::message::{Buffer, Role};
use crate::harness::upstream::{ok, response};
use crate::harness::{Message, Recgate, Upstream, file, http, run_to_end};

fn certificate(name: &str) -> CertifiedKey<rcgen::KeyPair> {
    generate_simple_self_signed([name.to_owned()]).unwrap()
}

#[tokio::test]
async fn clients_choose_their_protocol_by_alpn() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let made = certificate("localhost");
    let (pem, key) =
        (file("cert.pem", made.cert.pem()), file("key.pem", made.signing_key.serialize_pem()));
    let tls = format!(
        "[gateway]\ntls = {{ certificate = \"{}\", key = \"{}\" }}\n",
        pem.display(),
        key.display()
    );
    let recgate = Recgate::with_config(&format!("{}{tls}", upstream.config())).await;
    let url = format!("https://localhost:{}/x?", recgate.address.port());
    let trusted = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = || http().tls_certs_only([trusted.clone()]);

    let answer = client().build().unwrap().get(&url).send().await.unwrap();
    assert_eq!((answer.version(), answer.status().as_u16()), (reqwest::Version::HTTP_2, 200));
    let answer = client().http1_only().build().unwrap().get(&url).send().await.unwrap();
    assert_eq!((answer.version(), answer.status().as_u16()), (reqwest::Version::HTTP_11, 200));
    assert_eq!(upstream.received().len(), 2);

    // In clear nothing is answered.
    let clear = http().build().unwrap().get(recgate.url("/x")).send().await;
    assert!(clear.is_err(), "{clear:?}");
    assert_eq!(upstream.received().len(), 2);
    recgate.stop().await;
}

#[tokio::test]
async fn an_upstream_is_met_over_tls_and_only_if_it_is_trusted() {
    let made = certificate("localhost");
    let chain = vec![made.cert.der().clone()];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let mut server =
        rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let upstream = Upstream::serving(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut buffer = Buffer::default();
            while let Ok(Some(request)) =
                Message::read(&mut stream, &mut buffer, Role::Request).await
            {
                let said = format!("{} {}", request.start, request.all("host").join(","));
                let _ = stream.write_all(&response(&["HTTP/1.1 200 OK"], said)).await;
            }
        }
    })
    .await;

    let at = |name: &str, ca: &str| {
        let url = format!("https://{name}:{}", upstream.address.port());
        let plain = format!("http://{}", upstream.address);
        upstream.config().replace(&plain, &url).replace("\"other\"", "\"genesys\"") + ca
    };
    let ca = format!("ca_file = \"{}\"\n", file("ca.pem", made.cert.pem()).display());
    let client = http().build().unwrap();

    let trusting = Recgate::with_config(&at("localhost", &ca)).await;
    for _ in 0..2 {
        let answer = client.get(trusting.url("/a%20b?")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let wanted = format!("GET /a%20b? HTTP/1.1 localhost:{}", upstream.address.port());
        assert_eq!(answer.text().await.unwrap(), wanted);
    }

    let other = format!(
        "ca_file = \"{}\"\n",
        file("other.pem", certificate("localhost").cert.pem()).display()
    );
    // Unknown to the web roots; signed by another authority; right authority, wrong name.
    for text in [at("localhost", ""), at("localhost", &other), at("127.0.0.1", &ca)] {
        let recgate = Recgate::with_config(&text).await;
        let answer = client.get(recgate.url("/api/v2/users/me")).send().await.unwrap();
        assert_eq!(answer.status(), 503, "{text}");
        assert_eq!(answer.headers()["recgate-error"], "upstream.unreachable");
        let body: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(body["code"], "service.unavailable", "{body}");
    }
}

#[tokio::test]
async fn certificates_that_cannot_be_used_stop_the_start() {
    let made = certificate("localhost");
    let (pem, key) =
        (file("cert.pem", made.cert.pem()), file("key.pem", made.signing_key.serialize_pem()));
    let stranger = file("stranger.pem", certificate("localhost").signing_key.serialize_pem());
    let empty = file("empty.pem", "");
    let config = file("tls.toml", Upstream::scripted(|_| vec![ok()]).await.config());
    for (certificate, key) in [(&empty, &key), (&pem, &empty), (&pem, &stranger)] {
        let set = format!(
            "gateway.tls={{ certificate = \"{}\", key = \"{}\" }}",
            certificate.display(),
            key.display()
        );
        let ended = run_to_end(
            &[
                "serve",
                "--config",
                config.to_str().unwrap(),
                "--set",
                &set,
                "--set",
                "gateway.listen=127.0.0.1:0",
                "--set",
                "admin.listen=127.0.0.1:0",
            ],
            &[],
        )
        .await;
        assert_eq!(ended.code, Some(1), "{set}: {}", ended.errors);
        assert_eq!(ended.errors.lines().count(), 1, "{}", ended.errors);
        assert!(ended.errors.contains(".pem"), "{}", ended.errors);
    }
}
