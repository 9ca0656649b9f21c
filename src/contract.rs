//! The contract engine: `OpenAPI` documents become one compiled model that judges messages.
//!
//! A [`Timeline`] is a vendor's head document and what dated overlays say it said before; at each
//! [`ContractDate`] it holds a [`Contract`]. A contract finds the [`Operation`] of a request by
//! method and raw path, and the operation checks requests and responses: every check ends in one
//! [`Verdict`], and each broken rule is one [`Finding`] that points into the message and into the
//! source document.
//!
//! The raw JSON of the document is the single truth: whatever is read from it keeps its pointer.
//! Architecture invariant: nothing here knows sockets, gateways or configuration, and no finding,
//! verdict or error holds a value out of a message.

mod body;
mod declared;
mod document;
mod finding;
mod form;
mod operation;
mod overlay;
mod parameter;
mod router;
mod schema;
mod timeline;
mod verdict;

use std::{borrow::Cow, sync::Arc};

use http::Method;
use jiff::civil::Date;

use document::{At, Document};
use router::Router;
use schema::Schemas;

pub use declared::{Declared, DeclaredStatus};
pub use document::DocumentError;
pub use finding::{Finding, Location, Position};
pub use operation::{BodyView, Operation, RequestView, ResponseView, Unread};
pub use timeline::{ContractDate, ContractDateError, Timeline};
pub use verdict::{Checked, Reason, Verdict};

/// The text of a document and the name it is called by in errors.
#[derive(Clone, Debug)]
pub struct Source {
    /// A file's path, or the name of what is compiled in.
    pub name: String,
    /// JSON or YAML.
    pub text: Cow<'static, str>,
}

/// An `OpenAPI` Overlay 1.0 that says what the API said before a day.
#[derive(Clone, Debug)]
pub struct DatedOverlay {
    /// The first day on which the overlay does not hold any more.
    pub before: Date,
    /// The overlay document.
    pub source: Source,
}

/// One API at one date, compiled.
#[derive(Debug)]
pub struct Contract {
    operations: Vec<Arc<Operation>>,
    router: Router<Vec<Route>>,
}

/// A method of a path.
#[derive(Debug)]
struct Route {
    method: Method,
    /// The path parameters' names, in the template's order.
    names: Vec<String>,
    /// The index of its operation.
    operation: usize,
}

/// What a contract knows of a method and a path.
#[derive(Debug)]
pub enum Found<'c> {
    /// An operation.
    Operation(Matched<'c>),
    /// The path is known, the method is not.
    MethodNotAllowed {
        /// The methods the path has, for `Allow`.
        allow: Vec<Method>,
    },
    /// The contract does not speak of this path.
    Unknown,
}

/// An operation and the parameters its path template matched.
#[derive(Debug)]
pub struct Matched<'c> {
    /// The operation.
    pub operation: &'c Arc<Operation>,
    /// Names and values in the template's order; values are raw, still percent-encoded.
    pub path_parameters: Vec<(String, String)>,
}

// === impl Contract ===

impl Contract {
    /// Compiles a document: every operation, its routes, and every reference its schemas make.
    /// The schemas themselves are compiled when the first message needs them.
    pub(crate) fn compile(document: &Arc<Document>) -> Result<Self, DocumentError> {
        let root = At { document, pointer: String::new(), value: document.root() };
        match root.text("openapi") {
            Some(version) if version.starts_with("3.0.") => {}
            Some(_) => return Err(root.error("`openapi` must be 3.0.x: no other version is read")),
            None => return Err(root.error("`openapi` is missing, a string such as \"3.0.3\"")),
        }
        let mut contract = Self { operations: Vec::new(), router: Router::new() };
        let mut schemas = Schemas::default();
        let servers = prefixes(&root)?;
        let paths = root.get("paths").ok_or_else(|| root.error("`paths` is missing"))?;
        paths.object()?;
        for (template, item) in paths.members() {
            let item = item.resolved()?;
            let item_servers = prefixes(&item)?;
            let shared = item.get("parameters");
            for (key, method) in METHODS {
                let Some(at) = item.get(key) else { continue };
                let own_servers = prefixes(&at)?;
                let servers = [own_servers, item_servers.clone(), servers.clone()]
                    .into_iter()
                    .flatten()
                    .next()
                    .unwrap_or_else(|| vec![String::new()]);
                contract.route(&at, template, &method, &servers)?;
                let operation =
                    Operation::read(&at, method, template, shared.as_ref(), &mut schemas)?;
                // Last, so that what the engine reads itself is said in its own words.
                form::check(&at)?;
                contract.operations.push(Arc::new(operation));
            }
        }
        Ok(contract)
    }

