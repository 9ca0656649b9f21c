//! `recgate spec lint`: what it understood, what it could not, where, and the exit code.

use serde_json::{Value, json};

use crate::harness::{file, run_to_end};

const SOUND: &str = "openapi: 3.0.3
info: {title: t, version: '1'}
paths:
  /calls:
    get:
      responses:
        '200':
          description: d
          content:
            application/json: {schema: {$ref: '#/components/schemas/Call'}}
components:
  schemas:
    Call:
      type: object
      properties:
        id: {type: string, format: uuid}
";

async fn lint(arguments: &[&str]) -> (Option<i32>, String, String) {
    let ended = run_to_end(&[&["spec", "lint"], arguments].concat(), &[]).await;
    (ended.code, ended.out, ended.errors)
}

async fn notes(path: &str) -> Vec<Value> {
    let (_, out, errors) = lint(&[path, "--format", "json"]).await;
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{errors}"));
    report["contracts"][0]["notes"].as_array().unwrap().clone()
}

fn place(note: &Value) -> Value {
    json!([note["severity"], note["code"], note["pointer"], note["line"], note["column"]])
}

fn written(name: &str, text: &str) -> String {
    file(name, text).display().to_string()
}

#[tokio::test]
async fn a_sound_document_ends_in_zero() {
    let path = written("sound.yaml", SOUND);
    let (code, out, errors) = lint(&[&path]).await;
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(out, format!("{path}: OpenAPI 3.0, 1 operation, 1 schema\n0 errors, 0 warnings\n"));
}

#[tokio::test]
async fn warnings_and_notes_end_in_zero_and_tell_their_places() {
    let text = SOUND.replace("format: uuid}", "format: crn, exclusiveMinimum: 3}");
    let path = written("warned.yaml", &text);
    let (code, out, errors) = lint(&[&path]).await;
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let at = "/components/schemas/Call/properties/id";
    assert_eq!(
        out,
        format!(
            "{path}: OpenAPI 3.0, 1 operation, 1 schema\n\
             {path}:16:41: warning[schema.form] at {at}/exclusiveMinimum: `exclusiveMinimum` as a \
             number came with 3.1, and this document is 3.0\n  \
             hint: write it in the form of the document's own version\n\
             {path}:16:28: note[schema.format] at {at}/format: the format `crn` is not known, and \
             constrains nothing\n\
             0 errors, 1 warning\n"
        )
    );
}

#[tokio::test]
async fn errors_end_in_one_and_the_rest_is_understood() {
    let broken = "  /broken:
    get:
      responses: {'200': {$ref: '#/components/responses/Nothing'}}
";
    let text = SOUND.replace("components:\n", &format!("{broken}components:\n"));
    let path = written("broken.yaml", &text);
    let (code, out, errors) = lint(&[&path]).await;
    assert_eq!(code, Some(1));
    assert_eq!(errors, "recgate: 1 error in the documents\n");
    assert!(out.contains("2 operations, 1 schema, 1 operation unreadable"), "{out}");
    assert!(out.contains(&format!("{path}:13:")), "{out}");
    assert!(out.contains("error[reference.unresolved]"), "{out}");
    assert!(out.ends_with("1 error, 0 warnings\n"), "{out}");
}

/// The same document in both forms: the same notes, each at its own place.
#[tokio::test]
async fn places_are_right_in_yaml_and_in_json() {
    let yaml = "openapi: 3.0.3
info: {title: t, version: '1'}
paths:
  /a:
    get:
      responses:
        '200':
          description: d
          content:
            application/json:
              schema:
                type: string
                format: crn
";
    let json = r#"{
  "openapi": "3.0.3",
  "info": {"title": "t", "version": "1"},
  "paths": {"/a": {"get": {"responses": {"200": {
    "description": "\u00e4",
    "content": {"application/json": {"schema": {"type": "string", "format": "crn"}}}
  }}}}}
}"#;
    let at = "/paths/~1a/get/responses/200/content/application~1json/schema/format";
    for (name, text, line, column) in [("p.yaml", yaml, 13, 17), ("p.json", json, 6, 67)] {
        let notes = notes(&written(name, text)).await;
        let wanted = json!(["note", "schema.format", at, line, column]);
        assert_eq!(notes.iter().map(place).collect::<Vec<_>>(), [wanted], "{name}");
    }
}

#[tokio::test]
async fn the_report_as_json_is_whole() {
    let path = written("whole.yaml", SOUND);
    let (code, out, _) = lint(&[&path, "--format", "json"]).await;
    assert_eq!(code, Some(0));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        report,
        json!({
            "contracts": [{
                "documents": [{
                    "source": path, "version": "3.0", "operations": 1, "unreadable": 0,
                    "schemas": 1, "files": 0,
                }],
                "dates": [],
                "notes": [],
            }],
            "errors": 0,
            "warnings": 0,
        })
    );
}

#[tokio::test]
async fn a_uri_is_found_in_the_table_alone() {
    let uri = "https://example.com/call.json?v=1";
    let text = SOUND.replace("#/components/schemas/Call", uri);
    let path = written("uri.yaml", &text);
    let (code, out, _) = lint(&[&path]).await;
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("error[reference.refused]"), "{out}");

    let entry = format!("{uri}={}", written("call.json", r#"{"type": "object"}"#));
    let (code, out, _) = lint(&[&path, "--uri", &entry]).await;
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("1 other file"), "{out}");
}

#[tokio::test]
async fn documents_are_one_api_or_each_its_own() {
    let (first, second) = (written("first.yaml", SOUND), written("second.yaml", SOUND));
    let (code, out, _) = lint(&[&first, &second]).await;
    assert_eq!(code, Some(0), "{out}");
    // Together, the second of two equal routes is an error.
    let (code, out, _) = lint(&[&first, &second, "--together"]).await;
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("error[path.duplicate]"), "{out}");
    assert!(out.contains(&format!("{second}:5:")), "{out}");
}

#[tokio::test]
async fn what_cannot_be_used_ends_in_two() {
    let path = written("used.yaml", SOUND);
    for (arguments, wanted) in [
        (vec!["no-such.yaml"], "no-such.yaml cannot be read"),
        (vec![&path, "--uri", "s.json"], "URI=FILE is wanted"),
        (vec![&path, "--overlay", "soon=o.yaml"], "a day such as"),
        (vec![], "FILE"),
    ] {
        let (code, out, errors) = lint(&arguments).await;
        assert_eq!(code, Some(2), "{arguments:?}: {out}");
        assert!(errors.contains(wanted), "{arguments:?}: {errors}");
    }
    // A document that is refused as a whole is one error.
    let refused = written("refused.yaml", "openapi: 4.0.0\n");
    let (code, out, _) = lint(&[&refused]).await;
    assert_eq!(code, Some(1));
    assert!(out.contains("error[document.version]"), "{out}");
}

/// Nobody writes to it: who opened it would wait for ever.
#[tokio::test]
async fn a_pipe_is_no_document() {
    let path = written("pipe", "");
    std::fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let (code, _, errors) = lint(&[&path]).await;
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("pipe cannot be read: not a regular file"), "{errors}");
}
