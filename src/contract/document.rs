//! A document as it was written: raw JSON, its pointers, and errors that say where.
//!
//! The raw JSON is the single truth. Nothing is read into a second model of `OpenAPI`: whoever
//! needs a part walks to it with [`At`], a value that knows its pointer, and so every finding and
//! every error can name the place it speaks of. References are followed here: inside the document,
//! into the files beside it, and to the URIs of the operator's table, never by fetching anything.
//!
//! A pointer into the document itself is a plain RFC 6901 pointer; one into another file has that
//! file's key before it (`schemas/call.yaml#/Call`), so that a pointer alone names one place. What
//! was moved on the way (by an overlay, by the conversion of a Swagger 2.0 document) is led back
//! to the text that a person wrote by [`Document::origin`].

mod at;
mod error;
mod library;
mod position;
mod read;
mod scalars;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use serde_json::Value;

use super::{Finding, Position, Source};

pub(crate) use at::At;
pub use error::DocumentError;
pub(crate) use error::OneLine;
pub use library::{Input, UriTable};

use library::{Library, Shelf};
use position::Index;

/// A parsed document with the files it refers to.
pub(crate) struct Document {
    version: Version,
    /// Where reading starts.
    head: Arc<File>,
    /// The head's own name among the files beside it.
    file_name: String,
    /// The source of a head that was converted.
    converted: Option<Arc<File>>,
    shelf: Shelf,
}

/// The version of the specification that a document was written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// Swagger 2.0; what is read is its conversion.
    V20,
    /// `OpenAPI` 3.0.
    V30,
    /// `OpenAPI` 3.1.
    V31,
    /// None that is known.
    Unknown,
}

/// One file.
#[derive(Debug)]
pub(crate) struct File {
    /// What pointers into it begin with; empty for the head.
    key: String,
    root: Value,
    text: Arc<Text>,
    /// By pointer: what was written elsewhere than at this pointer of the text.
    moved: Moved,
}

/// A text that a person wrote.
#[derive(Debug)]
pub(crate) struct Text {
    name: Arc<str>,
    index: Index,
}

/// Where the parts of a changed document were written.
pub(crate) type Moved = BTreeMap<String, Origin>;

/// Where a part was written.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// At this pointer of another text.
    Text(Arc<Text>, String),
    /// At this pointer of the file's own text.
    Written(String),
    /// Where this pointer of the same document leads.
    Here(String),
}

// === impl Document ===

impl Document {
    /// The key of a Swagger 2.0 source, beside what it was converted to. No path and no URI.
    pub(crate) const CONVERTED: &str = ":swagger";

    /// Parses a text that refers to no other file.
    pub(crate) fn parse(source: &Source) -> Result<Self, DocumentError> {
        Self::load(&Input::from(source.clone()), &UriTable::new())
    }

    /// Reads a document and every file that it refers to. A file that cannot be used is an error
    /// only where something refers to it.
    pub(crate) fn load(input: &Input, uris: &UriTable) -> Result<Self, DocumentError> {
        let head = File::read(String::new(), &input.source)?;
        let shelf = Library { input, uris }.fill(&head, Shelf::default())?;
        Ok(Self::of(head, input.file_name().to_owned(), shelf))
    }

    /// Hands out the key and content of every other file that it reaches, and why one is missing.
    pub(crate) fn feed_files(&self, take: &mut dyn FnMut(&str, &str)) {
        for file in &self.shelf.files {
            take(&file.key, &file.root.to_string());
        }
        let mut missing: Vec<_> = self.shelf.missing.iter().collect();
        missing.sort();
        for (key, why) in missing {
            take(key, why);
        }
    }

    /// A document out of a value, for tests: it has no text.
    #[cfg(test)]
    pub(crate) fn from_value(name: String, root: Value) -> Self {
        let text = Arc::new(Text { name: name.into(), index: Index::default() });
        let head = File { key: String::new(), root, text, moved: Moved::new() };
        Self::of(head, String::new(), Shelf::default())
    }

    fn of(head: File, file_name: String, shelf: Shelf) -> Self {
        let version = Version::of(&head.root);
        Self { version, head: Arc::new(head), file_name, converted: None, shelf }
    }

    /// The same document with another content, as an overlay leaves it.
    pub(crate) fn changed(
        &self,
        root: Value,
        moved: Moved,
        input: &Input,
        uris: &UriTable,
    ) -> Result<Self, DocumentError> {
        let head = File { key: String::new(), root, text: Arc::clone(&self.head.text), moved };
        let known = Shelf { files: self.shelf.files.clone(), missing: HashMap::new() };
        let shelf = Library { input, uris }.fill(&head, known)?;
        Ok(Self::of(head, self.file_name.clone(), shelf))
    }

    /// A Swagger 2.0 document with its conversion in its place. `origins` leads from there to
    /// places in this document.
    pub(crate) fn converted(&self, root: Value, origins: BTreeMap<String, String>) -> Self {
        let moved = origins.into_iter().map(|(pointer, place)| {
            let (key, inside) = split(&place);
            let key = if key.is_empty() { Self::CONVERTED } else { key };
            (pointer, Origin::Here(format!("{key}#{inside}")))
        });
        let text = Arc::clone(&self.head.text);
        let head = File { key: String::new(), root, text, moved: moved.collect() };
        let shelf = Shelf { files: self.shelf.files.clone(), missing: self.shelf.missing.clone() };
        Self {
            version: self.version,
            head: Arc::new(head),
            file_name: self.file_name.clone(),
            converted: Some(Arc::clone(&self.head)),
            shelf,
        }
    }

    /// The version it was written for.
    pub(crate) const fn version(&self) -> Version {
        self.version
    }

    pub(crate) fn root(&self) -> &Value {
        &self.head.root
    }

