//! The other files that a document refers to: beside it, or in the table, and nowhere else.
//!
//! A relative `$ref` is a file in the document's own folder or below it; no `..` and no symbolic
//! link leads out of there. A URI is what the operator's table says it is. Nothing is fetched, and
//! neither the number of files nor their bytes is the document's to choose.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{super::Source, DocumentError, File};
use crate::limits;

/// A document's text and what it may refer to.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its text.
    pub source: Source,
    /// The folder whose files it may refer to, with symbolic links followed; `None` where it
    /// comes from no folder, and so has no files beside it.
    folder: Option<PathBuf>,
    /// The file's own name in that folder.
    file_name: String,
}

/// URIs that documents may refer to, and the texts they stand for.
pub type UriTable = BTreeMap<String, Source>;

/// Files by the key that pointers into them begin with.
pub(super) struct Library<'l> {
    pub(super) input: &'l Input,
    pub(super) uris: &'l UriTable,
}

/// What came of following every reference to other files.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub(super) files: Vec<Arc<File>>,
    /// By key: why a file is not there.
    pub(super) missing: HashMap<String, String>,
}

// === impl Input ===

impl Input {
    /// Reads a file. It may refer to what lies beside it and below.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let text = read_text(path, limits::DOCUMENT_BYTES + 1)?;
        let real = path.canonicalize()?;
        let name = real.file_name().map(|it| it.to_string_lossy().into_owned());
        Ok(Self {
            source: Source { name: path.display().to_string(), text: text.into() },
            folder: real.parent().map(Path::to_owned),
            file_name: name.unwrap_or_default(),
        })
    }

    /// The name its own folder knows it by.
    pub(super) fn file_name(&self) -> &str {
        &self.file_name
    }
}

impl From<Source> for Input {
    /// A text that comes from no folder.
    fn from(source: Source) -> Self {
        Self { source, folder: None, file_name: String::new() }
    }
}

// === impl Library ===

impl Library<'_> {
    /// Every file that a document reaches, each once, and every URI of the table. What was on the
    /// shelf before stays there.
    pub(super) fn fill(&self, head: &File, known: Shelf) -> Result<Shelf, DocumentError> {
        let mut shelf = known;
        let mut seen: HashSet<String> = shelf.files.iter().map(|it| it.key.clone()).collect();
        let mut bytes: usize = 0;
        let mut waiting: VecDeque<Arc<File>> = VecDeque::new();
        for (uri, source) in self.uris {
            // An empty fragment is the document itself.
            let uri = uri.trim_end_matches('#').to_owned();
            if seen.insert(uri.clone()) {
                bytes = bytes.saturating_add(source.text.len());
                let file = Arc::new(File::read(uri, source)?);
                shelf.files.push(Arc::clone(&file));
                waiting.push_back(file);
            }
        }
        let mut wanted = references(head);
        loop {
            for key in wanted {
                if key.is_empty() || key == self.input.file_name || !seen.insert(key.clone()) {
                    continue;
                }
                let found = if shelf.files.len() >= limits::DOCUMENT_FILES {
                    Err(format!("a document may reach {} files", limits::DOCUMENT_FILES))
                } else {
                    self.read(&key, limits::DOCUMENT_BYTES.saturating_sub(bytes))
                };
                let read = found.and_then(|source| {
                    bytes += source.text.len();
                    File::read(key.clone(), &source).map_err(|error| error.to_string())
                });
                match read {
                    Ok(file) => {
                        let file = Arc::new(file);
                        shelf.files.push(Arc::clone(&file));
                        waiting.push_back(file);
                    }
                    Err(why) => {
                        shelf.missing.insert(key, why);
                    }
                }
            }
            let Some(next) = waiting.pop_front() else { break };
            wanted = references(&next);
        }
        Ok(shelf)
    }

    fn read(&self, key: &str, room: usize) -> Result<Source, String> {
        if is_uri(key) {
            return Err("no entry of the URI table has this URI, and nothing is fetched".to_owned());
        }
        let Some(folder) = &self.input.folder else {
            return Err("this document comes from no folder, so there is no file beside it".into());
        };
        let path = folder.join(key);
        let real = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
        if !real.starts_with(folder) {
            return Err(format!("{} leads out of the document's folder", path.display()));
        }
        let text = read_text(&real, room + 1).map_err(|error| format!("{key}: {error}"))?;
        if text.len() > room {
            let most = limits::DOCUMENT_BYTES;
            return Err(format!("the files that a document reaches may have {most} bytes"));
        }
        let name = Path::new(&self.input.source.name).with_file_name(key);
        Ok(Source { name: name.display().to_string(), text: text.into() })
    }
}

