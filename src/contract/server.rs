//! Servers: the path prefixes under which a document's paths stand.
//!
//! Only the path of a server's URL matters here; its host is the operator's business. A variable
//! with an `enum` may be any of its values, each of which is a prefix; another variable is its
//! default. A server that cannot be read is one note, and the others stay.

use super::{
    Note,
    document::{At, DocumentError},
};
use crate::limits;

/// The path prefixes of the servers that stand here, without a slash at their end; `None` where
/// none stand here.
pub(super) fn prefixes(at: &At<'_>, notes: &mut Vec<Note>) -> Option<Vec<String>> {
    let servers = at.get("servers")?;
    let mut prefixes: Vec<String> = Vec::new();
    for server in servers.elements() {
        match read(&server) {
            Ok(paths) => {
                for path in paths {
                    if !prefixes.contains(&path) {
                        prefixes.push(path);
                    }
                }
            }
            Err(error) => notes.push(Note::error(
                error.coded("server.invalid"),
                "its paths are looked for under the other servers, or without a prefix",
            )),
        }
    }
    if prefixes.is_empty() { None } else { Some(prefixes) }
}

fn read(server: &At<'_>) -> Result<Vec<String>, DocumentError> {
    let Some(url) = server.text("url") else { return Err(server.error("`url` is missing")) };
    let mut urls = vec![url.to_owned()];
    for (name, variable) in server.get("variables").iter().flat_map(At::all_members) {
        let mut values = values(&variable)?;
        let place = format!("{{{name}}}");
        if !path_of(url).contains(&place) {
            // A variable of the host: its values make no prefix of their own.
            values.truncate(1);
        }
        let count = urls.len() * values.len();
        if count > limits::SERVER_PREFIXES {
            let most = limits::SERVER_PREFIXES;
            return Err(server.error(format!("its variables make {count} prefixes, {most} may be")));
        }
        urls = urls
            .iter()
            .flat_map(|url| values.iter().map(|value| url.replace(&place, value)))
            .collect();
    }
    urls.iter()
        .map(|url| {
            let path = path_of(url).trim_end_matches('/');
            if path.contains(['{', '}']) {
                return Err(server.error("`url` names a variable that `variables` does not have"));
            }
            if !path.is_empty() && !path.starts_with('/') {
                return Err(server.error("`url` must be absolute, or a path that starts with `/`"));
            }
            Ok(path.to_owned())
        })
        .collect()
}

/// The values of a variable, its default first.
fn values<'d>(variable: &At<'d>) -> Result<Vec<&'d str>, DocumentError> {
    let Some(default) = variable.text("default") else {
        return Err(variable.error("`default` is missing"));
    };
    let mut values = vec![default];
    for value in variable.get("enum").iter().flat_map(|it| it.elements().collect::<Vec<_>>()) {
        let Some(text) = value.value.as_str() else {
            return Err(value.error("a variable's values must be strings"));
        };
        if !values.contains(&text) {
            values.push(text);
        }
    }
    Ok(values)
}

/// The path of a URL, without query and fragment.
fn path_of(url: &str) -> &str {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |slash| &rest[slash..]),
        None => match url.strip_prefix("//") {
            Some(rest) => rest.find('/').map_or("", |slash| &rest[slash..]),
            None => url,
        },
    }
}
