//! The host a request is for: exactly one, and a valid one (RFC 9112 §3.2, RFC 9113 §8.3.1).

use http::uri::Authority;
use http::{Request, Version, header};

use crate::error::{Code, Failure};

/// The host of a request, without its port. HTTP/1.0 may leave it out.
pub(crate) fn of<B>(request: &Request<B>) -> Result<String, Failure> {
    let invalid = |why| Failure::new(Code::HostInvalid, why);
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let named = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err(invalid("more than one Host")),
        (None, None) => None,
        (Some(host), None) => {
            let text = host.to_str().map_err(|_| invalid("a Host that is not ASCII"))?;
            Some(text.parse::<Authority>().map_err(|_| invalid("a Host that is no authority"))?)
        }
    };
    match (named, request.uri().authority()) {
        (Some(named), Some(target)) if named != *target => {
            Err(invalid("a Host at odds with the request target"))
        }
        (Some(host), _) if host.as_str().contains('@') => Err(invalid("a Host with userinfo")),
        (Some(host), _) => Ok(host.host().to_owned()),
        (None, Some(target)) => Ok(target.host().to_owned()),
        (None, None) if request.version() == Version::HTTP_10 => Ok(String::new()),
        (None, None) => Err(invalid("no Host")),
    }
}
