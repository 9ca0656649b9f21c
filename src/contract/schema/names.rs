//! What the schemas of a 3.1 document are called: `$id`, `$anchor` and `$dynamicAnchor`, and where
//! a reference leads.
//!
//! In 3.1 a schema may name itself by a URI, and references are resolved against the nearest such
//! name (JSON Schema Core 2020-12 §8). The document is walked once for the names of all schemas in
//! it; what the URI table holds is walked with it, each text under the URI it stands for. Nothing
//! is fetched: a URI that is in neither place leads nowhere, and that is an error at load.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jsonschema::{Draft, Uri};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

use super::applicators::{LISTS, MAPS, SINGLE};
use crate::{
    contract::document::{At, Document},
    json::escape_token,
};

/// The name of the document itself, for schemas without an `$id` around them.
pub(super) const BASE: &str = "recgate://contract/document";
/// What the names of the files beside it begin with.
const BESIDE: &str = "recgate://contract/";

/// What may stand in a fragment as it is (RFC 3986 §3.5), as far as a JSON pointer needs it.
const FRAGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The names of a document's schemas and of those in its URI table. A place is a pointer as
/// [`At`] has it: into the document, or behind the key of another text.
#[derive(Debug)]
pub(super) struct Names {
    document: Arc<Document>,
    /// By absolute URI without a fragment.
    resources: HashMap<String, String>,
    /// The URIs of the schemas that have one, by place.
    roots: BTreeMap<String, String>,
    /// By the URI of their resource and their name.
    anchors: HashMap<(String, String), String>,
    /// Places of `$dynamicAnchor`s outside of any `$id` of the document, by name.
    dynamic: HashMap<String, Vec<String>>,
}

/// Where a reference leads.
#[derive(Debug)]
pub(super) enum Target {
    /// To a place.
    Place(String),
    /// To a `$dynamicAnchor`: the URI of its resource, its name, and its place.
    Dynamic(String, String, String),
    /// To one of JSON Schema's own meta-schemas, by its URI.
    MetaSchema(String),
}

// === impl Names ===

impl Names {
    pub(super) fn of(document: &Arc<Document>) -> Self {
        let mut names = Self {
            document: Arc::clone(document),
            resources: HashMap::from([(BASE.to_owned(), String::new())]),
            roots: BTreeMap::new(),
            anchors: HashMap::new(),
            dynamic: HashMap::new(),
        };
        names.walk_document("", document.root(), (None, BASE));
        for (key, at) in document.beside() {
            let Some(base) = absolute(BASE, key) else { continue };
            names.walk_file(&at.pointer, at.value, &base);
        }
        for (uri, at) in document.resources() {
            names.roots.insert(at.pointer.clone(), uri.to_owned());
            names.resources.entry(uri.to_owned()).or_insert_with(|| at.pointer.clone());
            if at.value.get("openapi").is_some() {
                names.walk_document(&at.pointer, at.value, (None, BASE));
            } else {
                names.walk_schema(&at.pointer, at.value, uri);
            }
        }
        names
    }

