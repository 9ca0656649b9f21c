//! Swagger 2.0 read as 3.0: a second tree in memory, whose every part knows where it was written.
//!
//! Only what 3.0 says otherwise is made anew: operations, parameters, bodies, responses, servers,
//! security schemes. Schemas stay where they stand in the source and are referred to, so their
//! pointers are the source's own. What cannot be converted is left as it is: the reader of the
//! converted tree then refuses it, in its own words and at the source's place.
//!
//! Where 2.0 leaves a choice: without `consumes` or `produces` a body may have any media type; a
//! form without `consumes` is multipart if it has a file, else either kind of form; `tsv` has no
//! form in 3.0 and is never decoded.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value, json};

use super::{
    document::{At, Document},
    form::TABS,
};
use crate::json::escape_token;

/// The converted document.
pub(super) fn convert(document: Document) -> Document {
    let source = Arc::new(document);
    let (root, origins) = {
        let root = At { document: &source, pointer: String::new(), value: source.root() };
        let mut conversion = Conversion { root: root.clone(), origins: BTreeMap::new() };
        (conversion.document(&root), conversion.origins)
    };
    source.converted(root, origins)
}

struct Conversion<'d> {
    root: At<'d>,
    /// From a converted pointer to the place in the source.
    origins: BTreeMap<String, String>,
}

/// What an operation says of its media types.
struct Media {
    consumes: Option<Vec<String>>,
    produces: Vec<String>,
}

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

/// What a parameter, a header or an item says that is a schema's in 3.0.
const SCHEMA_KEYS: [&str; 17] = [
    "type",
    "format",
    "items",
    "default",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "uniqueItems",
    "enum",
    "multipleOf",
    "x-nullable",
];

// === impl Conversion ===

impl<'d> Conversion<'d> {
    fn document(&mut self, root: &At<'d>) -> Value {
        let mut converted = Map::new();
        converted.insert("openapi".to_owned(), json!("3.0.3"));
        if let Some(info) = root.value.get("info") {
            converted.insert("info".to_owned(), info.clone());
        }
        let base = root.value.get("basePath").cloned().unwrap_or_else(|| json!("/"));
        self.wrote("/servers/0", "/basePath");
        converted.insert("servers".to_owned(), json!([{ "url": base }]));
        copy(root, "security", &mut converted);
        if let Some(schemes) = root.get("securityDefinitions") {
            self.wrote("/components/securitySchemes", &schemes.pointer);
            let schemes: Map<String, Value> =
                schemes.members().map(|(name, at)| (name.to_owned(), scheme(&at))).collect();
            converted.insert("components".to_owned(), json!({ "securitySchemes": schemes }));
        }
        if let Some(paths) = root.get("paths") {
            let paths = if paths.value.is_object() {
                let items = paths.members();
                items.map(|(name, at)| (name.to_owned(), self.path(name, at))).collect()
            } else {
                paths.value.clone()
            };
            converted.insert("paths".to_owned(), paths);
        }
        Value::Object(converted)
    }

    fn path(&mut self, template: &str, item: At<'d>) -> Value {
        let raw = item.value;
        let Ok(item) = item.resolved() else { return raw.clone() };
        if !item.value.is_object() {
            return item.value.clone();
        }
        let here = format!("/paths/{}", escape_token(template));
        self.wrote(&here, &item.pointer);
        let shared: Vec<At<'d>> = elements(item.get("parameters").as_ref());
        let mut converted = Map::new();
        for method in METHODS {
            if let Some(at) = item.get(method) {
                let operation = self.operation(&at, &shared, &format!("{here}/{method}"));
                converted.insert(method.to_owned(), operation);
            }
        }
        Value::Object(converted)
    }

