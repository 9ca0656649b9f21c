//! What the schemas of a 3.1 document are called: `$id`, `$anchor` and `$dynamicAnchor`, and where
//! a reference leads.
//!
//! In 3.1 a schema may name itself by a URI, and references are resolved against the nearest such
//! name (JSON Schema Core 2020-12 §8). The document is walked once for the names of all schemas in
//! it; what the URI table holds is walked with it, each text under the URI it stands for. Nothing
//! is fetched: a URI that is in neither place leads nowhere, and that is an error at load.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jsonschema::{Draft, Uri};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

use crate::{
    contract::document::{At, Document},
    json::escape_token,
};

/// The name of the document itself, for schemas without an `$id` around them.
pub(super) const BASE: &str = "recgate://contract/document";

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

/// The names of a document's schemas and of those in its URI table.
#[derive(Debug)]
pub(super) struct Names {
    /// The document, then the texts of the URI table.
    documents: Vec<Arc<Document>>,
    /// By absolute URI without a fragment.
    resources: HashMap<String, Place>,
    /// For each document, the URIs of the schemas that have one, by pointer.
    roots: Vec<BTreeMap<String, String>>,
    /// By the URI of their resource and their name.
    anchors: HashMap<(String, String), Place>,
    /// Places of `$dynamicAnchor`s outside of any `$id` of the document, by name.
    dynamic: HashMap<String, Vec<Place>>,
}

/// A place in one of the documents.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) document: usize,
    pub(super) pointer: String,
}

/// Where a reference leads.
#[derive(Debug)]
pub(super) enum Target {
    /// To a place.
    Place(Place),
    /// To a `$dynamicAnchor`: the URI of its resource, its name, and its place.
    Dynamic(String, String, Place),
    /// To one of JSON Schema's own meta-schemas, by its URI.
    MetaSchema(String),
}

/// Keywords whose value is a schema.
pub(super) const SINGLE: [&str; 12] = [
    "items",
    "additionalItems",
    "unevaluatedItems",
    "contains",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "not",
    "if",
    "then",
    "else",
    "contentSchema",
];
/// Keywords whose value is a list of schemas.
pub(super) const LISTS: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords whose value is a map of schemas.
pub(super) const MAPS: [&str; 5] =
    ["properties", "patternProperties", "dependentSchemas", "$defs", "definitions"];

// === impl Names ===

impl Names {
    pub(super) fn of(document: &Arc<Document>) -> Self {
        let mut names = Self {
            documents: vec![Arc::clone(document)],
            resources: HashMap::from([(BASE.to_owned(), Place::root(0))]),
            roots: vec![BTreeMap::new()],
            anchors: HashMap::new(),
            dynamic: HashMap::new(),
        };
        names.walk_document(0, "", document.root(), None);
        for (uri, other) in document.uris() {
            let number = names.documents.len();
            names.documents.push(Arc::clone(other));
            names.roots.push(BTreeMap::from([(String::new(), uri.clone())]));
            names.resources.entry(uri.clone()).or_insert_with(|| Place::root(number));
            if other.root().get("openapi").is_some() {
                names.walk_document(number, "", other.root(), None);
            } else {
                names.walk_schema(number, "", other.root(), uri);
            }
        }
        names
    }

    pub(super) fn place(&self, at: &At<'_>) -> Option<Place> {
        let document = self.documents.iter().position(|it| Arc::ptr_eq(it, at.document))?;
        Some(Place { document, pointer: at.pointer.clone() })
    }

