//! From a method and a raw path to an operation.
//!
//! A tree of segments. A static segment is tried before a templated one, and a branch that ends
//! nowhere is left again, so that `/recordings/softDelete` is never read as an id. A template
//! segment may hold several parameters and text around them (`{id}:action`, `{a}.{b}`).
//!
//! The path is taken as it will be sent: nothing is normalised, an encoded slash stays inside its
//! segment, an empty segment is no value. Only for the comparison with static text is a segment
//! decoded, because the upstream will decode it too: `/%72ecordings` must not slip past the checks
//! of `/recordings`.

use std::{borrow::Cow, collections::BTreeMap};

use percent_encoding::percent_decode_str;

use crate::limits;

/// The routes of one contract.
#[derive(Debug)]
pub(crate) struct Router<T> {
    root: Branch<T>,
}

#[derive(Debug)]
struct Branch<T> {
    fixed: BTreeMap<String, Branch<T>>,
    /// Most specific first.
    templated: Vec<(Template, Branch<T>)>,
    leaf: Option<T>,
}

/// A segment with parameters: text, parameter, text, and so on. Names are not part of it, so that
/// two templates that differ only in names share a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Template {
    /// One more than there are parameters; the first and last may be empty.
    texts: Vec<String>,
}

/// A path template that cannot be a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a path template starts with `/`; a parameter is `{{name}}`, and text stands between two of \
     them in one segment"
)]
pub(crate) struct RouteError;

// === impl Router ===

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self { root: Branch::new() }
    }
}

impl<T: Default> Router<T> {
    /// The value at a template, and the names of the template's parameters in their order.
    pub(crate) fn entry(&mut self, template: &str) -> Result<(&mut T, Vec<String>), RouteError> {
        let path = template.strip_prefix('/').ok_or(RouteError)?;
        let mut names = Vec::new();
        let mut branch = &mut self.root;
        for segment in path.split('/') {
            branch = match Template::parse(segment, &mut names)? {
                None => {
                    branch.fixed.entry(decode(segment).into_owned()).or_insert_with(Branch::new)
                }
                Some(template) => branch.templated(template),
            };
        }
        Ok((branch.leaf.get_or_insert_default(), names))
    }

    /// The value of the most specific template that matches, and the parameters' values in the
    /// template's order, still encoded.
    pub(crate) fn find<'p>(&self, path: &'p str) -> Option<(&T, Vec<&'p str>)> {
        let mut values = Vec::new();
        let leaf = self.root.find(path.strip_prefix('/')?, &mut values)?;
        Some((leaf, values))
    }
}

impl<T> Router<T> {
    /// The pairs of templates that may match one and the same path although neither is plainer
    /// than the other: the one that is tried first, then the other.
    pub(crate) fn ambiguous<K: Ord>(&self, key: impl Fn(&T) -> Option<K>) -> Vec<(K, K)> {
        let mut pairs = Pairs { found: Vec::new(), key, steps: limits::AMBIGUITY_STEPS };
        pairs.inside(&self.root);
        pairs.found.sort_unstable();
        pairs.found.dedup();
        pairs.found
    }
}

/// The search for ambiguous pairs: two branches that one path may reach, walked together.
struct Pairs<K, F> {
    found: Vec<(K, K)>,
    key: F,
    /// Comparisons that are left; a contract that needs more is not searched to its end.
    steps: usize,
}

/// Which of two branches that one path may reach is the plainer so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plainer {
    /// The second, everywhere: the first is rightly tried first.
    Second,
    /// Each somewhere.
    Neither,
}

// === impl Pairs ===

impl<K: Ord, F> Pairs<K, F> {
    /// Pairs that part inside one branch.
    fn inside<T>(&mut self, branch: &Branch<T>)
    where
        F: Fn(&T) -> Option<K>,
    {
        let mut names: Vec<&String> = branch.fixed.keys().collect();
        names.sort_unstable();
        for (index, (template, inner)) in branch.templated.iter().enumerate() {
            for name in &names {
                if self.step() && template.matches(name, &mut Vec::new()) {
                    self.between(&branch.fixed[*name], inner, Plainer::Second);
                }
            }
            for (other, second) in &branch.templated[index + 1..] {
                if self.step() && template.may_meet(other) {
                    let plainer = if other.is_plain() { Plainer::Second } else { Plainer::Neither };
                    self.between(inner, second, plainer);
                }
            }
            self.inside(inner);
        }
        for name in names {
            self.inside(&branch.fixed[name]);
        }
    }

