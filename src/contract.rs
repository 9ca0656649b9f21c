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
mod compile;
mod compressed;
mod convert;
mod declared;
mod document;
mod encoding;
mod finding;
mod form;
mod form_body;
mod lint;
mod media_type;
mod multipart;
mod operation;
mod overlay;
mod parameter;
mod router;
mod schema;
mod security;
mod server;
mod strictness;
mod timeline;
mod verdict;

use std::{borrow::Cow, sync::Arc};

use http::Method;
use jiff::civil::Date;

use router::Router;
use schema::Schema;

pub(crate) use compressed::decode;
pub use declared::{Declared, DeclaredStatus};
pub(crate) use document::OneLine;
pub use document::{DocumentError, Input, UriTable};
pub use finding::{Finding, Location, Position};
pub use lint::{Note, Severity, Summary};
pub use operation::{BodyView, Operation, RequestView, ResponseView, Unread};
pub use strictness::{Strictness, Undeclared};
pub use timeline::{ContractDate, ContractDateError, Timeline};
pub use verdict::{Checked, Force, Reason, Verdict};

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
#[derive(Debug, Default)]
pub struct Contract {
    operations: Vec<Arc<Operation>>,
    router: Router<Vec<Route>>,
    /// What its documents say that was not understood.
    notes: Vec<Note>,
    /// What their structure says that nobody can have meant.
    oddities: Vec<Note>,
    /// What was understood, by document.
    summaries: Vec<Summary>,
    /// The schemas that messages are judged by.
    edges: Vec<Arc<Schema>>,
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

    /// Every operation, in the documents' order.
    #[must_use]
    pub fn operations(&self) -> &[Arc<Operation>] {
        &self.operations
    }

    /// What its documents say that was not understood, or not as they mean it, in their order.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// What was understood of each document.
    #[must_use]
    pub fn summaries(&self) -> &[Summary] {
        &self.summaries
    }
}

#[cfg(test)]
mod tests;

/// What the fuzz programs call; no release has it.
#[cfg(any(test, recgate_fuzz))]
#[path = "../tests/fuzz/targets.rs"]
pub mod fuzz;
