//! The manual and the defaults are one; what an operator mistypes is told at its place, all of it at
//! once; and what is left out falls back as the manual says.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod secrets;

use std::fs;

use rstest::rstest;

use super::checked::{Address, Config};
use super::raw::{Mode, Raw};
use super::{BUILT_IN, Layers};
use crate::change::terms::{Authority, Policy};
use crate::contract::ContractDate;

const MINIMAL: &str = "[[upstream]]\nname = \"v\"\nurl = \"https://v.example\"\npaths = [\"/v\"]\n";

fn layers(text: &str) -> Layers {
    let file = std::env::temp_dir().join(format!("recgate-{}.toml", uuid::Uuid::new_v4()));
    fs::write(&file, text).unwrap();
    let layers = Layers::open(Some(&file)).unwrap();
    fs::remove_file(file).unwrap();
    layers
}

fn load(text: &str) -> Result<Config, Vec<String>> {
    layers(text).load().map_err(|faults| {
        let told = faults.iter().map(ToString::to_string);
        // Without the name of the temporary file.
        told.map(|told| told.split_once(".toml:").map_or(told.clone(), |(_, it)| it.to_owned()))
            .collect()
    })
}

#[test]
fn the_manual_shows_the_values_that_hold_without_it() {
    let manual: Raw = toml::from_str(BUILT_IN).unwrap();
    let nothing: Raw = toml::from_str("").unwrap();
    let text = |table: &Raw| {
        let mut table = toml::Table::try_from(table.clone()).unwrap();
        for key in ["upstream", "client", "default_client"] {
            table.remove(key);
        }
        table.to_string()
    };
    assert_eq!(text(&manual), text(&nothing));

    let shown = Layers::open(None).unwrap().load().unwrap();
    let hidden = load(MINIMAL).unwrap();
    assert_eq!(format!("{:?}", shown.default_client), format!("{:?}", hidden.default_client));
}

#[test]
fn checks_enforce_towards_the_mock_and_report_towards_a_vendor() {
    let built_in = Layers::open(None).unwrap().load().unwrap();
    assert!(built_in.uses_mock());
    assert_eq!(built_in.upstreams[0].modes, [Mode::Enforce; 4]);
    let vendor = load(MINIMAL).unwrap();
    assert!(!vendor.uses_mock());
    assert_eq!(vendor.upstreams[0].modes, [Mode::Report; 4]);
}

#[test]
fn policies_follow_the_date_unless_they_are_named() {
    let text = format!(
        "{MINIMAL}[default_client]\nas_of = \"2026-09-20\"\ndeletion_protection = {{ revoke = \"lenient\" }}\n\
         [[client]]\nname = \"new\"\nmatch = {{ header = {{ name = \"x\", equals = \"y\" }} }}\nas_of = \"latest\"\n\
         [[client]]\nname = \"same\"\nmatch = {{ header = {{ name = \"x\", equals = \"z\" }} }}\n"
    );
    let config = load(&text).unwrap();
    let policies = |at: usize| (config.clients[at].1.apply, config.clients[at].1.revoke);
    assert_eq!(
        (config.default_client.apply, config.default_client.revoke),
        (Policy::Strict, Policy::Lenient)
    );
    assert_eq!(policies(0), (Policy::Passthrough, Policy::Passthrough));
    assert_eq!(policies(1), (Policy::Strict, Policy::Lenient));
    assert_eq!(config.clients[0].1.as_of, ContractDate::Latest);
}

