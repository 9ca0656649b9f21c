//! Path and parameter decoding: escapes, styles, routes, and a whole request made of text.

use std::{borrow::Cow, sync::LazyLock};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::contract::{
    BodyView, ContractDate, Found, RequestView, Source, Strictness, Timeline, Undeclared,
    parameter::{
        Escapes, Query,
        shape::Shape,
        style::{Cut, Layout, Parts, Style},
    },
};

/// Lines: a path, a query, then values of a header and of a cookie. Whatever can be decoded is
/// encoded and decoded again to the same; what is found by a path stands in it.
pub fn parameters(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let [path, query, header, cookie] = [(); 4].map(|()| lines.next().unwrap_or_default());
    for line in [path, query, header, cookie] {
        escapes(line);
        styles(line);
    }
    routed(path);
    judged(path, query, header, cookie);
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn escapes(text: &str) {
    for escapes in [Escapes::Percent, Escapes::Form] {
        if let Some(decoded) = escapes.decode(text) {
            assert_eq!(escapes.decode(&encoded(&decoded)).as_deref(), Some(&*decoded));
        }
    }
}

const STYLES: [Style; 7] = [
    Style::Simple,
    Style::Label,
    Style::Matrix,
    Style::Form,
    Style::SpaceDelimited,
    Style::PipeDelimited,
    Style::DeepObject,
];

/// Every cut of a text, written again in its style, is among the cuts of what was written.
fn styles(text: &str) {
    let shape = Shape::any();
    for style in STYLES {
        for parts in [Parts::Together, Parts::Apart] {
            let is_text = matches!(style, Style::Simple | Style::Label | Style::Matrix);
            let escapes = if is_text { Escapes::Percent } else { Escapes::Form };
            let layout = Layout { style, parts, escapes };
            let query = Query::parse(text);
            let cuts = if is_text {
                layout.cut_text("a", text, &shape)
            } else {
                layout.cut_pairs("a", &query.pairs, &shape, &|_| false)
            };
            for cut in cuts.into_iter().flatten() {
                if let Ok(readings) = shape.readings(&cut) {
                    assert!(!readings.is_empty());
                }
                let Some(written) = write(layout, &cut) else { continue };
                let query = Query::parse(&written);
                let again = if is_text {
                    layout.cut_text("a", &written, &shape)
                } else {
                    layout.cut_pairs("a", &query.pairs, &shape, &|_| false)
                };
                let again = again.unwrap_or_default();
                assert!(again.contains(&cut), "{style:?} {parts:?}: {cut:?} as {written}");
            }
        }
    }
}

/// A cut as the specification's table writes it; nothing where it has no such form.
fn write(layout: Layout, cut: &Cut<'_>) -> Option<String> {
    let apart = layout.parts == Parts::Apart;
    let together = |texts: &[Cow<'_, str>]| texts.iter().map(|it| encoded(it)).collect::<Vec<_>>();
    let named = |texts: &[Cow<'_, str>]| {
        texts.iter().map(|it| format!("a={}", encoded(it))).collect::<Vec<_>>()
    };
    let pairs = |members: &[(Cow<'_, str>, Vec<Cow<'_, str>>)], wrap: fn(&str) -> String| {
        let each = members.iter().flat_map(|(name, values)| {
            values.iter().map(move |value| format!("{}={}", wrap(name), encoded(value)))
        });
        each.collect::<Vec<_>>()
    };
    let in_turn = |members: &[(Cow<'_, str>, Vec<Cow<'_, str>>)]| {
        let each = members.iter().flat_map(|(name, values)| {
            values.iter().flat_map(move |value| [encoded(name), encoded(value)])
        });
        each.collect::<Vec<_>>()
    };
    let before = match layout.style {
        Style::Label => ".",
        Style::Matrix if apart => ";",
        Style::Matrix => ";a=",
        Style::Simple => "",
        _ if apart => "",
        _ => "a=",
    };
    let comma = match layout.style {
        Style::Label if apart => ".",
        Style::Matrix if apart => ";",
        Style::SpaceDelimited if !apart => "%20",
        Style::PipeDelimited if !apart => "|",
        Style::Form | Style::SpaceDelimited | Style::PipeDelimited if apart => "&",
        _ => ",",
    };
    let spreads = apart && !matches!(layout.style, Style::Simple | Style::Label);
    let pieces = match cut {
        Cut::One(text) if spreads => named(std::slice::from_ref(text)),
        Cut::One(text) => vec![encoded(text)],
        // Nothing and one empty text are written alike.
        Cut::List(texts) if texts.is_empty() => return None,
        Cut::List(texts) if spreads => named(texts),
        // An encoded delimiter is what these two styles write themselves.
        Cut::List(texts)
            if !apart
                && (layout.style == Style::SpaceDelimited
                    && texts.iter().any(|it| it.contains(' '))
                    || layout.style == Style::PipeDelimited
                        && texts.iter().any(|it| it.contains('|'))) =>
        {
            return None;
        }
        Cut::List(texts) => together(texts),
        Cut::Members(members) if members.is_empty() => return None,
        Cut::Members(members) if layout.style == Style::DeepObject => {
            pairs(members, |name| format!("a%5B{}%5D", encoded(name)))
        }
        Cut::Members(members) if apart && layout.style != Style::Matrix => {
            // Between the pieces of a text, an object's members are not spread over a query.
            if !matches!(layout.style, Style::Simple | Style::Label) {
                return None;
            }
            pairs(members, encoded)
        }
        Cut::Members(members) if apart => pairs(members, encoded),
        Cut::Members(members)
            if matches!(layout.style, Style::SpaceDelimited | Style::PipeDelimited)
                && members.iter().any(|(name, values)| {
                    let odd = |it: &str| it.contains([' ', '|']);
                    odd(name) || values.iter().any(|it| odd(it))
                }) =>
        {
            return None;
        }
        Cut::Members(members) => in_turn(members),
    };
    let before = if layout.style == Style::DeepObject { "" } else { before };
    let comma = if layout.style == Style::DeepObject { "&" } else { comma };
    Some(format!("{before}{}", pieces.join(comma)))
}

static CONTRACT: LazyLock<Timeline> = LazyLock::new(|| {
    let templates = [
        "/recordings",
        "/recordings/{id}",
        "/recordings/latest",
        "/recordings/{id}:{action}",
        "/recordings/{id}:purge",
        "/{a}.{b}",
        "/{a}/x-{b}-y/{c}",
        "/recordings/{id}/media/{kind}.{type}",
        "/",
        "/{any}/{thing}",
        "/caf\u{e9}/{id}",
    ];
    let schemas = [
        "{type: string, maxLength: 5}",
        "{type: integer, format: int32}",
        "{type: array, items: {type: number}, maxItems: 3}",
        "{type: object, properties: {x: {type: boolean}, y: {type: array, items: {type: string}}}}",
        "{oneOf: [{type: boolean}, {type: string, pattern: '^[a-f]+$'}]}",
    ];
    let mut text = "openapi: 3.0.3\npaths:\n".to_owned();
    let add = |text: &mut String, name: &str, place: &str, style: &str, index: usize| {
        for explode in [true, false] {
            let name = format!("{name}{}", i32::from(explode));
            *text += &format!(
                "        - {{name: {name}, in: {place}, style: {style}, explode: {explode}, schema: {}}}\n",
                schemas[index % schemas.len()]
            );
        }
    };
    for (index, template) in templates.iter().enumerate() {
        text += &format!(
            "  '{template}':\n    get:\n      responses: {{default: {{description: any}}}}\n      parameters:\n"
        );
        for (at, name) in
            template.split('{').skip(1).map(|it| it.split('}').next().unwrap()).enumerate()
        {
            let style = ["simple", "label", "matrix"][(index + at) % 3];
            text += &format!(
                "        - {{name: {name}, in: path, required: true, style: {style}, explode: {}, schema: {}}}\n",
                index % 2 == 0,
                schemas[(index + at) % schemas.len()]
            );
        }
        for (at, style) in
            ["form", "spaceDelimited", "pipeDelimited", "deepObject"].iter().enumerate()
        {
            add(&mut text, &format!("q{at}"), "query", style, index + at);
        }
        text += "        - {name: j, in: query, content: {application/json: {schema: {type: object}}}}\n";
        text += "        - {name: r, in: query, allowReserved: true, allowEmptyValue: true, schema: {type: string, minLength: 2}}\n";
        add(&mut text, "X-H", "header", "simple", index + 2);
        add(&mut text, "c", "cookie", "form", index + 3);
    }
    Timeline::load(&Source { name: "fuzz.yaml".to_owned(), text: text.into() }, &[]).unwrap()
});

/// The values of a path's parameters are pieces of it, and the template with them put back is a
/// path that means the same.
fn routed(path: &str) {
    let contract = CONTRACT.at(ContractDate::Latest);
    let Found::Operation(found) = contract.find(&Method::GET, path) else { return };
    let mut rest = path;
    for (name, value) in &found.path_parameters {
        assert!(!value.is_empty() && !value.contains('/'), "{name} in {path}");
        let at = rest.find(value.as_str()).expect("the values stand in the path, in their order");
        rest = &rest[at + value.len()..];
    }
    let template = found.operation.template();
    let mut rebuilt = String::new();
    let mut values = found.path_parameters.iter();
    for (index, piece) in template.split('{').enumerate() {
        if index == 0 {
            rebuilt += piece;
        } else {
            rebuilt += &values.next().unwrap().1;
            rebuilt += piece.split_once('}').unwrap().1;
        }
    }
    let plain = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    assert_eq!(plain(&rebuilt), plain(path), "by {template}");
    let Found::Operation(again) = contract.find(&Method::GET, &rebuilt) else {
        panic!("{rebuilt} is not found, {path} is");
    };
    assert_eq!(again.operation.template(), template, "{rebuilt} and {path}");
    assert_eq!(again.path_parameters, found.path_parameters, "{rebuilt} and {path}");
}

/// A request of any text gets one and the same verdict.
fn judged(path: &str, query: &str, header: &str, cookie: &str) {
    let contract = CONTRACT.at(ContractDate::Latest);
    let found = match contract.find(&Method::GET, path) {
        Found::Operation(found) => found,
        _ => match contract.find(&Method::GET, "/recordings") {
            Found::Operation(found) => found,
            _ => unreachable!(),
        },
    };
    let mut headers = HeaderMap::new();
    for (name, text) in [("x-h0", header), ("x-h1", header), ("cookie", cookie)] {
        if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let request = RequestView {
        path_parameters: &found.path_parameters,
        query: Some(query),
        headers: &headers,
        body: BodyView::Empty,
    };
    for undeclared in [Undeclared::Ignore, Undeclared::Reject] {
        let one = found.operation.check_request_by(&request, Strictness::all(undeclared));
        let two = found.operation.check_request_by(&request, Strictness::all(undeclared));
        assert_eq!((one.verdict, one.findings), (two.verdict, two.findings));
    }
}
