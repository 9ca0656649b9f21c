//! The schemas that messages are judged by: one validator an edge, compiled when first needed.
//!
//! An edge is a place where an operation holds a schema against a message: a body, a parameter, a
//! header. Its schema is lowered to JSON Schema 2020-12 for one direction ([`lower`]) and compiled
//! once, with everything it reaches; edges that lead to the same schema share one validator, and so
//! do those that reach the same large part of a document ([`links`]). A document's other schemas are
//! never compiled.
//!
//! What cannot be compiled is never a pass: a pattern that the linear engine refuses is left out
//! and the verdict is `unverifiable(pattern)` at best, a schema as a whole `unverifiable(schema)`.

mod applicators;
mod choice;
mod circle;
mod cost;
mod expected;
mod format;
mod keyword;
mod links;
mod lower;
mod names;
mod pattern;
mod tell;
mod visits;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, OnceLock},
};

use jsonschema::{Retrieve, ValidationOptions};

use super::{
    Finding, Location, Reason, Undeclared,
    document::{At, DocumentError},
    verdict::Report,
};
use crate::json::{Borrowed, Indices, Node};
use crate::limits;
use circle::{Circle, Ground, Judge};
use links::Links;
use lower::{Dialect, Extras};
use names::Names;
use tell::Teller;

pub(crate) use applicators::{LISTS, MAPS, SINGLE};
#[cfg(test)]
pub(crate) use circle::COMPILED;
pub(crate) use format::is_known as is_known_format;
pub(crate) use lower::Direction;

type Options<'i> = ValidationOptions<'i, Arc<dyn Retrieve>, Borrowed>;

/// The schema of an edge, for one direction.
#[derive(Debug)]
pub(crate) struct Schema {
    ground: Ground,
    /// Where the schema stands in the source, references followed.
    pointer: String,
    /// Those that it is compiled with, and its number among them; set once all edges are known.
    circle: OnceLock<(Arc<Circle>, usize)>,
    compiled: OnceLock<Result<Judge, Reason>>,
    /// The same with undeclared properties as faults, for strict mode.
    strict: OnceLock<Result<Judge, Reason>>,
}

/// The schemas of a document's edges, each once.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    /// With the number that the links know an edge by.
    edges: BTreeMap<(String, Direction), (Arc<Schema>, usize)>,
    links: Links,
    /// The names in the document, if it is one of 3.1.
    names: Option<Arc<Names>>,
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
        let number = lower::check_references(&at, self.names.as_deref(), &mut self.links)?;
        let key = (at.pointer.clone(), direction);
        let (edge, _) = self.edges.entry(key).or_insert_with(|| {
            let ground =
                Ground { document: Arc::clone(at.document), names: self.names.clone(), direction };
            let schema = Schema {
                ground,
                pointer: at.pointer.clone(),
                circle: OnceLock::new(),
                compiled: OnceLock::new(),
                strict: OnceLock::new(),
            };
            (Arc::new(schema), number)
        });
        Ok(Arc::clone(edge))
    }

    /// Every edge, once, each knowing those it is compiled with.
    pub(crate) fn into_edges(self) -> impl Iterator<Item = Arc<Schema>> {
        let numbers: Vec<usize> = self.edges.values().map(|it| it.1).collect();
        let mut circles: HashMap<_, Vec<&Arc<Schema>>> = HashMap::new();
        for ((edge, _), hub) in self.edges.values().zip(self.links.hubs(&numbers)) {
            let Some(hub) = hub else { continue };
            let names = self.names.as_ref();
            let is_outside = names.is_none_or(|it| it.is_outside(&edge.pointer));
            circles.entry((hub, edge.ground.direction, is_outside)).or_default().push(edge);
        }
        for members in circles.into_values().filter(|it| it.len() > 1) {
            let pointers = members.iter().map(|it| it.pointer.clone()).collect();
            let circle = Arc::new(Circle::new(members[0].ground.clone(), pointers));
            for (number, edge) in members.into_iter().enumerate() {
                // It was made here, and nobody else sets it.
                let _ = edge.circle.set((Arc::clone(&circle), number));
            }
        }
        self.edges.into_values().map(|it| it.0)
    }
}

// === impl Schema ===

impl Schema {
    /// Why values may come out as `unverifiable` here. Compiles the schema.
    pub(crate) fn shortfall(&self) -> Option<Reason> {
        match self.compiled(Extras::Allowed) {
            Err(reason) => Some(reason),
            Ok(judge) if judge.lacks_pattern() => Some(Reason::Pattern),
            Ok(_) => None,
        }
    }

    /// An error about this schema.
    pub(crate) fn error(&self, message: impl Into<String>) -> DocumentError {
        self.ground.document.error(&self.pointer, message)
    }

    /// The schema as the document has it.
    pub(crate) fn source(&self) -> Option<At<'_>> {
        self.ground.document.at(&self.pointer)
    }

    /// Whether nothing speaks against a value; only [`Self::check`] tells whether that is enough.
    pub(crate) fn accepts(&self, node: &Node<'_>) -> bool {
        visits::allow(limits::SCHEMA_VISITS);
        self.compiled(Extras::Allowed).is_ok_and(|it| it.is_valid(node))
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
        let judge = match self.compiled(extras) {
            Ok(judge) => judge,
            Err(reason) => return report.unverifiable(reason),
        };
        report.checked();
        pattern::gave_up();
        visits::allow(limits::SCHEMA_VISITS);
        // Errors cost allocations even where there are none; most messages conform.
        let is_valid = judge.is_valid(node);
        let mut is_unsure = pattern::gave_up();
        if visits::are_spent() {
            return report.unverifiable(Reason::Size);
        }
        if is_valid && !is_unsure {
            return;
        }
        visits::allow(limits::SCHEMA_VISITS_TOLD);
        let errors: Vec<_> = if node.is_larger_than(limits::VALUES_TOLD) {
            judge.first_error(node).into_iter().collect()
        } else {
            judge.errors(node)
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
        let names = self.ground.names.as_deref();
        let teller = Teller { compiled: &judge.compiled, node, names, location, name, is_unsure };
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
            indices: Indices::default(),
            keyword: String::new(),
            expected: "a value of this schema (which rule is broken costs too much to tell)"
                .to_owned(),
        }
    }

    fn compiled(&self, extras: Extras) -> Result<&Judge, Reason> {
        let compiled = match extras {
            Extras::Allowed => &self.compiled,
            Extras::Faults => &self.strict,
        };
        let compile = || {
            let shared = self.circle.get().and_then(|(circle, edge)| circle.judge(*edge, extras));
            shared.map_or_else(|| self.ground.alone(&self.pointer, extras), Ok)
        };
        compiled.get_or_init(compile).as_ref().map_err(|reason| *reason)
    }
}

#[cfg(test)]
mod tests;
