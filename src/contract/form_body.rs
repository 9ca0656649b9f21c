//! Forms (`application/x-www-form-urlencoded`): an object, each field read as its property says.
//!
//! Without a style in its `encoding`, a property is one field for each of its values; one that is
//! an object, or has a JSON `contentType`, is JSON in its field. The whole object is then judged
//! by the schema, so what a form lacks or has too much is found like in JSON.

use std::borrow::Cow;

use super::{
    encoding::{Encodings, FieldStyle},
    media_type::Form,
    parameter::{
        Escapes, Types, query_pair,
        shape::Shape,
        style::{Cut, Layout, Misread, Pairs, Parts, Style, grouped},
    },
};
use crate::json::{self, Fault, Node};

/// A form, cut: its fields, decoded, so that a tree can borrow from them.
#[derive(Debug, Default)]
pub(crate) struct Fields<'b>(Vec<Field<'b>>);

#[derive(Debug)]
struct Field<'b> {
    name: Cow<'b, str>,
    value: Value<'b>,
}

#[derive(Debug)]
enum Value<'b> {
    Cuts(Vec<Cut<'b>>),
    Json(Vec<Cow<'b, str>>),
}

/// Why a field has no reading, and its name.
#[derive(Debug)]
pub(crate) struct Unread {
    pub(crate) field: String,
    pub(crate) why: Why,
}

/// Why a field has no reading.
#[derive(Debug)]
pub(crate) enum Why {
    Misread(Misread),
    Json(Fault),
}

/// The readings of a form as a whole, the likeliest first.
pub(crate) type Readings<'c> = Vec<Node<'c>>;

// === impl Fields ===

impl<'b> Fields<'b> {
    /// Cuts a form. What cannot be cut is named; the rest is not judged without it.
    pub(crate) fn cut(
        text: &'b str,
        shape: &Shape,
        encodings: &Encodings,
    ) -> Result<Self, Vec<Unread>> {
        let pairs: Pairs<'b> =
            text.split('&').filter(|it| !it.is_empty()).map(query_pair).collect();
        let mut fields = Vec::new();
        let mut unread = Vec::new();
        let mut styled: Vec<&str> = Vec::new();
        let mut layouts: Vec<(&str, Layout)> = Vec::new();
        for (name, encoding) in encodings.iter() {
            match encoding.style {
                FieldStyle::Styled(layout) => layouts.push((name, layout)),
                FieldStyle::Undefined => {
                    unread.push(Unread::misread(name, Misread::Undefined));
                }
                FieldStyle::Unsaid => continue,
            }
            styled.push(name);
        }
        for (name, layout) in layouts {
            let member = shape.member(name);
            // What another property names is not this one's.
            let claimed = |other: &str| other != name && shape.names(other);
            match layout.cut_pairs(name, &pairs, member, &claimed) {
                Ok(cuts) if cuts.is_empty() => {}
                Ok(cuts) => {
                    let name = Cow::Owned(name.to_owned());
                    fields.push(Field { name, value: Value::Cuts(cuts) });
                }
                Err(misread) => unread.push(Unread::misread(name, misread)),
            }
        }
        let is_styled = |other: &str| {
            encodings.iter().any(|(name, encoding)| match encoding.style {
                FieldStyle::Unsaid => false,
                FieldStyle::Styled(layout) if layout.style == Style::DeepObject => {
                    other == name || super::parameter::style::deep(name, other).is_some()
                }
                FieldStyle::Styled(layout) if layout.spreads(shape.member(name)) => {
                    shape.member(name).takes(other) && !shape.names(other)
                }
                FieldStyle::Styled(_) | FieldStyle::Undefined => other == name,
            })
        };
        let plain = pairs.iter().filter(|(name, _)| styled.is_empty() || !is_styled(name));
        for (name, raw) in grouped(plain.map(|(name, raw)| (name.clone(), *raw))) {
            match Value::cut(&name, &raw, shape.member(&name), encodings) {
                Ok(value) => fields.push(Field { name, value }),
                Err(misread) => unread.push(Unread::misread(&name, misread)),
            }
        }
        if unread.is_empty() { Ok(Self(fields)) } else { Err(unread) }
    }

    /// The form as an object: once with the likeliest reading of every field, once with the
    /// plainest.
    pub(crate) fn readings(&self, shape: &Shape) -> Result<Readings<'_>, Vec<Unread>> {
        let (mut likeliest, mut plainest) = (Vec::new(), Vec::new());
        let mut unread = Vec::new();
        for field in &self.0 {
            let member = shape.member(&field.name);
            match field.value.readings(member) {
                Ok(mut readings) => {
                    let Some(last) = readings.pop() else { continue };
                    let first = readings.into_iter().next();
                    likeliest
                        .push((Cow::Borrowed(&*field.name), first.unwrap_or_else(|| last.clone())));
                    plainest.push((Cow::Borrowed(&*field.name), last));
                }
                Err(why) => unread.push(Unread { field: field.name.to_string(), why }),
            }
        }
        if !unread.is_empty() {
            return Err(unread);
        }
        let mut readings = vec![Node::Object(likeliest)];
        if readings[0] != Node::Object(plainest.clone()) {
            readings.push(Node::Object(plainest));
        }
        Ok(readings)
    }
}

// === impl Value ===

impl<'b> Value<'b> {
    fn cut(
        name: &str,
        raw: &[&'b str],
        shape: &Shape,
        encodings: &Encodings,
    ) -> Result<Self, Misread> {
        let says_json = encodings
            .get(name)
            .is_some_and(|it| it.types.first().is_some_and(|it| it.form() == Form::Json));
        let holds_objects = shape.types.only(Types::OBJECT)
            || shape.types.only(Types::ARRAY)
                && shape.items().types.only(Types::OBJECT | Types::ARRAY);
        if says_json || holds_objects {
            let decoded = raw.iter().map(|it| Escapes::Form.decode(it).ok_or(Misread::Encoding));
            return Ok(Self::Json(decoded.collect::<Result<_, _>>()?));
        }
        let layout = Layout { style: Style::Form, parts: Parts::Apart, escapes: Escapes::Form };
        let pairs = raw.iter().map(|raw| (Cow::Borrowed(""), *raw)).collect();
        layout.cut_pairs("", &pairs, shape, &|_| false).map(Self::Cuts)
    }

    fn readings(&self, shape: &Shape) -> Result<Vec<Node<'_>>, Why> {
        match self {
            Self::Cuts(cuts) => {
                let mut readings = Vec::new();
                for cut in cuts {
                    readings.extend(shape.readings(cut).map_err(Why::Misread)?);
                }
                Ok(readings)
            }
            Self::Json(texts) => {
                let parsed: Result<Vec<_>, _> =
                    texts.iter().map(|text| json::parse(text.as_bytes())).collect();
                let mut nodes = parsed.map_err(Why::Json)?;
                if shape.types.has(Types::ARRAY) {
                    // A list as a whole, or an element for each field.
                    let whole = matches!(nodes.as_slice(), [Node::Array(_)]);
                    return Ok(if whole { nodes } else { vec![Node::Array(nodes)] });
                }
                match nodes.pop() {
                    Some(node) if nodes.is_empty() => Ok(vec![node]),
                    _ => Err(Why::Misread(Misread::Duplicate)),
                }
            }
        }
    }
}

// === impl Unread ===

impl Unread {
    fn misread(field: &str, misread: Misread) -> Self {
        Self { field: field.to_owned(), why: Why::Misread(misread) }
    }
}
