//! What is wrong with a document, and where; and what that costs: itself, and nothing beside it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{document, source};
use crate::contract::{
    BodyView, Checked, ContractDate, DatedOverlay, Found, Input, Note, ResponseView, Severity,
    Timeline, UriTable,
};

pub(super) fn notes(timeline: &Timeline) -> Vec<String> {
    timeline.notes().map(ToString::to_string).collect()
}

/// Judges a JSON answer to `GET path`.
pub(super) fn answer(timeline: &Timeline, path: &str, status: u16, body: &str) -> Checked {
    let contract = timeline.at(ContractDate::Latest);
    let Found::Operation(found) = contract.find(&Method::GET, path) else { panic!("{path}") };
    let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    found.operation.check_response(&ResponseView {
        method: &Method::GET,
        status: StatusCode::from_u16(status).unwrap(),
        headers: &HeaderMap::from_iter([json]),
        body: BodyView::Whole(body.as_bytes()),
    })
}

// === one document, one line ===

#[test]
fn a_document_that_is_none_is_one_clear_line() {
    for (text, line) in [
        (
            "{\"openapi\": \"3.0.3\",\n  \"a\": 1, \"a\": 2}",
            "d:2:11 at /a: expected each member name once (json.duplicate-key)",
        ),
        ("openapi: 3.2.0", "d:1:1: `openapi` must be 3.0.x or 3.1.x: no other version is read"),
        ("swagger: '1.2'", "d:1:1: `swagger` must be \"2.0\": no other version is read"),
        ("openapi: 3.0.3", "d:1:1: `paths` is missing"),
        ("openapi: 3.1.0", "d:1:1: one of `paths`, `webhooks` and `components` must be there"),
        ("openapi: 3.0.3\npaths: []", "d:2:1 at /paths: expected an object"),
        ("[]", "d:1:1: `openapi` is missing, a string such as \"3.0.3\" (or `swagger: \"2.0\"`)"),
    ] {
        let error = Timeline::load(&source("d", text), &[]).unwrap_err();
        assert_eq!(error.to_string(), line);
    }
    let error = Timeline::load(&source("d.yaml", "a: 1\na: 2\n"), &[]).unwrap_err();
    assert_eq!((error.line, error.column), (Some(2), Some(1)), "{error}");
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
}

#[test]
fn a_bad_operation_is_one_note_and_the_rest_works() {
    for (inner, wanted) in [
        ("parameters: []", "d:5:5: error[document.rule] at /paths/~1x/get: `responses` is missing"),
        (
            "responses: {'20': {description: d}}",
            "d:6:19: error[document.rule] at /paths/~1x/get/responses/20: a response's key must \
             be a status (`200`), a range (`4XX`) or `default`",
        ),
        (
            "responses: {'200': {$ref: '#/components/responses/A'}}",
            "d:6:19: error[reference.unresolved] at /paths/~1x/get/responses/200: `$ref` to \
             `#/components/responses/A`, which does not exist",
        ),
        (
            "responses: {'200': {$ref: 'other.yaml#/a'}}",
            "d:6:19: error[reference.refused] at /paths/~1x/get/responses/200: `$ref` to \
             `other.yaml#/a`: this document comes from no folder, so there is no file beside it",
        ),
        (
            "responses: {'200': {content: {a/b: {schema: {items: {$ref: '#/nowhere'}}}}}}",
            "d:6:52: error[reference.unresolved] at \
             /paths/~1x/get/responses/200/content/a~1b/schema/items: `$ref` to `#/nowhere`, \
             which does not exist",
        ),
        (
            "parameters: [{name: q, in: body}]\n      responses: {}",
            "d:6:20: error[document.rule] at /paths/~1x/get/parameters/0: `in` must be path, \
             query, header or cookie",
        ),
        (
            "operationId: 7\n      responses: {}",
            "d:6:7: error[operation.form] at /paths/~1x/get/operationId: `operationId` has not the \
             form of 3.0: invalid type: number, expected a string",
        ),
    ] {
        let text = format!(
            "openapi: 3.0.3\ninfo: {{title: t, version: '1'}}\npaths:\n  /x:\n    get:\n      \
             {inner}\n  /y:\n    get: {{responses: {{'200': {{description: d}}}}}}\n"
        );
        let timeline = Timeline::load(&source("d", &text), &[]).unwrap();
        assert_eq!(notes(&timeline), [wanted]);
        assert_eq!(
            answer(&timeline, "/x", 200, "{}").verdict.to_string(),
            "unverifiable(operation)"
        );
        assert_eq!(answer(&timeline, "/y", 200, "").verdict.to_string(), "conforms");
    }
}