#[rstest]
#[case::no_toml("[gateway\n", "1:9")]
#[case::unknown_key(
    "[gateway]\nlissen = \"x\"\n",
    "2:1: gateway.lissen: unknown field `lissen`, expected one of `listen`"
)]
#[case::unknown_table("[gatway]\n", "1:")]
#[case::not_an_address(
    "[gateway]\nlisten = \"here\"\n",
    "2:10: gateway.listen: invalid socket address syntax"
)]
#[case::not_a_mode(
    "[[upstream]]\nname = \"v\"\nurl = \"mock\"\npaths = [\"/v\"]\nchecks = { client_request = \"on\" }\n",
    "upstream.v.checks.client_request: unknown variant `on`, expected one of `off`, `report`, `enforce`"
)]
#[case::no_upstream("[gateway]\nthreads = 1\n", "upstream: is missing")]
#[case::url(
    "[[upstream]]\nname = \"v\"\nurl = \"ftp://x\"\npaths = [\"/v\"]\n",
    "3:7: upstream.v.url: must be \"mock\""
)]
#[case::url_path(
    "[[upstream]]\nname = \"v\"\nurl = \"https://x/base\"\npaths = [\"/v\"]\n",
    "upstream.v.url: must be"
)]
#[case::serves_nothing(
    "[[upstream]]\nname = \"v\"\nurl = \"mock\"\n",
    "upstream.v: serves nothing"
)]
#[case::path(
    "[[upstream]]\nname = \"v\"\nurl = \"mock\"\npaths = [\"v\"]\n",
    "4:9: upstream.v.paths: `v` must begin with /"
)]
#[case::no_host(
    "[[upstream]]\nname = \"v\"\nurl = \"mock\"\npaths = [\"/v\"]\nhosts = [\"good\", \"a b\"]\n",
    "5:18: upstream.v.hosts.1: `a b` is no host"
)]
#[case::host_with_a_port(
    "[[upstream]]\nname = \"v\"\nurl = \"mock\"\npaths = [\"/v\"]\nhosts = [\"a:443\"]\n",
    "5:10: upstream.v.hosts.0: `a:443` is no host"
)]
#[case::no_contract(
    "[[upstream]]\nname = \"v\"\nurl = \"mock\"\npaths = [\"/v\"]\ncontract = \"genesis\"\n",
    "5:12: upstream.v.contract: invalid value: string \"genesis\", expected \"genesys\", \"webex\""
)]
#[case::misspelt_key_of_a_contract(
    "[[upstream]]\nname = \"v\"\nurl = \"mock\"\npaths = [\"/v\"]\ncontract = { dokument = \"x\" }\n",
    "5:14: upstream.v.contract.dokument: unknown field `dokument`, expected one of `document`"
)]
#[case::misspelt_key_of_a_text(
    "[[trigger]]\nname = \"t\"\nmedium = { pointr = \"/c\" }\n",
    "3:12: trigger.t.medium.pointr: unknown field `pointr`, expected `pointer`"
)]
#[case::trusted_peer(
    "[gateway]\ntrusted_peers = [\"127.0.0.1\", \"10.0.0.0/33\"]\n",
    "2:31: gateway.trusted_peers.1: "
)]
#[case::condition_of_a_rule(
    "[[trigger]]\nname = \"t\"\nupstream = \"v\"\nrules = [{ do = \"nothing\" }, { do = \"pause\", when = { pointer = \"/a\" } }]\n\
     verify = { scheme = \"bearer\" }\n",
    "4:53: trigger.t.rules.1.when: "
)]
#[case::date(
    "[mock]\ndate = \"tomorrow\"\n[[upstream]]\nname = \"v\"\nurl = \"mock\"\npaths = [\"/v\"]\n",
    "2:8: mock.date: must be \"today\""
)]
#[case::certificate_unverified(
    "[[client]]\nname = \"crm\"\nmatch = { certificate = { subject = \"CN=crm\" } }\n",
    "client.crm.match.certificate: needs gateway.tls with client_ca"
)]
#[case::subject_in_another_spelling(
    "[[client]]\nname = \"crm\"\nmatch = { certificate = { subject = \"CN=crm, O=Example\" } }\n",
    "3:37: client.crm.match.certificate.subject: must be a subject as RFC 4514 writes it"
)]
#[case::certificate_of_two(
    "[[client]]\nname = \"crm\"\nmatch = { certificate = { dns = \"a\", uri = \"b:c\" } }\n",
    "client.crm.match.certificate: needs exactly one of: subject, dns, uri"
)]
#[case::demand_without_authority(
    "[gateway]\ntls = { certificate = \"c\", key = \"k\", client_certificates = \"optional\" }\n",
    "gateway.tls.client_certificates: needs client_ca"
)]
#[case::half_an_identity(
    "[[upstream]]\nname = \"v\"\nurl = \"https://x\"\npaths = [\"/v\"]\nclient_key = \"k\"\n",
    "5:14: upstream.v.client_key: needs client_certificate"
)]
#[case::an_identity_for_nobody(
    "[[upstream]]\nname = \"v\"\nurl = \"http://x\"\npaths = [\"/v\"]\nclient_certificate = \"c\"\nclient_key = \"k\"\n",
    "5:22: upstream.v.client_certificate: is shown nowhere"
)]
#[case::under_hooks(
    "[[upstream]]\nname = \"v\"\nurl = \"mock\"\npaths = [\"/hooks/x\"]\n",
    "4:10: upstream.v.paths.0: `/hooks/x` is never served"
)]
#[case::control_paths(
    "[[upstream]]\nname = \"v\"\nurl = \"mock\"\npaths = [\"/v\", \"/_mock\"]\n",
    "4:16: upstream.v.paths.1: `/_mock` is never served"
)]
#[case::dot_segments(
    "[[upstream]]\nname = \"v\"\nurl = \"mock\"\npaths = [\"/v\"]\nlogin_paths = [\"/a/../b\"]\n",
    "5:16: upstream.v.login_paths.0: `/a/../b` is never served"
)]
#[case::no_origin(
    "[[upstream]]\nname = \"v\"\nurl = \"mock\"\npaths = [\"/v\"]\ncors = { allow_origins = [\"*\", \"foo\"] }\n",
    "5:32: upstream.v.cors.allow_origins.1: `foo` is no origin"
)]
#[case::said_twice(
    "[[upstream]]\nname = \"v\"\nurl = \"mock\"\npaths = [\"/v\"]\ncheck_overrides = [{ operation = \"o\", hop = \"client-request\", mode = \"off\" },\n\
     { operation = \"o\", hop = \"client-request\", mode = \"report\" }]\n",
    "6:1: upstream.v.check_overrides.1: `o` has an entry for this hop already"
)]
fn faults_name_the_place(#[case] text: &str, #[case] told: &str) {
    let faults = load(text).unwrap_err();
    assert!(faults.iter().any(|fault| fault.contains(told)), "{faults:?} lacks {told:?}");
}

