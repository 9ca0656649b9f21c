//! The host a request is for: exactly one, and a valid one (RFC 9112 §3.2, RFC 9113 §8.3.1).

use std::net::Ipv6Addr;

use http::{Request, Version, header};

use crate::error::{Code, Failure};

/// The host of a request, without its port. HTTP/1.0 may name none; HTTP/1.1 has to have a `Host`,
/// whatever its target says.
pub(crate) fn of<B>(request: &Request<B>) -> Result<&str, Failure> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let named = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err(invalid("more than one Host")),
        (None, None) => None,
        (Some(host), None) => Some(host.to_str().map_err(|_| invalid("a Host that is not ASCII"))?),
    };
    let uri = request.uri();
    if uri.scheme_str().is_some_and(|scheme| !matches!(scheme, "http" | "https")) {
        return Err(invalid("a target of another scheme than http and https"));
    }
    match (named, uri.authority()) {
        (Some(named), Some(target)) if !named.eq_ignore_ascii_case(target.as_str()) => {
            Err(invalid("a Host at odds with the request target"))
        }
        (Some(named), _) => host(named),
        (None, Some(target)) if request.version() != Version::HTTP_11 => host(target.as_str()),
        (None, None) if request.version() == Version::HTTP_10 => Ok(""),
        (None, _) => Err(invalid("no Host")),
    }
}

/// The same with its port, of a request that was judged. Empty where it names none.
pub(crate) fn with_port<B>(request: &Request<B>) -> &str {
    match request.headers().get(header::HOST) {
        Some(host) => host.to_str().unwrap_or_default(),
        None => request.uri().authority().map_or("", |target| target.as_str()),
    }
}

fn invalid(why: &'static str) -> Failure {
    Failure::new(Code::HostInvalid, why)
}

/// The host of `host [":" port]`: a name or an address, with nothing in it that needs an encoding
/// or could be taken for two (RFC 3986 §3.2.2).
fn host(authority: &str) -> Result<&str, Failure> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) =
                rest.split_once(']').ok_or_else(|| invalid("a Host with an open bracket"))?;
            address.parse::<Ipv6Addr>().map_err(|_| invalid("a Host that is no IPv6 address"))?;
            let port = match port.strip_prefix(':') {
                Some(port) => Some(port),
                None if port.is_empty() => None,
                None => return Err(invalid("a Host with something behind its brackets")),
            };
            (&authority[..address.len() + 2], port)
        }
        None => match authority.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (authority, None),
        },
    };
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=[]:".contains(&byte);
    if host.is_empty() || !host.bytes().all(named) {
        return Err(invalid("a Host that is no name and no address"));
    }
    let digits = |port: &str| {
        port.bytes().all(|byte| byte.is_ascii_digit())
            && (port.is_empty() || port.parse::<u16>().is_ok())
    };
    if !port.is_none_or(digits) {
        return Err(invalid("a Host whose port is no number"));
    }
    Ok(host)
}