    /// Pairs of which one lies in each branch.
    fn between<T>(&mut self, first: &Branch<T>, second: &Branch<T>, plainer: Plainer)
    where
        F: Fn(&T) -> Option<K>,
    {
        if plainer == Plainer::Neither
            && let (Some(one), Some(two)) = (&first.leaf, &second.leaf)
            && let (Some(one), Some(two)) = ((self.key)(one), (self.key)(two))
        {
            self.found.push((one, two));
        }
        for (name, inner) in &first.fixed {
            if let Some(other) = second.fixed.get(name) {
                self.between(inner, other, plainer);
            }
            for (template, other) in &second.templated {
                if self.step() && template.matches(name, &mut Vec::new()) {
                    self.between(inner, other, plainer);
                }
            }
        }
        for (template, inner) in &first.templated {
            for (name, other) in &second.fixed {
                if self.step() && template.matches(name, &mut Vec::new()) {
                    self.between(inner, other, Plainer::Neither);
                }
            }
            for (second, other) in &second.templated {
                if self.step() && template.may_meet(second) {
                    let still = template == second || second.is_plain();
                    self.between(inner, other, if still { plainer } else { Plainer::Neither });
                }
            }
        }
    }

    fn step(&mut self) -> bool {
        self.steps = self.steps.saturating_sub(1);
        self.steps > 0
    }
}

// === impl Branch ===

impl<T> Branch<T> {
    fn new() -> Self {
        Self { fixed: BTreeMap::new(), templated: Vec::new(), leaf: None }
    }

    fn templated(&mut self, template: Template) -> &mut Self {
        let known = self.templated.iter().position(|(other, _)| *other == template);
        let index = known.unwrap_or_else(|| {
            let weight = template.weight();
            let index = self.templated.partition_point(|(other, _)| other.weight() >= weight);
            self.templated.insert(index, (template, Self::new()));
            index
        });
        &mut self.templated[index].1
    }

    /// Depth first. The contract bounds the depth, however long the path is.
    fn find<'t, 'p>(&'t self, path: &'p str, values: &mut Vec<&'p str>) -> Option<&'t T> {
        let (segment, rest) = match memchr::memchr(b'/', path.as_bytes()) {
            Some(at) => (&path[..at], Some(&path[at + 1..])),
            None => (path, None),
        };
        let fixed = self.fixed.get(decode(segment).as_ref());
        if let Some(leaf) = fixed.and_then(|branch| branch.descend(rest, values)) {
            return Some(leaf);
        }
        for (template, branch) in &self.templated {
            let mark = values.len();
            if template.matches(segment, values)
                && let Some(leaf) = branch.descend(rest, values)
            {
                return Some(leaf);
            }
            values.truncate(mark);
        }
        None
    }

    fn descend<'t, 'p>(
        &'t self,
        rest: Option<&'p str>,
        values: &mut Vec<&'p str>,
    ) -> Option<&'t T> {
        let mark = values.len();
        let leaf = match rest {
            Some(rest) => self.find(rest, values),
            None => self.leaf.as_ref(),
        };
        if leaf.is_none() {
            values.truncate(mark);
        }
        leaf
    }
}

// === impl Template ===

impl Template {
    /// `None` for a segment without parameters.
    fn parse(segment: &str, names: &mut Vec<String>) -> Result<Option<Self>, RouteError> {
        let mut texts = Vec::new();
        let mut rest = segment;
        while let Some((text, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(RouteError)?;
            let touches = text.is_empty() && !texts.is_empty();
            if touches || name.is_empty() || name.contains('{') || text.contains('}') {
                return Err(RouteError);
            }
            names.push(name.to_owned());
            texts.push(text.to_owned());
            rest = after;
        }
        if rest.contains('}') {
            return Err(RouteError);
        }
        if texts.is_empty() {
            return Ok(None);
        }
        texts.push(rest.to_owned());
        Ok(Some(Self { texts }))
    }

    /// The more fixed text a segment has, the earlier it is tried.
    fn weight(&self) -> usize {
        self.texts.iter().map(String::len).sum()
    }

    /// One parameter and nothing else: any segment.
    fn is_plain(&self) -> bool {
        self.texts.len() == 2 && self.weight() == 0
    }

    /// Whether some segment may be both; never a false no.
    fn may_meet(&self, other: &Self) -> bool {
        let ([first, .., last], [other_first, .., other_last]) =
            (self.texts.as_slice(), other.texts.as_slice())
        else {
            return true;
        };
        let starts = first.starts_with(other_first.as_str()) || other_first.starts_with(first);
        let ends = last.ends_with(other_last.as_str()) || other_last.ends_with(last.as_str());
        starts && ends
    }

    /// Puts the parameters' values behind `values`, raw; what it put there on failure is the
    /// caller's to take away. Text that is written with escapes is text all the same.
    fn matches<'p>(&self, segment: &'p str, values: &mut Vec<&'p str>) -> bool {
        let mark = values.len();
        if self.matches_raw(segment, values) {
            return true;
        }
        values.truncate(mark);
        if self.weight() == 0 || !segment.contains('%') {
            return false;
        }
        let Ok(decoded) = percent_decode_str(segment).decode_utf8() else { return false };
        let mut found = Vec::new();
        if !self.matches_raw(&decoded, &mut found) {
            return false;
        }
        // Back to the raw text: each value starts so many decoded bytes in.
        let raw = raw_offsets(segment);
        for value in found {
            let start = value.as_ptr().addr() - decoded.as_ptr().addr();
            let (Some(from), Some(to)) = (raw.get(start), raw.get(start + value.len())) else {
                return false;
            };
            values.extend(segment.get(*from..*to));
        }
        true
    }

