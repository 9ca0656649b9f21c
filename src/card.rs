//! Numbers of payment cards, where an id was expected.
//!
//! What a caller names as an id is a caller's text, and a billing screen may put a card's number
//! there. Such a text stands nowhere as it is but in what is sent to the vendor and in what the
//! gateway has to send again: records, events, logs and sources get its SHA-256.

use std::borrow::Cow;
use std::fmt::Write as _;

use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

/// Whether a text could be one: 12 to 19 digits with the check digit of ISO/IEC 7812-1, in groups or
/// percent-encoded as may be. Letters make it an id: a UUID has as many digits.
pub(crate) fn is_likely(text: &str) -> bool {
    let text = percent_decode_str(text).decode_utf8_lossy();
    if text.chars().any(char::is_alphabetic) {
        return false;
    }
    let digits: Vec<u32> = text.chars().filter_map(|it| it.to_digit(10)).collect();
    let weighed = digits.iter().rev().enumerate().map(|(at, digit)| match (at % 2, digit * 2) {
        (0, _) => *digit,
        (_, twice) => twice / 10 + twice % 10,
    });
    (12..=19).contains(&digits.len()) && weighed.sum::<u32>().is_multiple_of(10)
}

/// The text, or `sha256:` and its digest in hexadecimal where it could be a card's number.
pub(crate) fn covered(text: &str) -> Cow<'_, str> {
    if is_likely(text) { Cow::Owned(digest(text)) } else { Cow::Borrowed(text) }
}

/// `sha256:` and a text's digest in hexadecimal.
pub(crate) fn digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::covered;

    #[test]
    fn a_cards_number_is_covered_however_it_is_written() {
        for card in [
            "4111111111111111",
            "4111-1111-1111-1111",
            "4111~1111~1111~1111",
            "4111:1111:1111:1111",
            "4111=1111=1111=1111",
            "%34111111111111111",
            "4111%2d1111%2D1111%201111",
            "378282246310005",
        ] {
            assert!(covered(card).starts_with("sha256:"), "{card}");
        }
        for id in ["4111111111111112", "11111111-1111-1111-1111-111111111111", "1234", "0", "c1"] {
            assert_eq!(covered(id), id);
        }
    }
}
