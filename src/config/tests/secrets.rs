//! Of secrets that are not there every one is told, each at its place.

use super::{SERVICE, genesys, load};

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
