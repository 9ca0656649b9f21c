//! From a text to a value and an index of its places: JSON strictly, YAML without its surprises.
//!
//! Refused: texts over [`limits::DOCUMENT_BYTES`], duplicate keys, nesting deeper than
//! [`limits::JSON_DEPTH`], YAML whose aliases multiply.

use serde_json::Value;

use super::{
    super::Source,
    DocumentError,
    position::Index,
    scalars::{self, Scalar},
};
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
        let root = parse_yaml(name, text)?;
        let mut others = Vec::new();
        let index = Index::of_yaml(text, |value, span| {
            others.extend(Scalar::of(text, value, span));
        });
        if others.is_empty() {
            return Ok((root, index));
        }
        let (quoted, mark) = scalars::quoted(text, &others);
        let mut root = parse_yaml(name, &quoted)?;
        scalars::restore(&mut root, &mark);
        Ok((root, index))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Source, read};

    #[test]
    fn a_number_of_yaml_keeps_its_digits_and_a_word_stays_one() {
        let yaml = "\
a: &n 18446744073709551616
b: [-9223372036854775809, 0.1000000000000000000001, {c: *n}, 1e4, +.50000000000000000001]
d: [1_000, 0b11, -0x1F, 0x1F, 12, 1.5, !!str 12345678901234567890, '1_0']
12345678901234567890: ü 12345678901234567890
\u{fc}: 12345678901234567890 # 12345678901234567891
";
        let source = Source { name: "a.yaml".to_owned(), text: yaml.to_owned().into() };
        let (root, index) = read(&source).unwrap();
        let wanted = "\
{\"a\":18446744073709551616,\
\"b\":[-9223372036854775809,0.1000000000000000000001,{\"c\":18446744073709551616},1e4,\
0.50000000000000000001],\
\"d\":[\"1_000\",\"0b11\",\"-0x1F\",31,12,1.5,\"12345678901234567890\",\"1_0\"],\
\"12345678901234567890\":\"ü 12345678901234567890\",\"ü\":12345678901234567890}";
        assert_eq!(root.to_string().replace("1e+4", "1e4"), wanted);
        assert_eq!(index.find("/d/4"), Some((3, 31)));
    }
}
