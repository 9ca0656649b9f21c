//! The shape of a schema, as far as a text needs it to be read: types, and those of items and
//! members.
//!
//! It is what the schema *could* mean, gathered through references and combinations; whether a
//! reading is right is for the schema itself to say. Text nests hardly at all, so nothing deeper
//! than an object's lists is looked at.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use super::{
    Types,
    style::{Cut, Misread},
};
use crate::{contract::document::At, json::Node, limits};

/// Levels below the schema that are looked at: an object's members, and the items of these.
const LEVELS: usize = 2;

/// What a schema could mean.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    pub(crate) types: Types,
    pub(crate) matter: Matter,
    items: Option<Box<Self>>,
    members: HashMap<String, Self>,
    others: Others,
}

/// What a value of the schema is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Matter {
    #[default]
    Value,
    /// Bytes: `format: binary` (3.0), `contentMediaType` without an encoding (3.1).
    File,
}

/// What an object's schema says of members that it does not name.
#[derive(Debug, Default)]
enum Others {
    #[default]
    Unsaid,
    Shaped(Box<Shape>),
}

// === impl Shape ===

impl Shape {
    /// The shape of a schema. One that names no type could mean any.
    pub(crate) fn of(at: &At<'_>) -> Self {
        Self::at_level(at, 0)
    }

    /// The shape of a schema that says nothing.
    pub(crate) fn any() -> Self {
        Self { types: Types::ANY, ..Self::default() }
    }

    fn at_level(at: &At<'_>, level: usize) -> Self {
        let mut shape = Self::default();
        shape.collect(at, level, &mut HashSet::new(), 0);
        if shape.types.is_empty() {
            shape.types = Types::ANY;
        }
        shape
    }

    fn collect(
        &mut self,
        at: &At<'_>,
        level: usize,
        seen: &mut HashSet<*const serde_json::Value>,
        depth: usize,
    ) {
        if depth > limits::COMBINED_DEPTH || !seen.insert(std::ptr::from_ref(at.value)) {
            return;
        }
        if at.text("$ref").is_some()
            && let Ok(target) = at.clone().resolved()
        {
            self.collect(&target, level, seen, depth + 1);
        }
        self.own(at);
        if level < LEVELS {
            self.inner(at, level + 1);
        }
        for key in ["allOf", "anyOf", "oneOf"] {
            let Some(list) = at.get(key) else { continue };
            for branch in list.elements() {
                self.collect(&branch, level, seen, depth + 1);
            }
        }
    }

    /// What a schema says of the value itself.
    fn own(&mut self, at: &At<'_>) {
        let kind = at.value.get("type");
        match kind {
            Some(serde_json::Value::String(name)) => self.types.add(Types::named(name)),
            Some(serde_json::Value::Array(names)) => {
                for name in names.iter().filter_map(serde_json::Value::as_str) {
                    self.types.add(Types::named(name));
                }
            }
            _ => {
                let values = at.value.get("enum").and_then(serde_json::Value::as_array);
                for value in values.into_iter().flatten().chain(at.value.get("const")) {
                    self.types.add(Types::of_value(value));
                }
            }
        }
        if at.is_nullable() {
            self.types.add(Types::named("null"));
        }
        let encoded = at.value.get("contentEncoding").is_some();
        if at.text("format") == Some("binary")
            || at.value.get("contentMediaType").is_some() && !encoded
        {
            self.matter = Matter::File;
        }
    }

    /// What a schema says of what the value holds.
    fn inner(&mut self, at: &At<'_>, level: usize) {
        if let Some(items) = at.get("items") {
            self.items.get_or_insert_with(|| Box::new(Self::at_level(&items, level)));
        }
        if let Some(properties) = at.get("properties") {
            for (name, property) in properties.all_members() {
                if !self.members.contains_key(name) {
                    self.members.insert(name.to_owned(), Self::at_level(&property, level));
                }
            }
        }
        if let Some(others) = at.get("additionalProperties")
            && *others.value != serde_json::Value::Bool(false)
        {
            self.others = Others::Shaped(Box::new(Self::at_level(&others, level)));
        }
    }

    /// The shape of an array's elements; any, where nothing is said.
    pub(crate) fn items(&self) -> &Self {
        self.items.as_deref().unwrap_or(&ANYTHING)
    }

    /// The shape of an object's member.
    pub(crate) fn member(&self, name: &str) -> &Self {
        match (self.members.get(name), &self.others) {
            (Some(member), _) => member,
            (None, Others::Shaped(shape)) => shape,
            (None, Others::Unsaid) => &ANYTHING,
        }
    }

    /// Whether the schema has a member of this name.
    pub(crate) fn names(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Whether an object that is spread over the names of a query takes this one. One that names
    /// its members and says nothing of others does not take what may be meant for nobody.
    pub(crate) fn takes(&self, name: &str) -> bool {
        self.members.contains_key(name)
            || self.members.is_empty()
            || matches!(self.others, Others::Shaped(_))
    }

    /// Every reading of a text that was cut, the likeliest first.
    pub(crate) fn readings<'c>(&self, cut: &'c Cut<'_>) -> Result<Vec<Node<'c>>, Misread> {
        match cut {
            Cut::One(text) => Ok(self.types.readings(text)),
            Cut::List(texts) => {
                let items = self.items().types;
                if !items.has(Types::SCALAR) && !texts.is_empty() {
                    // How a list of lists or objects is written, nobody says.
                    return Err(Misread::Undefined);
                }
                let likeliest = texts.iter().map(|text| items.read_text(text)).collect();
                let plain = texts.iter().map(|text| string(text)).collect();
                Ok(vec![Node::Array(likeliest), Node::Array(plain)])
            }
            Cut::Members(members) => {
                let (mut likeliest, mut plain) = (Vec::new(), Vec::new());
                for (name, texts) in members {
                    let shape = self.member(name);
                    let (first, last) = match texts.as_slice() {
                        [text] if shape.types.has(Types::SCALAR) => {
                            (shape.types.read_text(text), string(text))
                        }
                        texts if shape.types.has(Types::ARRAY) => {
                            let items = shape.items().types;
                            if !items.has(Types::SCALAR) {
                                return Err(Misread::Undefined);
                            }
                            let read = texts.iter().map(|text| items.read_text(text)).collect();
                            let plain = texts.iter().map(|text| string(text)).collect();
                            (Node::Array(read), Node::Array(plain))
                        }
                        [_] => return Err(Misread::Undefined),
                        _ => return Err(Misread::Duplicate),
                    };
                    likeliest.push((Cow::Borrowed(name.as_ref()), first));
                    plain.push((Cow::Borrowed(name.as_ref()), last));
                }
                Ok(vec![Node::Object(likeliest), Node::Object(plain)])
            }
        }
    }
}

static ANYTHING: LazyLock<Shape> = LazyLock::new(Shape::any);

fn string(text: &str) -> Node<'_> {
    Node::String(Cow::Borrowed(text))
}
