//! TLS in and out: the protocol is chosen by ALPN, and an upstream that cannot prove its name is
//! no upstream.

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

use crate::harness::authority::speaking;
use crate::harness::message::{Buffer, Role};
use crate::harness::upstream::{ok, response};
use crate::harness::{Authority, Message, Recgate, Upstream, file, http, run_to_end};

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
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let acceptor = speaking(chain, key, &["h2", "http/1.1"]);
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
        assert_eq!(ended.code, Some(2), "{set}: {}", ended.errors);
        assert_eq!(ended.errors.lines().count(), 1, "{}", ended.errors);
        assert!(ended.errors.contains(".pem"), "{}", ended.errors);
    }
}

#[rstest::rstest]
#[case::subject("subject = \"CN=crm,O=Example\"", true)]
#[case::name("dns = \"CRM.example\"", true)]
#[case::another_order("subject = \"O=Example,CN=crm\"", false)]
#[tokio::test]
async fn a_client_is_known_by_the_certificate_it_proves(#[case] says: &str, #[case] known: bool) {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = authority.signed(&["localhost"], &[]);
    for demand in ["required", "optional"] {
        let text = format!(
            "{}[gateway]\ntls = {{ {}, client_ca = \"{}\", client_certificates = \"{demand}\" }}\n\
             [[client]]\nname = \"crm\"\nmatch = {{ certificate = {{ {says} }} }}\nas_of_header = \"x-day\"\n",
            upstream.config(),
            server.keys("certificate", "key"),
            authority.file().display(),
        );
        let recgate = Recgate::with_config(&text).await;
        let url = format!("https://localhost:{}/x", recgate.address.port());
        let root = reqwest::Certificate::from_pem(authority.certificate.pem().as_bytes()).unwrap();
        let ask = |identity: Option<reqwest::Identity>| {
            let client = http().tls_certs_only([root.clone()]);
            let client = match identity {
                Some(identity) => client.identity(identity),
                None => client,
            };
            let request = client.build().unwrap().get(&url).header("x-day", "2026-01-01");
            async move { request.send().await }
        };
        let chose = |answer: &reqwest::Response| answer.headers().contains_key("recgate-as-of");
        let answer = ask(Some(authority.crm().identity())).await.unwrap();
        assert_eq!((answer.status().as_u16(), chose(&answer)), (200, known), "{demand}");
        // Another one of the same authority is another client.
        let other = authority.signed(&["other.example"], &[(rcgen::DnType::CommonName, "other")]);
        assert!(!chose(&ask(Some(other.identity())).await.unwrap()), "{demand}");
        // The same words from an authority that nobody trusts count for nothing.
        let refused = ask(Some(stranger.crm().identity())).await;
        assert!(refused.is_err(), "{demand}: {refused:?}");
        let without = ask(None).await;
        match demand {
            "optional" => assert!(!chose(&without.unwrap())),
            _ => assert!(without.is_err(), "{without:?}"),
        }
        recgate.stop().await;
    }
}

#[tokio::test]
async fn an_upstream_is_shown_the_gateways_certificate() {
    let authority = Authority::new();
    let server = authority.signed(&["localhost"], &[]);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.certificate.der().clone()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::clone(&provider),
    );
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(server.certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(server.key.as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let upstream = Upstream::serving(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut buffer = Buffer::default();
            while let Ok(Some(_)) = Message::read(&mut stream, &mut buffer, Role::Request).await {
                let _ = stream.write_all(&response(&["HTTP/1.1 200 OK"], "")).await;
            }
        }
    })
    .await;
    let url = format!("https://localhost:{}", upstream.address.port());
    let text = upstream.config().replace(&format!("http://{}", upstream.address), &url)
        + &format!("ca_file = \"{}\"\n", authority.file().display());
    let client = http().build().unwrap();
    let shown = authority.crm().keys("client_certificate", "client_key").replace(", ", "\n");
    // With TLS 1.3 a client learns that its certificate is missed after its first request.
    for (text, status) in [(text.clone(), 502), (text + &shown, 200)] {
        let recgate = Recgate::with_config(&text).await;
        let answer = client.get(recgate.url("/x")).send().await.unwrap();
        assert_eq!(answer.status(), status, "{text}");
    }
}

