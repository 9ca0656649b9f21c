//! A trigger whose events are proven by the client certificate of their connection.

use std::path::Path;

use reqwest::{Client, Identity};
use serde_json::{Value, json};

use super::{SCREEN, Scene, conversation, now};
use crate::harness::{Authority, Recgate, file, http, run_to_end};

/// A listener that asks for certificates, and whoever has one of an authority's.
struct Tls {
    authority: Authority,
    key: String,
}

impl Tls {
    fn new() -> Self {
        let authority = Authority::new();
        let server = authority.signed(&["localhost"], &[]).keys("certificate", "key");
        let ca = authority.file();
        let key = format!(
            "gateway.tls={{ {server}, client_ca = \"{}\", client_certificates = \"optional\" }}",
            ca.display()
        );
        Self { authority, key }
    }

    fn client(&self, identity: Option<Identity>) -> Client {
        let pem = self.authority.certificate.pem();
        let root = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
        let client = http().tls_certs_only([root]);
        match identity {
            Some(identity) => client.identity(identity).build().unwrap(),
            None => client.build().unwrap(),
        }
    }
}

fn crm(place: &str, rules: &str) -> String {
    format!(
        "{{name = \"crm\", conversation = \"/conversation\", mode = \"sync\", {rules} \
         verify = {{scheme = \"mtls\", certificate = {{dns = \"crm.example\"}}{place}}}}}"
    )
}

async fn send(client: &Client, recgate: &Recgate, body: &Value) -> (u16, Value) {
    let url = format!("https://localhost:{}/hooks/crm", recgate.address.port());
    let answer = client.post(url).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn events_are_proven_by_a_client_certificate() {
    let tls = Tls::new();
    let scene = Scene::new(&[crm(", id = \"/id\", time = \"/at\"", SCREEN)]).await;
    let recgate = scene.gateway(&[&tls.key]).await;
    let known = tls.client(Some(tls.authority.crm().identity()));
    let other =
        tls.authority.signed(&["other.example"], &[(rcgen::DnType::CommonName, "crm.example")]);
    let other = tls.client(Some(other.identity()));
    let call = conversation(1);
    let event = |kind: &str, id: &str, at: i64| json!({ "type": kind, "conversation": call, "id": id, "at": at });
    for stranger in [&other, &tls.client(None)] {
        let (status, told) = send(stranger, &recgate, &event("opened", "e0", now())).await;
        assert_eq!(status, 401, "{told}");
    }
    let (status, told) = send(&known, &recgate, &event("opened", "e1", now())).await;
    assert_eq!((status, &told["outcome"]), (200, &json!("paused")), "{told}");
    // The same rules as for a bearer secret: once, and now.
    assert_eq!(send(&known, &recgate, &event("opened", "e1", now())).await.0, 409);
    assert_eq!(send(&known, &recgate, &event("closed", "e2", now() - 310)).await.0, 401);
    let without = json!({ "type": "closed", "conversation": call });
    assert_eq!(send(&known, &recgate, &without).await.0, 401);
    let (status, told) = send(&known, &recgate, &event("closed", "e3", now())).await;
    assert_eq!((status, &told["outcome"]), (200, &json!("resumed")), "{told}");
    recgate.stop().await;
}

/// Without a place for id and time such an event may pause, and nothing else.
#[tokio::test]
async fn without_id_and_time_a_certificate_may_only_pause() {
    let tls = Tls::new();
    let only = SCREEN.replace(", {do = \"resume\"", ", {do = \"nothing\"");
    let scene = Scene::new(&[crm("", &only)]).await;
    let recgate = scene.gateway(&[&tls.key]).await;
    let known = tls.client(Some(tls.authority.crm().identity()));
    let opened = json!({ "type": "opened", "conversation": conversation(1) });
    let (status, told) = send(&known, &recgate, &opened).await;
    assert_eq!((status, &told["outcome"]), (200, &json!("paused")), "{told}");
}

#[tokio::test]
async fn what_cannot_be_proven_by_a_certificate_is_said() {
    let tls = Tls::new();
    let config = file("default.toml", recgate::config::BUILT_IN);
    let service = "upstream.genesys.service={client_id = \"g\", client_secret_env = \"HOME\"}";
    let check = async |config: &Path, trigger: String, more: &[&str]| {
        let (config, trigger) = (config.display().to_string(), format!("trigger=[{trigger}]"));
        let mut all = vec!["config", "check", &*config, "--set", service, "--set", &*trigger];
        all.extend(more);
        run_to_end(&all, &[]).await
    };
    let with = ["--set", &*tls.key];
    let place = ", id = \"/id\", time = \"/at\"";
    let ended = check(&config, crm(place, SCREEN), &with).await;
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    let only = SCREEN.replace(", {do = \"resume\"", ", {do = \"nothing\"");
    for (trigger, more, wanted) in [
        (crm(place, SCREEN), &[][..], "trigger.crm.verify.scheme"),
        (crm("", SCREEN), &with[..], "trigger.crm.verify"),
        (
            crm(place, SCREEN).replace("certificate = {dns = \"crm.example\"}, ", ""),
            &with,
            "trigger.crm.verify.certificate",
        ),
        (
            crm(place, SCREEN).replace("dns = ", "subject = "),
            &with,
            "trigger.crm.verify.certificate.subject",
        ),
        (crm(", secrets_env = [\"HOME\"]", &only), &with, "has no secrets"),
    ] {
        let ended = check(&config, trigger, more).await;
        assert_eq!(ended.code, Some(2), "{wanted}: {}", ended.out);
        assert!(ended.errors.contains(wanted), "{wanted}: {}", ended.errors);
    }
}
