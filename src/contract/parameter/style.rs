//! Styles: how a value is laid out in a text, and how it is cut out again.
//!
//! The styles are those of the specification's table (3.0.4 and 3.1.1, "Style Examples"). Where
//! the versions or their readers differ, a text has several cuts, the specification's own first:
//! `label` without `explode` parts by dots in 3.0.3 and by commas in 3.0.4; the SDKs of many
//! vendors write the commas of a list as `%2C`; an empty text where the parts stand together is a
//! list of one empty text, or (an empty list, joined) an empty list. Whether one of the cuts is
//! right is for the schema to say.
//!
//! Cutting comes before decoding, so an encoded delimiter is part of a value. What the table
//! leaves open (`n/a`) is [`Misread::Undefined`], save for `spaceDelimited` and `pipeDelimited`
//! with `explode`, which everyone writes like `form`.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
};

use super::{Types, shape::Shape, text::Escapes};

/// A style of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Simple,
    Label,
    Matrix,
    Form,
    SpaceDelimited,
    PipeDelimited,
    DeepObject,
}

/// Whether the parts of a value stand together or each for itself (`explode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parts {
    Together,
    Apart,
}

/// How a value is laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) style: Style,
    pub(crate) parts: Parts,
    pub(crate) escapes: Escapes,
}

/// Names, decoded, and values as they came.
pub(crate) type Pairs<'q> = Vec<(Cow<'q, str>, &'q str)>;

/// A text, cut and decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cut<'r> {
    One(Cow<'r, str>),
    List(Vec<Cow<'r, str>>),
    /// Names in the order they were met, each with all of its values.
    Members(Vec<(Cow<'r, str>, Vec<Cow<'r, str>>)>),
}

/// Why a text has no reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misread {
    /// Its escapes are none, or not UTF-8.
    Encoding,
    /// It is there more than once, and not a list.
    Duplicate,
    /// It is not laid out like this.
    Layout(&'static str),
    /// The specification does not say how this is laid out.
    Undefined,
}

type Cuts<'r> = Result<Vec<Cut<'r>>, Misread>;

// === impl Style ===

impl Style {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "simple" => Self::Simple,
            "label" => Self::Label,
            "matrix" => Self::Matrix,
            "form" => Self::Form,
            "spaceDelimited" => Self::SpaceDelimited,
            "pipeDelimited" => Self::PipeDelimited,
            "deepObject" => Self::DeepObject,
            _ => return None,
        })
    }
}

// === impl Layout ===

impl Layout {
    /// Whether an object of this layout has its members among the names of a query.
    pub(crate) fn spreads(self, shape: &Shape) -> bool {
        self.style == Style::Form && self.parts == Parts::Apart && shape.types.only(Types::OBJECT)
    }

