//! How a declared parameter is decoded: by a style and a schema, or by a media type.

use std::sync::{Arc, OnceLock};

use super::{
    Escapes,
    shape::Shape,
    style::{Layout, Parts, Style},
};
use crate::contract::{
    Location,
    document::{At, DocumentError},
    media_type::{Form, MediaType},
    schema::{Direction, Schema, Schemas},
};

#[derive(Debug)]
pub(super) enum Decoding {
    Styled {
        schema: Arc<Schema>,
        shape: OnceLock<Shape>,
        layout: Layout,
        plus: Plus,
    },
    /// `content`: a text of a media type.
    Content {
        schema: Option<Arc<Schema>>,
        form: Form,
        shape: OnceLock<Shape>,
    },
    /// In a style that its place does not have, or declared in two ways.
    Undefined,
}

/// What a `+` in a query may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plus {
    Space,
    /// `allowReserved`: a plus sign is sent as it is.
    SpaceOrPlus,
}

// === impl Decoding ===

impl Decoding {
    pub(super) fn read(
        at: &At<'_>,
        location: Location,
        direction: Direction,
        schemas: &mut Schemas,
    ) -> Result<Self, DocumentError> {
        let Some(schema) = at.get("schema") else {
            return Self::read_content(at, direction, schemas);
        };
        let schema = schemas.edge(&schema, direction)?;
        let usual = match location {
            Location::Query | Location::Cookie => Style::Form,
            _ => Style::Simple,
        };
        let style = match at.text("style") {
            None => usual,
            Some(name) => {
                let known = Style::parse(name).filter(|style| is_style_of(*style, location));
                let Some(style) = known else { return Ok(Self::Undefined) };
                style
            }
        };
        let explode = at.flag("explode")?.unwrap_or(style == Style::Form);
        let parts = if explode { Parts::Apart } else { Parts::Together };
        let reserved = location == Location::Query && at.flag("allowReserved")?.unwrap_or(false);
        Ok(Self::Styled {
            schema,
            shape: OnceLock::new(),
            layout: Layout { style, parts, escapes: escapes(location) },
            plus: if reserved { Plus::SpaceOrPlus } else { Plus::Space },
        })
    }

    fn read_content(
        at: &At<'_>,
        direction: Direction,
        schemas: &mut Schemas,
    ) -> Result<Self, DocumentError> {
        let content = at.get("content");
        // 3.0.3, Parameter Object: exactly one entry.
        let Some((name, entry)) = content.as_ref().and_then(|content| content.all_members().next())
        else {
            return Err(at.error("a parameter needs `schema` or `content`"));
        };
        let media = MediaType::parse(name)
            .ok_or_else(|| entry.error(format!("`{name}` is no media type or range")))?;
        let schema = match entry.get("schema") {
            Some(schema) => Some(schemas.edge(&schema, direction)?),
            None => None,
        };
        Ok(Self::Content { schema, form: media.form(), shape: OnceLock::new() })
    }
}

/// The styles of each place (3.0.3, "Style Values").
const fn is_style_of(style: Style, location: Location) -> bool {
    match style {
        Style::Simple => matches!(location, Location::Path | Location::Header),
        Style::Label | Style::Matrix => matches!(location, Location::Path),
        Style::Form => matches!(location, Location::Query | Location::Cookie),
        Style::SpaceDelimited | Style::PipeDelimited | Style::DeepObject => {
            matches!(location, Location::Query)
        }
    }
}

pub(super) const fn escapes(location: Location) -> Escapes {
    match location {
        Location::Query => Escapes::Form,
        Location::Header => Escapes::Header,
        _ => Escapes::Percent,
    }
}