/// A Genesys upstream with `account` (tables of its own), and `rest`.
fn genesys(account: &str, rest: &str) -> String {
    let upstream =
        "[[upstream]]\nname = \"v\"\nvendor = \"genesys\"\nurl = \"mock\"\npaths = [\"/v\"]\n";
    format!("{upstream}{account}{rest}")
}

const RECOVERY: &str = "[upstream.recovery]\nclient_id = \"r\"\nclient_secret_env = \"PATH\"\n";
const SERVICE: &str = "[upstream.service]\nclient_id = \"s\"\nclient_secret_env = \"PATH\"\n";
const COMPENSATE: &str = "[default_client]\ndeletion_protection = { revoke = \"compensate\" }\n";

#[rstest]
#[case::compensate_without_recovery(
    "",
    COMPENSATE,
    "7:34: default_client.deletion_protection.revoke: needs [upstream.recovery], which v does not have"
)]
#[case::compensate_an_apply(
    RECOVERY,
    "[default_client]\ndeletion_protection = { apply = \"compensate\" }\n",
    "10:33: default_client.deletion_protection.apply: an apply is never undone"
)]
#[case::service_without_account(
    RECOVERY,
    "[default_client]\nauthority = \"service\"\n",
    "10:13: default_client.authority: needs [upstream.service], which v does not have"
)]
#[case::unguarded_for_everybody(
    SERVICE,
    "[default_client]\nauthority = \"unguarded-service\"\n",
    "10:13: default_client.authority: gives a client the gateway's own right without proof"
)]
#[case::unguarded_by_a_header_anyone_can_send(
    SERVICE,
    "[[client]]\nname = \"m\"\nmatch = { header = { name = \"x\", equals = \"y\" } }\nauthority = \"unguarded-service\"\n",
    "12:13: client.m.authority: gives a client the gateway's own right without proof"
)]
#[case::no_such_authority(
    SERVICE,
    "[default_client]\nauthority = \"mine\"\n",
    "unknown variant `mine`, expected one of `caller`, `service`, `unguarded-service`"
)]
#[case::missing_variable(
    "[upstream.service]\nclient_id = \"s\"\nclient_secret_env = \"RECGATE_NO_SUCH\"\n",
    "",
    "8:21: upstream.v.service.client_secret_env: the variable RECGATE_NO_SUCH is not set"
)]
#[case::missing_file(
    "[upstream.recovery]\nclient_id = \"s\"\nclient_secret_file = \"/nowhere/secret\"\n",
    "",
    "8:22: upstream.v.recovery.client_secret_file: /nowhere/secret cannot be read"
)]
#[case::empty_secret(
    "[upstream.recovery]\nclient_id = \"s\"\nclient_secret_file = \"/dev/null\"\n",
    "",
    "8:22: upstream.v.recovery.client_secret_file: holds an empty secret"
)]
#[case::no_secret(
    "[upstream.service]\nclient_id = \"s\"\n",
    "",
    "7:13: upstream.v.service.client_id: needs exactly one of: client_secret_env, client_secret_file"
)]
#[case::two_secrets(
    "[upstream.service]\nclient_id = \"s\"\nclient_secret_env = \"PATH\"\nclient_secret_file = \"/dev/null\"\n",
    "",
    "7:13: upstream.v.service.client_id: needs exactly one of"
)]
#[case::no_client_id(
    "[upstream.service]\nclient_id = \"\"\nclient_secret_env = \"PATH\"\n",
    "",
    "7:13: upstream.v.service.client_id: must not be empty"
)]
#[case::token_path(
    "[upstream.service]\nclient_id = \"s\"\nclient_secret_env = \"PATH\"\ntoken_path = \"oauth\"\n",
    "",
    "9:14: upstream.v.service.token_path: must be a path"
)]
#[case::confirm(
    "",
    "[default_client]\nconfirm = \"2 hours\"\n",
    "7:11: default_client.confirm: must be \"off\" or a time up to a minute"
)]
#[case::a_secret_in_the_file(
    "[upstream.service]\nclient_id = \"s\"\nclient_secret = \"x\"\n",
    "",
    "unknown field `client_secret`"
)]
fn an_account_that_cannot_be_is_refused(
    #[case] account: &str,
    #[case] rest: &str,
    #[case] told: &str,
) {
    let faults = load(&genesys(account, rest)).unwrap_err();
    assert!(faults.iter().any(|fault| fault.contains(told)), "{faults:?} lacks {told:?}");
    assert_eq!(faults.len(), 1, "one fault is told once: {faults:?}");
}