    fn matches_raw<'p>(&self, segment: &'p str, values: &mut Vec<&'p str>) -> bool {
        let [first, middle @ .., last] = self.texts.as_slice() else { return false };
        let Some(mut rest) =
            segment.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str()))
        else {
            return false;
        };
        for text in middle {
            // From the second character on: a parameter is never empty.
            let after_first = rest.chars().next().map_or(0, char::len_utf8);
            let Some(at) = rest[after_first..].find(text.as_str()) else { return false };
            let (value, after) = rest.split_at(after_first + at);
            values.push(value);
            rest = &after[text.len()..];
        }
        values.push(rest);
        !rest.is_empty()
    }
}

/// By decoded byte: where it stands in the raw text; its end is the last.
fn raw_offsets(segment: &str) -> Vec<usize> {
    let bytes = segment.as_bytes();
    let mut offsets = Vec::with_capacity(bytes.len() + 1);
    let mut at = 0;
    while at < bytes.len() {
        offsets.push(at);
        let escape = bytes[at] == b'%'
            && bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        at += if escape { 3 } else { 1 };
    }
    offsets.push(at);
    offsets
}

fn decode(segment: &str) -> Cow<'_, str> {
    if memchr::memchr(b'%', segment.as_bytes()).is_none() {
        return Cow::Borrowed(segment);
    }
    percent_decode_str(segment).decode_utf8().unwrap_or(Cow::Borrowed(segment))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::{RouteError, Router};

    fn router(templates: &[&'static str]) -> Router<&'static str> {
        let mut router = Router::default();
        for template in templates {
            *router.entry(template).unwrap().0 = *template;
        }
        router
    }

    #[test]
    fn a_static_segment_goes_before_a_template_and_a_dead_end_is_left() {
        let router = router(&["/r/{id}", "/r/softDelete", "/r/{id}/x", "/r/softDelete/y"]);
        assert_eq!(router.find("/r/softDelete"), Some((&"/r/softDelete", vec![])));
        assert_eq!(router.find("/r/7"), Some((&"/r/{id}", vec!["7"])));
        assert_eq!(router.find("/r/softDelete/x"), Some((&"/r/{id}/x", vec!["softDelete"])));
        assert_eq!(router.find("/r/softDelete/z"), None);
    }

    #[test]
    fn the_path_is_never_normalised_but_hidden_static_text_is_seen() {
        let router = router(&["/r/{id}", "/"]);
        assert_eq!(router.find("/%72/7"), Some((&"/r/{id}", vec!["7"])));
        assert_eq!(router.find("/r/a%2Fb"), Some((&"/r/{id}", vec!["a%2Fb"])));
        assert_eq!(router.find("/"), Some((&"/", vec![])));
        for path in ["/r/", "/r//", "/r/7/", "//r/7", "/x/../r/7", "r/7", ""] {
            assert_eq!(router.find(path), None, "{path}");
        }
    }

    #[test]
    fn a_segment_holds_several_parameters_and_text() {
        let router = router(&["/{id}:start", "/{name}.{kind}", "/{any}"]);
        assert_eq!(router.find("/7:start"), Some((&"/{id}:start", vec!["7"])));
        assert_eq!(router.find("/%37%2F%3Astart"), Some((&"/{id}:start", vec!["%37%2F"])));
        assert_eq!(router.find("/a%2eb%2Ec"), Some((&"/{name}.{kind}", vec!["a", "b%2Ec"])));
        assert_eq!(router.find("/a.b.c"), Some((&"/{name}.{kind}", vec!["a", "b.c"])));
        assert_eq!(router.find("/.b"), Some((&"/{any}", vec![".b"])));
        assert_eq!(router.find("/a."), Some((&"/{any}", vec!["a."])));
    }

    #[test]
    fn a_malformed_template_is_refused() {
        for template in ["x", "/{", "/}", "/{}", "/{a}{b}", "/{a{b}}"] {
            assert_eq!(
                Router::<()>::default().entry(template).err(),
                Some(RouteError),
                "{template}"
            );
        }
    }
}
