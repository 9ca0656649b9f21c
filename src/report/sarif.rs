//! An outcome as SARIF 2.1.0 (OASIS): a rule a code, a result a kind of finding, located where the
//! contract says what is broken.
//!
//! Tools that read SARIF show a result beside the line it points to, and know it again by its
//! fingerprint; so each kind is one result with its count, however often it was seen.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;

use super::findings::Shown;
use super::outcome::Outcome;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// What may not stand in a path of a URI (RFC 3986 §3.3).
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b']')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

#[derive(Serialize)]
struct Log<'o> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'o>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'o> {
    tool: Tool<'o>,
    column_kind: &'static str,
    original_uri_base_ids: Bases,
    results: Vec<Finding<'o>>,
    properties: RunProperties<'o>,
}

/// What relative names count from.
#[derive(Serialize)]
struct Bases {
    #[serde(rename = "%SRCROOT%")]
    root: Base,
}

#[derive(Serialize)]
struct Base {
    description: Text,
}

#[derive(Serialize)]
struct Tool<'o> {
    driver: Driver<'o>,
}

#[derive(Serialize)]
struct Driver<'o> {
    name: &'static str,
    version: &'static str,
    rules: Vec<Rule<'o>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule<'o> {
    id: &'o str,
    short_description: Text,
}

#[derive(Serialize)]
struct Text {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding<'o> {
    rule_id: &'o str,
    rule_index: usize,
    level: &'static str,
    message: Text,
    locations: [Location; 1],
    occurrence_count: u64,
    partial_fingerprints: Fingerprints,
    properties: Properties<'o>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    #[serde(skip_serializing_if = "Option::is_none")]
    physical_location: Option<PhysicalLocation>,
    logical_locations: [LogicalLocation; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    region: Region,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ArtifactLocation {
    uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri_base_id: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: usize,
    start_column: usize,
    end_column: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogicalLocation {
    name: String,
    fully_qualified_name: String,
    kind: &'static str,
}

#[derive(Serialize)]
struct Fingerprints {
    #[serde(rename = "recgate/v1")]
    recgate: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Properties<'o> {
    hop: &'static str,
    blame: &'static str,
    keyword: &'o str,
    pointer: &'o str,
    spec_pointer: &'o str,
    expected: &'o str,
    exchanges: Vec<String>,
}

#[derive(Serialize)]
struct RunProperties<'o> {
    entries: u64,
    unmatched: u64,
    beside: u64,
    verdicts: &'o std::collections::BTreeMap<super::Hop, super::outcome::Tally>,
    coverage: super::coverage::Totals,
}

/// Writes an outcome as SARIF.
pub fn write(outcome: &Outcome) -> serde_json::Result<String> {
    let mut codes: Vec<&str> = outcome.findings.iter().map(|it| it.kind.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let rule = |code: &&'static str| Rule {
        id: code,
        short_description: Text { text: format!("The contract is broken: {code}") },
    };
    let run = Run {
        tool: Tool {
            driver: Driver {
                name: "recgate",
                version: env!("CARGO_PKG_VERSION"),
                rules: codes.iter().map(rule).collect(),
            },
        },
        column_kind: "unicodeCodePoints",
        original_uri_base_ids: Bases {
            root: Base {
                description: Text { text: "The folder that recgate was started in.".to_owned() },
            },
        },
        results: outcome.findings.iter().map(|shown| result(shown, &codes)).collect(),
        properties: RunProperties {
            entries: outcome.entries,
            unmatched: outcome.unmatched,
            beside: outcome.beside,
            verdicts: &outcome.verdicts,
            coverage: outcome.coverage.totals,
        },
    };
    let log = Log { schema: SCHEMA, version: "2.1.0", runs: [run] };
    let mut text = serde_json::to_string_pretty(&log)?;
    text.push('\n');
    Ok(text)
}

fn result<'o>(shown: &'o Shown, codes: &[&str]) -> Finding<'o> {
    let kind = &shown.kind;
    let physical_location = kind.position.as_ref().map(|position| PhysicalLocation {
        artifact_location: located(&position.file),
        region: Region {
            start_line: position.line,
            start_column: position.column,
            end_column: position.column + width(&kind.spec_pointer, &position.file),
        },
    });
    let logical = LogicalLocation {
        name: kind.operation.clone(),
        fully_qualified_name: format!("{}/{}", kind.upstream, kind.operation),
        kind: "function",
    };
    Finding {
        rule_id: kind.code,
        rule_index: codes.binary_search(&kind.code).unwrap_or_default(),
        level: "error",
        message: Text {
            text: format!(
                "{} of {}: {} {} breaks `{}`, expected {}",
                kind.hop.as_str(),
                kind.operation,
                kind.location,
                kind.pointer,
                kind.keyword,
                kind.expected
            ),
        },
        locations: [Location { physical_location, logical_locations: [logical] }],
        occurrence_count: shown.count,
        partial_fingerprints: Fingerprints { recgate: shown.fingerprint.to_string() },
        properties: Properties {
            hop: kind.hop.as_str(),
            blame: kind.blame.as_str(),
            keyword: &kind.keyword,
            pointer: &kind.pointer,
            spec_pointer: &kind.spec_pointer,
            expected: &kind.expected,
            exchanges: shown.exemplars.iter().map(|it| it.exchange.to_string()).collect(),
        },
    }
}

