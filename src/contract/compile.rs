//! From documents to one contract: every operation, its routes, and every reference it makes.
//!
//! What cannot be read costs no more than itself. A server, a path or an operation that is wrong
//! is one [`Note`] with its place; an operation that cannot be read stays known, so that its path
//! is no 404, and everything of it is `unverifiable(operation)`. Only a document without a version
//! or without anything that could be an API is refused as a whole.
//!
//! The schemas themselves are compiled when the first message needs them.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use http::Method;

use super::{
    Contract, DocumentError, Note, Operation, Reason, Route, Summary,
    document::{At, Document, Version},
    form, lint,
    schema::Schemas,
    server::prefixes,
};

/// What speaks of a whole document, gathered while it is read.
struct Reading<'d> {
    root: At<'d>,
    schemas: Schemas,
    notes: Vec<Note>,
    /// The prefixes of the document's own servers.
    servers: Vec<String>,
    operations: usize,
    unreadable: usize,
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

// === impl Contract ===

impl Contract {
    /// Compiles documents that together are one API.
    pub(super) fn compile(documents: &[Arc<Document>]) -> Result<Self, DocumentError> {
        let mut contract = Self::default();
        for document in documents {
            contract.read(document)?;
        }
        contract.ambiguities();
        // An item that several operations share is wrong once.
        let mut seen = HashSet::new();
        contract.notes.retain(|note| seen.insert(note.identity()));
        Ok(contract)
    }

    /// Compiles every schema that messages are judged by, and says which of them leave messages
    /// `unverifiable`: else only a message would show it.
    #[must_use]
    pub fn unverifiable_schemas(&self) -> Vec<Note> {
        let short = self.edges.iter().filter_map(|edge| Some((edge, edge.shortfall()?)));
        let mut notes: Vec<Note> = short
            .map(|(edge, reason)| {
                let (code, message) = match reason {
                    Reason::Pattern => (
                        "schema.pattern",
                        "it reaches a `pattern` that cannot be compiled and is not checked",
                    ),
                    Reason::Cost => (
                        "schema.cost",
                        "it combines more schemas for one value, or reaches more, than is allowed",
                    ),
                    _ => ("schema.unverifiable", "it cannot be compiled"),
                };
                let hint = "values that nothing else speaks against are `unverifiable`";
                Note::warning(edge.error(message).coded(code), hint)
            })
            .collect();
        notes.sort_by_key(|note| (note.source.clone(), note.line, note.column));
        let mut seen = HashSet::new();
        notes.retain(|note| seen.insert(note.identity()));
        notes
    }

    /// What the structure of its documents says that nobody can have meant, and that keeps nothing
    /// from being judged.
    #[must_use]
    pub fn oddities(&self) -> &[Note] {
        &self.oddities
    }

    fn read(&mut self, document: &Arc<Document>) -> Result<(), DocumentError> {
        let root = At { document, pointer: String::new(), value: document.root() };
        if document.version() == Version::Unknown {
            return Err(refused_version(&root));
        }
        let mut notes = Vec::new();
        let servers = prefixes(&root, &mut notes).unwrap_or_else(|| vec![String::new()]);
        let mut reading = Reading {
            root,
            schemas: Schemas::default(),
            notes,
            servers,
            operations: 0,
            unreadable: 0,
        };
        match reading.root.get("paths") {
            Some(paths) => {
                paths.object()?;
                for (template, item) in paths.members() {
                    self.path(template, item, &mut reading);
                }
            }
            None if document.version() == Version::V31 => {
                let other = ["webhooks", "components"];
                if !other.iter().any(|key| reading.root.get(key).is_some()) {
                    let message = "one of `paths`, `webhooks` and `components` must be there";
                    return Err(reading.root.error(message));
                }
                let note = reading.root.error("there are no `paths`, so no message is judged");
                let hint = "say `contract = \"none\"` where nothing is to be checked";
                reading.notes.push(Note::warning(note.coded("document.no-paths"), hint));
            }
            None => return Err(reading.root.error("`paths` is missing")),
        }
        if let Some(webhooks) = reading.root.get("webhooks") {
            let note = webhooks.error("webhooks are not looked at: they come from the vendor");
            reading.notes.push(Note::remark(note.coded("document.webhooks")));
        }
        lint::forms(&reading.root, &mut reading.notes);
        lint::structure(&reading.root, &mut self.oddities);
        self.summaries.push(Summary::of(document, reading.operations, reading.unreadable));
        self.notes.append(&mut reading.notes);
        self.edges.extend(reading.schemas.into_edges());
        Ok(())
    }

