//! What a schema says in a form that its document's version does not have.
//!
//! Such a form is said, not refused: the field is full of `nullable` in 3.1 documents and of
//! numeric `exclusiveMinimum` in 3.0 ones, and what they mean is plain. The walk goes where schemas
//! stand and never into examples, defaults and other data.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{
    super::{
        document::{At, Document, Version},
        schema::{LISTS, MAPS, SINGLE, is_known_format},
    },
    Note,
};
use crate::{json::escape_token, limits};

/// Puts a note for each such form of a document into `notes`, a limited number of them.
pub(in crate::contract) fn forms(root: &At<'_>, notes: &mut Vec<Note>) {
    let document = root.document;
    let version = document.version();
    let mut walk =
        Walk { document, version, notes, path: Vec::new(), said: 0, formats: HashSet::new() };
    // A converted document's schemas stand in its source.
    let source = document.source_root();
    if document.source_root_key().is_empty() {
        walk.structure(source);
    } else {
        walk.path.push(Token::Raw(document.source_root_key()));
        walk.structure(source);
    }
}

struct Walk<'w, 'd> {
    document: &'w Document,
    version: Version,
    notes: &'w mut Vec<Note>,
    path: Vec<Token<'d>>,
    said: usize,
    /// Names that were looked at: each is told once.
    formats: HashSet<&'d str>,
}

