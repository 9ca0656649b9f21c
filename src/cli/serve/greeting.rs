//! What a person needs to know to use a gateway that serves: addresses, and for each upstream the lines
//! that point its vendor's SDKs here.
//!
//! A line that is printed works when it is copied. Where the configuration serves nothing that an SDK
//! would ask for, or the listener has no address of its own to name, no such line can be, and what is
//! printed says so.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use super::dev_tls::DevTls;
use crate::config::Config;
use crate::config::checked::Upstream;
use crate::dialect::Dialect;

/// What stands for a host that only its operator knows.
const ANY_HOST: &str = "HOST";

/// What Genesys Cloud's SDKs ask for, below the prefix that they are told.
const GENESYS_API: &str = "/api/v2";

/// What Webex's SDKs have in their base URL.
const WEBEX_API: &str = "/v1";

/// Where this process listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listening {
    pub(super) gateway: SocketAddr,
    pub(super) mock: Option<SocketAddr>,
    pub(super) admin: SocketAddr,
}

/// Prints it.
pub(super) fn print(
    config: &Config,
    listening: &Listening,
    dev_tls: Option<&DevTls>,
) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    addresses(&mut out, config, listening, dev_tls)?;
    let scheme = scheme(config);
    for upstream in &config.upstreams {
        point(&mut out, upstream, scheme, listening.gateway)?;
    }
    out.flush()
}

const fn scheme(config: &Config) -> &'static str {
    if config.gateway.tls.is_some() { "https" } else { "http" }
}

fn addresses(
    out: &mut impl Write,
    config: &Config,
    listening: &Listening,
    dev_tls: Option<&DevTls>,
) -> std::io::Result<()> {
    writeln!(out, "gateway  {}://{}", scheme(config), listening.gateway)?;
    if let Some(mock) = listening.mock {
        writeln!(out, "mock     http://{mock}")?;
    }
    writeln!(out, "ledger   {}", config.ledger.place)?;
    writeln!(out, "admin    http://{}", listening.admin)?;
    if let Some(dev_tls) = dev_tls {
        let file = std::path::absolute(dev_tls.authority())?;
        let file = file.display();
        writeln!(out, "trust    {file}, for this machine alone:")?;
        writeln!(out, "  curl        --cacert {file}")?;
        writeln!(out, "  Python      SSL_CERT_FILE={file} REQUESTS_CA_BUNDLE={file}")?;
        writeln!(out, "  Node.js     NODE_EXTRA_CA_CERTS={file}")?;
    }
    Ok(())
}

/// How the SDKs of one upstream come here.
fn point(
    out: &mut impl Write,
    upstream: &Upstream,
    scheme: &str,
    gateway: SocketAddr,
) -> std::io::Result<()> {
    let (name, host, port) = (&upstream.name, host(upstream, gateway.ip()), gateway.port());
    let origin = format!("{scheme}://{host}:{port}");
    let known = if host == ANY_HOST { "; HOST: this machine, by a name or address" } else { "" };
    match upstream.dialect {
        Dialect::Genesys if let Some(api) = base(upstream, GENESYS_API) => {
            let login = upstream.login_prefixes.first().map_or("", |it| it.trim_matches('/'));
            let api = api.trim_matches('/');
            writeln!(out, "\n{name}: point the vendor's SDKs here{known}")?;
            writeln!(
                out,
                "  Python      api_client = PureCloudPlatformClientV2.api_client.ApiClient(); api_client.set_gateway(\"{host}\", \"{scheme}\", {port}, \"{login}\", \"{api}\")"
            )?;
            writeln!(
                out,
                "  JavaScript  platformClient.ApiClient.instance.setGateway({{host: \"{host}\", protocol: \"{scheme}\", port: {port}, path_params_login: \"{login}\", path_params_api: \"{api}\"}})"
            )?;
            writeln!(
                out,
                "  SDK's config file\n    [gateway]\n    host = {host}\n    protocol = {scheme}\n    port = {port}\n    path_params_login = {login}\n    path_params_api = {api}"
            )
        }
        Dialect::Webex if let Some(prefix) = base(upstream, WEBEX_API) => {
            let base = format!("{origin}{prefix}{WEBEX_API}");
            writeln!(out, "\n{name}: point the vendor's SDKs here{known}")?;
            writeln!(
                out,
                "  wxc-sdk     from wxc_sdk.rest import RestSession; RestSession.BASE = \"{base}\""
            )?;
            writeln!(out, "  webexpythonsdk  WebexAPI(base_url=\"{base}/\")")
        }
        Dialect::Genesys | Dialect::Webex | Dialect::Problem => {
            let first = upstream.prefixes.first().or_else(|| upstream.paths.first());
            let path = first.map_or("", |it| it.trim_end_matches('/'));
            writeln!(out, "\n{name}: {origin}{path}{known}")
        }
    }
}

