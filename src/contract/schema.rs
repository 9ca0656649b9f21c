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
mod keyword;
mod lower;
mod names;
mod pattern;
mod tell;
mod visits;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock},
};

use jsonschema::{Registry, Retrieve, ValidationOptions, Validator};

use super::{
    Finding, Location, Reason, Undeclared,
    document::{At, Document, DocumentError},
    verdict::Report,
};
use crate::json::{Borrowed, Node};
use crate::limits;
use lower::{Dialect, Extras};
use names::{BASE, Names};
use tell::Teller;

pub(crate) use format::is_known as is_known_format;
pub(crate) use lower::Direction;

type Options<'i> = ValidationOptions<'i, Arc<dyn Retrieve>, Borrowed>;

/// The schema of an edge, for one direction.
#[derive(Debug)]
pub(crate) struct Schema {
    document: Arc<Document>,
    /// Of a 3.1 document.
    names: Option<Arc<Names>>,
    /// Where the schema stands in the source, references followed.
    pointer: String,
    direction: Direction,
    compiled: OnceLock<Result<Compiled, Reason>>,
    /// The same with undeclared properties as faults, for strict mode.
    strict: OnceLock<Result<Compiled, Reason>>,
}

/// The schemas of a document's edges, each once.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    edges: HashMap<(String, Direction), Arc<Schema>>,
    /// Pointers whose references are known to lead somewhere.
    sound: HashSet<String>,
    /// The names in the document, if it is one of 3.1.
    names: Option<Arc<Names>>,
}

