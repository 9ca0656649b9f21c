//! Whether a pattern means the same to ECMA-262 and to the engines here.
//!
//! The engines know words that ECMA-262 does not have (`\A`, `\h`, `(?i)`, `a++`), or has for other
//! things (`\<` is a character, `[` in a class too). Where the meaning is plain the pattern is
//! written so that the engines read it alike; where ECMA-262 would refuse it, or reads a letter
//! where whoever wrote it can only have meant another dialect's word, no engine gets it. What is
//! merely broken is left for the engines to refuse.

use std::{iter::Peekable, str::Chars};

use crate::limits;

/// Reads a pattern of ECMA-262 and writes it for the engines; none if it is not one.
pub(super) fn written(pattern: &str) -> Option<String> {
    // A longer one gets no engine that follows references.
    let is_short = pattern.len() <= limits::BACKTRACKING_PATTERN_BYTES;
    let pairs = pattern.as_bytes().windows(2);
    let refers = is_short
        && pairs.into_iter().any(|it| it[0] == b'\\' && matches!(it[1], b'1'..=b'9' | b'k'));
    let mut reader = Reader {
        rest: pattern.chars().peekable(),
        out: String::new(),
        groups: groups(pattern),
        took_part: Vec::new(),
        around: vec![Around { group: None, alternative: 0 }],
        opened: 0,
        has_conditions: false,
        naming: if refers { Naming::ByNumber } else { Naming::AsWritten },
    };
    while let Some(character) = reader.rest.next() {
        match character {
            '\\' => reader.escape(Place::Outside)?,
            '[' => reader.class()?,
            '(' => reader.group()?,
            ')' => reader.close(),
            '|' => {
                if let Some(around) = reader.around.last_mut() {
                    around.alternative += 1;
                }
                reader.out.push('|');
            }
            '*' | '+' | '?' => {
                reader.out.push(character);
                reader.repeated_once()?;
            }
            '{' => reader.brace()?,
            _ => reader.out.push(character),
        }
    }
    // The translation in front of the backtracking engine leaves alone what begins like this, and
    // would refuse a condition.
    Some(if reader.has_conditions { format!("(?=){}", reader.out) } else { reader.out })
}

/// The names of a pattern's capturing groups, those without one included.
fn groups(pattern: &str) -> Vec<Option<String>> {
    let mut groups = Vec::new();
    let mut in_class = false;
    let mut rest = pattern;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '\\' => rest = rest.chars().next().map_or("", |it| &rest[it.len_utf8()..]),
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if in_class => {}
            '(' if !rest.starts_with('?') => groups.push(None),
            '(' => {
                let name = rest.strip_prefix("?<").filter(|it| !it.starts_with(['=', '!']));
                let name = name.and_then(|it| it.split_once('>')).map(|(name, _)| name.to_owned());
                groups.extend(name.map(Some));
            }
            _ => {}
        }
    }
    groups
}

struct Reader<'p> {
    rest: Peekable<Chars<'p>>,
    out: String,
    /// All capturing groups, each with its name if it has one.
    groups: Vec<Option<String>>,
    /// Those that were closed and took part wherever the groups around them do, with these.
    took_part: Vec<(usize, Vec<Around>)>,
    /// The groups that are open, the pattern itself first.
    around: Vec<Around>,
    /// Capturing groups that were opened.
    opened: usize,
    /// A reference was written that asks whether its group took part.
    has_conditions: bool,
    naming: Naming,
}

/// A group that is open.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Around {
    /// Its number if it captures, and where it began: no two are alike.
    group: Option<(Option<usize>, usize)>,
    /// Which of its alternatives is being read.
    alternative: usize,
}

/// How groups are written that have names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Naming {
    AsWritten,
    /// Something refers to them, which the engines do not take from ECMA-262 as it is.
    ByNumber,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Class,
}

// === impl Reader ===

