//! The Encoding Object: how each property of a form is written.

use std::collections::HashMap;

use super::{
    document::{At, DocumentError},
    media_type::MediaType,
    parameter::{
        Escapes, Parameter,
        style::{Layout, Parts, Style},
    },
    schema::{Direction, Schemas},
};

/// Encodings by property.
#[derive(Debug, Default)]
pub(crate) struct Encodings(HashMap<String, Encoding>);

/// How one property is written.
#[derive(Debug)]
pub(crate) struct Encoding {
    /// Where it stands in the source.
    pub(crate) pointer: String,
    /// Media types and ranges that its part may have; empty where nothing is said.
    pub(crate) types: Vec<MediaType>,
    /// As the document writes them.
    pub(crate) types_text: String,
    /// Headers of its part.
    pub(crate) headers: Vec<Parameter>,
    pub(crate) style: FieldStyle,
}

/// Whether a property is written in a style of parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FieldStyle {
    /// Nothing is said, or the content type says it.
    Unsaid,
    Styled(Layout),
    /// A style that queries do not have.
    Undefined,
}

// === impl Encodings ===

impl Encodings {
    /// Reads the `encoding` of a media type.
    pub(crate) fn read(
        media: &At<'_>,
        direction: Direction,
        schemas: &mut Schemas,
    ) -> Result<Self, DocumentError> {
        let mut encodings = HashMap::new();
        let Some(map) = media.get("encoding") else { return Ok(Self::default()) };
        for (name, at) in map.all_members() {
            encodings.insert(name.to_owned(), Encoding::read(&at, direction, schemas)?);
        }
        Ok(Self(encodings))
    }

    pub(crate) fn get(&self, property: &str) -> Option<&Encoding> {
        self.0.get(property)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Encoding)> {
        self.0.iter()
    }
}

// === impl Encoding ===

impl Encoding {
    fn read(
        at: &At<'_>,
        direction: Direction,
        schemas: &mut Schemas,
    ) -> Result<Self, DocumentError> {
        let types_text = at.text("contentType").unwrap_or_default();
        let mut types = Vec::new();
        for name in types_text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            let range = MediaType::parse(name)
                .ok_or_else(|| at.error(format!("`{name}` is no media type or range")))?;
            types.push(range);
        }
        let mut headers = Vec::new();
        for (name, header) in at.get("headers").iter().flat_map(At::all_members) {
            headers.extend(Parameter::read_header(header, name, direction, schemas)?);
        }
        Ok(Self {
            pointer: at.pointer.clone(),
            types,
            types_text: types_text.to_owned(),
            headers,
            style: FieldStyle::read(at)?,
        })
    }
}

// === impl FieldStyle ===

impl FieldStyle {
    /// 3.0.4, Encoding Object: one of the three words is enough, the others take their defaults.
    fn read(at: &At<'_>) -> Result<Self, DocumentError> {
        let (explode, reserved) = (at.flag("explode")?, at.flag("allowReserved")?);
        let style = match at.text("style") {
            None if explode.is_none() && reserved.is_none() => return Ok(Self::Unsaid),
            None => Style::Form,
            Some(name) => match Style::parse(name) {
                Some(Style::Simple | Style::Label | Style::Matrix) | None => {
                    return Ok(Self::Undefined);
                }
                Some(style) => style,
            },
        };
        let apart = explode.unwrap_or(style == Style::Form);
        let parts = if apart { Parts::Apart } else { Parts::Together };
        Ok(Self::Styled(Layout { style, parts, escapes: Escapes::Form }))
    }
}
