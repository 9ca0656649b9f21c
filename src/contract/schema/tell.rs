//! From the validator's errors to findings that a person can act on.
//!
//! Where no alternative of an `anyOf` or `oneOf` fits, the errors of the nearest one are told and
//! the others are only counted: fifty reasons why a cat is no dog help nobody. Nearest is the one
//! of the right JSON type, whose constants hold, with the fewest errors, the deepest first. Where
//! every alternative wants another JSON type, or several are equally near, there is no nearest
//! one, and a single finding names what they want.
//!
//! A `discriminator` with a missing or unknown value is one finding: what `enum` or `required` say
//! of the same property is left out. The same rule broken at the same place is told once, however
//! many ways lead to it.

use std::{cmp::Reverse, collections::HashSet};

use jsonschema::{ValidationError, error::ValidationErrorKind as Kind};
use percent_encoding::percent_decode_str;

use super::{
    circle::Compiled,
    expected::expected,
    keyword,
    names::{BASE, Names},
};
use crate::{
    contract::{Finding, Location, Reason, verdict::Report},
    json::{Indices, Node, escape_token},
    limits,
};

/// The code of what strict mode finds.
pub(super) const UNDECLARED: &str = "body.undeclared";
/// What it expected.
pub(super) const STRICT: &str = "no properties but those of the schema (strict)";

/// Makes findings of the errors of one value.
pub(super) struct Teller<'c> {
    pub(super) compiled: &'c Compiled,
    /// What was judged.
    pub(super) node: &'c Node<'c>,
    pub(super) names: Option<&'c Names>,
    pub(super) location: Location,
    /// Goes before the pointers.
    pub(super) name: &'c str,
    /// Some pattern was not matched, so that errors may rest on that.
    pub(super) is_unsure: bool,
}

// === impl Teller ===

impl Teller<'_> {
    /// The findings; what the engine gave up on makes the report `unverifiable`.
    pub(super) fn findings<'e>(
        &self,
        errors: impl Iterator<Item = ValidationError<'e>>,
        report: &mut Report,
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut discriminated = HashSet::new();
        // Where no alternative fits, none of them declares anything.
        let mut undecided = HashSet::new();
        for error in errors {
            if matches!(error.kind(), Kind::AnyOf { .. } | Kind::OneOfNotValid { .. }) {
                undecided.insert(format!("{}{}", self.name, error.instance_path().as_str()));
            }
            if engine_failed(error.kind()) {
                report.unverifiable(Reason::Pattern);
            } else if !self.is_unsure || !may_rest_on_a_pattern(&error) {
                self.error(&error, None, &mut findings, &mut discriminated);
            }
        }
        let mut told = HashSet::new();
        findings.retain(|finding| {
            let is_shadow = finding.keyword != "discriminator"
                && discriminated.contains(&finding.pointer)
                || discriminated.contains(&missing(finding))
                || finding.code == UNDECLARED && undecided.contains(&finding.pointer);
            let key = (finding.pointer.clone(), finding.spec_pointer.clone());
            // `required` tells each missing name by its own finding at the same place.
            !is_shadow && told.insert((key, finding.expected.clone()))
        });
        findings
    }

    fn error(
        &self,
        error: &ValidationError<'_>,
        folded: Option<usize>,
        findings: &mut Vec<Finding>,
        discriminated: &mut HashSet<String>,
    ) {
        if let Kind::AnyOf { context } | Kind::OneOfNotValid { context } = error.kind()
            && let Some(nearest) = nearest(error, context)
        {
            for inner in nearest {
                self.error(inner, Some(context.len()), findings, discriminated);
            }
            return;
        }
        let mut finding = self.finding(error);
        if let Kind::AnyOf { context } | Kind::OneOfNotValid { context } = error.kind() {
            finding.expected = wanted(&finding.expected, context);
        }
        if finding.keyword == "discriminator" {
            // The schema's own word for the property, never the message's.
            let property = finding.expected.strip_prefix("the property ").unwrap_or_default();
            let property = property.split(" to be one of ").next().unwrap_or_default();
            discriminated.insert(format!("{}/{}", finding.pointer, escape_token(property)));
        }
        if let Some(alternatives) = folded.filter(|it| *it > 1) {
            finding.expected =
                format!("{} (by the nearest of {alternatives} alternatives)", finding.expected);
        }
        findings.push(finding);
    }

    fn finding(&self, error: &ValidationError<'_>) -> Finding {
        let spec_pointer = self.spec_pointer(error);
        let here = error.instance_path().as_str();
        let indices = Indices::of(here, self.node).behind(self.name);
        if self.compiled.origins.is_strict(error.schema_path().as_str()) {
            let (spec_pointer, _) = spec_pointer.rsplit_once('/').unwrap_or_default();
            return Finding {
                code: UNDECLARED,
                location: self.location,
                pointer: format!("{}{here}", self.name),
                indices,
                spec_pointer: format!("{spec_pointer}/properties"),
                position: None,
                keyword: "properties".to_owned(),
                expected: STRICT.to_owned(),
            };
        }
        Finding {
            code: self.location.schema_code(),
            location: self.location,
            pointer: format!("{}{here}", self.name),
            indices,
            keyword: spec_pointer.rsplit('/').next().unwrap_or_default().to_owned(),
            spec_pointer,
            position: None,
            expected: expected(error.kind()),
        }
    }

    /// Where the rule stands in the source. A place that was reached by `$dynamicRef` counts from
    /// its own resource.
    fn spec_pointer(&self, error: &ValidationError<'_>) -> String {
        let absolute = error.absolute_keyword_location().map(jsonschema::Uri::as_str);
        if let Some((resource, fragment)) = absolute.and_then(|uri| uri.split_once('#'))
            && resource != BASE
            && let Some(root) = self.names.and_then(|names| names.source_of(resource))
        {
            let fragment = percent_decode_str(fragment).decode_utf8_lossy();
            return keyword::in_words(format!("{root}{fragment}"));
        }
        self.compiled.origins.source_of(error.schema_path().as_str())
    }
}