#[test]
fn accounts_and_what_they_allow() {
    let file = std::env::temp_dir().join(format!("recgate-{}.secret", uuid::Uuid::new_v4()));
    fs::write(&file, "hush-hush\n").unwrap();
    let recovery = format!(
        "[upstream.recovery]\nclient_id = \"r\"\nclient_secret_file = \"{}\"\ntoken_path = \"/t\"\n",
        file.display()
    );
    let hash = "a".repeat(64);
    let rest = format!(
        "{COMPENSATE}confirm = \"2s\"\nauthority = \"service\"\n\
         [[client]]\nname = \"machine\"\nmatch = {{ token_sha256 = \"{hash}\" }}\n\
         authority = \"unguarded-service\"\nconfirm = \"off\"\n"
    );
    let text = genesys(&format!("{SERVICE}{recovery}"), &rest);
    let config = load(&text).unwrap();
    let account = config.upstreams[0].recovery.as_ref().unwrap();
    assert_eq!((account.secret.expose(), &*account.token_path), ("hush-hush", "/t"));
    assert_eq!(config.upstreams[0].service.as_ref().unwrap().token_path, "/oauth/token");
    let (default, machine) = (&config.default_client, &config.clients[0].1);
    assert_eq!(
        (default.authority, default.revoke, default.confirm),
        (Authority::Service, Policy::Compensate, Some(std::time::Duration::from_secs(2)))
    );
    assert_eq!((machine.authority, machine.confirm), (Authority::UnguardedService, None));
    // What is shown of a configuration shows no secret.
    let raw = layers(&text).raw().unwrap();
    let shown = format!("{config:?}{raw:?}{}", toml::to_string(&raw).unwrap());
    assert!(!shown.contains("hush-hush"), "{shown}");
    fs::remove_file(file).unwrap();
}

#[test]
fn every_fault_is_told_at_once() {
    let text = "[mock]\ndate = \"x\"\n[limits]\nhead_ms = 0\n";
    assert_eq!(load(text).unwrap_err().len(), 3);
}

#[test]
fn secrets_are_not_needed_and_hashes_are_checked() {
    let client = |how: &str| format!("{MINIMAL}[[client]]\nname = \"c\"\nmatch = {how}\n");
    let hash = "a".repeat(64);
    assert!(load(&client(&format!("{{ token_sha256 = \"{hash}\" }}"))).is_ok());
    assert!(
        load(&client(&format!("{{ header = {{ name = \"k\", sha256 = \"{hash}\" }} }}"))).is_ok()
    );
    for bad in [
        "{}",
        "{ token_sha256 = \"short\" }",
        "{ header = { name = \"k\" } }",
        "{ header = { name = \"k\", equals = \"a\", prefix = \"b\" } }",
        "{ header = { name = \"not a name\", equals = \"a\" } }",
    ] {
        assert!(load(&client(bad)).is_err(), "{bad}");
    }
}

#[test]
fn variables_and_flags_override_single_keys() {
    let variables = [
        ("RECGATE_GATEWAY__LISTEN", "127.0.0.1:7000"),
        ("RECGATE_LIMITS__BODY_BYTES", "4096"),
        ("HOME", "/nowhere"),
    ]
    .map(|(name, value)| (name.into(), value.into()));
    let config = Layers::open(None)
        .unwrap()
        .with_variables(variables.into_iter())
        .unwrap()
        .with_flag("--set", "upstream.genesys.url=https://api.example")
        .unwrap()
        .with_flag("--set", "gateway.listen=127.0.0.1:7001")
        .unwrap()
        .load()
        .unwrap();
    assert_eq!(config.gateway.listen.port(), 7001);
    assert_eq!(config.limits.body_bytes, 4096);
    assert!(matches!(config.upstreams[0].address, Address::Server { .. }));
}

