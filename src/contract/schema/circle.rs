//! Compiled validators, and edges that share one.
//!
//! Edges that meet in the same hub ([`super::links`]) are compiled together when the first of them
//! is needed. Where that does not work (one of them cannot be compiled, or all of them are too
//! much) each is compiled alone, so that none is `unverifiable` because of its neighbours.

use std::sync::{Arc, OnceLock};

use jsonschema::{Registry, ValidationError, Validator};

use super::{
    Direction, Extras, Options, Reason, choice, keyword,
    lower::{self, Lowered, Origins},
    names::{BASE, Names},
    pattern,
};
use crate::{
    contract::document::{At, Document},
    json::{Borrowed, Node},
};

/// Where schemas are compiled from.
#[derive(Clone, Debug)]
pub(super) struct Ground {
    pub(super) document: Arc<Document>,
    /// Of a 3.1 document.
    pub(super) names: Option<Arc<Names>>,
    pub(super) direction: Direction,
}

/// Edges that share a validator.
#[derive(Debug)]
pub(super) struct Circle {
    ground: Ground,
    pointers: Vec<String>,
    compiled: OnceLock<Option<Arc<Compiled>>>,
    /// In strict mode.
    strict: OnceLock<Option<Arc<Compiled>>>,
}

/// A validator of one or more edges.
#[derive(Debug)]
pub(super) struct Compiled {
    validator: Validator<Borrowed>,
    pub(super) origins: Origins,
    /// By edge: a pattern that it reaches cannot be compiled.
    lacks_pattern: Vec<bool>,
}

/// An edge with its validator.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    pub(super) compiled: Arc<Compiled>,
    edge: usize,
}

#[cfg(test)]
thread_local! {
    /// Validators that this thread compiled, those of single patterns included.
    pub(crate) static COMPILED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

// === impl Ground ===

impl Ground {
    /// Compiles the schema at a pointer alone.
    pub(super) fn alone(&self, pointer: &str, extras: Extras) -> Result<Judge, Reason> {
        let compiled = self.compile(&[pointer], extras)?;
        Ok(Judge { compiled: Arc::new(compiled), edge: 0 })
    }

    fn compile(&self, pointers: &[&str], extras: Extras) -> Result<Compiled, Reason> {
        let at = |pointer: &&str| match &self.names {
            // The names' own document, so that both lead to the same places.
            Some(names) => names.at(pointer),
            None => self.document.at(pointer),
        };
        let edges: Option<Vec<At<'_>>> = pointers.iter().map(at).collect();
        let edges = edges.ok_or(Reason::Schema)?;
        let lowered = lower::lower(&edges, self.names.as_deref(), self.direction, extras)?;
        let validator = build(&lowered, self.names.is_some()).ok_or(Reason::Schema)?;
        let Lowered { origins, lacks_pattern, .. } = lowered;
        Ok(Compiled { validator, origins, lacks_pattern })
    }
}

// === impl Circle ===

impl Circle {
    pub(super) fn new(ground: Ground, pointers: Vec<String>) -> Self {
        Self { ground, pointers, compiled: OnceLock::new(), strict: OnceLock::new() }
    }

    /// The validator for the edge of a number; none where the edges cannot be compiled together.
    pub(super) fn judge(&self, edge: usize, extras: Extras) -> Option<Judge> {
        let compiled = match extras {
            Extras::Allowed => &self.compiled,
            Extras::Faults => &self.strict,
        };
        let pointers = || self.pointers.iter().map(String::as_str).collect::<Vec<_>>();
        let together = || self.ground.compile(&pointers(), extras).ok().map(Arc::new);
        let compiled = Arc::clone(compiled.get_or_init(together).as_ref()?);
        Some(Judge { compiled, edge })
    }
}

// === impl Judge ===

impl Judge {
    /// Whether a pattern that the edge reaches cannot be compiled.
    pub(super) fn lacks_pattern(&self) -> bool {
        self.compiled.lacks_pattern.get(self.edge).copied().unwrap_or(true)
    }

    pub(super) fn is_valid(&self, node: &Node<'_>) -> bool {
        choice::choose(self.edge);
        self.compiled.validator.is_valid(node)
    }

    /// The first error.
    pub(super) fn first_error<'n>(&self, node: &'n Node<'n>) -> Option<ValidationError<'n>> {
        choice::choose(self.edge);
        self.compiled.validator.validate(node).err()
    }

    /// Every error. The library gathers them all before it gives one away, some 800 bytes each.
    pub(super) fn errors<'n>(&'n self, node: &'n Node<'n>) -> Vec<ValidationError<'n>> {
        choice::choose(self.edge);
        self.compiled.validator.iter_errors(node).collect()
    }
}

/// Compiles lowered schemas.
fn build(lowered: &Lowered, has_names: bool) -> Option<Validator<Borrowed>> {
    #[cfg(test)]
    COMPILED.set(COMPILED.get() + 1);
    let engine = if lowered.backtracks_on_names {
        pattern::Engine::Backtracking
    } else {
        pattern::Engine::Linear
    };
    let mut options: Options<'_> = jsonschema::options_for::<Borrowed>()
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
