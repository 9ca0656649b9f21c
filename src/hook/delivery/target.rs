//! Where a subscription's deliveries go: an https (or http) URL, read as browsers read them.
//!
//! The WHATWG rules turn every spelling of an IPv4 address (decimal, octal, hexadecimal, with one
//! to four parts) into that address, and every name into its ASCII form, before anyone judges it.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use super::guard::{self, Allowed, Forbidden};

/// A target.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    scheme: Scheme,
    host: Host<String>,
    port: u16,
    /// Path and query, as they are sent.
    path: String,
}

/// How a target is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Scheme {
    Http,
    Https,
}

/// Why a text is no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No URL of the kind.
    #[error("must be an https:// URL with a host, without user name, password or fragment")]
    Unreadable,
    /// In clear.
    #[error("is not https: signatures do not hide what is sent; `allow_http = true` permits it")]
    InClear,
    /// An address that must be allowed by name.
    #[error("leads to an address that is refused ({0}) unless `allow` names it")]
    Forbidden(Forbidden),
}

// === impl Target ===

impl Target {
    /// Reads a URL. A literal address is judged here already; a name is when it is dialled.
    pub fn parse(text: &str, least: Scheme, allowed: &[Allowed]) -> Result<Self, TargetError> {
        let url = Url::parse(text).map_err(|_| TargetError::Unreadable)?;
        let scheme = match url.scheme() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return Err(TargetError::Unreadable),
        };
        let anonymous = url.username().is_empty() && url.password().is_none();
        let host = url.host().map(|host| host.to_owned());
        let (Some(host), Some(port), true, None) =
            (host, url.port_or_known_default(), anonymous, url.fragment())
        else {
            return Err(TargetError::Unreadable);
        };
        if port == 0 {
            return Err(TargetError::Unreadable);
        }
        if scheme == Scheme::Http && least == Scheme::Https {
            return Err(TargetError::InClear);
        }
        let path = url[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
        let target = Self { scheme, host, port, path };
        if let Some(address) = target.literal() {
            guard::check(&target.host(), address, allowed).map_err(TargetError::Forbidden)?;
        }
        Ok(target)
    }

    /// How it is spoken to.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host: a name, or an address without brackets.
    #[must_use]
    pub fn host(&self) -> String {
        match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        }
    }

    /// The address, where the host is one.
    #[must_use]
    pub const fn literal(&self) -> Option<IpAddr> {
        match &self.host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::V4(*address)),
            Host::Ipv6(address) => Some(IpAddr::V6(*address)),
        }
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Path and query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What `Host` says.
    #[must_use]
    pub fn authority(&self) -> String {
        match (self.scheme, self.port) {
            (Scheme::Https, 443) | (Scheme::Http, 80) => self.host.to_string(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }
}

impl fmt::Debug for Target {
    /// Without path and query: some receivers keep a secret there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}/…", self.authority())
    }
}
