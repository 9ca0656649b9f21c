//! What of an upstream can ever be served: paths that the front door lets through, origins that a
//! browser sends, overrides that do not contradict one another.
//!
//! Each of these would do nothing, in silence. The rules are the gateway's own, told here in the
//! words of the configuration.

use http::Uri;

use super::Checking;
use crate::config::raw::{self, AmbiguousPaths, CheckOverride};
use crate::config::reserved;

/// Ports that a browser leaves out of an origin.
const USUAL_PORTS: [(&str, u16); 2] = [("http", 80), ("https", 443)];

impl Checking<'_> {
    /// Checks the paths of one upstream, each by itself.
    pub(super) fn paths(&mut self, key: &str, raw: &raw::Upstream) {
        let lists = [
            ("paths", &raw.paths, Sent::Whole),
            ("prefixes", &raw.prefixes, Sent::Rest),
            ("login_paths", &raw.login_paths, Sent::Whole),
            ("login_prefixes", &raw.login_prefixes, Sent::Rest),
        ];
        for (list, paths, sent) in lists {
            for (at, path) in paths.iter().enumerate() {
                if let Some(why) = unserved(path, sent, raw.ambiguous_paths) {
                    self.fault(&format!("{key}.{list}.{at}"), format!("`{path}` {why}"));
                }
            }
        }
    }

    /// Checks who may call from a page.
    pub(super) fn origins(&mut self, key: &str, cors: &raw::Cors) {
        for (at, origin) in cors.allow_origins.iter().enumerate() {
            if !is_origin(origin) {
                let message = format!(
                    "`{origin}` is no origin as browsers send it: \"*\", or a scheme and a host in lower \
                     case without a path, such as \"https://crm.example\"; a port unless it is the usual one"
                );
                self.fault(&format!("{key}.cors.allow_origins.{at}"), message);
            }
        }
    }

    /// Checks that what holds for an operation is said once.
    pub(super) fn overrides(&mut self, key: &str, overrides: &[CheckOverride]) {
        for (at, it) in overrides.iter().enumerate() {
            let same =
                |other: &CheckOverride| other.operation == it.operation && other.hop == it.hop;
            if overrides[..at].iter().any(same) {
                let message = format!("`{}` has an entry for this hop already", it.operation);
                self.fault(&format!("{key}.check_overrides.{at}"), message);
            }
        }
    }
}

/// What of a path that matches goes upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Whole,
    Rest,
}

/// Why no request below a path would be sent upstream.
fn unserved(path: &str, sent: Sent, ambiguous: AmbiguousPaths) -> Option<&'static str> {
    if reserved::is_for_triggers(path) {
        return Some("is never served: paths under /hooks are for triggers");
    }
    if sent == Sent::Whole && reserved::is_closed(path) {
        return Some("is never served: the mock's control paths are closed");
    }
    if path.chars().any(|it| it.is_whitespace() || it.is_control()) {
        return Some("is never served: no request has a space or a control character in its path");
    }
    let dots = path.split('/').any(|segment| {
        let name = segment.split_once(';').map_or(segment, |(name, _)| name);
        matches!(name, "." | "..")
    });
    if ambiguous == AmbiguousPaths::Refuse && (dots || path.contains('\\')) {
        return Some("is never served: paths with dot segments or backslashes are refused");
    }
    None
}

/// Whether a browser sends it so (RFC 6454 §6.2): what is compared are bytes.
fn is_origin(text: &str) -> bool {
    if matches!(text, "*" | "null") {
        return true;
    }
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
    let port = authority.port_u16();
    let written = match port {
        Some(port) => format!("{scheme}://{}:{port}", authority.host()),
        None => format!("{scheme}://{}", authority.host()),
    };
    let usual = USUAL_PORTS.iter().any(|(of, usual)| *of == scheme && port == Some(*usual));
    written == text && text == text.to_ascii_lowercase() && !usual
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{Sent, is_origin, unserved};
    use crate::config::raw::AmbiguousPaths;

    #[rstest]
    #[case("*", true)]
    #[case("null", true)]
    #[case("https://crm.example", true)]
    #[case("http://localhost:3000", true)]
    #[case("http://[::1]:3000", true)]
    #[case("chrome-extension://abcdefgh", true)]
    #[case("foo", false)]
    #[case("", false)]
    #[case("//crm.example", false)]
    #[case("https://", false)]
    #[case("https://crm.example/", false)]
    #[case("https://crm.example/path", false)]
    #[case("https://CRM.example", false)]
    #[case("https://me@crm.example", false)]
    #[case("https://crm.example:443", false)]
    #[case("https://crm.example:", false)]
    #[case("https://crm.example?a", false)]
    fn an_origin_is_what_browsers_send(#[case] text: &str, #[case] is_one: bool) {
        assert_eq!(is_origin(text), is_one, "{text}");
    }

    #[test]
    fn a_prefix_is_not_sent_and_what_is_ambiguous_may_pass() {
        let told = |path, sent, ambiguous| unserved(path, sent, ambiguous).is_some();
        let (refuse, pass) = (AmbiguousPaths::Refuse, AmbiguousPaths::Pass);
        assert!(told("/a/_Mock/b", Sent::Whole, refuse) && !told("/_mock", Sent::Rest, refuse));
        assert!(told("/a/..;v=1/b", Sent::Rest, refuse) && !told("/a/../b", Sent::Rest, pass));
        assert!(told("/a b", Sent::Rest, pass));
        for path in ["/hooks", "/hooks/", "/hooks/a", "/hooksy", "/a/hooks", "/"] {
            let theirs = crate::gateway::hooks::are_meant(path);
            assert_eq!(told(path, Sent::Rest, refuse), theirs, "{path}");
        }
    }
}