fn located(file: &str) -> ArtifactLocation {
    let uri = uri(file);
    let is_relative = !uri.starts_with("file:");
    ArtifactLocation { uri, uri_base_id: is_relative.then_some("%SRCROOT%") }
}

/// The columns to mark: those of the rule's name, which is what stands at its place, with the
/// quotes that JSON puts around it. An element of a list has no name: its first character.
fn width(spec_pointer: &str, file: &str) -> usize {
    let name = spec_pointer.rsplit('/').next().unwrap_or_default();
    if name.is_empty() || name.bytes().all(|it| it.is_ascii_digit()) {
        return 1;
    }
    let extension = std::path::Path::new(file).extension();
    let quotes = if extension.is_some_and(|it| it.eq_ignore_ascii_case("json")) { 2 } else { 0 };
    crate::json::unescape_token(name).chars().count() + quotes
}

/// A file's name as a URI reference. What is compiled in stands in the source tree under the name
/// that comes before the remark.
fn uri(file: &str) -> String {
    let path = file.strip_suffix(" (built in)").unwrap_or(file);
    let encoded = utf8_percent_encode(path, PATH).to_string();
    if path.starts_with('/') {
        return format!("file://{encoded}");
    }
    // Before the first slash a colon would be the end of a scheme (RFC 3986 §4.2).
    let first = encoded.split('/').next().unwrap_or_default();
    if first.contains(':') { format!("./{encoded}") } else { encoded }
}

#[cfg(test)]
mod tests {
    use super::{located, uri, width};

    #[test]
    fn a_region_is_the_name_of_the_rule() {
        for (pointer, file, wanted) in [
            ("/components/schemas/A/maxLength", "a.yaml", 9),
            ("/components/schemas/A/maxLength", "a.json", 11),
            ("/paths/~1a", "a.yaml", 2),
            ("/oneOf/0", "a.yaml", 1),
            ("", "a.yaml", 1),
        ] {
            assert_eq!(width(pointer, file), wanted, "{pointer} {file}");
        }
    }

    #[test]
    fn a_relative_name_says_what_it_counts_from() {
        assert_eq!(located("a.yaml").uri_base_id, Some("%SRCROOT%"));
        assert_eq!(located("/a.yaml").uri_base_id, None);
    }

    #[test]
    fn a_file_is_a_uri_reference() {
        for (file, wanted) in [
            ("specs/genesys.openapi.yaml (built in)", "specs/genesys.openapi.yaml"),
            ("/a b/ü.yaml", "file:///a%20b/%C3%BC.yaml"),
            ("c:d/e#f", "./c:d/e%23f"),
        ] {
            assert_eq!(uri(file), wanted);
        }
    }
}