#[test]
fn what_an_item_shares_is_wrong_once_and_a_wrong_path_is_unknown() {
    let text = "openapi: 3.0.3\npaths:\n  /x:\n    parameters: [{$ref: '#/nowhere'}]\n    \
        get: {responses: {}}\n    put: {responses: {}}\n  '/{a}{b}':\n    get: {responses: {}}\n  \
        /z: 1\n  /{id}:\n    get: {responses: {}}\n  /{name}:\n    get: {responses: {}}\n";
    let timeline = Timeline::load(&source("d", text), &[]).unwrap();
    let said: Vec<(&str, Option<usize>)> =
        timeline.notes().map(|note| (note.code, note.line)).collect();
    let wanted = [
        ("reference.unresolved", Some(4)),
        ("path.template", Some(8)),
        ("path.form", Some(9)),
        ("parameter.missing", Some(11)),
        ("path.duplicate", Some(13)),
    ];
    assert_eq!(said, wanted);
    assert_eq!(timeline.at(ContractDate::Latest).operations().len(), 3);
}

// === findings say where ===

#[test]
fn a_finding_names_the_rules_file_line_and_column() {
    let text = "openapi: 3.0.3\npaths:\n  /x:\n    get:\n      responses:\n        '200':\n          \
        description: d\n          content:\n            application/json:\n              schema:\n                \
        $ref: '#/components/schemas/A'\ncomponents:\n  schemas:\n    A:\n      type: object\n      \
        required: [a]\n      properties:\n        a: {type: string, maxLength: 1}\n";
    let timeline = Timeline::load(&source("a.yaml", text), &[]).unwrap();
    for (body, pointer, position) in [
        (r#"{"a": "xx"}"#, "/components/schemas/A/properties/a/maxLength", "a.yaml:18:27"),
        ("{}", "/components/schemas/A/required", "a.yaml:16:7"),
    ] {
        let checked = answer(&timeline, "/x", 200, body);
        let [finding] = checked.findings.as_slice() else { panic!("{checked:?}") };
        assert_eq!(finding.spec_pointer, pointer);
        assert_eq!(finding.position.as_ref().unwrap().to_string(), position);
    }
    let checked = answer(&timeline, "/x", 404, "{}");
    assert_eq!(checked.findings[0].position.as_ref().unwrap().to_string(), "a.yaml:5:7");
}

#[test]
fn what_an_overlay_added_was_written_in_the_overlay() {
    let head = document(
        "\n        '200': {description: d, content: {application/json: {schema: {$ref: '#/components/schemas/A'}}}}\n",
    ) + "components:\n  schemas:\n    A: {allOf: [{type: object}, {required: [gone]}, {required: [kept]}], maxProperties: 9}\n";
    let overlay = "overlay: 1.0.0\nactions:\n- target: $.components.schemas.A.allOf[1]\n  remove: true\n\
        - target: $.components.schemas.A\n  update:\n    maxProperties: 1\n    allOf:\n      - required: [new]\n";
    let dated =
        DatedOverlay { before: "2026-09-21".parse().unwrap(), source: source("o.yaml", overlay) };
    let timeline = Timeline::load(&source("h.yaml", &head), &[dated]).unwrap();
    let contract = timeline.at("2026-09-20".parse().unwrap());
    let Found::Operation(found) = contract.find(&Method::GET, "/x") else { panic!() };
    let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let checked = found.operation.check_response(&ResponseView {
        method: &Method::GET,
        status: StatusCode::OK,
        headers: &HeaderMap::from_iter([json]),
        body: BodyView::Whole(br#"{"a": 1, "b": 2}"#),
    });
    let mut places: Vec<(String, String)> = checked
        .findings
        .iter()
        .map(|it| (it.spec_pointer.clone(), it.position.as_ref().unwrap().to_string()))
        .collect();
    places.sort();
    let wanted = [
        ("/actions/1/update/allOf/0/required", "o.yaml:9:9"),
        ("/actions/1/update/maxProperties", "o.yaml:7:5"),
        ("/components/schemas/A/allOf/2/required", "h.yaml:11:54"),
    ];
    let wanted = wanted.map(|(pointer, place)| (pointer.to_owned(), place.to_owned()));
    assert_eq!(places, wanted);
}

// === other files ===

/// A folder of this test's own, gone when it ends.
struct Folder(PathBuf);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let name = format!("recgate-documents-{}", uuid::Uuid::now_v7());
        let folder = std::env::temp_dir().join(name);
        for (name, text) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    fn load(&self, name: &str, uris: &UriTable) -> Timeline {
        let input = Input::open(&self.0.join(name)).unwrap();
        Timeline::read(&[input], &[], uris).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn refers_to(reference: &str) -> String {
    document(&format!(
        "\n        '200':\n          description: d\n          content: {{application/json: \
         {{schema: {{$ref: '{reference}'}}}}}}\n"
    )) + "components: {schemas: {Text: {type: string}}}\n"
}

#[test]
fn a_relative_reference_is_a_file_of_the_folder_and_findings_name_it() {
    let folder = Folder::new(&[
        ("spec/api.yaml", &refers_to("schemas/call.yaml#/Call")),
        (
            "spec/schemas/call.yaml",
            "Call:\n  type: object\n  properties:\n    id: {$ref: 'id.json'}\n    \
             text: {$ref: '../api.yaml#/components/schemas/Text'}\n    next: {$ref: '#/Call'}\n",
        ),
        ("spec/schemas/id.json", "{\n  \"type\": \"integer\"\n}"),
    ]);
    let timeline = folder.load("spec/api.yaml", &UriTable::new());
    assert_eq!(notes(&timeline), [""; 0]);
    for (body, pointer, place) in [
        (r#"{"next": {"id": "x"}}"#, "/type", "spec/schemas/id.json:2:3"),
        (r#"{"next": {"text": 1}}"#, "/components/schemas/Text/type", "spec/api.yaml:11:31"),
        (r#"{"next": 1}"#, "/Call/type", "spec/schemas/call.yaml:2:3"),
    ] {
        let checked = answer(&timeline, "/x", 200, body);
        let [finding] = checked.findings.as_slice() else { panic!("{body} {checked:?}") };
        assert_eq!(finding.spec_pointer, pointer);
        let position = finding.position.as_ref().unwrap().to_string();
        assert_eq!(position, folder.0.join(place).display().to_string());
    }
}

#[test]
fn of_3_1_a_name_inside_a_file_of_the_folder_is_known() {
    let call = r##"{"Call": {
        "$id": "https://ids.example/call.json", "type": "object",
        "properties": {"id": {"$ref": "#/$defs/id"}, "text": {"$ref": "part.json"}},
        "$defs": {"id": {"type": "integer"}, "text": {"$id": "part.json", "type": "string"}}
    }}"##;
    let api = |reference: &str| refers_to(reference).replace("3.0.3", "3.1.0");
    let folder = Folder::new(&[
        ("api.yaml", &api("schemas/call.json#/Call")),
        ("nowhere.yaml", &api("schemas/lost.json#/Call")),
        ("schemas/call.json", call),
        ("schemas/lost.json", &call.replace("\"part.json\"}}", "\"other.json\"}}")),
    ]);
    let timeline = folder.load("api.yaml", &UriTable::new());
    assert_eq!(notes(&timeline), [""; 0]);
    for (body, verdict) in [
        (r#"{"id": 1, "text": "t"}"#, "conforms"),
        (r#"{"id": "x"}"#, "violates"),
        (r#"{"text": 1}"#, "violates"),
    ] {
        assert_eq!(answer(&timeline, "/x", 200, body).verdict.to_string(), verdict, "{body}");
    }
    let notes = notes(&folder.load("nowhere.yaml", &UriTable::new()));
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("neither in the document nor in the table of URIs"), "{notes:?}");
}

#[test]
fn no_reference_leads_out_of_the_folder_or_into_the_network() {
    let folder = Folder::new(&[
        ("secret.yaml", "Secret: {type: string}"),
        ("spec/up.yaml", &refers_to("../secret.yaml#/Secret")),
        ("spec/link.yaml", &refers_to("link/secret.yaml#/Secret")),
        ("spec/absolute.yaml", &refers_to("/etc/hostname")),
        ("spec/uri.yaml", &refers_to("https://example.com/s.json#/A")),
        ("spec/file.yaml", &refers_to("file:///etc/hostname")),
        ("spec/none.yaml", &refers_to("nowhere.yaml")),
        ("spec/folder.yaml", &refers_to("schemas")),
        ("spec/bad.yaml", &refers_to("schemas/bad.yaml")),
        ("spec/schemas/bad.yaml", "a: [\n"),
    ]);
    #[cfg(unix)]
    std::os::unix::fs::symlink(&folder.0, folder.0.join("spec/link")).unwrap();
    for (name, why) in [
        ("up", "a path may not lead out of the document's folder"),
        ("link", "leads out of the document's folder"),
        ("absolute", "a path must be relative to the document"),
        ("uri", "no entry of the URI table has this URI, and nothing is fetched"),
        ("file", "no entry of the URI table has this URI, and nothing is fetched"),
        ("none", "nowhere.yaml: No such file"),
        ("folder", "not a regular file"),
        ("bad", "bad.yaml:"),
    ] {
        if cfg!(not(unix)) && name == "link" {
            continue;
        }
        let timeline = folder.load(&format!("spec/{name}.yaml"), &UriTable::new());
        let notes: Vec<&Note> = timeline.notes().collect();
        let [note] = notes.as_slice() else { panic!("{name} {notes:?}") };
        assert_eq!((note.code, note.severity), ("reference.refused", Severity::Error), "{name}");
        assert!(note.message.contains(why), "{name}: {}", note.message);
        assert_eq!(
            answer(&timeline, "/x", 200, "{}").verdict.to_string(),
            "unverifiable(operation)"
        );
    }
}

#[test]
fn a_uri_is_what_the_table_says() {
    let folder = Folder::new(&[("api.yaml", &refers_to("https://example.com/s/a.json#/A"))]);
    let uris = UriTable::from([
        (
            "https://example.com/s/a.json".to_owned(),
            source("a.json", "{\"A\": {\"$ref\": \"b.json\"}}"),
        ),
        ("https://example.com/s/b.json".to_owned(), source("b.json", "{\"type\": \"object\"}")),
    ]);
    let timeline = folder.load("api.yaml", &uris);
    assert_eq!(notes(&timeline), [""; 0]);
    let checked = answer(&timeline, "/x", 200, "1");
    assert_eq!(checked.findings[0].position.as_ref().unwrap().to_string(), "b.json:1:2");
}

#[test]
fn several_documents_are_one_contract() {
    let one = document("{'200': {description: d}}");
    let two = one.replace("/x:", "/y:");
    let inputs = [Input::from(source("one", &one)), Input::from(source("two", &two))];
    let overlay = DatedOverlay {
        before: "2026-09-21".parse().unwrap(),
        source: source(
            "o",
            "overlay: 1.0.0\nactions:\n- {target: \"$.paths['/y'].get\", remove: true}\n",
        ),
    };
    let timeline = Timeline::read(&inputs, &[overlay], &UriTable::new()).unwrap();
    let head = timeline.at(ContractDate::Latest);
    assert!(matches!(head.find(&Method::GET, "/x"), Found::Operation(_)));
    assert!(matches!(head.find(&Method::GET, "/y"), Found::Operation(_)));
    let past = timeline.at("2026-09-20".parse().unwrap());
    assert!(matches!(past.find(&Method::GET, "/y"), Found::Unknown));
    let again = [Input::from(source("one", &one)), Input::from(source("again", &one))];
    let timeline = Timeline::read(&again, &[], &UriTable::new()).unwrap();
    assert_eq!(timeline.notes().map(|it| it.code).collect::<Vec<_>>(), ["path.duplicate"]);
}

// === versions ===

#[test]
fn of_3_1_paths_may_be_missing_and_items_may_be_components() {
    let text = "openapi: 3.1.0\ninfo: {title: t, version: '1'}\nwebhooks: {new: {post: {}}}\n\
        paths:\n  /x: {$ref: '#/components/pathItems/X', summary: s}\n\
        components: {pathItems: {X: {get: {}}}}\n";
    let timeline = Timeline::load(&source("d", text), &[]).unwrap();
    assert_eq!(timeline.notes().map(|it| it.code).collect::<Vec<_>>(), ["document.webhooks"]);
    assert_eq!(answer(&timeline, "/x", 200, "{}").verdict.to_string(), "unverifiable(no-schema)");

    let bare = "openapi: 3.1.0\ncomponents: {}\n";
    let timeline = Timeline::load(&source("d", bare), &[]).unwrap();
    assert_eq!(timeline.notes().map(|it| it.code).collect::<Vec<_>>(), ["document.no-paths"]);
}

#[test]
fn a_form_of_another_version_is_a_warning() {
    let with = |version: &str, schema: &str| {
        let text = document("{'200': {description: d}}").replace("3.0.3", version)
            + "components:\n  schemas:\n    A: "
            + schema
            + "\n";
        let timeline = Timeline::load(&source("d", &text), &[]).unwrap();
        timeline.notes().map(|it| (it.severity, it.code, it.line, it.column)).collect::<Vec<_>>()
    };
    let form = |column| vec![(Severity::Warning, "schema.form", Some(9), Some(column))];
    assert_eq!(with("3.0.3", "{exclusiveMinimum: 1}"), form(9));
    assert_eq!(with("3.0.3", "{minimum: 1, exclusiveMinimum: true}"), []);
    assert_eq!(with("3.1.0", "{exclusiveMinimum: 1}"), []);
    assert_eq!(with("3.1.0", "{minimum: 1, exclusiveMinimum: true}"), form(21));
    assert_eq!(with("3.0.3", "{nullable: true}"), []);
    assert_eq!(with("3.1.0", "{nullable: true}"), form(9));
    assert_eq!(with("3.0.3", "{type: [string, 'null']}"), form(9));
    assert_eq!(with("3.0.3", "{items: {const: 1}}"), form(17));
    assert_eq!(with("3.0.3", "{example: {const: 1}, enum: [{const: 1}]}"), []);
    assert_eq!(with("3.0.3", "{$ref: '#/components/schemas/A', nullable: true}"), []);
    let siblings = with("3.0.3", "{$ref: '#/components/schemas/A', maxLength: 3}");
    assert_eq!(siblings[0].1, "schema.reference-siblings");
    assert_eq!(with("3.0.3", "{$ref: '#/components/schemas/A', description: d}"), []);
}

#[test]
fn of_2_0_everything_wrong_is_at_its_place_in_the_source() {
    let text = "swagger: '2.0'\nbasePath: /v1\npaths:\n  /a:\n    get:\n      parameters:\n        \
        - {$ref: '#/parameters/Nope'}\n      responses: {'200': {description: d}}\n  /b:\n    get:\n      \
        responses: {'200': {$ref: '#/responses/Nope'}}\n  /c:\n    get:\n      parameters:\n        \
        - {in: query, name: q, required: soon, type: string}\n      responses: {'200': {description: d}}\n  \
        /d:\n    get:\n      responses:\n        '200': {description: d, schema: {$ref: '#/definitions/Nope'}}\n  \
        /e:\n    get: {consumes: application/json, responses: {}}\n  /f:\n    get: {responses: {'200': {description: d, schema: {$ref: '#/definitions/F'}}}}\n\
        definitions:\n  F: {type: object, properties: {n: {type: integer}}}\n";
    let timeline = Timeline::load(&source("s", text), &[]).unwrap();
    let said: Vec<(&str, &str, Option<usize>)> =
        timeline.notes().map(|it| (it.code, it.pointer.as_str(), it.line)).collect();
    let wanted = [
        ("reference.unresolved", "/paths/~1a/get/parameters/0", Some(7)),
        ("reference.unresolved", "/paths/~1b/get/responses/200", Some(11)),
        ("document.rule", "/paths/~1c/get/parameters/0/required", Some(15)),
        ("reference.unresolved", "/paths/~1d/get/responses/200/schema", Some(20)),
        ("operation.form", "/paths/~1e/get/parameters", Some(22)),
    ];
    assert_eq!(said, wanted, "{:?}", notes(&timeline));
    let message = &timeline.notes().next().unwrap().message;
    assert_eq!(message, "`$ref` to `#/parameters/Nope`, which does not exist");
    let checked = answer(&timeline, "/v1/f", 200, "{\"n\": \"x\"}");
    let [finding] = checked.findings.as_slice() else { panic!("{checked:?}") };
    assert_eq!(finding.spec_pointer, "/definitions/F/properties/n/type");
    assert_eq!(finding.position.as_ref().unwrap().to_string(), "s:26:38");
    let [summary] = timeline.at(ContractDate::Latest).summaries() else { panic!() };
    assert_eq!((summary.version, summary.operations, summary.schemas), ("2.0", 6, 1));
}

#[test]
fn parameters_that_cannot_be_meant_are_said_at_their_places() {
    let wanted = [
        ("parameter.path", Some(6), "the path /x/{id} has no place for `di`"),
        ("parameter.duplicate", Some(8), "`q` in the query is declared twice"),
        ("parameter.missing", Some(5), "no parameter says what `{id}` of the path is"),
    ];
    for (version, schema) in
        [("openapi: 3.0.3", "schema: {type: string}"), ("swagger: '2.0'", "type: string")]
    {
        let text = format!(
            "{version}\ninfo: {{title: t, version: '1'}}\npaths:\n  /x/{{id}}:\n    get:\n      \
             parameters: [{{name: di, in: path, required: true, {schema}}},\n        \
             {{name: q, in: query, {schema}}},\n        {{name: q, in: query, {schema}}}]\n      \
             responses: {{'200': {{description: d}}}}\n"
        );
        let timeline = Timeline::load(&source("d", &text), &[]).unwrap();
        let said: Vec<_> =
            timeline.notes().map(|it| (it.code, it.line, it.message.as_str())).collect();
        assert_eq!(said, wanted, "{version}");
    }
}

// === matching ===

#[test]
fn server_variables_make_prefixes_and_a_bad_server_costs_itself() {
    let text = "openapi: 3.0.3\nservers:\n- url: '{base}/{version}'\n  variables:\n    \
        base: {default: 'https://a.example', enum: ['https://a.example', 'https://b.example/eu']}\n    \
        version: {default: v2, enum: [v2, v1]}\n- url: relative\n- url: '/{missing}'\n\
        paths:\n  /x:\n    get: {responses: {}}\n  /y:\n    servers: [{url: /other}]\n    \
        get: {servers: [{url: 'https://{h}.example', variables: {h: {default: h}}}], responses: {}}\n    \
        put: {responses: {}}\n";
    let timeline = Timeline::load(&source("d", text), &[]).unwrap();
    let contract = timeline.at(ContractDate::Latest);
    let known =
        |method: &Method, path: &str| matches!(contract.find(method, path), Found::Operation(_));
    for path in ["/v2/x", "/v1/x", "/y"] {
        assert!(known(&Method::GET, path), "{path}");
    }
    assert!(known(&Method::PUT, "/other/y"));
    assert!(!known(&Method::GET, "/x") && !known(&Method::GET, "/v2/x/"));
    let codes: Vec<&str> = timeline.notes().map(|it| it.code).collect();
    assert_eq!(codes, ["server.invalid", "server.invalid"]);
}

#[test]
fn ambiguous_templates_are_said_and_the_choice_is_the_same_each_time() {
    let text = "openapi: 3.0.3\npaths:\n  '/{a}/me': {get: {responses: {}}}\n  \
        '/books/{id}': {get: {responses: {}}}\n  '/books/me': {get: {responses: {}}}\n  \
        '/f/{n}.{k}': {get: {responses: {}}}\n  '/f/{n}-{k}': {get: {responses: {}}}\n  \
        '/f/{n}': {get: {responses: {}}}\n  '/g/{id}:start': {get: {responses: {}}}\n  \
        '/g/{id}': {get: {responses: {}}}\n";
    let timeline = Timeline::load(&source("d", text), &[]).unwrap();
    // `/books/{id}` and `/{a}/me`; the two kinds of file; and `/{a}/me` with each longer one is
    // plainer everywhere or parted by its text.
    let known = ["path.ambiguous", "parameter.missing"];
    assert!(timeline.notes().all(|it| known.contains(&it.code)), "{:?}", notes(&timeline));
    let messages: Vec<&str> = timeline.notes().map(|it| it.message.as_str()).collect();
    assert!(messages.iter().any(|it| it.contains("/{a}/me") && it.contains("/books/{id}")));
    assert!(messages.iter().any(|it| it.contains("/f/{n}.{k}") && it.contains("/f/{n}-{k}")));
    let contract = timeline.at(ContractDate::Latest);
    for (path, template) in [
        ("/books/me", "/books/me"),
        ("/books/7", "/books/{id}"),
        ("/films/me", "/{a}/me"),
        ("/g/7:start", "/g/{id}:start"),
        ("/g/7%3Astart", "/g/{id}:start"),
        ("/g/7", "/g/{id}"),
        ("/f/a.b-c", "/f/{n}.{k}"),
    ] {
        let Found::Operation(found) = contract.find(&Method::GET, path) else { panic!("{path}") };
        assert_eq!(found.operation.template(), template, "{path}");
    }
}

// === hostile documents ===

#[test]
fn a_hostile_document_ends_at_a_limit_that_is_named() {
    let bomb = "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\n\
        c: &c [*b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c]\n\
        e: &e [*d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e]\n\
        g: &g [*f, *f, *f, *f, *f, *f, *f, *f]\nh: &h [*g, *g, *g, *g, *g, *g, *g, *g]\n";
    let deep = format!("a: {}", "[".repeat(100_000));
    let deep_block =
        format!("a:\n{}", (1..3_000).map(|n| " ".repeat(n) + "- \n").collect::<String>());
    let deep_json = format!("{{\"a\": {}", "[".repeat(100_000));
    let large = format!("{{\"a\": \"{}\"}}", "x".repeat(crate::limits::DOCUMENT_BYTES));
    for (text, limit) in [
        (bomb, "more than 100000 values"),
        (&*deep, "recursion limit"),
        (&deep_block, "at most 128 deep"),
        (&deep_json, "at most 128 deep"),
        (&large, "at most 16777216 are read"),
    ] {
        let error = Timeline::load(&source("hostile", text), &[]).unwrap_err().to_string();
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains(limit), "{error}");
    }
}

#[test]
fn circles_of_references_end() {
    let paths = "openapi: 3.0.3\npaths:\n  /x: {$ref: '#/paths/~1y'}\n  /y: {$ref: '#/paths/~1x'}\n  \
        /z: {get: {responses: {'200': {$ref: '#/components/responses/A'}}}}\n\
        components: {responses: {A: {$ref: '#/components/responses/A'}}}\n";
    let timeline = Timeline::load(&source("d", paths), &[]).unwrap();
    let codes: Vec<&str> = timeline.notes().map(|it| it.code).collect();
    assert_eq!(codes, ["reference.circular"; 3]);
    assert_eq!(answer(&timeline, "/z", 200, "{}").verdict.to_string(), "unverifiable(operation)");

    let looping = refers_to("#/components/schemas/A").replace(
        "Text: {type: string}",
        "A: {$ref: '#/components/schemas/B'}, B: {$ref: '#/components/schemas/A'}",
    );
    let timeline = Timeline::load(&source("d", &looping), &[]).unwrap();
    let verdict = answer(&timeline, "/x", 200, "{}").verdict.to_string();
    assert_eq!(verdict, "unverifiable(operation)");
}

#[test]
fn ten_megabytes_are_read() {
    let mut schemas = String::new();
    let mut count = 0;
    while schemas.len() < 10 << 20 {
        use std::fmt::Write;
        writeln!(
            schemas,
            "{}\"S{count}\": {{\"type\": \"object\", \"description\": \"{}\", \"properties\": \
             {{\"a\": {{\"type\": \"string\"}}, \"n\": {{\"$ref\": \"#/components/schemas/S{}\"}}}}}}",
            if count == 0 { "" } else { "," },
            "d".repeat(400),
            count / 2,
        )
        .unwrap();
        count += 1;
    }
    let text = format!(
        "{{\"openapi\": \"3.0.3\", \"paths\": {{\"/x\": {{\"get\": {{\"responses\": {{\"200\": \
         {{\"description\": \"\", \"content\": {{\"application/json\": {{\"schema\": {{\"$ref\": \
         \"#/components/schemas/S9\"}}}}}}}}}}}}}}}}, \"components\": {{\"schemas\": \
         {{{schemas}}}}}}}"
    );
    let start = Instant::now();
    let timeline = Timeline::load(&source("large.json", &text), &[]).unwrap();
    eprintln!("{} MB with {count} schemas: {:?}", text.len() >> 20, start.elapsed());
    let checked = answer(&timeline, "/x", 200, r#"{"a": 1}"#);
    let position = checked.findings[0].position.clone().unwrap();
    assert_eq!((&*position.file, position.line), ("large.json", 10));
}

#[test]
fn a_pattern_that_no_engine_takes_is_never_a_pass() {
    let text = refers_to("#/components/schemas/Text").replace("type: string", "pattern: '(['");
    let timeline = Timeline::load(&source("d", &text), &[]).unwrap();
    let verdict = answer(&timeline, "/x", 200, "\"x\"").verdict.to_string();
    assert!(verdict.starts_with("unverifiable("), "{verdict}");
}

// === third-party documents ===

#[test]
fn every_document_of_the_conformance_collection_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vendor/openapi-conformance");
    if !folder.is_dir() {
        eprintln!("skipped: {} is not there", folder.display());
        return;
    }
    let mut waiting = vec![folder];
    let (mut loaded, mut failures) = (0, Vec::new());
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            if !path.extension().is_some_and(|it| it == "yaml" || it == "yml" || it == "json") {
                continue;
            }
            loaded += 1;
            match Timeline::read(&[Input::open(&path).unwrap()], &[], &UriTable::new()) {
                Ok(timeline) => failures.extend(
                    timeline
                        .notes()
                        .filter(|it| it.severity == Severity::Error)
                        .map(ToString::to_string),
                ),
                Err(error) => failures.push(error.to_string()),
            }
        }
    }
    eprintln!("{loaded} documents loaded");
    assert_eq!(failures, [""; 0]);
    assert!(loaded >= 237, "{loaded}");
}
