//! What it costs to load a document: time and memory, of the vendor's whole one and by the number
//! of schemas.
//!
//! Each figure is that of a process of its own, this program started again with a case's name: the
//! memory is the growth of its resident peak (`VmHWM`), which nothing measured before it can have
//! raised. "Loaded" is what a start costs; "all compiled" is after every schema that any message
//! could need has been compiled, which a gateway that serves comes to in time. It fails where the
//! vendor's document breaks its bounds, and says so where that document is not there.

#![allow(missing_docs, clippy::expect_used, clippy::print_stdout)]

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Instant,
};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use recgate::{
    contract::{BodyView, ContractDate, Found, ResponseView, Source, Timeline, Verdict},
    json,
};

const VENDOR: &str = "../shared/vendor/webex-meeting.openapi.json";
/// What is asked of the vendor's document.
const VENDOR_MS: f64 = 300.0;
const VENDOR_MB: f64 = 60.0;
const SCHEMAS: [usize; 5] = [100, 300, 1_000, 3_000, 10_000];
/// Runs of each case; the median counts.
const RUNS: usize = 5;

/// What one process measured.
#[derive(Clone, Copy, Debug)]
struct Figures {
    loaded_ms: f64,
    loaded_mb: f64,
    compiled_ms: f64,
    compiled_mb: f64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(case) = arguments.iter().find_map(|it| it.strip_prefix("case=")) {
        measure(case);
        return ExitCode::SUCCESS;
    }
    // `cargo test --benches` starts it too, to see that it runs.
    let is_test = arguments.iter().any(|it| it == "--test");
    let mut code = ExitCode::SUCCESS;
    println!(
        "document, loaded ms, loaded MB, all compiled ms, all compiled MB (medians of {RUNS})"
    );
    if vendor().exists() {
        let it = medians("vendor");
        row("the vendor's webex-meeting.openapi.json", it);
        if it.loaded_ms > VENDOR_MS || it.loaded_mb > VENDOR_MB {
            println!("over the bound: {VENDOR_MS} ms and {VENDOR_MB} MB");
            code = ExitCode::FAILURE;
        }
    } else {
        println!("SKIPPED: {VENDOR} is not there, so the vendor's document was not measured");
    }
    for count in SCHEMAS {
        if is_test && count > 300 {
            break;
        }
        for (kind, words) in [("tens", "grouped in tens"), ("linked", "all linked")] {
            row(&format!("{count} schemas, {words}"), medians(&format!("{kind}-{count}")));
        }
    }
    if !is_test {
        println!("body in which every value is wrong, read ms, MB, checked ms, MB");
        for kilobytes in [100, 1_000, 8_000] {
            row(&format!("{kilobytes} KB"), medians(&format!("wrong-{kilobytes}")));
        }
    }
    code
}

fn vendor() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(VENDOR)
}

fn row(name: &str, it: Figures) {
    println!(
        "{name}: {:.1} ms, {:.1} MB, {:.1} ms, {:.1} MB",
        it.loaded_ms, it.loaded_mb, it.compiled_ms, it.compiled_mb
    );
}

fn medians(case: &str) -> Figures {
    let runs: Vec<Figures> = (0..RUNS).map(|_| in_a_process(case)).collect();
    let median = |of: fn(&Figures) -> f64| {
        let mut all: Vec<f64> = runs.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[RUNS / 2]
    };
    Figures {
        loaded_ms: median(|it| it.loaded_ms),
        loaded_mb: median(|it| it.loaded_mb),
        compiled_ms: median(|it| it.compiled_ms),
        compiled_mb: median(|it| it.compiled_mb),
    }
}

fn in_a_process(case: &str) -> Figures {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program).arg(format!("case={case}")).output().expect("it starts");
    assert!(output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("figures are text");
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|it| it.parse().ok()).collect();
    let [loaded_ms, loaded_mb, compiled_ms, compiled_mb] = numbers[..] else { panic!("{text}") };
    Figures { loaded_ms, loaded_mb, compiled_ms, compiled_mb }
}

