//! One operation of a contract: what it asks of a request and promises of each response.
//!
//! Read once from the raw document, with every reference followed; its schemas are compiled when
//! the first message needs them. A check looks at everything the document says of a message and
//! merges what it finds: nothing that was declared is left out without a word.

mod responses;
mod undeclared;

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode, header::CONTENT_TYPE};

use super::{
    Checked, Finding, Location, Reason, Strictness, Undeclared,
    body::Content,
    declared::{self, Declared},
    document::{At, Document, DocumentError, Version},
    parameter::{Parameter, Query},
    schema::{Direction, Schemas},
    security::Security,
    verdict::Report,
};
use crate::json::Indices;
use responses::Responses;

/// A method on a path template, with its checks.
#[derive(Debug)]
pub struct Operation {
    document: Arc<Document>,
    pointer: String,
    /// Why nothing of it can be checked: the document says it in a way that cannot be read.
    fault: Option<Reason>,
    id: String,
    method: Method,
    template: String,
    parameters: Vec<Parameter>,
    security: Security,
    request_body: Option<RequestBody>,
    responses: Responses,
    pub(super) declared: Vec<Declared>,
}

#[derive(Debug)]
struct RequestBody {
    pointer: String,
    need: Need,
    content: Option<Content>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Required,
    Optional,
}

/// A request as far as a contract speaks of it.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// What [`super::Matched`] carries: names and raw values.
    pub path_parameters: &'a [(String, String)],
    /// The raw query without its `?`; `None` where there is no `?`.
    pub query: Option<&'a str>,
    /// The headers as they came.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: BodyView<'a>,
}

/// A response as far as a contract speaks of it.
#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    /// The method of the request that it answers: an answer to HEAD has no body.
    pub method: &'a Method,
    /// The status.
    pub status: StatusCode,
    /// The headers as they came.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: BodyView<'a>,
}

/// As much of a body as there is to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyView<'a> {
    /// There is none, or it has no bytes.
    Empty,
    /// All of it, as it came.
    Whole(&'a [u8]),
    /// There is one, and it was not collected.
    Unread(Unread),
}

/// Why a body was not collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is larger than the limit for checking.
    OverLimit,
    /// It streams through: nothing asked for it.
    Streamed,
    /// It is not in the recording.
    NotRecorded,
}

// === impl Operation ===

impl Operation {
    /// Reads an operation. `template` is its path in the document, `shared` what its path item
    /// says for all of its methods.
    pub(crate) fn read(
        at: &At<'_>,
        method: Method,
        template: &str,
        shared: Option<&At<'_>>,
        schemas: &mut Schemas,
    ) -> Result<Self, DocumentError> {
        let mut parameters: Vec<Parameter> = Vec::new();
        for list in [at.get("parameters").as_ref(), shared].into_iter().flatten() {
            let of_this_list = parameters.len();
            for parameter in list.elements() {
                let Some(parameter) = Parameter::read(parameter, schemas)? else { continue };
                match parameters.iter().position(|other| other.key() == parameter.key()) {
                    None => parameters.push(parameter),
                    // Which of two in one list counts, nobody says.
                    Some(index) if index >= of_this_list => parameters[index].contest(&parameter),
                    // The operation's own goes before its path's.
                    Some(_) => {}
                }
            }
        }
        let request_body = match at.get("requestBody") {
            Some(body) => Some(RequestBody::read(body, schemas)?),
            None => None,
        };
        let responses = match at.get("responses") {
            Some(responses) => Responses::read(&responses, schemas)?,
            // 3.1, Operation Object: it may say nothing of its responses.
            None if at.document.version() == Version::V31 => Responses::none(at),
            None => return Err(at.error("`responses` is missing")),
        };
        let security = Security::read(at)?;
        Ok(Self {
            parameters,
            security,
            request_body,
            responses,
            ..Self::bare(at, method, template)
        })
    }

    /// An operation that cannot be read: it is known, and everything of it is `unverifiable`.
    pub(crate) fn unreadable(at: &At<'_>, method: Method, template: &str) -> Self {
        Self { fault: Some(Reason::Operation), ..Self::bare(at, method, template) }
    }

