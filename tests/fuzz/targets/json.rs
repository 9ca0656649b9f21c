//! The JSON reader, beside `serde_json`.

use serde_json::Value;

use super::each;
use crate::{
    json::{Fault, FaultKind, Node, is_integer, parse, whole_number},
    limits::JSON_DEPTH,
};

/// The strict reader reads what `serde_json` reads, as the same value, save what it refuses on
/// purpose; and it reads nothing else.
pub fn json(data: &[u8]) {
    let peer = serde_json::from_slice::<Value>(data);
    match parse(data) {
        Ok(node) => read(&node, data, peer),
        Err(fault) => refused(&fault, data, &peer),
    }
}

fn read(node: &Node<'_>, data: &[u8], peer: serde_json::Result<Value>) {
    let value = node.to_value();
    each(node, &mut |node| {
        if let Node::Number(digits) = node {
            number(digits);
        }
    });
    // How `serde_json` hands numbers on between its own parts; to it such an object is a number.
    if data.windows(20).any(|it| it == b"$serde_json::private") || escaped_dollar(data) {
        return;
    }
    // The peer gives up one level earlier.
    if peer.is_err() && depth(node) >= JSON_DEPTH {
        return;
    }
    let peer = peer.expect("what is read strictly is JSON");
    assert!(is_same(&value, &peer), "{value} is not {peer}");
    let written = value.to_string();
    let again = parse(written.as_bytes()).expect("what was written is strict JSON");
    assert_eq!(again.to_value(), value, "what was read is written and read again");
}

fn depth(node: &Node<'_>) -> usize {
    match node {
        Node::Array(elements) => 1 + elements.iter().map(depth).max().unwrap_or(0),
        Node::Object(members) => 1 + members.iter().map(|(_, it)| depth(it)).max().unwrap_or(0),
        _ => 0,
    }
}

/// `serde_json` writes every exponent as `e+2`; here the digits stay as they came.
fn is_same(own: &Value, peer: &Value) -> bool {
    match (own, peer) {
        (Value::Number(own), Value::Number(peer)) => {
            let own = own.as_str().replace('E', "e");
            let own = match own.split_once('e') {
                Some((_, exponent)) if exponent.starts_with(['+', '-']) => own,
                Some((mantissa, exponent)) => format!("{mantissa}e+{exponent}"),
                None => own,
            };
            own == peer.as_str()
        }
        (Value::Array(own), Value::Array(peer)) => {
            own.len() == peer.len() && own.iter().zip(peer).all(|(own, peer)| is_same(own, peer))
        }
        (Value::Object(own), Value::Object(peer)) => {
            own.len() == peer.len()
                && own.iter().zip(peer).all(|(own, peer)| own.0 == peer.0 && is_same(own.1, peer.1))
        }
        _ => own == peer,
    }
}

fn refused(fault: &Fault, data: &[u8], peer: &serde_json::Result<Value>) {
    assert!(fault.offset <= data.len(), "{fault:?}");
    assert!(fault.pointer.is_empty() || fault.pointer.starts_with('/'), "{fault:?}");
    assert!(!fault.to_string().is_empty());
    match fault.kind {
        // Refused on purpose. Depth is not counted alike.
        FaultKind::DuplicateKey | FaultKind::TooDeep => {}
        FaultKind::InvalidUtf8 => assert!(std::str::from_utf8(data).is_err()),
        FaultKind::ByteOrderMark => assert!(data.starts_with(b"\xEF\xBB\xBF")),
        FaultKind::TrailingData => {
            assert!(parse(&data[..fault.offset]).is_ok(), "the value before it is one");
            assert!(peer.is_err(), "{fault:?}");
        }
        FaultKind::LoneSurrogate | FaultKind::Syntax => assert!(peer.is_err(), "{fault:?}"),
    }
}

/// What is said of a number by its digits agrees with what its value is.
fn number(digits: &str) {
    if let Some(whole) = whole_number(digits) {
        assert!(is_integer(digits), "{digits}");
        let float: f64 = digits.parse().unwrap();
        #[allow(clippy::cast_precision_loss)]
        let distance = (whole as f64 - float).abs();
        assert!(distance <= float.abs() * 1e-15, "{digits} is not {whole}");
    }
    if !digits.contains(['.', 'e', 'E']) {
        assert!(is_integer(digits), "{digits}");
        let plain = digits.parse::<i128>().ok().filter(|it| it.unsigned_abs() < 10_u128.pow(38));
        assert_eq!(whole_number(digits), plain, "{digits}");
    }
}

/// A `$` at the start of a name may also be written `\u0024`, and each letter behind it.
fn escaped_dollar(data: &[u8]) -> bool {
    data.contains(&b'\\') && data.windows(7).any(|it| it == b"private" || it == b"\\u0024s")
        || data.windows(6).any(|it| it == b"\\u0024")
}