    fn path(&mut self, template: &str, item: At<'_>, reading: &mut Reading<'_>) {
        let hint = "none of this path's operations is known";
        let own = item.clone();
        let item = match item.resolved() {
            Ok(item) if item.value.is_object() => item,
            Ok(item) => {
                let error = item.error("a path must be an object");
                return reading.notes.push(Note::error(error.coded("path.form"), hint));
            }
            Err(error) => return reading.notes.push(Note::error(error, hint)),
        };
        // What stands beside a path's `$ref` goes before what it leads to.
        let get = |key: &str| own.get(key).or_else(|| item.get(key));
        let servers = prefixes(&item, &mut reading.notes);
        let shared = get("parameters");
        for (key, method) in METHODS {
            let Some(at) = get(key) else { continue };
            let servers = prefixes(&at, &mut reading.notes)
                .or_else(|| servers.clone())
                .unwrap_or_else(|| reading.servers.clone());
            if let Err(error) = self.route(&at, template, &method, &servers) {
                let hint = "this operation is not known: the first of its kind stays";
                reading.notes.push(Note::error(error, hint));
                continue;
            }
            reading.operations += 1;
            lint::parameters(&at, template, shared.as_ref(), &mut reading.notes);
            let read = Operation::read(
                &at,
                method.clone(),
                template,
                shared.as_ref(),
                &mut reading.schemas,
            )
            // Last, so that what the engine reads itself is said in its own words.
            .and_then(|operation| form::check(&at).map(|()| operation));
            form::unread(&at, &mut reading.notes);
            let operation = read.unwrap_or_else(|error| {
                reading.unreadable += 1;
                let hint = "its messages are `unverifiable(operation)` until this is mended";
                reading.notes.push(Note::error(error, hint));
                Operation::unreadable(&at, method, template)
            });
            self.operations.push(Arc::new(operation));
        }
    }

    /// Lays the routes to the operation that comes next. One that is there already is an error,
    /// unless another prefix still leads to it.
    fn route(
        &mut self,
        at: &At<'_>,
        template: &str,
        method: &Method,
        servers: &[String],
    ) -> Result<(), DocumentError> {
        let mut taken = None;
        let mut laid = false;
        for prefix in servers {
            let (routes, names) = self
                .router
                .entry(&format!("{prefix}{template}"))
                .map_err(|error| at.error(error.to_string()).coded("path.template"))?;
            if let Some(other) = routes.iter().find(|route| route.method == *method) {
                taken = Some(other.operation);
                continue;
            }
            let operation = self.operations.len();
            routes.push(Route { method: method.clone(), names, operation });
            laid = true;
        }
        match taken {
            Some(other) if !laid => Err(at
                .error(format!(
                    "{method} {template} is the same route as {method} {}",
                    self.operations[other].template()
                ))
                .coded("path.duplicate")),
            _ => Ok(()),
        }
    }

    /// Says which templates may match one and the same path, with neither the plainer one: a note
    /// for each that comes second.
    fn ambiguities(&mut self) {
        let first_of = |routes: &Vec<Route>| routes.first().map(|route| route.operation);
        let mut by_second: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (first, second) in self.router.ambiguous(first_of) {
            by_second.entry(second).or_default().push(first);
        }
        for (second, firsts) in by_second {
            let (Some(second), Some(first)) = (
                self.operations.get(second),
                firsts.first().and_then(|first| self.operations.get(*first)),
            ) else {
                continue;
            };
            let others = match firsts.len() - 1 {
                0 => String::new(),
                others => format!(" (and {others} more)"),
            };
            let error = second.error(format!(
                "a path may be both {} and {}{others}, which is tried first: from the left, text \
                 goes before a parameter",
                second.template(),
                first.template()
            ));
            let hint = "a request that means this one may be judged by the other";
            self.notes.push(Note::warning(error.coded("path.ambiguous"), hint));
        }
    }
}

fn refused_version(root: &At<'_>) -> DocumentError {
    let error = match (root.text("openapi"), root.text("swagger")) {
        (Some(_), _) => root.error("`openapi` must be 3.0.x or 3.1.x: no other version is read"),
        (None, Some(_)) => root.error("`swagger` must be \"2.0\": no other version is read"),
        (None, None) if root.get("openapi").is_some_and(|it| it.value.is_number()) => {
            let at = root.document.at("/openapi").unwrap_or_else(|| root.clone());
            at.error("`openapi` is a number, and must be a string: put it in quotes (\"3.0.3\")")
        }
        (None, None) if root.get("swagger").is_some_and(|it| it.value.is_number()) => {
            let at = root.document.at("/swagger").unwrap_or_else(|| root.clone());
            at.error("`swagger` is a number, and must be a string: put it in quotes (\"2.0\")")
        }
        (None, None) => {
            root.error("`openapi` is missing, a string such as \"3.0.3\" (or `swagger: \"2.0\"`)")
        }
    };
    error.coded("document.version")
}
