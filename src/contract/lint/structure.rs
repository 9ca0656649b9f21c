//! What the structure of a document says that nobody can have meant: told where a person looks,
//! by `recgate spec lint`, and not at every start of a gateway.
//!
//! Nothing here keeps a message from being judged by what the document does say.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    super::document::{At, Version},
    Note,
};
use crate::limits;

/// What may stand in a path item beside its methods (3.0.3 and 3.1.0, Path Item Object).
const BESIDE_METHODS: [&str; 5] = ["summary", "description", "servers", "parameters", "$ref"];

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Puts a note for each such thing of a document into `notes`, a limited number of them.
pub(in crate::contract) fn structure(root: &At<'_>, notes: &mut Vec<Note>) {
    let mut found = Vec::new();
    head(root, &mut found);
    // A converted document's paths stand in its source, where nothing was left out.
    let source = format!("{}/paths", root.document.source_root_key());
    if let Some(paths) = root.document.at(&source) {
        let mut ids = HashMap::new();
        for (template, item) in paths.members() {
            path(template, &item, &mut ids, &mut found);
        }
    }
    security(root, root, &mut found);
    for (_, item) in root.get("paths").iter().flat_map(At::members) {
        for operation in METHODS.iter().filter_map(|method| item.get(method)) {
            security(root, &operation, &mut found);
            answers(&operation, &mut found);
        }
        each_parameter(&item, &mut found);
    }
    found.truncate(limits::DOCUMENT_NOTES);
    notes.append(&mut found);
}

fn head(root: &At<'_>, notes: &mut Vec<Note>) {
    let source = root.document.source_root();
    if let (Some(_), Some(second)) = (root.get("openapi"), root.get("swagger"))
        && root.document.version() != Version::V20
    {
        let error = second.error("`swagger` stands beside `openapi`");
        let hint = "the document is read as OpenAPI; take one of the two out";
        notes.push(Note::warning(error.coded("document.version"), hint));
    }
    let hint = "tools that show the document want it; nothing is judged by it";
    let at = |path: &str| format!("{}{path}", root.document.source_root_key());
    match source.get("info") {
        Some(Value::Object(info)) => {
            if info.get("version").is_some_and(Value::is_number) {
                let message = "`version` is a number, and must be a string: put it in quotes";
                let error = root.document.error(&at("/info/version"), message);
                notes.push(Note::warning(error.coded("document.info"), hint));
            }
        }
        Some(_) => {
            let error = root.document.error(&at("/info"), "`info` must be an object");
            notes.push(Note::warning(error.coded("document.info"), hint));
        }
        None => {
            let error = root.error("`info` is missing, with a `title` and a `version`");
            notes.push(Note::warning(error.coded("document.info"), hint));
        }
    }
}

fn path<'d>(
    template: &str,
    item: &At<'d>,
    ids: &mut HashMap<&'d str, String>,
    notes: &mut Vec<Note>,
) {
    if let Some(mark) = template.find(['?', '#']).map(|at| &template[at..=at]) {
        let error =
            item.error(format!("a path's key holds a `{mark}`: it is matched by no request"));
        let hint = "what stands behind a `?` are query parameters, of the path without it";
        notes.push(Note::warning(error.coded("path.query"), hint));
    }
    for (key, member) in item.members() {
        if !METHODS.contains(&key) {
            if !BESIDE_METHODS.contains(&key) {
                let error = member.error("this is neither a method nor a member of a path item");
                let hint = "what stands there is not read; methods are in lower case";
                notes.push(Note::warning(error.coded("path.method"), hint));
            }
            continue;
        }
        let Some(id) = member.text("operationId") else { continue };
        let name = format!("{} {template}", key.to_uppercase());
        if let Some(first) = ids.get(id) {
            let at = format!("{}/operationId", member.pointer);
            let message = format!("this `operationId` is already that of {first}");
            let error = member.document.error(&at, message).coded("operation.id");
            let hint = "findings, coverage and rules that name it mean both";
            notes.push(Note::warning(error, hint));
        } else {
            ids.insert(id, name);
        }
    }
}

fn answers(operation: &At<'_>, notes: &mut Vec<Note>) {
    let Some(responses) = operation.get("responses") else { return };
    if responses.value.as_object().is_some_and(serde_json::Map::is_empty) {
        let error = responses.error("no response is declared");
        let hint = "every answer of this operation is undeclared";
        notes.push(Note::warning(error.coded("responses.empty"), hint));
    }
}

/// The parameters of a path item and of its operations.
fn each_parameter(item: &At<'_>, notes: &mut Vec<Note>) {
    let own = METHODS.iter().filter_map(|method| item.get(method)?.get("parameters"));
    for list in own.chain(item.get("parameters")) {
        for parameter in list.elements() {
            let Ok(parameter) = parameter.resolved() else { continue };
            let both = parameter.get("schema").and(parameter.get("content"));
            let Some(content) = both else { continue };
            let error = content.error("a parameter has a `schema` or a `content`, not both");
            let hint = "it is read by its `schema`";
            let note = Note::warning(error.coded("parameter.content"), hint);
            // A shared one is wrong once.
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
}

/// The schemes that a `security` names and the document does not have.
fn security(root: &At<'_>, owner: &At<'_>, notes: &mut Vec<Note>) {
    let schemes = root.get("components").and_then(|it| it.get("securitySchemes"));
    for requirement in owner.get("security").iter().flat_map(|it| it.elements().collect::<Vec<_>>())
    {
        for (name, member) in requirement.all_members() {
            if schemes.as_ref().is_none_or(|it| it.get(name).is_none()) {
                let error = member.error("no security scheme of this name is declared");
                let hint = "whether a request has this credential is `unverifiable(security)`";
                notes.push(Note::warning(error.coded("security.undefined"), hint));
            }
        }
    }
}