/// Runs in the process of a case.
fn measure(case: &str) {
    let (name, text) = match case.split_once('-') {
        Some(("wrong", kilobytes)) => return wrong(kilobytes.parse().expect("a size")),
        None => (VENDOR, std::fs::read_to_string(vendor()).expect("the vendor's document")),
        Some((kind, count)) => {
            let count: usize = count.parse().expect("a number of schemas");
            ("generated.json", generated(kind == "linked", count))
        }
    };
    let source = Source { name: name.to_owned(), text: text.into() };
    let before = peak_mb();
    let start = Instant::now();
    let timeline = Timeline::load(&source, &[]).expect("it loads");
    let (loaded_ms, loaded_mb) = (milliseconds(start), peak_mb() - before);
    let start = Instant::now();
    let unverifiable = timeline.at(ContractDate::Latest).unverifiable_schemas().len();
    println!("{loaded_ms} {loaded_mb} {} {}", milliseconds(start), peak_mb() - before);
    eprintln!("{case}: {unverifiable} schemas are unverifiable");
}

/// A list of numbers where strings are asked for: as many faults as a body of its size can have.
fn wrong(kilobytes: usize) {
    let text = r#"{"openapi":"3.0.3","paths":{"/a":{"get":{"responses":{"200":{"description":"a","content":{"application/json":{"schema":{"type":"array","items":{"type":"string"}}}}}}}}}}"#;
    let source = Source { name: "wrong.json".to_owned(), text: text.into() };
    let timeline = Timeline::load(&source, &[]).expect("it loads");
    let contract = timeline.at(ContractDate::Latest);
    let Found::Operation(found) = contract.find(&Method::GET, "/a") else { unreachable!() };
    let body = format!("[{}1]", "1,".repeat(kilobytes * 512));
    let json_type = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let headers = HeaderMap::from_iter([json_type]);
    let (before, start) = (peak_mb(), Instant::now());
    assert!(json::parse(body.as_bytes()).is_ok());
    let (read_ms, read_mb) = (milliseconds(start), peak_mb() - before);
    let start = Instant::now();
    let checked = found.operation.check_response(&ResponseView {
        method: &Method::GET,
        status: StatusCode::OK,
        headers: &headers,
        body: BodyView::Whole(body.as_bytes()),
    });
    assert_eq!(checked.verdict, Verdict::Violates);
    println!("{read_ms} {read_mb} {} {}", milliseconds(start), peak_mb() - before);
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// The resident peak of this process; none where the system does not tell.
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.and_then(|it| it.split_whitespace().nth(1)?.parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1024.0
}

/// As many schemas as are asked for, and an operation for every ten of them. Linked, each refers to
/// the next one and to the first, so that all of them are reached from any; in tens, ten belong
/// together and refer to no others.
fn generated(is_linked: bool, count: usize) -> String {
    let mut paths = String::new();
    for number in (0..count).step_by(10) {
        let comma = if number == 0 { "" } else { "," };
        let _ = write!(
            paths,
            r##"{comma}"/r{number}":{{"get":{{"operationId":"get{number}","responses":{{"200":{{"description":"one","content":{{"application/json":{{"schema":{{"$ref":"#/components/schemas/S{number}"}}}}}}}}}}}}}}"##
        );
    }
    let mut schemas = String::new();
    for number in 0..count {
        let comma = if number == 0 { "" } else { "," };
        let (next, first) = if is_linked {
            ((number + 1) % count, 0)
        } else {
            let group = number - number % 10;
            (group + (number + 1) % 10, group)
        };
        let _ = write!(
            schemas,
            r##"{comma}"S{number}":{{"type":"object","required":["id"],"properties":{{"id":{{"type":"string","format":"uuid"}},"name":{{"type":"string","maxLength":64,"pattern":"^[a-z]+$"}},"state":{{"type":"string","enum":["active","paused"]}},"size":{{"type":"integer","format":"int64","nullable":true}},"next":{{"$ref":"#/components/schemas/S{next}"}},"all":{{"type":"array","items":{{"$ref":"#/components/schemas/S{first}"}}}}}}}}"##
        );
    }
    format!(
        r#"{{"openapi":"3.0.3","info":{{"title":"generated","version":"1"}},"paths":{{{paths}}},"components":{{"schemas":{{{schemas}}}}}}}"#
    )
}
