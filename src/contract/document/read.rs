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
        let mut others = Vec::new();
        let index = Index::of_yaml(text, |value, span| {
            others.extend(Scalar::of(text, value, span));
        });
        let (mut root, mark) = match parse_yaml(name, text) {
            Ok(root) if others.is_empty() => return Ok((root, index)),
            // A number beyond every float is one of the others.
            Err(error) if others.is_empty() || error.code == "document.size" => return Err(error),
            first => {
                let (quoted, mark) = scalars::quoted(text, &others);
                // An error's place is that of the text which a person wrote.
                let root =
                    parse_yaml(name, &quoted).map_err(|error| first.err().unwrap_or(error))?;
                (root, mark)
            }
        };
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
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: limits::YAML_ALIAS_EVENTS,
        },
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
        let (code, message) = explained(error.without_snippet());
        DocumentError {
            code,
            source: name.to_owned(),
            pointer: String::new(),
            line: location.and_then(|it| number(it.line())),
            column: location.and_then(|it| number(it.column())),
            message,
        }
    })
}

/// The code and the words for what the reader says in its own.
fn explained(error: &serde_saphyr::Error) -> (&'static str, String) {
    use serde_saphyr::{Error, budget::BudgetBreach};
    let limit = |what: String| ("document.size", what);
    match error {
        Error::AliasError { error, .. } | Error::WithSnippet { error, .. } => explained(error),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => limit(format!(
            "aliases repeat more than {} values or names: write them as references",
            limits::YAML_ALIAS_EVENTS
        )),
        Error::MultipleDocuments { .. }
        | Error::Budget { breach: BudgetBreach::Documents { .. }, .. } => {
            ("document.syntax", "one YAML document is read, and here begins another".to_owned())
        }
        Error::Budget { .. } => limit(format!(
            "YAML of one document, at most {} deep and of {} values and names, is read",
            limits::JSON_DEPTH,
            limits::YAML_EVENTS
        )),
        Error::DuplicateMappingKey { key, .. } => {
            let name = key.as_deref().map_or(String::new(), |it| format!(", `{it}` is not"));
            ("document.syntax", format!("expected each member name once{name}"))
        }
        Error::UnknownAnchor { .. } => {
            ("document.syntax", "this alias has no anchor before it".to_owned())
        }
        Error::NonFiniteFloat { .. } => {
            ("document.syntax", "expected a number that JSON has, or quotes".to_owned())
        }
        Error::UnsupportedTag { tag, .. } => {
            ("document.syntax", format!("the tag `{tag}` has no meaning here"))
        }
        other => {
            // The reader's words for a person; the first line says it all.
            let said = other.render_with_formatter(&serde_saphyr::UserMessageFormatter);
            let said = said.lines().next().unwrap_or_default().to_owned();
            ("document.syntax", format!("not YAML: {said}"))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Source, read};

    #[test]
    fn a_number_of_yaml_keeps_its_digits_and_a_word_stays_one() {
        let yaml = "\
a: &n 18446744073709551616
b: [-9223372036854775809, 0.1000000000000000000001, {c: *n}, 1e4, 1e400, +.50000000000000000001]
d: [1_000, 0b11, -0x1F, 0x1F, 12, 1.5, !!str 12345678901234567890, '1_0']
12345678901234567890: ü 12345678901234567890
\u{fc}: 12345678901234567890 # 12345678901234567891
";
        let source = Source { name: "a.yaml".to_owned(), text: yaml.to_owned().into() };
        let (root, index) = read(&source).unwrap();
        let wanted = "\
{\"a\":18446744073709551616,\
\"b\":[-9223372036854775809,0.1000000000000000000001,{\"c\":18446744073709551616},1e4,1e400,\
0.50000000000000000001],\
\"d\":[\"1_000\",\"0b11\",\"-0x1F\",31,12,1.5,\"12345678901234567890\",\"1_0\"],\
\"12345678901234567890\":\"ü 12345678901234567890\",\"ü\":12345678901234567890}";
        assert_eq!(root.to_string().replace("1e+4", "1e4"), wanted);
        assert_eq!(index.find("/d/4"), Some((3, 31)));
    }
}