#[derive(Debug)]
struct Compiled {
    validator: Validator<Borrowed>,
    origins: lower::Origins,
    /// A pattern of it cannot be compiled.
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
        let at = match Dialect::of(at.document) {
            Dialect::Old => at.clone().settled()?,
            Dialect::Modern => {
                // Keys beside a `$ref` count, so that the edge is here and not where it leads.
                self.names.get_or_insert_with(|| Arc::new(Names::of(at.document)));
                at.clone()
            }
        };
        lower::check_references(&at, self.names.as_deref(), &mut self.sound)?;
        let key = (at.pointer.clone(), direction);
        let edge = self.edges.entry(key).or_insert_with(|| {
            Arc::new(Schema {
                document: Arc::clone(at.document),
                names: self.names.clone(),
                pointer: at.pointer.clone(),
                direction,
                compiled: OnceLock::new(),
                strict: OnceLock::new(),
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
        match self.compiled(Extras::Allowed) {
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
        visits::allow(limits::SCHEMA_VISITS);
        self.compiled(Extras::Allowed).is_ok_and(|it| it.validator.is_valid(node))
    }

    /// Checks a value. `name` goes before the pointers of its findings: a parameter's name, or
    /// nothing for a body.
    pub(crate) fn check(&self, node: &Node<'_>, at: Location, name: &str, report: &mut Report) {
        let before = report.findings();
        self.check_with(Extras::Allowed, node, (at, name), report, Report::finding);
        // A parameter that is an object has no properties but those of its style.
        let undeclared = report.undeclared();
        if at != Location::Body || undeclared == Undeclared::Ignore {
            return;
        }
        // Apart from the rest, so that a property that nobody declared never turns into a fault
        // of another kind (an alternative that fits no more), which would stop the message.
        let holds = report.findings() == before;
        self.check_with(Extras::Faults, node, (at, name), report, |report, mut finding| {
            if holds && finding.code != tell::UNDECLARED {
                finding.code = tell::UNDECLARED;
                tell::STRICT.clone_into(&mut finding.expected);
            }
            if finding.code == tell::UNDECLARED {
                report.undeclared_finding(finding);
            }
        });
    }

    fn check_with(
        &self,
        extras: Extras,
        node: &Node<'_>,
        (location, name): (Location, &str),
        report: &mut Report,
        mut tell: impl FnMut(&mut Report, Finding),
    ) {
        let compiled = match self.compiled(extras) {
            Ok(compiled) => compiled,
            Err(reason) => return report.unverifiable(reason),
        };
        report.checked();
        pattern::gave_up();
        visits::allow(limits::SCHEMA_VISITS);
        // Errors cost allocations even where there are none; most messages conform.
        let is_valid = compiled.validator.is_valid(node);
        let mut is_unsure = pattern::gave_up();
        if visits::are_spent() {
            return report.unverifiable(Reason::Size);
        }
        if is_valid && !is_unsure {
            return;
        }
        visits::allow(limits::SCHEMA_VISITS_TOLD);
        // The library gathers every error before it gives one away, some 800 bytes each.
        let errors: Vec<_> = if node.is_larger_than(limits::VALUES_TOLD) {
            compiled.validator.validate(node).err().into_iter().collect()
        } else {
            compiled.validator.iter_errors(node).collect()
        };
        is_unsure |= pattern::gave_up();
        if is_unsure {
            report.unverifiable(Reason::Pattern);
        }
        if visits::are_spent() {
            if !is_valid && !is_unsure {
                tell(report, self.untold(location, name));
            }
            return;
        }
        let names = self.names.as_deref();
        let teller = Teller { compiled, names, location, name, is_unsure };
        for finding in teller.findings(errors.into_iter(), report) {
            tell(report, finding);
        }
    }

    /// It is broken, and what exactly would cost too much to find out.
    fn untold(&self, location: Location, name: &str) -> Finding {
        Finding {
            code: location.schema_code(),
            location,
            pointer: name.to_owned(),
            spec_pointer: self.pointer.clone(),
            position: None,
            keyword: String::new(),
            expected: "a value of this schema (which rule is broken costs too much to tell)"
                .to_owned(),
        }
    }

    fn compiled(&self, extras: Extras) -> Result<&Compiled, Reason> {
        let compiled = match extras {
            Extras::Allowed => &self.compiled,
            Extras::Faults => &self.strict,
        };
        compiled.get_or_init(|| self.compile(extras)).as_ref().map_err(|reason| *reason)
    }

    fn compile(&self, extras: Extras) -> Result<Compiled, Reason> {
        let at = match &self.names {
            // The names' own document, so that both lead to the same places.
            Some(names) => names.at(&self.pointer),
            None => self.source(),
        };
        let at = at.ok_or(Reason::Schema)?;
        let lowered = lower::lower(&at, self.names.as_deref(), self.direction, extras)?;
        let validator = build(&lowered, self.names.is_some()).ok_or(Reason::Schema)?;
        Ok(Compiled { validator, origins: lowered.origins, lacks_pattern: lowered.lacks_pattern })
    }
}

#[cfg(test)]
thread_local! {
    /// Validators that this thread compiled, those of single patterns included.
    pub(crate) static COMPILED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Compiles a lowered schema.
fn build(lowered: &lower::Lowered, has_names: bool) -> Option<Validator<Borrowed>> {
    #[cfg(test)]
    COMPILED.set(COMPILED.get() + 1);
    let engine = if lowered.backtracks_on_names {
        pattern::Engine::Backtracking
    } else {
        pattern::Engine::Linear
    };
    let mut options = jsonschema::options_for::<Borrowed>()
        .with_draft(jsonschema::Draft::Draft202012)
        .offline()
        .should_validate_formats(true)
        .should_ignore_unknown_formats(true);
    if has_names {
        options = options.with_base_uri(BASE);
    }
    let options = keyword::register(pattern::with_engine(options, engine));
    if lowered.meta_schemas.is_empty() {
        return options.build(&lowered.schema).ok();
    }
    let mut registry = Registry::new();
    for (uri, text) in &lowered.meta_schemas {
        registry = registry.add(uri.as_str(), text).ok()?;
    }
    let registry = registry.prepare().ok()?;
    options.with_registry(&registry).build(&lowered.schema).ok()
}

#[cfg(test)]
mod tests;
