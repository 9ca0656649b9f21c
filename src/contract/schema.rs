//! The schemas that messages are judged by: one validator an edge, compiled when first needed.
//!
//! An edge is a place where an operation holds a schema against a message: a body, a parameter, a
//! header. Its schema is lowered to JSON Schema 2020-12 for one direction ([`lower`]) and compiled
//! once, with everything it reaches; edges that lead to the same schema share one validator. A
//! document's other schemas are never compiled.
//!
//! What cannot be compiled is never a pass: a pattern that the linear engine refuses is left out
//! and the verdict is `unverifiable(pattern)` at best, a schema as a whole `unverifiable(schema)`.

mod cost;
mod expected;
mod format;
mod lower;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock},
};

use jsonschema::{PatternOptions, ValidationError, Validator, error::ValidationErrorKind};

use super::{
    Finding, Location, Reason,
    document::{At, Document, DocumentError},
    verdict::Report,
};
use crate::{
    json::{Borrowed, Node},
    limits,
};

pub(crate) use lower::Direction;

/// The schema of an edge, for one direction.
#[derive(Debug)]
pub(crate) struct Schema {
    document: Arc<Document>,
    /// Where the schema stands in the source, references followed.
    pointer: String,
    direction: Direction,
    compiled: OnceLock<Result<Compiled, Reason>>,
}

/// The schemas of a document's edges, each once.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    edges: HashMap<(String, Direction), Arc<Schema>>,
    /// Pointers whose references are known to lead somewhere.
    sound: HashSet<String>,
}

#[derive(Debug)]
struct Compiled {
    validator: Validator<Borrowed>,
    origins: lower::Origins,
    /// A pattern was left out, so that a pass is no pass.
    lacks_pattern: bool,
}

// === impl Schemas ===

impl Schemas {
    /// The edge of a schema. Everything it refers to must exist; an error says what does not.
    pub(crate) fn edge(
        &mut self,
        at: &At<'_>,
        direction: Direction,
    ) -> Result<Arc<Schema>, DocumentError> {
        let at = at.clone().resolved()?;
        lower::check_references(&at, &mut self.sound)?;
        let key = (at.pointer.clone(), direction);
        let edge = self.edges.entry(key).or_insert_with(|| {
            Arc::new(Schema {
                document: Arc::clone(at.document),
                pointer: at.pointer.clone(),
                direction,
                compiled: OnceLock::new(),
            })
        });
        Ok(Arc::clone(edge))
    }
}

impl Schemas {
    /// Every edge, once.
    pub(crate) fn into_edges(self) -> impl Iterator<Item = Arc<Schema>> {
        self.edges.into_values()
    }
}

// === impl Schema ===

impl Schema {
    /// Why values may come out as `unverifiable` here. Compiles the schema.
    pub(crate) fn shortfall(&self) -> Option<Reason> {
        match self.compiled() {
            Err(reason) => Some(reason),
            Ok(compiled) if compiled.lacks_pattern => Some(Reason::Pattern),
            Ok(_) => None,
        }
    }

    /// An error about this schema.
    pub(crate) fn error(&self, message: impl Into<String>) -> DocumentError {
        self.document.error(&self.pointer, message)
    }

    /// The schema as the document has it.
    pub(crate) fn source(&self) -> Option<At<'_>> {
        self.document.at(&self.pointer)
    }

    /// Whether nothing speaks against a value; only [`Self::check`] tells whether that is enough.
    pub(crate) fn accepts(&self, node: &Node<'_>) -> bool {
        self.compiled().is_ok_and(|it| it.validator.is_valid(node))
    }

    /// Checks a value. `name` goes before the pointers of its findings: a parameter's name, or
    /// nothing for a body.
    pub(crate) fn check(&self, node: &Node<'_>, at: Location, name: &str, report: &mut Report) {
        let compiled = match self.compiled() {
            Ok(compiled) => compiled,
            Err(reason) => return report.unverifiable(reason),
        };
        report.checked();
        if compiled.lacks_pattern {
            report.unverifiable(Reason::Pattern);
        } else if compiled.validator.is_valid(node) {
            // Errors cost allocations even where there are none; most messages conform.
            return;
        }
        for error in compiled.validator.iter_errors(node) {
            if compiled.lacks_pattern && depends_on_a_failure(error.kind()) {
                // With the pattern it might have come out otherwise.
                continue;
            }
            if engine_failed(error.kind()) {
                report.unverifiable(Reason::Pattern);
                continue;
            }
            report.finding(compiled.finding(&error, at, name));
        }
    }

    fn compiled(&self) -> Result<&Compiled, Reason> {
        self.compiled.get_or_init(|| self.compile()).as_ref().map_err(|reason| *reason)
    }

    fn compile(&self) -> Result<Compiled, Reason> {
        let at = self.source().ok_or(Reason::Schema)?;
        let lowered = lower::lower(&at, self.direction)?;
        let validator = build(&lowered.schema).ok_or(Reason::Schema)?;
        Ok(Compiled { validator, origins: lowered.origins, lacks_pattern: lowered.lacks_pattern })
    }
}

// === impl Compiled ===

impl Compiled {
    fn finding(&self, error: &ValidationError<'_>, location: Location, name: &str) -> Finding {
        let path = error.schema_path();
        let spec_pointer = self.origins.source_of(path.as_str());
        Finding {
            code: location.schema_code(),
            location,
            pointer: format!("{name}{}", error.instance_path().as_str()),
            keyword: spec_pointer.rsplit('/').next().unwrap_or_default().to_owned(),
            spec_pointer,
            position: None,
            expected: expected::expected(error.kind()),
        }
    }
}

/// Compiles a lowered schema, or tries one pattern.
fn build(schema: &serde_json::Value) -> Option<Validator<Borrowed>> {
    let options = jsonschema::options_for::<Borrowed>()
        .with_draft(jsonschema::Draft::Draft202012)
        .offline()
        .with_pattern_options(PatternOptions::regex().size_limit(limits::PATTERN_BYTES))
        .should_validate_formats(true)
        .should_ignore_unknown_formats(true);
    format::register(options).build(schema).ok()
}

/// Errors that may be there only because a pattern was left out.
fn depends_on_a_failure(kind: &ValidationErrorKind) -> bool {
    matches!(kind, ValidationErrorKind::Not { .. } | ValidationErrorKind::OneOfMultipleValid { .. })
}

/// Whether the engine gave up on a pattern, here or in a branch that the error rests on.
fn engine_failed(kind: &ValidationErrorKind) -> bool {
    match kind {
        ValidationErrorKind::BacktrackLimitExceeded { .. }
        | ValidationErrorKind::RegexEngineFailure { .. } => true,
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            context.iter().flatten().any(|error| engine_failed(error.kind()))
        }
        ValidationErrorKind::PropertyNames { error } => engine_failed(error.kind()),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