impl Reader<'_> {
    /// An escape whose backslash was read.
    fn escape(&mut self, place: Place) -> Option<()> {
        let character = self.rest.next()?;
        let next = self.rest.peek().copied();
        match character {
            'd' | 'D' | 's' | 'S' | 'w' | 'W' | 't' | 'n' | 'v' | 'f' | 'r' => {}
            // `\b{start}` is a word of the linear engine.
            'b' | 'B' if place == Place::Outside && next != Some('{') => {}
            'c' if next.is_some_and(|it| it.is_ascii_alphabetic()) => {}
            'x' => self.hexadecimal(2)?,
            'u' if next != Some('{') => self.hexadecimal(4)?,
            'u' | 'p' | 'P' if next == Some('{') => {
                self.out.extend(['\\', character]);
                return self.braced();
            }
            'k' if place == Place::Outside && next == Some('<') => return self.reference(),
            '1'..='9' if place == Place::Outside => return self.numbered(character),
            '0' if !next.is_some_and(|it| it.is_ascii_digit()) => {
                self.out.push_str("\\x00");
                return Some(());
            }
            '<' | '>' => {
                self.out.push(character);
                return Some(());
            }
            _ if character.is_ascii_alphanumeric() => return None,
            _ => {}
        }
        self.out.extend(['\\', character]);
        Some(())
    }

    /// What stands in braces behind an escape.
    fn braced(&mut self) -> Option<()> {
        loop {
            let character = self.rest.next()?;
            self.out.push(character);
            if character == '}' {
                return Some(());
            }
        }
    }

    /// A reference to a group by its name.
    fn reference(&mut self) -> Option<()> {
        self.rest.next_if_eq(&'<')?;
        let name = self.name()?;
        let index = self.groups.iter().position(|it| it.as_ref() == Some(&name))?;
        self.out.push_str("(?:");
        self.refer(index + 1);
        // A digit that follows is no part of its number.
        self.out.push(')');
        Some(())
    }

    /// A reference by number whose first digit was read. One to no group is no pattern.
    fn numbered(&mut self, first: char) -> Option<()> {
        let mut number = first.to_digit(10)? as usize;
        while let Some(digit) = self.rest.peek().and_then(|it| it.to_digit(10)) {
            self.rest.next();
            number = number.checked_mul(10)?.checked_add(digit as usize)?;
        }
        (number <= self.groups.len()).then(|| self.refer(number))
    }

    /// A group that took no part (not yet, or not in this alternative) is matched by nothing in
    /// ECMA-262 (§22.2.2.7.2); in the engine the reference would fail.
    fn refer(&mut self, group: usize) {
        let took_part = |(number, around): &(usize, Vec<Around>)| {
            *number == group && self.around.starts_with(around)
        };
        if self.took_part.iter().any(took_part) {
            self.out.extend(["\\", &group.to_string()]);
        } else {
            self.has_conditions = true;
            let group = group.to_string();
            self.out.extend(["(?(", &group, ")\\", &group, "|)"]);
        }
    }

    /// The end of a group.
    fn close(&mut self) {
        self.out.push(')');
        // The pattern itself is never closed; an engine refuses what has too many ends.
        let closed = if self.around.len() > 1 { self.around.pop() } else { None };
        let mut ahead = self.rest.clone();
        let may_be_left_out = match ahead.next() {
            Some('?' | '*') => true,
            Some('{') => ahead.next() == Some('0'),
            _ => false,
        };
        if let Some(Around { group: Some((Some(number), _)), .. }) = closed
            && !may_be_left_out
            && self.naming == Naming::ByNumber
        {
            self.took_part.push((number, self.around.clone()));
        }
    }

    /// The beginning of a group without a number.
    fn open(&mut self) {
        self.around.push(Around { group: Some((None, self.out.len())), alternative: 0 });
    }

    /// The beginning of a group that captures.
    fn open_numbered(&mut self) {
        self.opened += 1;
        let group = Some((Some(self.opened), self.out.len()));
        self.around.push(Around { group, alternative: 0 });
    }

    /// A name up to its bracket.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        loop {
            match self.rest.next()? {
                '>' => return (!name.is_empty()).then_some(name),
                character if character == '_' || character.is_alphanumeric() => {
                    name.push(character);
                }
                _ => return None,
            }
        }
    }

    /// Looks ahead only: the digits are copied as any text is.
    fn hexadecimal(&self, digits: usize) -> Option<()> {
        let found = self.rest.clone().take(digits).take_while(char::is_ascii_hexdigit).count();
        (found == digits).then_some(())
    }

    /// A class whose bracket was read.
    fn class(&mut self) -> Option<()> {
        self.out.push('[');
        self.out.extend(self.rest.next_if_eq(&'^'));
        if self.rest.peek() == Some(&']') {
            // No character, or any: the engines would read on.
            return None;
        }
        loop {
            let character = self.rest.next()?;
            let twice = self.rest.peek() == Some(&character);
            match character {
                ']' => {
                    self.out.push(']');
                    return Some(());
                }
                '\\' => self.escape(Place::Class)?,
                // The linear engine has classes in classes, and differences of them.
                '[' => self.out.push_str("\\["),
                '&' | '~' if twice => self.out.extend(['\\', character]),
                '-' if twice => return None,
                _ => self.out.push(character),
            }
        }
    }

    /// A group whose parenthesis was read.
    fn group(&mut self) -> Option<()> {
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            self.open_numbered();
            return Some(());
        }
        match self.rest.next()? {
            kind @ (':' | '=' | '!') => {
                self.open();
                self.out.extend(['?', kind]);
            }
            '<' => {
                if let Some(kind) = self.rest.next_if(|it| matches!(it, '=' | '!')) {
                    self.open();
                    self.out.extend(['?', '<', kind]);
                } else {
                    let name = self.name()?;
                    self.open_numbered();
                    if self.naming == Naming::AsWritten {
                        self.out.extend(["?<", &name, ">"]);
                    }
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// A brace: how often, or itself.
    fn brace(&mut self) -> Option<()> {
        let mut ahead = self.rest.clone();
        let mut inside = String::new();
        let is_closed = loop {
            match ahead.next() {
                Some('}') => break true,
                Some(character) if character == ',' || character.is_ascii_digit() => {
                    inside.push(character);
                }
                _ => break false,
            }
        };
        let (least, most) = inside.split_once(',').unwrap_or((&inside, ""));
        if !is_closed || least.is_empty() || most.contains(',') {
            self.out.push_str("\\{");
            return Some(());
        }
        self.rest = ahead;
        self.out.push('{');
        self.out.push_str(&inside);
        self.out.push('}');
        self.repeated_once()
    }

    /// After a quantifier: it may be lazy, and there is no second one.
    fn repeated_once(&mut self) -> Option<()> {
        self.out.extend(self.rest.next_if_eq(&'?'));
        let is_more = matches!(self.rest.peek(), Some('*' | '+' | '?'));
        (!is_more).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::written;

    #[test]
    fn what_is_ecma_stays_as_it_is() {
        for pattern in [
            r"^[a-z]+$",
            r"^(?<year>\d{4})-\d$",
            r"^(?!.*\.\.)[\w.\-]{1,}?$",
            r"^\p{L}\u00e9\x41\cA\/\-\.$",
            r"^(?:a|b){2,3}[^\]]$",
        ] {
            assert_eq!(written(pattern).as_deref(), Some(pattern));
        }
    }

    #[test]
    fn what_the_engines_read_otherwise_is_written_for_them() {
        for (pattern, wanted) in [
            (r"^\<a\>$", "^<a>$"),
            (r"[[a]]", r"[\[a]]"),
            (r"[a&&b]", r"[a\&&b]"),
            (r"(a)(?<b>c)\k<b>1", r"(a)(c)(?:\2)1"),
            (r"(a|b)\1", r"(a|b)\1"),
            (r"((a)|b\2)*(c)?\3", r"(?=)((a)|b(?(2)\2|))*(c)?(?(3)\3|)"),
            (r"(?:(a)|b\1(c\2))\2", r"(?=)(?:(a)|b(?(1)\1|)(c(?(2)\2|)))(?(2)\2|)"),
            (r"(a)|b\1", r"(?=)(a)|b(?(1)\1|)"),
            (r"v{id}", r"v\{id}"),
            (r"a{,3}", r"a\{,3}"),
        ] {
            assert_eq!(written(pattern).as_deref(), Some(wanted));
        }
    }

    #[test]
    fn what_is_another_dialects_is_none() {
        for pattern in [
            r"(?i)a",
            r"(?i:a)",
            r"(?>a)",
            r"(?P<n>a)",
            r"(?#c)a",
            r"a++",
            r"a*+",
            r"a?+",
            r"a{2}+",
            r"\Aa\z",
            r"a\Z",
            r"\ha",
            r"\Q.\E",
            r"\b{start}",
            r"\pL",
            r"\x{41}",
            r"\u41",
            r"[]a]",
            r"[a--b]",
            r"\R",
        ] {
            assert_eq!(written(pattern), None, "{pattern}");
        }
    }
}