#[rstest]
#[case("gateway.lissen=x", "unknown field `lissen`")]
#[case("upstream.nobody.url=mock", "no entry `nobody`; there are: genesys, webex")]
#[case("limits.body_bytes=many", "invalid type")]
#[case("mock.date=tomorrow", "must be \"today\"")]
#[case("ledger.key_env=RECGATE_KEY", "must name a variable that does not begin with RECGATE_")]
#[case("ledger.url=postgres://me:secret@db/recgate", "must not hold a password")]
fn a_bad_override_is_named(#[case] assignment: &str, #[case] told: &str) {
    let layers = Layers::open(None).unwrap().with_flag("--set", assignment).unwrap();
    let text = layers.load().unwrap_err()[0].to_string();
    // The key is said once, and what may be a secret not at all.
    let (key, _) = assignment.split_once('=').unwrap();
    assert!(text.starts_with(&format!("--set: {key}: {told}")), "{text}");
    assert_eq!(text.matches(key).count(), 1, "{text}");
    assert!(!text.contains("secret@"), "{text}");
}

/// Each would panic, hang or take all memory later.
#[rstest]
#[case("limits.requests=9223372036854775807", "must be 1 to 1000000")]
#[case("limits.pause_requests=2305843009213693952", "must be 1 to 1000000")]
#[case("limits.connections=1000001", "must be 1 to 1000000")]
#[case("limits.connections_per_address=1000001", "must be 1 to 1000000")]
#[case("limits.trigger_events=1000001", "must be 1 to 1000000")]
#[case("limits.pool_connections=1000001", "must be 0 to 1000000")]
#[case("limits.header_count=100000000", "must be 1 to 4096")]
#[case("limits.answer_header_count=100000000", "must be 1 to 4096")]
#[case("limits.streams=4294967295", "must be 1 to 10000")]
#[case("limits.body_bytes=1073741825", "must be 1 to 1073741824 bytes")]
#[case("limits.answer_bytes=1073741825", "must be 1 to 1073741824 bytes")]
#[case("limits.header_bytes=9223372036854775807", "must be 8192 to 16777216 bytes")]
#[case("limits.header_bytes=8191", "must be 8192 to 16777216 bytes")]
#[case("limits.trigger_body_bytes=16777217", "must be 1 to 16777216 bytes")]
#[case("limits.exchange_ms=9223372036854775807", "must be 1 to 604800000 milliseconds")]
#[case("limits.wait_ms=0", "must be 1 to 604800000 milliseconds")]
#[case("limits.idle_ms=604800001", "must be 0 to 604800000 milliseconds")]
#[case("limits.pause_watch_ms=604800001", "must be 0 to 604800000 milliseconds")]
#[case("gateway.drain_ms=604800001", "must be 0 to 604800000 milliseconds")]
#[case("gateway.threads=100000", "must be 0 to 512")]
#[case("mock.protection_limit=1000001", "must be 0 to 1000000")]
#[case("mock.unpublished.read_lag_ms=604800001", "must be 0 to 604800000 milliseconds")]
#[case("ledger.keep_days=4294967295", "must be 0 to 36525 days")]
#[case("default_client.deadline_ms=604800001", "must be 1 to 604800000 milliseconds")]
#[case("client.purecloud-sdk-269.deadline_ms=0", "must be 1 to 604800000 milliseconds")]
#[case("upstream.genesys.retry.most=4294967295", "must be 0 to 100")]
fn a_number_beyond_its_bounds_is_told(#[case] assignment: &str, #[case] told: &str) {
    let layers = Layers::open(None).unwrap().with_flag("--set", assignment).unwrap();
    let faults = layers.load().unwrap_err();
    let (key, _) = assignment.split_once('=').unwrap();
    assert_eq!(
        faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [format!("--set: {key}: {told}")]
    );
}

/// In the file as in a flag: with its place.
#[test]
fn a_limit_beyond_its_bounds_has_a_place() {
    let faults = load(&format!("{MINIMAL}[limits]\nhead_ms = 9_223_372_036_854_775_807\n"));
    assert_eq!(faults.unwrap_err(), ["6:11: limits.head_ms: must be 1 to 604800000 milliseconds"]);
}