    /// Cuts a value that stands alone: in a path or a header.
    pub(crate) fn cut_text<'r>(self, name: &str, text: &'r str, shape: &Shape) -> Cuts<'r> {
        let delimiters = match (self.style, self.parts) {
            (Style::Matrix, _) => return self.cut_matrix(name, text, shape),
            (Style::Label, parts) => {
                let text =
                    text.strip_prefix('.').ok_or(Misread::Layout("a dot before the value"))?;
                let first: &[&[&str]] =
                    if parts == Parts::Apart { &[&["."]] } else { &[&[","], &["."]] };
                return self.cut_value(text, first, shape);
            }
            _ => &[","],
        };
        self.cut_value(text, &[delimiters], shape)
    }

    /// Cuts a value out of the pairs of a query, a form or a cookie. `claimed` says whether a
    /// name belongs to another parameter. Nothing, where it is not there.
    pub(crate) fn cut_pairs<'r>(
        self,
        name: &str,
        pairs: &Pairs<'r>,
        shape: &Shape,
        claimed: &dyn Fn(&str) -> bool,
    ) -> Cuts<'r> {
        if self.style == Style::DeepObject {
            return self.cut_deep(name, pairs, shape);
        }
        if self.spreads(shape) {
            let taken = pairs.iter().filter(|(other, _)| shape.takes(other) && !claimed(other));
            let members = self.members(taken.map(|(name, raw)| (name.clone(), *raw)))?;
            return Ok(if members.is_empty() { Vec::new() } else { vec![Cut::Members(members)] });
        }
        let raw: Vec<&str> = pairs.iter().filter(|it| it.0 == name).map(|it| it.1).collect();
        match (raw.as_slice(), self.parts) {
            ([], _) => Ok(Vec::new()),
            ([text], Parts::Together) => self.cut_value(text, &[self.delimiters()], shape),
            (several, Parts::Apart) => self.cut_repeated(several, shape),
            (_, Parts::Together) => Err(Misread::Duplicate),
        }
    }

    const fn delimiters(self) -> &'static [&'static str] {
        match self.style {
            Style::SpaceDelimited => &["%20", "+", " "],
            Style::PipeDelimited => &["|", "%7C", "%7c"],
            _ => &[","],
        }
    }

    fn cut_repeated<'r>(self, texts: &[&'r str], shape: &Shape) -> Cuts<'r> {
        let mut cuts = Vec::new();
        let decoded = self.decode_all(texts.iter().copied())?;
        if let [one] = decoded.as_slice()
            && shape.types.has(Types::SCALAR)
        {
            cuts.push(Cut::One(one.clone()));
        }
        if shape.types.has(Types::ARRAY) {
            cuts.push(Cut::List(decoded));
        } else if cuts.is_empty() {
            let is_one = texts.len() == 1;
            return Err(if is_one { Misread::Undefined } else { Misread::Duplicate });
        }
        Ok(cuts)
    }

    /// Cuts one text by the first of several kinds of delimiters, then by the next.
    fn cut_value<'r>(self, text: &'r str, kinds: &[&[&str]], shape: &Shape) -> Cuts<'r> {
        let mut cuts = Vec::new();
        let whole = self.escapes.decode(text).ok_or(Misread::Encoding)?;
        let is_list = shape.types.has(Types::ARRAY);
        let is_object = shape.types.has(Types::OBJECT);
        if shape.types.has(Types::SCALAR) {
            cuts.push(Cut::One(whole.clone()));
        }
        if text.is_empty() {
            if is_list {
                cuts.extend([Cut::List(vec![whole]), Cut::List(Vec::new())]);
            }
            if is_object {
                cuts.push(Cut::Members(Vec::new()));
            }
            return Ok(cuts);
        }
        if !is_list && !is_object {
            return Ok(cuts);
        }
        let mut misread = None;
        for delimiters in kinds {
            let pieces = split(text, delimiters);
            if is_list {
                cuts.push(Cut::List(self.decode_all(pieces.iter().copied())?));
            }
            if is_object {
                match self.paired(&pieces) {
                    Ok(members) => cuts.push(Cut::Members(members)),
                    Err(fault) => misread = Some(fault),
                }
            }
        }
        // A list whose delimiters were encoded with the rest of it.
        let comma = kinds.first().is_some_and(|it| it.contains(&","));
        if comma && !text.contains(',') && whole.contains(',') {
            let pieces: Vec<Cow<'r, str>> =
                whole.split(',').map(|piece| Cow::Owned(piece.to_owned())).collect();
            if is_object && pieces.len().is_multiple_of(2) && self.parts == Parts::Together {
                let (names, values): (Vec<_>, Vec<_>) =
                    pieces.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).unzip();
                let members = grouped(names.into_iter().zip(values));
                cuts.push(Cut::Members(members));
            }
            if is_list {
                cuts.push(Cut::List(pieces));
            }
        }
        match misread {
            Some(misread) if cuts.is_empty() => Err(misread),
            _ => Ok(cuts),
        }
    }

    /// `;color=blue`, `;R=100;G=200`.
    fn cut_matrix<'r>(self, name: &str, text: &'r str, shape: &Shape) -> Cuts<'r> {
        let text = text
            .strip_prefix(';')
            .ok_or(Misread::Layout("a semicolon and the parameter's name before the value"))?;
        let own = |piece: &'r str| {
            let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
            (self.escapes.decode(key).as_deref() == Some(name)).then_some(value)
        };
        if self.parts == Parts::Together {
            let value =
                own(text).ok_or(Misread::Layout("the parameter's name before the value"))?;
            return self.cut_value(value, &[&[","]], shape);
        }
        let pieces: Vec<&str> = text.split(';').collect();
        if let Some(values) = pieces.iter().map(|piece| own(piece)).collect::<Option<Vec<_>>>()
            && shape.types.has(Types::SCALAR | Types::ARRAY)
        {
            return self.cut_repeated(&values, shape);
        }
        if shape.types.has(Types::OBJECT) {
            let members = self.paired(&pieces)?;
            return Ok(vec![Cut::Members(members)]);
        }
        Err(Misread::Layout("the parameter's name before each value"))
    }

    /// `color[R]=100&color[G]=200`.
    fn cut_deep<'r>(self, name: &str, pairs: &Pairs<'r>, shape: &Shape) -> Cuts<'r> {
        if !shape.types.has(Types::OBJECT) {
            let seen = pairs.iter().any(|(other, _)| other == name || deep(name, other).is_some());
            return if seen { Err(Misread::Undefined) } else { Ok(Vec::new()) };
        }
        let mut own = Vec::new();
        for (other, raw) in pairs {
            if other == name {
                return Err(Misread::Layout("the form name[member]=value"));
            }
            let Some(member) = deep(name, other) else { continue };
            let Some(member) = member.strip_suffix(']').filter(|it| !it.contains(['[', ']']))
            else {
                return Err(Misread::Undefined);
            };
            own.push((Cow::Owned(member.to_owned()), *raw));
        }
        let members = self.members(own.into_iter())?;
        // A member that nobody declared could mean a list; that it does, nobody said.
        let is_list = |name: &str| shape.member(name).types.says_list();
        if members.iter().any(|(name, values)| values.len() > 1 && !is_list(name)) {
            return Err(Misread::Duplicate);
        }
        Ok(if members.is_empty() { Vec::new() } else { vec![Cut::Members(members)] })
    }

    /// `R,100,G,200` or `R=100,G=200`.
    fn paired<'r>(self, pieces: &[&'r str]) -> Result<Members<'r>, Misread> {
        let name = |text: &'r str| self.escapes.decode(text).ok_or(Misread::Encoding);
        let mut pairs = Vec::new();
        if self.parts == Parts::Apart {
            for piece in pieces {
                let wrong = Misread::Layout("the form member=value");
                let (key, value) = piece.split_once('=').ok_or(wrong)?;
                pairs.push((name(key)?, value));
            }
        } else {
            for pair in pieces.chunks(2) {
                let [key, value] = pair else {
                    return Err(Misread::Layout("members and values in turn"));
                };
                pairs.push((name(key)?, *value));
            }
        }
        self.members(pairs.into_iter())
    }

    fn members<'r>(
        self,
        pairs: impl Iterator<Item = (Cow<'r, str>, &'r str)>,
    ) -> Result<Members<'r>, Misread> {
        let decoded: Option<Vec<_>> =
            pairs.map(|(name, raw)| Some((name, self.escapes.decode(raw)?))).collect();
        Ok(grouped(decoded.ok_or(Misread::Encoding)?.into_iter()))
    }

    fn decode_all<'r>(
        self,
        texts: impl Iterator<Item = &'r str>,
    ) -> Result<Vec<Cow<'r, str>>, Misread> {
        texts.map(|text| self.escapes.decode(text).ok_or(Misread::Encoding)).collect()
    }
}