/// The host that a client names: one that the upstream is served under, or the listener's own address
/// as a URL spells it.
fn host(upstream: &Upstream, listener: IpAddr) -> String {
    match (upstream.hosts.first(), listener) {
        (Some(host), _) => host.clone(),
        (None, any) if any.is_unspecified() => ANY_HOST.to_owned(),
        (None, IpAddr::V4(address)) => address.to_string(),
        (None, IpAddr::V6(address)) => format!("[{address}]"),
    }
}

/// What stands before `api` for a request to be served: a prefix, or nothing where `api` is among the
/// paths. `None` where no request below `api` is.
fn base<'a>(upstream: &'a Upstream, api: &str) -> Option<&'a str> {
    if let Some(prefix) = upstream.prefixes.first() {
        return Some(prefix.trim_end_matches('/'));
    }
    let below = |path: &str, of: &str| {
        path.strip_prefix(of.trim_end_matches('/'))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    // Part of the API is served where a path goes on behind it.
    let serves = |path: &String| below(api, path) || below(path, api);
    upstream.paths.iter().any(serves).then_some("")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;

    use super::point;
    use crate::config::Layers;

    /// What is printed for the one upstream of these keys.
    fn pointed(vendor: &str, keys: &str, gateway: &str) -> String {
        let file = std::env::temp_dir().join(format!("recgate-{}.toml", uuid::Uuid::new_v4()));
        let text =
            format!("[[upstream]]\nname = \"v\"\nvendor = \"{vendor}\"\nurl = \"mock\"\n{keys}\n");
        std::fs::write(&file, text).unwrap();
        let config = Layers::open(Some(&file)).unwrap().load().unwrap();
        std::fs::remove_file(file).unwrap();
        let mut out = Vec::new();
        point(&mut out, &config.upstreams[0], "http", gateway.parse().unwrap()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[rstest]
    #[case::ipv4("127.0.0.1:80", "", "\"127.0.0.1\", \"http\", 80, \"\", \"g\"")]
    #[case::ipv6("[::1]:80", "", "\"[::1]\", \"http\", 80, \"\", \"g\"")]
    #[case::any_ipv4("0.0.0.0:80", "", "\"HOST\", \"http\", 80, \"\", \"g\"")]
    #[case::any_ipv6("[::]:80", "", "here; HOST: this machine, by a name or address\n")]
    #[case::a_host("[::]:80", "hosts = [\"g.example\"]", "\"g.example\", \"http\", 80, ")]
    fn an_sdk_gets_a_host_that_it_can_use(
        #[case] gateway: &str,
        #[case] keys: &str,
        #[case] told: &str,
    ) {
        let text = pointed("genesys", &format!("prefixes = [\"/g\"]\n{keys}"), gateway);
        assert!(text.contains(told), "{text}");
        assert!(!text.contains("0.0.0.0") && !text.contains("[::]"), "{text}");
    }

    #[rstest]
    #[case::its_own_path("paths = [\"/v1\"]", Some("http://[::1]:80/v1"))]
    #[case::everything("paths = [\"/\"]", Some("http://[::1]:80/v1"))]
    #[case::a_part("paths = [\"/v1/recordings\"]", Some("http://[::1]:80/v1"))]
    #[case::a_prefix("prefixes = [\"/webex/\"]", Some("http://[::1]:80/webex/v1"))]
    #[case::another_path("paths = [\"/v10\"]", None)]
    fn a_base_url_is_served(#[case] keys: &str, #[case] base: Option<&str>) {
        let text = pointed("webex", keys, "[::1]:80");
        match base {
            Some(base) => {
                assert!(text.contains(&format!("RestSession.BASE = \"{base}\"")), "{text}");
            }
            None => assert_eq!(text, "\nv: http://[::1]:80/v10\n"),
        }
    }

    #[test]
    fn genesys_without_a_prefix_is_served_at_its_paths() {
        let served = pointed("genesys", "paths = [\"/api/v2\"]", "127.0.0.1:80");
        assert!(served.contains("\"http\", 80, \"\", \"\")"), "{served}");
        let elsewhere = pointed("genesys", "paths = [\"/other\"]", "127.0.0.1:80");
        assert_eq!(elsewhere, "\nv: http://127.0.0.1:80/other\n");
    }
}
