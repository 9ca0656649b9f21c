//! Patterns: on the linear engine where it takes them, else by backtracking with a limit.
//!
//! The linear engine knows no look-around and no back-references, and documents use them. The
//! other engine does, and may need exponential time; it gives up after
//! [`limits::PATTERN_BACKTRACKS`] steps. What it gave up on is neither a match nor none, wherever
//! in the schema the pattern stands (under a `not` a failure would be a pass): so the pattern
//! counts as matched there, the fact is noted for the message ([`gave_up`]), and the message's
//! verdict is `unverifiable(pattern)` at best.

mod ecma;

use std::cell::Cell;

use jsonschema::{PatternOptions, Validator, error::ValidationErrorKind};
use serde_json::{Value, json};

use super::Options;
use crate::{
    json::{Borrowed, Node},
    limits,
};

/// What matches a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Linear,
    Backtracking,
}

/// A pattern that is matched by backtracking.
#[derive(Debug)]
pub(super) struct Backtracking(Validator<Borrowed>);

thread_local! {
    static GAVE_UP: Cell<bool> = const { Cell::new(false) };
}

/// Whether a pattern was given up on in this thread since the last question.
pub(super) fn gave_up() -> bool {
    GAVE_UP.replace(false)
}

/// Notes that a pattern was not judged.
pub(super) fn give_up() {
    GAVE_UP.set(true);
}

/// The engine that takes a pattern, and the pattern as it reads it; none if no engine does.
pub(super) fn engine_for(pattern: &Value) -> Option<(Engine, Value)> {
    let text = ecma::written(pattern.as_str()?)?;
    let is_hard = text.len() <= limits::BACKTRACKING_PATTERN_BYTES && needs_backtracking(&text);
    let pattern = Value::String(text);
    if alone(&pattern, Engine::Linear).is_some() {
        return Some((Engine::Linear, pattern));
    }
    if !is_hard {
        return None;
    }
    alone(&pattern, Engine::Backtracking).map(|_| (Engine::Backtracking, pattern))
}

/// The options with an engine.
pub(super) fn with_engine(options: Options<'_>, engine: Engine) -> Options<'_> {
    match engine {
        Engine::Linear => {
            options.with_pattern_options(PatternOptions::regex().size_limit(limits::PATTERN_BYTES))
        }
        Engine::Backtracking => options.with_pattern_options(
            PatternOptions::fancy_regex()
                .backtrack_limit(limits::PATTERN_BACKTRACKS)
                .size_limit(limits::PATTERN_BYTES),
        ),
    }
}

/// Whether a pattern looks around or refers back. One that is only too large stays refused.
fn needs_backtracking(pattern: &str) -> bool {
    let looks = ["(?=", "(?!", "(?<=", "(?<!", "\\k<"];
    let refers =
        pattern.as_bytes().windows(2).any(|it| it[0] == b'\\' && matches!(it[1], b'1'..=b'9'));
    refers || looks.iter().any(|it| pattern.contains(it))
}

fn alone(pattern: &Value, engine: Engine) -> Option<Validator<Borrowed>> {
    #[cfg(test)]
    super::COMPILED.set(super::COMPILED.get() + 1);
    let options =
        jsonschema::options_for::<Borrowed>().with_draft(jsonschema::Draft::Draft202012).offline();
    with_engine(options, engine).build(&json!({ "pattern": pattern })).ok()
}

// === impl Backtracking ===

impl Backtracking {
    pub(super) fn new(pattern: &Value) -> Option<Self> {
        alone(pattern, Engine::Backtracking).map(Self)
    }

    /// Whether a string matches, or was given up on.
    pub(super) fn takes(&self, node: &Node<'_>) -> bool {
        let Err(error) = self.0.validate(node) else { return true };
        let is_told = matches!(error.kind(), ValidationErrorKind::Pattern { .. });
        if !is_told {
            give_up();
        }
        !is_told
    }
}