    /// The root as it was written, before a conversion.
    pub(crate) fn source_root(&self) -> &Value {
        self.converted.as_ref().map_or(&self.head.root, |it| &it.root)
    }

    /// What pointers into that root begin with.
    pub(crate) fn source_root_key(&self) -> &'static str {
        if self.converted.is_some() { ":swagger#" } else { "" }
    }

    /// The head's name.
    pub(crate) fn name(&self) -> &str {
        &self.head.text.name
    }

    /// How many other files it reaches, those of the URI table included.
    pub(crate) fn files(&self) -> usize {
        self.shelf.files.len()
    }

    /// Where its parts were written, as an overlay left it.
    pub(crate) fn moved(&self) -> Moved {
        self.converted.as_ref().map_or(&self.head.moved, |it| &it.moved).clone()
    }

    /// The text of the head.
    pub(crate) fn text(&self) -> &Arc<Text> {
        &self.head.text
    }

    /// The value at a pointer.
    pub(crate) fn at<'d>(self: &'d Arc<Self>, pointer: &str) -> Option<At<'d>> {
        let (key, inside) = split(pointer);
        let value = self.file(key)?.root.pointer(inside)?;
        Some(At { document: self, pointer: pointer.to_owned(), value })
    }

    /// The documents of the URI table, by URI.
    pub(crate) fn resources(self: &Arc<Self>) -> impl Iterator<Item = (&str, At<'_>)> {
        let files = self.shelf.files.iter().filter(|file| library::is_uri(&file.key));
        files.map(|file| {
            let pointer = format!("{}#", file.key);
            (file.key.as_str(), At { document: self, pointer, value: &file.root })
        })
    }

    /// The files beside it, by what a reference calls them.
    pub(crate) fn beside(self: &Arc<Self>) -> impl Iterator<Item = (&str, At<'_>)> {
        let is_beside =
            |key: &str| !key.is_empty() && key != Self::CONVERTED && !library::is_uri(key);
        let files = self.shelf.files.iter().filter(move |file| is_beside(&file.key));
        files.map(|file| {
            let pointer = format!("{}#", file.key);
            (file.key.as_str(), At { document: self, pointer, value: &file.root })
        })
    }

    /// An error about a place in this document.
    pub(crate) fn error(&self, pointer: &str, message: impl Into<String>) -> DocumentError {
        let (text, pointer) = self.origin(pointer);
        let place = text.index.find(&pointer);
        DocumentError {
            code: "document.rule",
            source: text.name.to_string(),
            pointer,
            line: place.map(|it| it.0),
            column: place.map(|it| it.1),
            message: message.into(),
        }
    }

    /// Leads a finding's rule back to the text that a person wrote.
    pub(crate) fn locate(&self, finding: &mut Finding) {
        let (text, pointer) = self.origin(&finding.spec_pointer);
        let place = text.index.find(&pointer);
        finding.position =
            place.map(|(line, column)| Position { file: Arc::clone(&text.name), line, column });
        finding.spec_pointer = pointer;
    }

    /// The text in which a place was written, and the pointer into it.
    fn origin(&self, pointer: &str) -> (&Arc<Text>, String) {
        let mut pointer = pointer.to_owned();
        // From the conversion to its source, from there to an overlay: no third step.
        for _ in 0..2 {
            let (key, inside) = split(&pointer);
            let Some(file) = self.file(key) else { break };
            let mut end = inside.len();
            let moved = loop {
                if let Some(origin) = file.moved.get(&inside[..end]) {
                    break Some((origin, &inside[end..]));
                }
                match inside[..end].rfind('/') {
                    Some(slash) => end = slash,
                    None => break None,
                }
            };
            match moved {
                None => return (&file.text, inside.to_owned()),
                Some((Origin::Written(at), rest)) => return (&file.text, format!("{at}{rest}")),
                Some((Origin::Text(text, at), rest)) => return (text, format!("{at}{rest}")),
                Some((Origin::Here(at), rest)) => pointer = format!("{at}{rest}"),
            }
        }
        let inside = split(&pointer).1.to_owned();
        (&self.head.text, inside)
    }

    fn file(&self, key: &str) -> Option<&File> {
        if key.is_empty() {
            return Some(&self.head);
        }
        if key == Self::CONVERTED {
            return self.converted.as_deref();
        }
        self.shelf.files.iter().find(|file| file.key == key).map(Arc::as_ref)
    }
}

impl fmt::Debug for Document {
    /// Every operation holds it: its content is not for a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({}, {})", self.name(), self.version.as_str())
    }
}

/// A pointer's file and the pointer inside it.
fn split(pointer: &str) -> (&str, &str) {
    if pointer.is_empty() || pointer.starts_with('/') {
        return ("", pointer);
    }
    pointer.split_once('#').unwrap_or(("", pointer))
}

// === impl File ===

impl File {
    fn read(key: String, source: &Source) -> Result<Self, DocumentError> {
        let (root, index) = read::read(source)?;
        let text = Arc::new(Text { name: source.name.as_str().into(), index });
        Ok(Self { key, root, text, moved: Moved::new() })
    }
}

// === impl Version ===

impl Version {
    fn of(root: &Value) -> Self {
        let text = |key| root.get(key).and_then(Value::as_str).unwrap_or_default();
        match (text("openapi"), text("swagger")) {
            (version, _) if version == "3.0" || version.starts_with("3.0.") => Self::V30,
            (version, _) if version == "3.1" || version.starts_with("3.1.") => Self::V31,
            ("", "2.0") => Self::V20,
            _ => Self::Unknown,
        }
    }

    /// The version's number.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::V20 => "2.0",
            Self::V30 => "3.0",
            Self::V31 => "3.1",
            Self::Unknown => "unknown",
        }
    }
}