    /// Lays the routes to the operation that comes next.
    fn route(
        &mut self,
        at: &At<'_>,
        template: &str,
        method: &Method,
        servers: &[String],
    ) -> Result<(), DocumentError> {
        for prefix in servers {
            let (routes, names) = self
                .router
                .entry(&format!("{prefix}{template}"))
                .map_err(|error| at.error(error.to_string()))?;
            if let Some(other) = routes.iter().find(|route| route.method == *method) {
                let other = &self.operations[other.operation];
                return Err(at.error(format!(
                    "{method} {template} is the same route as {method} {}",
                    other.template()
                )));
            }
            let operation = self.operations.len();
            routes.push(Route { method: method.clone(), names, operation });
        }
        Ok(())
    }

    /// Finds the operation of a method and a path. The path is the raw path as it goes upstream,
    /// the server's prefix included, without the query; it is never normalised. HEAD is answered
    /// by GET where a path does not declare it (RFC 9110 §9.3.2).
    #[must_use]
    pub fn find(&self, method: &Method, path: &str) -> Found<'_> {
        let Some((routes, values)) = self.router.find(path) else { return Found::Unknown };
        let find = |method: &Method| routes.iter().find(|route| route.method == *method);
        let route = find(method)
            .or_else(|| if *method == Method::HEAD { find(&Method::GET) } else { None });
        let Some(route) = route else {
            let allow = routes.iter().map(|route| route.method.clone()).collect();
            return Found::MethodNotAllowed { allow };
        };
        let values = values.into_iter().map(str::to_owned);
        Found::Operation(Matched {
            operation: &self.operations[route.operation],
            path_parameters: route.names.iter().cloned().zip(values).collect(),
        })
    }

    /// Every operation, in the document's order.
    #[must_use]
    pub fn operations(&self) -> &[Arc<Operation>] {
        &self.operations
    }
}

const METHODS: [(&str, Method); 8] = [
    ("get", Method::GET),
    ("put", Method::PUT),
    ("post", Method::POST),
    ("delete", Method::DELETE),
    ("options", Method::OPTIONS),
    ("head", Method::HEAD),
    ("patch", Method::PATCH),
    ("trace", Method::TRACE),
];

/// The path prefixes of the servers that stand here, without a slash at their end; `None` where
/// none stand here. A variable takes its default.
fn prefixes(at: &At<'_>) -> Result<Option<Vec<String>>, DocumentError> {
    let Some(servers) = at.get("servers") else { return Ok(None) };
    let mut prefixes: Vec<String> = Vec::new();
    for server in servers.elements() {
        let Some(url) = server.text("url") else { return Err(server.error("`url` is missing")) };
        let mut url = url.to_owned();
        for (name, variable) in server.get("variables").iter().flat_map(At::all_members) {
            let Some(default) = variable.text("default") else {
                return Err(variable.error("`default` is missing"));
            };
            url = url.replace(&format!("{{{name}}}"), default);
        }
        let path = match url.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("", |slash| &rest[slash..]),
            None => url.as_str(),
        };
        let path = path.trim_end_matches('/');
        if !path.is_empty() && !path.starts_with('/') {
            return Err(server.error("`url` must be absolute, or a path that starts with `/`"));
        }
        if !prefixes.iter().any(|known| known == path) {
            prefixes.push(path.to_owned());
        }
    }
    Ok(if prefixes.is_empty() { None } else { Some(prefixes) })
}

#[cfg(test)]
mod tests;
