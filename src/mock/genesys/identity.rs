//! Sign-in by client credentials, and the caller's own user.
//!
//! The token that a client gets is its principal's name: a mock's secret is no secret, and a
//! journal that names callers is readable.

use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::{ok, require_user};
use crate::mock::message::{Answer, Outcome, Request, form_pairs};
use crate::mock::vendor::Vendor;
use crate::mock::world::{Kind, Principal};

/// How long a token is said to live, in seconds; the mock's tokens never expire.
const EXPIRES_IN_SECONDS: u32 = 86_399;

/// `POST /oauth/token`, RFC 6749 §4.4. Errors wear OAuth's shape (§5.2), not `ErrorBody`.
#[allow(clippy::unnecessary_wraps, reason = "every operation has this shape")]
pub(in crate::mock) fn sign_in(vendor: &Vendor, request: &Request) -> Outcome {
    if !request.is_media_type("application/x-www-form-urlencoded") {
        return Ok(refused(StatusCode::BAD_REQUEST, "invalid_request", "A form is expected."));
    }
    let text = String::from_utf8_lossy(&request.body);
    let form = form_pairs(&text);
    let field =
        |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    match field("grant_type") {
        Some("client_credentials") => {}
        Some(_) => {
            let text = "Only client_credentials is modelled.";
            return Ok(refused(StatusCode::BAD_REQUEST, "unsupported_grant_type", text));
        }
        None => {
            return Ok(refused(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "grant_type is missing.",
            ));
        }
    }
    let basic = request.header(&header::AUTHORIZATION).and_then(basic_credentials);
    let credentials = basic
        .or_else(|| Some((field("client_id")?.to_owned(), field("client_secret")?.to_owned())));
    let client = credentials.and_then(|(id, given)| {
        let principal = vendor.world.principals.get(&id)?;
        matches!(&principal.kind, Kind::Client { secret, .. } if *secret == given)
            .then_some(principal)
    });
    let Some(client) = client else {
        let text = "The client id or its secret is wrong.";
        let mut answer = refused(StatusCode::UNAUTHORIZED, "invalid_client", text);
        answer
            .headers
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"oauth\""));
        return Ok(answer);
    };
    let mut answer = ok(&json!({
        "access_token": client.token,
        "token_type": "bearer",
        "expires_in": EXPIRES_IN_SECONDS,
    }));
    answer.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// `GET /api/v2/users/me`, with the permissions where `expand` asks for the authorization.
pub(super) fn users_me(caller: &Principal, request: &Request) -> Outcome {
    require_user(caller)?;
    let mut user = json!({
        "id": caller.id,
        "name": caller.name,
        "email": caller.email,
        "username": caller.email,
        "state": "active",
        "version": 1,
        "selfUri": format!("/api/v2/users/{}", caller.id),
    });
    let expand = request.query_pairs().into_iter().filter(|(key, _)| key == "expand");
    let wants_rights = expand
        .flat_map(|(_, value)| value.split(',').map(str::to_owned).collect::<Vec<_>>())
        .any(|part| part.trim() == "authorization");
    if let (true, Kind::User { permissions, .. }) = (wants_rights, &caller.kind) {
        user["authorization"] = json!({
            "roles": [],
            "unusedRoles": [],
            "permissions": permissions.iter().map(|name| json!(name)).collect::<Vec<Value>>(),
            "permissionPolicies": [],
        });
    }
    Ok(ok(&user))
}

fn refused(status: StatusCode, error: &str, description: &str) -> Answer {
    Answer::json(
        status,
        &json!({ "error": error, "error_description": description, "description": description }),
    )
}

/// Client id and secret out of `Basic …`.
fn basic_credentials(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(base64(encoded.trim())?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

/// Base64 with the standard alphabet, padded or not; `None` for any other byte.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0x3FFF;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xFF).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::{base64, basic_credentials};

    #[test]
    fn base64_reads_what_clients_send() {
        for (text, plain) in
            [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmE", "fooba")]
        {
            assert_eq!(base64(text).unwrap(), plain.as_bytes(), "{text}");
        }
        assert_eq!(base64("Zm9%"), None);
        let pair = basic_credentials("basic Y3JtLXNlcnZpY2U6Y3JtLXNlY3JldA==").unwrap();
        assert_eq!(pair, ("crm-service".to_owned(), "crm-secret".to_owned()));
        assert_eq!(basic_credentials("Bearer abc"), None);
    }
}