    pub(super) fn at(&self, place: &str) -> Option<At<'_>> {
        self.document.at(place)
    }

    /// Where the schema of a URI stands in the source.
    pub(super) fn source_of(&self, uri: &str) -> Option<&str> {
        self.resources.get(uri).map(String::as_str)
    }

    /// A text of the URI table.
    pub(super) fn text(&self, uri: &str) -> Option<&Value> {
        let place = self.resources.get(uri.trim_end_matches('#'))?;
        self.at(place).filter(|_| place.ends_with('#')).map(|at| at.value)
    }

    /// Whether a place is in no resource with a name of its own: the document itself is then the
    /// outermost of the dynamic scope.
    pub(super) fn is_outside(&self, place: &str) -> bool {
        self.base_of(place) == BASE
    }

    /// The URI that references at a place are resolved against.
    pub(super) fn base_of(&self, place: &str) -> Cow<'_, str> {
        if let Some(uri) = enclosing(place).find_map(|it| self.roots.get(it)) {
            return Cow::Borrowed(uri);
        }
        match key_of(place) {
            "" => Cow::Borrowed(BASE),
            // A file beside the document is beside its name.
            key => absolute(BASE, key).map_or(Cow::Borrowed(BASE), Cow::Owned),
        }
    }

    /// The schema with an `$id` that stands exactly here.
    pub(super) fn id_at(&self, place: &str) -> Option<&str> {
        self.roots.get(place).map(String::as_str)
    }

    /// The outermost schema with a URI around a place: it is kept in one piece.
    pub(super) fn outermost<'p>(&self, place: &'p str) -> Option<&'p str> {
        enclosing(place).filter(|it| self.roots.contains_key(*it)).last()
    }

    /// The `$dynamicAnchor`s of a name that the document has outside of any `$id`.
    pub(super) fn dynamic(&self, name: &str) -> &[String] {
        self.dynamic.get(name).map_or(&[], Vec::as_slice)
    }

    /// Where a reference leads that stands at a place.
    pub(super) fn resolve(&self, from: &str, reference: &str) -> Option<Target> {
        let uri = absolute(&self.base_of(from), reference)?;
        let (resource, fragment) = uri.split_once('#').unwrap_or((&uri, ""));
        let root = match self.resources.get(resource) {
            Some(root) => root.clone(),
            None => match resource.strip_prefix(BESIDE) {
                Some(key) => format!("{}#", percent_decode_str(key).decode_utf8().ok()?),
                None => return is_meta_schema(resource).then(|| Target::MetaSchema(uri.clone())),
            },
        };
        let fragment = percent_decode_str(fragment).decode_utf8().ok()?;
        if fragment.is_empty() || fragment.starts_with('/') {
            let place = format!("{root}{fragment}");
            self.at(&place)?;
            return Some(Target::Place(place));
        }
        let resource = self.base_of(&root).into_owned();
        let place = self.anchors.get(&(resource.clone(), fragment.to_string()))?;
        let is_dynamic =
            self.at(place).is_some_and(|at| at.text("$dynamicAnchor") == Some(fragment.as_ref()));
        Some(if is_dynamic {
            Target::Dynamic(resource, fragment.into_owned(), place.clone())
        } else {
            Target::Place(place.clone())
        })
    }

    /// Looks for schemas in what is not one.
    fn walk_document(&mut self, pointer: &str, value: &Value, (key, base): (Option<&str>, &str)) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    let place = format!("{pointer}/{}", escape_token(name));
                    match name.as_str() {
                        "schema" => self.walk_schema(&place, member, base),
                        "example" | "examples" if key != Some("paths") => {}
                        _ if key == Some("schemas") => {
                            self.walk_schema(&place, member, base);
                        }
                        _ => self.walk_document(&place, member, (Some(name), base)),
                    }
                }
            }
            Value::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    let place = format!("{pointer}/{index}");
                    self.walk_document(&place, element, (None, base));
                }
            }
            _ => {}
        }
    }

    /// A file beside the document: a schema, schemas by name, or a piece of a document.
    fn walk_file(&mut self, pointer: &str, value: &Value, base: &str) {
        self.walk_document(pointer, value, (None, base));
        self.walk_schema(pointer, value, base);
        for (name, member) in value.as_object().into_iter().flatten() {
            let known = SINGLE.iter().chain(&LISTS).chain(&MAPS).any(|it| it == name);
            if !known {
                self.walk_schema(&format!("{pointer}/{}", escape_token(name)), member, base);
            }
        }
    }

    fn walk_schema(&mut self, pointer: &str, value: &Value, base: &str) {
        let Value::Object(schema) = value else { return };
        let own = schema.get("$id").and_then(Value::as_str).and_then(|id| absolute(base, id));
        let own = own.map(|uri| uri.trim_end_matches('#').to_owned());
        if let Some(uri) = &own {
            self.resources.insert(uri.clone(), pointer.to_owned());
            self.roots.insert(pointer.to_owned(), uri.clone());
        }
        let base = own.as_deref().unwrap_or(base);
        for keyword in ["$anchor", "$dynamicAnchor"] {
            let Some(name) = schema.get(keyword).and_then(Value::as_str) else { continue };
            let key = (base.to_owned(), name.to_owned());
            self.anchors.entry(key).or_insert_with(|| pointer.to_owned());
            if keyword == "$dynamicAnchor" && base == BASE {
                self.dynamic.entry(name.to_owned()).or_default().push(pointer.to_owned());
            }
        }
        for (keyword, inner) in schema {
            let here = format!("{pointer}/{}", escape_token(keyword));
            match inner {
                Value::Object(members) if MAPS.contains(&keyword.as_str()) => {
                    for (name, member) in members {
                        let here = format!("{here}/{}", escape_token(name));
                        self.walk_schema(&here, member, base);
                    }
                }
                Value::Array(elements) if LISTS.contains(&keyword.as_str()) => {
                    for (index, element) in elements.iter().enumerate() {
                        self.walk_schema(&format!("{here}/{index}"), element, base);
                    }
                }
                Value::Object(_) if SINGLE.contains(&keyword.as_str()) => {
                    self.walk_schema(&here, inner, base);
                }
                _ => {}
            }
        }
    }
}

/// A pointer and those of everything around it, innermost first.
pub(super) fn enclosing(pointer: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(pointer), |it| it.rfind('/').map(|slash| &it[..slash]))
}

/// The key of the text that a place is in; empty for the document itself.
fn key_of(place: &str) -> &str {
    if place.starts_with('/') { "" } else { place.split_once('#').map_or("", |it| it.0) }
}

/// A pointer as a URI's fragment.
pub(super) fn fragment(pointer: &str) -> String {
    utf8_percent_encode(pointer, FRAGMENT).to_string()
}

fn absolute(base: &str, reference: &str) -> Option<String> {
    let base = Uri::parse(base).ok()?;
    let uri = jsonschema::uri::resolve_against(&base, reference).ok()?;
    Some(uri.as_str().to_owned())
}

/// Whether a URI names a part of JSON Schema itself, which the validator has built in.
fn is_meta_schema(uri: &str) -> bool {
    uri.starts_with("https://json-schema.org/draft/2020-12/")
        || uri.starts_with("https://json-schema.org/draft/2019-09/")
        || !matches!(Draft::from_schema_uri(uri), Draft::Unknown)
}