/// Reads at most `most` bytes of a regular file.
fn read_text(path: &Path, most: usize) -> std::io::Result<String> {
    let regular = |found: fs::Metadata| {
        if found.is_file() { Ok(()) } else { Err(std::io::Error::other("not a regular file")) }
    };
    // Before it is opened as well: a pipe is opened when somebody writes to it, and maybe never.
    regular(fs::metadata(path)?)?;
    let file = fs::File::open(path)?;
    regular(file.metadata()?)?;
    let mut text = String::new();
    file.take(most as u64).read_to_string(&mut text)?;
    Ok(text)
}

/// The keys of the other files that a file refers to.
fn references(file: &File) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![&file.root];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    found.extend(join(&file.key, reference).ok().map(|(key, _)| key));
                }
                if let Some(Value::Object(mapping)) =
                    members.get("discriminator").and_then(|it| it.get("mapping"))
                {
                    // A mapping's value is a schema's name as often as it is a reference.
                    let texts = mapping.values().filter_map(Value::as_str);
                    let files = texts.filter(|it| it.contains(['#', '/', '.']));
                    found.extend(files.filter_map(|it| join(&file.key, it).ok()).map(|it| it.0));
                }
                waiting.extend(members.values());
            }
            Value::Array(elements) => waiting.extend(elements),
            _ => {}
        }
    }
    found.retain(|key| *key != file.key);
    found.sort_unstable();
    found.dedup();
    found
}

pub(super) fn is_uri(reference: &str) -> bool {
    let Some((scheme, _)) = reference.split_once(':') else { return false };
    scheme.starts_with(|it: char| it.is_ascii_alphabetic())
        && scheme.chars().all(|it| it.is_ascii_alphanumeric() || "+-.".contains(it))
}

/// The key of the file that a reference out of the file `base` leads to, and the fragment.
pub(super) fn join<'r>(base: &str, reference: &'r str) -> Result<(String, &'r str), String> {
    let (file, fragment) = reference.split_once('#').unwrap_or((reference, ""));
    if file.is_empty() {
        return Ok((base.to_owned(), fragment));
    }
    if is_uri(file) {
        return Ok((file.to_owned(), fragment));
    }
    if is_uri(base) {
        // RFC 3986 §5.2, for the references that documents make.
        let (scheme, rest) = base.split_once("://").unwrap_or((base, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = match file.strip_prefix('/') {
            Some(absolute) => normalise("", absolute)?,
            None => normalise(path, file)?,
        };
        return Ok((format!("{scheme}://{authority}/{path}"), fragment));
    }
    let file = percent_decode_str(file).decode_utf8_lossy();
    if file.starts_with('/') || file.contains(['\\', '\0']) {
        return Err("a path must be relative to the document, with `/` between folders".into());
    }
    Ok((normalise(base, &file)?, fragment))
}

/// `file` seen from `base`, without `.` and `..`.
fn normalise(base: &str, file: &str) -> Result<String, String> {
    let mut segments: Vec<&str> = base.split('/').collect();
    segments.pop();
    for segment in file.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                if segments.pop().is_none() {
                    return Err("a path may not lead out of the document's folder".into());
                }
            }
            name => segments.push(name),
        }
    }
    Ok(segments.join("/"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::join;

    #[test]
    fn a_reference_is_read_from_where_it_stands() {
        for (base, reference, key) in [
            ("", "#/a", ""),
            ("", "a.yaml#/a", "a.yaml"),
            ("", "./x/../a.yaml", "a.yaml"),
            ("x/b.yaml", "c.yaml#/a", "x/c.yaml"),
            ("x/b.yaml", "../c%20d.yaml", "c d.yaml"),
            ("x/b.yaml", "https://e.example/s.json#/a", "https://e.example/s.json"),
            ("https://e.example/x/s.json", "t.json", "https://e.example/x/t.json"),
            ("https://e.example/x/s.json", "/t.json", "https://e.example/t.json"),
        ] {
            assert_eq!(join(base, reference).unwrap().0, key, "{base} {reference}");
        }
        for (base, reference) in
            [("", "../a.yaml"), ("x/b.yaml", "../../a.yaml"), ("", "/etc/passwd"), ("", "a\\b")]
        {
            assert!(join(base, reference).is_err(), "{base} {reference}");
        }
    }
}