#[tokio::test]
async fn certificates_that_change_are_used_and_bad_ones_are_not() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let (old, new) = (Authority::new(), Authority::new());
    let (first, second) = (old.signed(&["localhost"], &[]), new.signed(&["localhost"], &[]));
    let (pem, key) = (file("cert.pem", &first.certificate), file("key.pem", &first.key));
    let text = format!(
        "{}[gateway]\ntls = {{ certificate = \"{}\", key = \"{}\" }}\n",
        upstream.config(),
        pem.display(),
        key.display()
    );
    let recgate = Recgate::with_config(&text).await;
    let url = format!("https://localhost:{}/x", recgate.address.port());
    let trusting = |authority: &Authority| {
        let root = reqwest::Certificate::from_pem(authority.certificate.pem().as_bytes()).unwrap();
        http().tls_certs_only([root]).build().unwrap()
    };
    let kept = trusting(&old);
    assert_eq!(kept.get(&url).send().await.unwrap().status(), 200);

    // A key that belongs to no certificate changes nothing.
    std::fs::write(&key, &second.key).unwrap();
    recgate.has_reloaded("certificates", "refused", 1.0).await;
    assert!(recgate.errors().contains("cert.pem"), "{}", recgate.errors());
    assert_eq!(trusting(&old).get(&url).send().await.unwrap().status(), 200);
    // With its certificate it is used, for who comes from now on.
    std::fs::write(&pem, &second.certificate).unwrap();
    recgate.has_reloaded("certificates", "done", 1.0).await;
    assert_eq!(trusting(&new).get(&url).send().await.unwrap().status(), 200);
    assert!(trusting(&old).get(&url).send().await.is_err());
    // Who was there stays: this client would not have trusted the new one.
    assert_eq!(kept.get(&url).send().await.unwrap().status(), 200);
    recgate.stop().await;
}

#[tokio::test]
async fn a_certificate_for_this_machine_is_made_and_used_again() {
    let upstream = Upstream::scripted(|_| vec![ok()]).await;
    let directory = file("dev-tls", "").with_extension("d");
    let path = directory.display().to_string();
    let mut authorities = Vec::new();
    for listen in ["gateway.listen=127.0.0.1:0", "gateway.listen=[::1]:0"] {
        let arguments = ["--dev-tls", &*path];
        let text = upstream.config();
        let recgate = Recgate::launch(Some(&text), &[listen], &arguments, None).await.unwrap();
        let greeting = recgate.greeting.join("\n");
        assert!(greeting.contains("gateway  https://"), "{greeting}");
        let authority = std::fs::read(directory.join("ca.pem")).unwrap();
        let root = reqwest::Certificate::from_pem(&authority).unwrap();
        let client = http().tls_certs_only([root]).build().unwrap();
        let url = format!("https://{}/x", recgate.address);
        assert_eq!(client.get(url).send().await.unwrap().status(), 200);
        authorities.push(authority);
        recgate.stop().await;
    }
    assert_eq!(authorities[0], authorities[1], "a second start makes no other");
    // An authority that the certificate is not by is of use to nobody.
    for spoilt in [Vec::new(), std::fs::read(directory.join("cert.pem")).unwrap()] {
        std::fs::write(directory.join("ca.pem"), &spoilt).unwrap();
        let listen = ["gateway.listen=127.0.0.1:0"];
        let arguments = ["--dev-tls", &*path];
        let recgate = Recgate::launch(Some(&upstream.config()), &listen, &arguments, None).await;
        recgate.unwrap().stop().await;
        assert_ne!(std::fs::read(directory.join("ca.pem")).unwrap(), spoilt);
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(directory.join("key.pem")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);

    let public = ["serve", "--dev-tls", &path, "--set", "gateway.listen=0.0.0.0:0"];
    let ended = run_to_end(&public, &[]).await;
    assert_eq!((ended.code, ended.errors.lines().count()), (Some(2), 1), "{}", ended.errors);
    assert!(ended.errors.contains("loopback"), "{}", ended.errors);
}