    fn operation(&mut self, at: &At<'d>, shared: &[At<'d>], here: &str) -> Value {
        if !at.value.is_object() {
            return at.value.clone();
        }
        let mut converted = Map::new();
        for key in ["operationId", "security", "deprecated", "summary", "description", "tags"] {
            copy(at, key, &mut converted);
        }
        let media = Media {
            consumes: self.media(at, "consumes"),
            produces: self.media(at, "produces").unwrap_or_else(|| vec!["*/*".to_owned()]),
        };
        let mut list: Vec<Value> = Vec::new();
        let mut body = None;
        let mut fields: Vec<At<'d>> = Vec::new();
        let mut keys: Vec<(bool, (&str, &str))> = Vec::new();
        let own = elements(at.get("parameters").as_ref());
        for (index, parameter) in own.iter().chain(shared).enumerate() {
            let place = format!("{here}/parameters/{}", list.len());
            let Ok(parameter) = parameter.clone().resolved() else {
                // The reader says what is wrong with the reference.
                self.wrote(&place, &parameter.pointer);
                list.push(parameter.value.clone());
                continue;
            };
            let key = (
                parameter.text("in").unwrap_or_default(),
                parameter.text("name").unwrap_or_default(),
            );
            // The operation's own goes before its path's; one that is twice in a list stays, and
            // the reader tells what it makes of it.
            let is_own = index < own.len();
            let is_twice = keys.iter().any(|(of_own, other)| *of_own == is_own && *other == key);
            if !is_own && !is_twice && keys.iter().any(|(_, other)| *other == key) {
                continue;
            }
            keys.push((is_own, key));
            match key.0 {
                "body" if body.is_none() => body = Some(parameter),
                "formData" if !is_twice => fields.push(parameter),
                _ => {
                    self.wrote(&place, &parameter.pointer);
                    self.wrote(&format!("{place}/schema"), &parameter.pointer);
                    list.push(parameter_of(&parameter));
                }
            }
        }
        let parameters = match at.value.get("parameters") {
            Some(wrong) if !wrong.is_array() => wrong.clone(),
            _ => Value::Array(list),
        };
        converted.insert("parameters".to_owned(), parameters);
        for key in ["consumes", "produces"] {
            if let Some(wrong) = at.value.get(key).filter(|it| !it.is_array()) {
                // No list: the form of the operation is refused, and says so.
                converted.insert("parameters".to_owned(), wrong.clone());
            }
        }
        let here_body = format!("{here}/requestBody");
        if let Some(body) = body {
            converted.insert("requestBody".to_owned(), self.body(&body, &media, &here_body));
        } else if !fields.is_empty() {
            converted.insert("requestBody".to_owned(), self.form(&fields, &media, &here_body));
        }
        if let Some(responses) = at.get("responses") {
            let responses = if responses.value.is_object() {
                let here = format!("{here}/responses");
                let each = responses.members();
                each.map(|(status, response)| {
                    let here = format!("{here}/{}", escape_token(status));
                    (status.to_owned(), self.response(&response, &media, &here))
                })
                .collect()
            } else {
                responses.value.clone()
            };
            converted.insert("responses".to_owned(), responses);
        }
        Value::Object(converted)
    }

    fn body(&mut self, at: &At<'d>, media: &Media, here: &str) -> Value {
        let any = vec!["*/*".to_owned()];
        let types = media.consumes.as_ref().unwrap_or(&any);
        self.wrote(here, &at.pointer);
        let mut converted = Map::new();
        copy(at, "required", &mut converted);
        converted.insert("content".to_owned(), self.content(at, types, here));
        Value::Object(converted)
    }

    fn form(&mut self, fields: &[At<'d>], media: &Media, here: &str) -> Value {
        const URLENCODED: &str = "application/x-www-form-urlencoded";
        const MULTIPART: &str = "multipart/form-data";
        let has_file = fields.iter().any(|field| field.text("type") == Some("file"));
        let is_form = |it: &&String| {
            let essence = it.split(';').next().unwrap_or_default().trim();
            [URLENCODED, MULTIPART].iter().any(|form| essence.eq_ignore_ascii_case(form))
        };
        let mut types: Vec<String> =
            media.consumes.iter().flatten().filter(is_form).cloned().collect();
        if types.is_empty() {
            types.push(MULTIPART.to_owned());
            if !has_file {
                types.push(URLENCODED.to_owned());
            }
        }
        let mut properties = Map::new();
        let mut required = Vec::new();
        let mut encoding = Map::new();
        for field in fields {
            let name = field.text("name").unwrap_or_default();
            if field.value.get("required") == Some(&Value::Bool(true)) {
                required.push(json!(name));
            }
            properties.insert(name.to_owned(), schema_of(field));
            if field.text("type") == Some("array") {
                let mut layout_of = Map::new();
                layout(field, &mut layout_of);
                encoding.insert(name.to_owned(), Value::Object(layout_of));
            }
        }
        let is_required = !required.is_empty();
        let mut schema = json!({ "type": "object", "properties": properties });
        if is_required && let Some(schema) = schema.as_object_mut() {
            schema.insert("required".to_owned(), Value::Array(required));
        }
        if let Some(first) = fields.first() {
            self.wrote(here, &first.pointer);
        }
        let mut content = Map::new();
        for name in types {
            let place = format!("{here}/content/{}/schema", escape_token(&name));
            for field in fields {
                let name = escape_token(field.text("name").unwrap_or_default());
                self.wrote(&format!("{place}/properties/{name}"), &field.pointer);
            }
            content.insert(name, json!({ "schema": schema, "encoding": encoding }));
        }
        json!({ "required": is_required, "content": content })
    }

    fn response(&mut self, raw: &At<'d>, media: &Media, here: &str) -> Value {
        self.wrote(here, &raw.pointer);
        let Ok(at) = raw.clone().resolved() else { return raw.value.clone() };
        if !at.value.is_object() {
            return at.value.clone();
        }
        self.wrote(here, &at.pointer);
        let mut converted = Map::new();
        converted
            .insert("description".to_owned(), json!(at.text("description").unwrap_or_default()));
        if let Some(headers) = at.get("headers") {
            let each = headers.all_members();
            let headers: Map<String, Value> = each
                .map(|(name, header)| {
                    let place = format!("{here}/headers/{}", escape_token(name));
                    self.wrote(&place, &header.pointer);
                    self.wrote(&format!("{place}/schema"), &header.pointer);
                    let mut converted = Map::new();
                    layout(&header, &mut converted);
                    converted.insert("schema".to_owned(), schema_of(&header));
                    (name.to_owned(), Value::Object(converted))
                })
                .collect();
            converted.insert("headers".to_owned(), Value::Object(headers));
        }
        if at.get("schema").is_some() {
            converted.insert("content".to_owned(), self.content(&at, &media.produces, here));
        }
        Value::Object(converted)
    }

    /// The `content` of what has a `schema`, for every media type.
    fn content(&mut self, at: &At<'d>, types: &[String], here: &str) -> Value {
        let Some(schema) = at.get("schema") else { return json!({}) };
        let is_file =
            schema.clone().resolved().is_ok_and(|schema| schema.text("type") == Some("file"));
        let entry = if is_file {
            json!({ "schema": { "type": "string", "format": "binary" } })
        } else {
            json!({ "schema": { "$ref": reference(&schema.pointer) } })
        };
        let mut content = Map::new();
        for name in types {
            let place = format!("{here}/content/{}/schema", escape_token(name));
            self.wrote(&place, &schema.pointer);
            content.insert(name.clone(), entry.clone());
        }
        Value::Object(content)
    }

    /// The operation's media types, or the document's.
    fn media(&self, at: &At<'d>, key: &str) -> Option<Vec<String>> {
        let list = at.get(key).or_else(|| self.root.get(key))?;
        let names = elements(Some(&list));
        Some(names.iter().filter_map(|it| it.value.as_str()).map(str::to_owned).collect())
            .filter(|names: &Vec<String>| !names.is_empty())
    }

    fn wrote(&mut self, here: &str, source: &str) {
        self.origins.insert(here.to_owned(), source.to_owned());
    }
}

