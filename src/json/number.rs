//! What a number means, by its digits alone: no float ever stands between.

use std::borrow::Cow;

/// A number's value in one form: the sign, the digits without zeros at either end, and the power
/// of ten behind them. Equal values have equal forms.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Canonical<'a> {
    is_negative: bool,
    digits: Cow<'a, str>,
    exponent: i64,
}

/// A number's parts as they are written.
struct Written<'a> {
    is_negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: &'a str,
}

// === impl Written ===

impl<'a> Written<'a> {
    fn of(number: &'a str) -> Self {
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = whole.strip_prefix('-');
        Self { is_negative: digits.is_some(), whole: digits.unwrap_or(whole), fraction, exponent }
    }
}

// === impl Canonical ===

impl<'a> Canonical<'a> {
    pub(super) fn of(number: &'a str) -> Self {
        let Written { is_negative, whole, fraction, exponent } = Written::of(number);
        let significant = whole.trim_start_matches('0');
        let digits: Cow<'a, str> = if fraction.is_empty() {
            Cow::Borrowed(significant.trim_end_matches('0'))
        } else {
            let joined = format!("{whole}{fraction}");
            Cow::Owned(joined.trim_matches('0').to_owned())
        };
        if digits.is_empty() {
            return Self { is_negative: false, digits, exponent: 0 };
        }
        // Zeros that were cut off at the end, or places behind the point.
        let places = if fraction.trim_end_matches('0').is_empty() {
            length(whole.len() - whole.trim_end_matches('0').len())
        } else {
            -length(fraction.trim_end_matches('0').len())
        };
        match exponent.parse::<i64>().ok().and_then(|it| it.checked_add(places)) {
            Some(exponent) => Self { is_negative, digits, exponent },
            // So far out that only the same spelling is the same number.
            None => Self { is_negative, digits: Cow::Borrowed(number), exponent: i64::MAX },
        }
    }
}

fn length(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Whether a number's value is whole, however it is written: `100e-2` and `1.0` are, `1e-1` is not.
/// By its digits alone, so that `1e400` is whole too and costs nothing.
pub(crate) fn is_integer(number: &str) -> bool {
    if number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return true;
    }
    let Written { whole, fraction, exponent, .. } = Written::of(number);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() && whole.bytes().all(|digit| digit == b'0') {
        return true;
    }
    let trailing_zeros =
        if fraction.is_empty() { whole.len() - whole.trim_end_matches('0').len() } else { 0 };
    // An exponent too large for i64 is further from zero than any mantissa is long.
    let exponent = exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') {
        i64::MIN
    } else {
        i64::MAX
    });
    exponent.saturating_add(length(trailing_zeros)) >= length(fraction.len())
}

/// The value of a whole number of at most 38 digits, however it is written.
pub(crate) fn whole_number(number: &str) -> Option<i128> {
    if let Ok(plain) = number.parse::<i64>() {
        return Some(plain.into());
    }
    if !is_integer(number) {
        return None;
    }
    let Written { is_negative, whole, fraction, exponent } = Written::of(number);
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let dropped = i64::try_from(digits.len() - significant.len()).ok()?;
    let places = i64::try_from(fraction.len()).ok()?;
    let zeros = exponent.parse::<i64>().ok()?.checked_sub(places)?.checked_add(dropped)?;
    let zeros = usize::try_from(zeros).ok().filter(|it| it + significant.len() <= 38)?;
    let sign = if is_negative { "-" } else { "" };
    format!("{sign}{significant}{}", "0".repeat(zeros)).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::Canonical;

    #[test]
    fn equal_values_have_one_form_and_others_do_not() {
        let same = [
            &["0", "-0", "0.0", "0e5", "-0.00E-7"][..],
            &["100", "1e2", "1E+2", "100.0", "0.1e3", "1000e-1", "10.0e1"],
            &["-1.5", "-15e-1", "-0.15e1", "-1.50"],
            &["1e400", "10e399", "0.1e401"],
            &["9007199254740993", "9007199254740993.0"],
            &["9007199254740992"],
            &["1e99999999999999999999"],
            &["10"],
            &["0.1"],
            &["0.01", "1e-2"],
        ];
        for (one, numbers) in same.iter().enumerate() {
            for (other, others) in same.iter().enumerate() {
                for (left, right) in
                    numbers.iter().flat_map(|it| others.iter().map(move |to| (it, to)))
                {
                    let is_equal = Canonical::of(left) == Canonical::of(right);
                    assert_eq!(is_equal, one == other, "{left} and {right}");
                }
            }
        }
    }
}
