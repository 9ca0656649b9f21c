//! Whatever text comes is cut or refused, in every style and place. The specification's own table of
//! styles is a golden case (`fixtures/contract/styles.yaml`).

#![allow(clippy::unwrap_used, clippy::expect_used)]

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::{Cut, Escapes, Layout, Parts, Shape, Style};

const STYLES: [Style; 7] = [
    Style::Simple,
    Style::Label,
    Style::Matrix,
    Style::Form,
    Style::SpaceDelimited,
    Style::PipeDelimited,
    Style::DeepObject,
];

proptest! {
    /// Whatever comes, it is cut or refused; cuts are never many, and every one has readings
    /// or a reason why not.
    #[test]
    fn any_text_is_cut_or_refused(
        text in "[a-c=,;.|+%\\[\\]0-9é ]{0,60}",
        other in "[a-c\\[\\]]{0,6}",
    ) {
        let shape = Shape::any();
        for style in STYLES {
            for parts in [Parts::Together, Parts::Apart] {
                for escapes in [Escapes::Percent, Escapes::Form, Escapes::Header] {
                    let layout = Layout { style, parts, escapes };
                    let pairs = vec![("a".into(), &*text), (other.clone().into(), &*text)];
                    let cuts = [
                        layout.cut_text("a", &text, &shape),
                        layout.cut_pairs("a", &pairs, &shape, &|_| false),
                    ];
                    for cut in cuts.into_iter().flatten().flatten() {
                        if let Ok(readings) = shape.readings(&cut) {
                            prop_assert!(!readings.is_empty());
                        }
                    }
                }
            }
        }
    }

    /// What a client writes by the specification is among the cuts, the first of its kind.
    #[test]
    fn a_list_comes_back(texts in proptest::collection::vec("\\PC{1,8}", 1..6)) {
        let encoded: Vec<String> =
            texts.iter().map(|it| utf8_percent_encode(it, NON_ALPHANUMERIC).to_string()).collect();
        for (style, delimiter) in
            [(Style::Form, ","), (Style::PipeDelimited, "|"), (Style::PipeDelimited, "%7C")]
        {
            let layout = Layout { style, parts: Parts::Together, escapes: Escapes::Form };
            let joined = encoded.join(delimiter);
            // An encoded pipe is no delimiter that anyone could tell from data.
            prop_assume!(style == Style::Form || !joined.replace(delimiter, "").contains("%7C"));
            let pairs = vec![("a".into(), &*joined)];
            let cuts = layout.cut_pairs("a", &pairs, &Shape::any(), &|_| false).unwrap();
            let first = cuts.iter().find(|it| matches!(it, Cut::List(_))).unwrap();
            let wanted = texts.iter().map(|it| it.clone().into()).collect();
            prop_assert_eq!(first, &Cut::List(wanted));
        }
    }
}