    pub(super) fn at(&self, place: &Place) -> Option<At<'_>> {
        self.documents.get(place.document)?.at(&place.pointer)
    }

    /// Where the schema of a URI stands in the source.
    pub(super) fn source_of(&self, uri: &str) -> Option<String> {
        let place = self.resources.get(uri)?;
        Some(match place.document {
            0 => place.pointer.clone(),
            number => format!("{}#{}", self.documents[number].name(), place.pointer),
        })
    }

    /// A text of the URI table.
    pub(super) fn text(&self, uri: &str) -> Option<&Arc<Document>> {
        let place = self.resources.get(uri.trim_end_matches('#'))?;
        self.documents.get(place.document).filter(|_| place.pointer.is_empty())
    }

    /// The URI that references at a place are resolved against.
    pub(super) fn base_of(&self, place: &Place) -> &str {
        let roots = &self.roots[place.document];
        enclosing(&place.pointer).find_map(|it| roots.get(it)).map_or(BASE, String::as_str)
    }

    /// The schema with an `$id` that stands exactly here.
    pub(super) fn id_at(&self, place: &Place) -> Option<&str> {
        self.roots[place.document].get(&place.pointer).map(String::as_str)
    }

    /// The outermost schema with a URI around a place: it is kept in one piece.
    pub(super) fn outermost(&self, place: &Place) -> Option<Place> {
        let roots = &self.roots[place.document];
        let pointer = enclosing(&place.pointer).filter(|it| roots.contains_key(*it)).last()?;
        Some(Place { document: place.document, pointer: pointer.to_owned() })
    }

    /// The `$dynamicAnchor`s of a name that the document has outside of any `$id`.
    pub(super) fn dynamic(&self, name: &str) -> &[Place] {
        self.dynamic.get(name).map_or(&[], Vec::as_slice)
    }

    /// Where a reference leads that stands at a place.
    pub(super) fn resolve(&self, from: &Place, reference: &str) -> Option<Target> {
        let uri = absolute(self.base_of(from), reference)?;
        let (resource, fragment) = uri.split_once('#').unwrap_or((&uri, ""));
        let Some(root) = self.resources.get(resource) else {
            return is_meta_schema(resource).then(|| Target::MetaSchema(uri.clone()));
        };
        let fragment = percent_decode_str(fragment).decode_utf8().ok()?;
        if fragment.is_empty() || fragment.starts_with('/') {
            let pointer = format!("{}{fragment}", root.pointer);
            let place = Place { document: root.document, pointer };
            self.at(&place)?;
            return Some(Target::Place(place));
        }
        let resource = self.base_of(root);
        let place = self.anchors.get(&(resource.to_owned(), fragment.to_string()))?;
        let is_dynamic =
            self.at(place).is_some_and(|at| at.text("$dynamicAnchor") == Some(fragment.as_ref()));
        Some(if is_dynamic {
            Target::Dynamic(resource.to_owned(), fragment.into_owned(), place.clone())
        } else {
            Target::Place(place.clone())
        })
    }

    /// Looks for schemas in what is not one.
    fn walk_document(&mut self, document: usize, pointer: &str, value: &Value, key: Option<&str>) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    let place = format!("{pointer}/{}", escape_token(name));
                    match name.as_str() {
                        "schema" => self.walk_schema(document, &place, member, BASE),
                        "example" | "examples" if key != Some("paths") => {}
                        _ if key == Some("schemas") => {
                            self.walk_schema(document, &place, member, BASE);
                        }
                        _ => self.walk_document(document, &place, member, Some(name)),
                    }
                }
            }
            Value::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    self.walk_document(document, &format!("{pointer}/{index}"), element, None);
                }
            }
            _ => {}
        }
    }

    fn walk_schema(&mut self, document: usize, pointer: &str, value: &Value, base: &str) {
        let Value::Object(schema) = value else { return };
        let place = Place { document, pointer: pointer.to_owned() };
        let own = schema.get("$id").and_then(Value::as_str).and_then(|id| absolute(base, id));
        let own = own.map(|uri| uri.trim_end_matches('#').to_owned());
        if let Some(uri) = &own {
            self.resources.insert(uri.clone(), place.clone());
            self.roots[document].insert(place.pointer.clone(), uri.clone());
        }
        let base = own.as_deref().unwrap_or(base);
        for keyword in ["$anchor", "$dynamicAnchor"] {
            let Some(name) = schema.get(keyword).and_then(Value::as_str) else { continue };
            let key = (base.to_owned(), name.to_owned());
            self.anchors.entry(key).or_insert_with(|| place.clone());
            if keyword == "$dynamicAnchor" && base == BASE {
                self.dynamic.entry(name.to_owned()).or_default().push(place.clone());
            }
        }
        for (keyword, inner) in schema {
            let here = format!("{pointer}/{}", escape_token(keyword));
            match inner {
                Value::Object(members) if MAPS.contains(&keyword.as_str()) => {
                    for (name, member) in members {
                        let here = format!("{here}/{}", escape_token(name));
                        self.walk_schema(document, &here, member, base);
                    }
                }
                Value::Array(elements) if LISTS.contains(&keyword.as_str()) => {
                    for (index, element) in elements.iter().enumerate() {
                        self.walk_schema(document, &format!("{here}/{index}"), element, base);
                    }
                }
                Value::Object(_) if SINGLE.contains(&keyword.as_str()) => {
                    self.walk_schema(document, &here, inner, base);
                }
                _ => {}
            }
        }
    }
}

// === impl Place ===

impl Place {
    /// A place in the document itself.
    pub(super) fn of_document(pointer: &str) -> Self {
        Self { document: 0, pointer: pointer.to_owned() }
    }

    const fn root(document: usize) -> Self {
        Self { document, pointer: String::new() }
    }
}

/// A pointer and those of everything around it, innermost first.
pub(super) fn enclosing(pointer: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(pointer), |it| it.rfind('/').map(|slash| &it[..slash]))
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