    fn bare(at: &At<'_>, method: Method, template: &str) -> Self {
        let id =
            at.text("operationId").map_or_else(|| format!("{method} {template}"), str::to_owned);
        Self {
            document: Arc::clone(at.document),
            pointer: at.pointer.clone(),
            fault: None,
            id,
            method,
            template: template.to_owned(),
            parameters: Vec::new(),
            security: Security::default(),
            request_body: None,
            responses: Responses::none(at),
            declared: at.get("responses").as_ref().map(declared::read).unwrap_or_default(),
        }
    }

    /// Whether the document says it in a way that can be read; else everything of it is
    /// `unverifiable`.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.fault.is_none()
    }

    /// An error about this operation.
    pub(crate) fn error(&self, message: impl Into<String>) -> DocumentError {
        self.document.error(&self.pointer, message)
    }

    /// The `operationId`, or `METHOD template` where the document gives none.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// The path template as the document writes it, without a server's prefix.
    #[must_use]
    pub fn template(&self) -> &str {
        &self.template
    }

    /// Whether a request's body must be collected to be checked; else it may stream.
    #[must_use]
    pub fn reads_request_body(&self) -> bool {
        let content = self.request_body.as_ref().and_then(|body| body.content.as_ref());
        content.is_some_and(Content::may_be_read)
    }

    /// Whether a response's body must be collected to be checked; else it may stream.
    #[must_use]
    pub fn reads_response_body(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let content = self.responses.get(status).and_then(|response| response.content.as_ref());
        !has_no_body(status) && content.is_some_and(|content| content.is_read(headers))
    }

    /// Checks a request: credentials, parameters, content type, body. What nobody declared is not
    /// looked at.
    #[must_use]
    pub fn check_request(&self, request: &RequestView<'_>) -> Checked {
        self.check_request_by(request, Strictness::default())
    }

    /// Checks a request, and what nobody declared in it as `strictness` says.
    #[must_use]
    pub fn check_request_by(&self, request: &RequestView<'_>, strictness: Strictness) -> Checked {
        let mut report = Report::new().strict(strictness.rest);
        if let Some(fault) = self.fault {
            report.unverifiable(fault);
            return report.finish_in(&self.document);
        }
        // Method and path were checked when the operation was found.
        report.checked();
        let query = Query::parse(request.query.unwrap_or_default());
        let cookies = Query::cookies(request.headers, &|name| {
            self.parameters_in(Location::Cookie).any(|parameter| parameter.explodes(name))
        });
        self.security.check(request.headers, &query, &cookies, &mut report);
        for parameter in &self.parameters {
            let location = parameter.key().1;
            let claimed = |name: &str| self.claims(location, name);
            match location {
                Location::Path => parameter.check_path(request.path_parameters, &mut report),
                Location::Query => parameter.check_pairs(&query, &claimed, &mut report),
                Location::Cookie => parameter.check_pairs(&cookies, &claimed, &mut report),
                _ => parameter.check_header(request.headers, &mut report),
            }
        }
        self.check_undeclared(request.headers, &query, &cookies, strictness, &mut report);
        match &self.request_body {
            Some(body) => body.check(request, &mut report),
            None if is_empty(request.body) => {}
            None => undeclared_body(&self.pointer, "requestBody", &mut report),
        }
        report.finish_in(&self.document)
    }

    fn parameters_in(&self, location: Location) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(move |parameter| parameter.key().1 == location)
    }

    /// Whether a name in the query or among the cookies belongs to a parameter of that name, and
    /// not to an object that is spread over it.
    fn claims(&self, location: Location, name: &str) -> bool {
        self.parameters_in(location).any(|parameter| parameter.claims(name))
            || self.security.claims(location, name)
    }

    /// Checks a response: status, headers, content type, body. A status that the operation does
    /// not declare is a finding; other things that nobody declared are not looked at.
    #[must_use]
    pub fn check_response(&self, response: &ResponseView<'_>) -> Checked {
        self.check_response_by(response, Strictness::default())
    }

    /// Checks a response, and what nobody declared in it as `strictness` says.
    #[must_use]
    pub fn check_response_by(
        &self,
        response: &ResponseView<'_>,
        strictness: Strictness,
    ) -> Checked {
        let mut report = Report::new().strict(strictness.rest);
        if let Some(fault) = self.fault {
            report.unverifiable(fault);
            return report.finish_in(&self.document);
        }
        let Some(declared) = self.responses.get(response.status) else {
            if self.responses.is_silent() {
                report.unverifiable(Reason::NoSchema);
                return report.finish_in(&self.document);
            }
            report.finding(self.responses.undeclared());
            return report.finish_in(&self.document);
        };
        report.checked();
        for header in &declared.headers {
            header.check_header(response.headers, &mut report);
        }
        undeclared::check_response_headers(declared, response.headers, &mut report);
        if response.method == Method::HEAD || has_no_body(response.status) {
            if let BodyView::Whole([_, ..]) = response.body {
                report.finding(Finding {
                    code: "body.forbidden",
                    location: Location::Body,
                    pointer: String::new(),
                    spec_pointer: self.responses.pointer.clone(),
                    position: None,
                    indices: Indices::default(),
                    keyword: String::new(),
                    expected: "no body with this method and status (RFC 9110 §6.4.1)".to_owned(),
                });
            }
            return report.finish_in(&self.document);
        }
        match &declared.content {
            Some(content) if is_empty(response.body) && content.forbids_empty() => {
                report.finding(missing_body(content.pointer(), "content"));
            }
            // Without a type no bytes are no text, no form and no file in particular; with one
            // they are the empty one of it, and that may be wrong.
            Some(_) if is_empty(response.body) && !response.headers.contains_key(CONTENT_TYPE) => {}
            Some(content) => content.check(response.headers, response.body, &mut report),
            None if is_empty(response.body) => {}
            None => undeclared_body(&declared.pointer, "content", &mut report),
        }
        report.finish_in(&self.document)
    }
}

