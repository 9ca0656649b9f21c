//! The reference library of Standard Webhooks verifies what is signed here, and signs what is
//! verified here.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;

use crate::hook::delivery::subscription::Subscription;
use crate::hook::delivery::target::{Scheme, Target};
use crate::hook::signature::Secret;

const NEW: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn subscription(secrets: &[&str]) -> Subscription {
    let secrets: Vec<Secret> = secrets.iter().map(|text| Secret::parse(text).unwrap()).collect();
    Subscription {
        name: Arc::from("crm"),
        target: Target::parse("https://crm.example/hook", Scheme::Https, &[]).unwrap(),
        events: vec!["*".parse().unwrap()],
        secrets: secrets.into(),
        allow: Vec::new(),
        timeout: Duration::from_secs(20),
        ca_file: None,
    }
}

fn headers(id: &str, at: i64, signature: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("webhook-id", id.parse().unwrap());
    headers.insert("webhook-timestamp", at.to_string().parse().unwrap());
    headers.insert("webhook-signature", signature.parse().unwrap());
    headers
}

#[test]
fn the_reference_library_verifies_both_signatures_of_a_rotation() {
    let (id, body) = ("0199d0a4-5f0e-7cc1-8d5b-1d3f7f6f0001", br#"{"type":"recording.paused"}"#);
    let at = Timestamp::now().as_second();
    let both = subscription(&[NEW, OLD]).sign(id, at, body);
    assert_eq!(both.split(' ').count(), 2);
    for secret in [NEW, OLD] {
        let reference = standardwebhooks::Webhook::new(secret).unwrap();
        reference.verify(body, &headers(id, at, &both)).unwrap();
    }
    let one = subscription(&[NEW]).sign(id, at, body);
    let reference = standardwebhooks::Webhook::new(OLD).unwrap();
    assert!(reference.verify(body, &headers(id, at, &one)).is_err());
}

#[test]
fn what_the_reference_library_signs_is_verified() {
    let (id, at, body) =
        ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
    let signature = standardwebhooks::Webhook::new(NEW).unwrap().sign(id, at, body).unwrap();
    // The vector that the reference libraries publish.
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert!(Secret::parse(NEW).unwrap().verifies(id, at, body, &signature));
    assert!(!Secret::parse(OLD).unwrap().verifies(id, at, body, &signature));
}