/// A parameter of the path, the query or the headers, or of a kind that the reader refuses.
fn parameter_of(at: &At<'_>) -> Value {
    if at.get("schema").is_some() && at.text("in") == Some("body") {
        // A second body.
        return at.value.clone();
    }
    let mut converted = Map::new();
    for key in ["name", "in", "required", "allowEmptyValue"] {
        copy(at, key, &mut converted);
    }
    layout(at, &mut converted);
    converted.insert("schema".to_owned(), schema_of(at));
    Value::Object(converted)
}

fn copy(at: &At<'_>, key: &str, into: &mut Map<String, Value>) {
    if let Some(value) = at.value.get(key) {
        into.insert(key.to_owned(), value.clone());
    }
}

fn elements<'d>(list: Option<&At<'d>>) -> Vec<At<'d>> {
    list.into_iter().flat_map(|list| list.elements().collect::<Vec<_>>()).collect()
}

/// A reference out of the converted tree to a place of the source.
fn reference(place: &str) -> String {
    // The one who follows it decodes it.
    let place = place.replace('%', "%25");
    if place.is_empty() || place.starts_with('/') {
        format!("{}#{place}", Document::CONVERTED)
    } else {
        place
    }
}

fn schema_of(at: &At<'_>) -> Value {
    let mut schema = Map::new();
    for key in SCHEMA_KEYS {
        copy(at, key, &mut schema);
    }
    if at.text("type") == Some("file") {
        return json!({ "type": "string", "format": "binary" });
    }
    if schema.shift_remove("x-nullable") == Some(Value::Bool(true)) {
        schema.insert("nullable".to_owned(), Value::Bool(true));
    }
    Value::Object(schema)
}

/// `collectionFormat` in the words of 3.0.
fn layout(at: &At<'_>, into: &mut Map<String, Value>) {
    if at.text("type") != Some("array") {
        return;
    }
    let is_query = matches!(at.text("in"), Some("query" | "formData"));
    let usual = if is_query { "form" } else { "simple" };
    let (style, explode) = match at.text("collectionFormat").unwrap_or("csv") {
        "multi" => ("form", true),
        "ssv" => ("spaceDelimited", false),
        "pipes" => ("pipeDelimited", false),
        "csv" => (usual, false),
        _ => (TABS, false),
    };
    into.insert("style".to_owned(), json!(style));
    into.insert("explode".to_owned(), json!(explode));
}

/// A security scheme.
fn scheme(at: &At<'_>) -> Value {
    let text = |key: &str| at.text(key).unwrap_or_default();
    match text("type") {
        "basic" => json!({ "type": "http", "scheme": "basic" }),
        "oauth2" => {
            let flow = match text("flow") {
                "application" => "clientCredentials",
                "accessCode" => "authorizationCode",
                other => other,
            };
            let mut inner = Map::new();
            for key in ["authorizationUrl", "tokenUrl", "scopes"] {
                copy(at, key, &mut inner);
            }
            inner.entry("scopes").or_insert_with(|| json!({}));
            json!({ "type": "oauth2", "flows": { flow: inner } })
        }
        _ => at.value.clone(),
    }
}