/// The property that a finding of `required` misses, as a pointer.
fn missing(finding: &Finding) -> String {
    let name = finding.expected.strip_prefix("the property ").unwrap_or_default();
    let name = name.split(" (by the nearest of ").next().unwrap_or_default();
    if finding.keyword == "required" {
        format!("{}/{}", finding.pointer, escape_token(name))
    } else {
        String::new()
    }
}

/// The errors of the alternative that comes nearest; none where each wants another JSON type, and
/// none where two are equally near: then to name one would say that the other will not do.
fn nearest<'e>(
    parent: &ValidationError<'_>,
    context: &'e [Vec<ValidationError<'static>>],
) -> Option<&'e [ValidationError<'static>]> {
    let here = parent.instance_path().as_str();
    let is_here = |error: &ValidationError<'_>| error.instance_path().as_str() == here;
    let wants_another_type = |errors: &[ValidationError<'_>]| {
        errors.iter().any(|error| {
            is_here(error) && matches!(error.kind(), Kind::Type { .. } | Kind::FalseSchema)
        })
    };
    let depth = |error: &ValidationError<'_>| error.instance_path().as_str().matches('/').count();
    let distance = |errors: &Vec<ValidationError<'_>>| {
        let constants = errors
            .iter()
            .filter(|it| matches!(it.kind(), Kind::Constant { .. } | Kind::Enum { .. }));
        (constants.count(), errors.len(), Reverse(errors.iter().map(depth).max()))
    };
    let fitting = context.iter().filter(|it| !it.is_empty() && !wants_another_type(it));
    let nearest = fitting.clone().min_by_key(|it| distance(it))?;
    let equally_near = fitting.filter(|it| distance(it) == distance(nearest)).count();
    (equally_near == 1).then_some(nearest.as_slice())
}

/// What the alternatives want, each by its first error.
fn wanted(expected_of_all: &str, context: &[Vec<ValidationError<'static>>]) -> String {
    let mut wanted: Vec<String> = Vec::new();
    for error in context.iter().filter_map(|errors| errors.first()) {
        let one = expected(error.kind());
        if !wanted.contains(&one) && wanted.len() < limits::ENUM_VALUES_SHOWN {
            wanted.push(one);
        }
    }
    if wanted.is_empty() {
        return expected_of_all.to_owned();
    }
    format!("{expected_of_all}: {}", wanted.join("; or "))
}

/// Errors that may be there only because a pattern was left out or given up on: it counts as
/// matched, and these turn a match into a fault.
fn may_rest_on_a_pattern(error: &ValidationError<'_>) -> bool {
    let by_kind = matches!(
        error.kind(),
        Kind::Not { .. }
            | Kind::OneOfMultipleValid { .. }
            | Kind::Contains
            | Kind::AdditionalProperties { .. }
            | Kind::UnevaluatedProperties { .. }
            | Kind::UnevaluatedItems { .. }
    );
    let path = error.schema_path().as_str();
    by_kind || path.contains("/then/") || path.contains("/else/")
}

/// Whether the engine gave up on a pattern, here or in a branch that the error rests on.
fn engine_failed(kind: &Kind) -> bool {
    match kind {
        Kind::BacktrackLimitExceeded { .. } | Kind::RegexEngineFailure { .. } => true,
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
            context.iter().flatten().any(|error| engine_failed(error.kind()))
        }
        Kind::PropertyNames { error } => engine_failed(error.kind()),
        _ => false,
    }
}