type Members<'r> = Vec<(Cow<'r, str>, Vec<Cow<'r, str>>)>;

/// What stands behind the opening bracket of a deep name.
pub(crate) fn deep<'n>(name: &str, other: &'n str) -> Option<&'n str> {
    other.strip_prefix(name)?.strip_prefix('[')
}

/// Values by name, in the order the names were met.
pub(crate) fn grouped<'r, V>(
    pairs: impl Iterator<Item = (Cow<'r, str>, V)>,
) -> Vec<(Cow<'r, str>, Vec<V>)> {
    let mut index: HashMap<Cow<'r, str>, usize> = HashMap::new();
    let mut groups: Vec<(Cow<'r, str>, Vec<V>)> = Vec::new();
    for (name, value) in pairs {
        match index.entry(name) {
            Entry::Occupied(known) => groups[*known.get()].1.push(value),
            Entry::Vacant(new) => {
                groups.push((new.key().clone(), vec![value]));
                new.insert(groups.len() - 1);
            }
        }
    }
    groups
}

/// One pass, whatever the text.
fn split<'r>(text: &'r str, delimiters: &[&str]) -> Vec<&'r str> {
    let mut pieces = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < text.len() {
        let here = delimiters.iter().find(|it| text.as_bytes()[at..].starts_with(it.as_bytes()));
        match here {
            Some(delimiter) => {
                pieces.push(&text[start..at]);
                at += delimiter.len();
                start = at;
            }
            None => at += 1,
        }
    }
    pieces.push(&text[start..]);
    pieces
}

#[cfg(test)]
mod tests;
