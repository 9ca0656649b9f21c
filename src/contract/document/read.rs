//! From a text to a value and an index of its places: JSON strictly, YAML without its surprises.
//!
//! Refused: texts over [`limits::DOCUMENT_BYTES`], duplicate keys, nesting deeper than
//! [`limits::JSON_DEPTH`], YAML whose aliases multiply.

use serde_json::Value;

use super::{super::Source, DocumentError, position::Index};
use crate::{json, limits};

/// Parses JSON or YAML. A name that ends in `.yaml` or `.yml` says YAML; else a text that starts
/// with a brace is JSON.
pub(super) fn read(source: &Source) -> Result<(Value, Index), DocumentError> {
    let Source { name, text } = source;
    if text.len() > limits::DOCUMENT_BYTES {
        let message = format!(
            "the document has {} bytes, at most {} are read",
            text.len(),
            limits::DOCUMENT_BYTES
        );
        return Err(DocumentError::whole("document.size", name, message));
    }
    let extension = std::path::Path::new(name).extension();
    let is_yaml = extension
        .is_some_and(|it| it.eq_ignore_ascii_case("yaml") || it.eq_ignore_ascii_case("yml"));
    if !is_yaml && text.trim_start().starts_with('{') {
        Ok((parse_json(name, text)?, Index::of_json(text)))
    } else {
        Ok((parse_yaml(name, text)?, Index::of_yaml(text)))
    }
}

fn parse_json(name: &str, text: &str) -> Result<Value, DocumentError> {
    let node = json::parse(text.as_bytes()).map_err(|fault| {
        let before = text.get(..fault.offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        DocumentError {
            code: "document.syntax",
            source: name.to_owned(),
            line: Some(before.matches('\n').count() + 1),
            column: Some(before[line_start..].chars().count() + 1),
            message: format!("expected {} ({})", fault.kind.expected(), fault.kind.code()),
            pointer: fault.pointer,
        }
    })?;
    Ok(node.to_value())
}

/// The YAML reader takes some sixteen kilobytes of stack a level, too much for [`limits::JSON_DEPTH`]
/// of them on a worker's stack: it gets a thread of its own.
fn parse_yaml(name: &str, text: &str) -> Result<Value, DocumentError> {
    let failed = || DocumentError::whole("document.syntax", name, "no thread could read it");
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(limits::YAML_STACK_BYTES);
        let reader = builder.spawn_scoped(scope, || deserialize_yaml(name, text));
        reader.map_err(|_| failed())?.join().map_err(|_| failed())?
    })
}

fn deserialize_yaml(name: &str, text: &str) -> Result<Value, DocumentError> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        budget: serde_saphyr::budget! {
            max_depth: limits::JSON_DEPTH,
            max_documents: 1,
            max_events: limits::YAML_EVENTS,
            max_nodes: limits::YAML_EVENTS,
        },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let location = error.location();
        let number = |it: u64| usize::try_from(it).ok().filter(|it| *it > 0);
        // The rendered form quotes the document over several lines; the first says it all.
        let message = error.without_snippet().to_string();
        DocumentError {
            code: "document.syntax",
            source: name.to_owned(),
            pointer: String::new(),
            line: location.and_then(|it| number(it.line())),
            column: location.and_then(|it| number(it.column())),
            message: message.lines().next().unwrap_or("not YAML").to_owned(),
        }
    })
}