enum Token<'d> {
    /// Before the first slash.
    Raw(&'d str),
    Name(&'d str),
    Index(usize),
}

/// Keywords that assert something and came after 3.0.
const LATER: [&str; 15] = [
    "if",
    "then",
    "else",
    "prefixItems",
    "contains",
    "minContains",
    "maxContains",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "unevaluatedItems",
    "unevaluatedProperties",
    "patternProperties",
    "const",
    "$dynamicRef",
];

/// Keywords beside a `$ref` that change nothing about what it asserts.
const ANNOTATIONS: [&str; 9] = [
    "$ref",
    "description",
    "summary",
    "title",
    "example",
    "examples",
    "default",
    "deprecated",
    "externalDocs",
];

const TYPES: [&str; 8] =
    ["array", "boolean", "integer", "null", "number", "object", "string", "file"];

const ADVICE: &str = "write it in the form of the document's own version";

// === impl Walk ===

impl<'d> Walk<'_, 'd> {
    /// Whatever is no schema.
    fn structure(&mut self, value: &'d Value) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    if name.starts_with("x-") || matches!(name.as_str(), "example" | "examples") {
                        continue;
                    }
                    self.path.push(Token::Name(name));
                    match name.as_str() {
                        "schema" => self.schema(member, 0),
                        "content" => {
                            self.part_styles(member);
                            self.structure(member);
                        }
                        "schemas" | "definitions" => self.each(member, 0),
                        _ => self.structure(member),
                    }
                    self.path.pop();
                }
            }
            Value::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    self.path.push(Token::Index(index));
                    self.structure(element);
                    self.path.pop();
                }
            }
            _ => {}
        }
    }

    /// Parts of a multipart that are written in a style of parameters.
    fn part_styles(&mut self, content: &'d Value) {
        let parts = content.as_object().into_iter().flatten();
        for (media_type, media) in parts.filter(|(name, _)| name.starts_with("multipart/")) {
            let encodings = media.get("encoding").and_then(Value::as_object);
            for (property, encoding) in encodings.into_iter().flatten() {
                let word = ["style", "explode", "allowReserved"]
                    .into_iter()
                    .find(|word| encoding.get(word).is_some());
                let Some(word) = word.filter(|_| encoding.get("contentType").is_none()) else {
                    continue;
                };
                self.path.extend([media_type, "encoding", property].map(Token::Name));
                let said = format!("`{word}` of a part is read for single values only");
                let hint = "a list or an object in that part is `unverifiable(style)`; give it a \
                            `contentType`";
                self.say(word, "encoding.style", said, hint);
                self.path.truncate(self.path.len() - 3);
            }
        }
    }

    /// Schemas by name, or a list of them.
    fn each(&mut self, value: &'d Value, depth: usize) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    self.path.push(Token::Name(name));
                    self.schema(member, depth);
                    self.path.pop();
                }
            }
            Value::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    self.path.push(Token::Index(index));
                    self.schema(element, depth);
                    self.path.pop();
                }
            }
            _ => {}
        }
    }

    fn schema(&mut self, value: &'d Value, depth: usize) {
        let Value::Object(schema) = value else { return };
        // A document does not nest deeper than its reader allows; this only says so.
        if depth > limits::JSON_DEPTH {
            return;
        }
        self.judge(schema);
        for (keyword, inner) in schema {
            self.path.push(Token::Name(keyword));
            match keyword.as_str() {
                // An earlier draft's list is looked into, to say what stands there.
                "items" if inner.is_array() => self.each(inner, depth + 1),
                it if SINGLE.contains(&it) => self.schema(inner, depth + 1),
                it if LISTS.contains(&it) || MAPS.contains(&it) => self.each(inner, depth + 1),
                _ => {}
            }
            self.path.pop();
        }
    }

    fn judge(&mut self, schema: &'d Map<String, Value>) {
        let is_31 = self.version == Version::V31;
        if !is_31 && schema.contains_key("$ref") {
            let lost: Vec<&str> = schema
                .keys()
                .map(String::as_str)
                // `nullable` is honoured there.
                .filter(|key| *key != "nullable" && !ANNOTATIONS.contains(key))
                .filter(|key| !key.starts_with("x-"))
                .collect();
            if !lost.is_empty() {
                let names = lost.join("`, `");
                let said =
                    format!("beside `$ref` nothing counts before 3.1: `{names}` is not read");
                self.say("", "schema.reference-siblings", said, "put both into an `allOf`");
            }
            return;
        }
        for keyword in ["exclusiveMinimum", "exclusiveMaximum"] {
            match schema.get(keyword) {
                Some(Value::Number(_)) if !is_31 => self.later(keyword, "as a number"),
                Some(Value::Bool(_)) if is_31 => self.earlier(keyword, " as a boolean"),
                _ => {}
            }
        }
        if is_31 && schema.contains_key("nullable") {
            self.earlier("nullable", "");
        }
        match schema.get("type") {
            Some(Value::Array(_)) if !is_31 => self.later("type", "as a list"),
            Some(Value::String(name)) if !is_31 && name == "null" => self.later("type", "`null`"),
            Some(Value::String(name)) if !TYPES.contains(&name.as_str()) => {
                let said = "`type` names no type that JSON has".to_owned();
                self.say("type", "schema.type", said, "the schema is `unverifiable(schema)`");
            }
            _ => {}
        }
        if !is_31 {
            for keyword in LATER.iter().filter(|it| schema.contains_key(**it)) {
                self.later(keyword, "");
            }
        }
        if let Some(Value::String(name)) = schema.get("format")
            && self.formats.insert(name)
            && !is_known_format(name)
        {
            let shown: String = name.chars().take(limits::NAME_SHOWN).collect();
            let said = format!("the format `{shown}` is not known, and constrains nothing");
            let error = self.document.error(&self.pointer("format"), said).coded("schema.format");
            self.note(Note::remark(error));
        }
        if let Some(required) = schema.get("required")
            && !required.is_array()
        {
            let said = "`required` in a schema is a list of property names".to_owned();
            self.say("required", "schema.required", said, "the schema is `unverifiable(schema)`");
        }
    }

    fn later(&mut self, keyword: &str, how: &str) {
        let space = if how.is_empty() { "" } else { " " };
        let version = self.version.as_str();
        let said = format!("`{keyword}`{space}{how} came with 3.1, and this document is {version}");
        self.say(keyword, "schema.form", said, ADVICE);
    }

    fn earlier(&mut self, keyword: &str, how: &str) {
        let said = format!("`{keyword}`{how} went with 3.0, and this document is 3.1");
        self.say(keyword, "schema.form", said, ADVICE);
    }

    fn say(&mut self, keyword: &str, code: &'static str, said: String, hint: &'static str) {
        let error = self.document.error(&self.pointer(keyword), said).coded(code);
        self.note(Note::warning(error, hint));
    }

    fn note(&mut self, note: Note) {
        self.said += 1;
        if self.said <= limits::DOCUMENT_NOTES {
            self.notes.push(note);
        }
    }

    /// A keyword of the schema that is looked at.
    fn pointer(&self, keyword: &str) -> String {
        let mut pointer = String::new();
        for token in &self.path {
            match token {
                Token::Raw(text) => pointer.push_str(text),
                Token::Name(name) => {
                    pointer.push('/');
                    pointer.push_str(&escape_token(name));
                }
                Token::Index(index) => {
                    pointer.push('/');
                    pointer.push_str(&index.to_string());
                }
            }
        }
        if !keyword.is_empty() {
            pointer.push('/');
            pointer.push_str(&escape_token(keyword));
        }
        pointer
    }
}
