//! Of secrets that are not there every one is told, each at its place, and nothing that only follows
//! from it.

use rstest::rstest;

use super::{COMPENSATE, MINIMAL, SERVICE, genesys, load};

fn trigger(name: &str, verify: &str) -> String {
    format!(
        "[[trigger]]\nname = \"{name}\"\nrules = [{{ do = \"nothing\" }}]\nverify = {{ {verify} }}\n"
    )
}

fn assert_told(text: &str, expected: &[&str]) {
    let faults = load(text).unwrap_err();
    for told in expected {
        assert!(faults.iter().any(|fault| fault.contains(told)), "{faults:#?} lacks {told:?}");
    }
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
}

#[test]
fn every_secret_of_a_list_is_told_at_its_place() {
    let verify = "scheme = \"hmac-sha256\", header = \"a b\", \
                  secrets_env = [\"NOBODY_ONE\", \"RECGATE_X\", \"PATH\", \"NOBODY_TWO\"], \
                  secrets_file = [\"/none/a\", \"/dev/null\"]";
    assert_told(
        &genesys(SERVICE, &trigger("t", verify)),
        &[
            "12:67: trigger.t.verify.secrets_env.0: the variable NOBODY_ONE is not set",
            "trigger.t.verify.secrets_env.1: must name a variable that does not begin with RECGATE_",
            "trigger.t.verify.secrets_env.3: the variable NOBODY_TWO is not set",
            "trigger.t.verify.secrets_file.0: /none/a cannot be read",
            "trigger.t.verify.secrets_file.1: holds a secret of less than 16 bytes",
            "trigger.t.verify.header: is no header's name",
        ],
    );
    // What one scheme asks of a secret.
    let standard = "scheme = \"standard-webhooks\", secrets_env = [\"PATH\", \"NOBODY\"]";
    assert_told(
        &genesys(SERVICE, &trigger("t", standard)),
        &[
            "trigger.t.verify.secrets_env.0: holds no secret: a webhook secret is base64",
            "trigger.t.verify.secrets_env.1: the variable NOBODY is not set",
        ],
    );
    let none = "scheme = \"standard-webhooks\"";
    assert_told(
        &genesys(SERVICE, &trigger("t", none)),
        &["trigger.t.verify: needs secrets_env or secrets_file"],
    );
}

#[test]
fn everything_that_is_wrong_with_an_account_is_told() {
    let service = "[upstream.service]\nclient_id = \"\"\nclient_secret_env = \"NOBODY\"\ntoken_path = \"x\"\n";
    let expected = [
        "upstream.v.service.client_id: must not be empty",
        "upstream.v.service.client_secret_env: the variable NOBODY is not set",
        "upstream.v.service.token_path: must be a path",
    ];
    assert_told(&genesys(service, ""), &expected);
    // Whatever else is wrong with its upstream.
    let elsewhere = genesys(service, "").replace("\"mock\"", "\"ftp://x\"");
    assert_told(&elsewhere, &[&expected[..], &["upstream.v.url: must be"]].concat());
}

#[test]
fn a_name_that_is_taken_is_told_whatever_else_is_wrong() {
    let one = trigger("t", "scheme = \"bearer\", secrets_env = [\"NOBODY\"]");
    let missing = "trigger.t.verify.secrets_env.0: the variable NOBODY is not set";
    assert_told(
        &genesys(SERVICE, &format!("{one}{one}")),
        &["trigger.t.name: is taken", missing, missing],
    );
}

const NO_SECRET: &str = "[upstream.service]\nclient_id = \"s\"\nclient_secret_env = \"NOBODY\"\n";
const PROVEN: &str = "scheme = \"bearer\", secrets_env = [\"PATH\"]";

#[rstest]
#[case::an_account_that_a_trigger_needs(
    &genesys(NO_SECRET, &trigger("t", PROVEN)),
    "upstream.v.service.client_secret_env: the variable NOBODY is not set"
)]
#[case::an_account_that_a_client_needs(
    &genesys(NO_SECRET, "[default_client]\nauthority = \"service\"\n"),
    "upstream.v.service.client_secret_env: the variable NOBODY is not set"
)]
#[case::an_account_that_a_policy_needs(
    &genesys(&NO_SECRET.replace("service", "recovery"), COMPENSATE),
    "upstream.v.recovery.client_secret_env: the variable NOBODY is not set"
)]
#[case::an_upstream_that_a_trigger_needs(
    &genesys(SERVICE, &trigger("t", PROVEN)).replace("\"mock\"", "\"ftp://x\""),
    "upstream.v.url: must be"
)]
#[case::an_upstream_that_is_to_see_a_certificate(
    &format!("{}client_certificate = \"c\"\nclient_key = \"k\"\n", MINIMAL.replace("https", "ftp")),
    "upstream.v.url: must be"
)]
#[case::two_keys_of_a_ledger(
    &format!("[ledger]\nurl = \"postgres://me@db/recgate\"\nkey_file = \"k\"\nkey_env = \"PATH\"\n{MINIMAL}"),
    "ledger.key_env: must be left out where there is a key_file"
)]
fn what_follows_from_a_fault_is_no_fault(#[case] text: &str, #[case] told: &str) {
    assert_told(text, &[told]);
}

#[test]
fn a_trigger_without_an_account_is_a_fault() {
    assert_told(
        &genesys("", &trigger("t", PROVEN)),
        &["trigger.t.upstream: v needs an [upstream.service], which acts for triggers"],
    );
}