/// RFC 9110 §6.4.1: whatever its headers say, such a response has none.
fn has_no_body(status: StatusCode) -> bool {
    status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

const fn is_empty(body: BodyView<'_>) -> bool {
    matches!(body, BodyView::Empty | BodyView::Whole([]))
}

fn missing_body(spec_pointer: &str, keyword: &str) -> Finding {
    Finding {
        code: "body.required",
        location: Location::Body,
        pointer: String::new(),
        spec_pointer: spec_pointer.to_owned(),
        position: None,
        indices: Indices::default(),
        keyword: keyword.to_owned(),
        expected: "a body".to_owned(),
    }
}

/// There is a body, and the contract says nothing of one.
fn undeclared_body(spec_pointer: &str, keyword: &str, report: &mut Report) {
    if report.undeclared() == Undeclared::Ignore {
        return report.unverifiable(Reason::NoSchema);
    }
    report.undeclared_finding(Finding {
        code: "body.undeclared",
        location: Location::Body,
        pointer: String::new(),
        spec_pointer: spec_pointer.to_owned(),
        position: None,
        indices: Indices::default(),
        keyword: keyword.to_owned(),
        expected: "no body: none is declared".to_owned(),
    });
}

// === impl RequestBody ===

impl RequestBody {
    fn read(at: At<'_>, schemas: &mut Schemas) -> Result<Self, DocumentError> {
        let at = at.resolved()?;
        let required = at.flag("required")?.unwrap_or(false);
        let need = if required { Need::Required } else { Need::Optional };
        let content = Content::read(&at, Direction::Request, schemas)?;
        Ok(Self { pointer: at.pointer, need, content })
    }

    fn check(&self, request: &RequestView<'_>, report: &mut Report) {
        if is_empty(request.body) {
            if self.need == Need::Required {
                let pointer = format!("{}/required", self.pointer);
                report.finding(missing_body(&pointer, "required"));
            }
            return;
        }
        match &self.content {
            Some(content) => content.check(request.headers, request.body, report),
            None => undeclared_body(&self.pointer, "content", report),
        }
    }
}
