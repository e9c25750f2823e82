//! One table of routes per listener: what is served and what the OpenAPI document says are the same rows.
//!
//! Why it exists: a description kept beside the code drifts from it. Here a row holds the handler together with its
//! parameters, its body, its answers and the error codes that it can give; [`configure`] registers the rows and
//! [`super::openapi`] describes them. A route that is not in a table is not served.
//!
//! Rules of a table: literal paths win over those with variables whatever their order; a path of the table asked with
//! another method is a 405 problem with `Allow`; GET routes answer HEAD too, endless streams excepted; everything else is
//! a 404 problem.

use std::collections::BTreeMap;

use actix_web::guard::{self, GuardContext};
use actix_web::http::Method as HttpMethod;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};

use super::problem::{not_found, respond};
use super::schema::Shape;
use crate::error::Code;

/// A listener; each has its own address and its own routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Listener {
    /// For posts.
    Intake,
    /// For brokers.
    Callbacks,
    /// For operators.
    Ops,
}

impl Listener {
    /// Its word: tag of the OpenAPI document, key of the addresses file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Callbacks => "callbacks",
            Self::Ops => "ops",
        }
    }
}

/// A method that routes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// Reads; answers HEAD too.
    Get,
    /// Adds or does.
    Post,
    /// Sets.
    Put,
    /// Removes.
    Delete,
}

impl Method {
    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// Where a parameter stands. Path parameters are read off the path, see [`PATH_PARAMETERS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the query.
    Query,
    /// In a header.
    Header,
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// A text of at most so many characters.
    Text(u32),
    /// A whole number in a range, and what it is when left out.
    Integer {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
        /// When left out.
        default: u64,
    },
    /// One word of a list.
    OneOf(&'static [&'static str]),
}

/// A query parameter or header of a route. Queries are read by the same constant ([`super::query::Query`]).
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Where.
    pub place: Place,
    /// Name.
    pub name: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// What it may be.
    pub values: Values,
    /// Whether it has to be given.
    pub required: bool,
}

impl Parameter {
    /// An optional query parameter.
    pub const fn query(name: &'static str, values: Values, doc: &'static str) -> Self {
        Self { place: Place::Query, name, doc, values, required: false }
    }

    /// An optional header.
    pub const fn header(name: &'static str, values: Values, doc: &'static str) -> Self {
        Self { place: Place::Header, name, doc, values, required: false }
    }

    /// The same, but it has to be given.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

/// Variables of paths and what they are. A path may use no other.
pub const PATH_PARAMETERS: &[(&str, &str)] = &[
    ("broker", "Name of a configured broker."),
    ("declaration_id", "Id that the 202 answer gave."),
    ("item_id", "S10 id of the item, for example EE123456785KR."),
    ("subscription_id", "Id that the subscription's 201 answer gave."),
    ("consignment_id", "Id of the consignment, chosen by the post."),
    ("file", "A file of the page."),
];

/// Content of a body or an answer.
#[derive(Debug, Clone, Copy)]
pub struct Content {
    /// Media type.
    pub media: &'static str,
    /// What it looks like.
    pub shape: Shape,
}

impl Content {
    /// JSON.
    pub const fn json(shape: Shape) -> Self {
        Self { media: "application/json", shape }
    }

    /// Another media type.
    pub const fn of(media: &'static str, shape: Shape) -> Self {
        Self { media, shape }
    }
}

/// What a route takes.
#[derive(Debug, Clone, Copy)]
pub struct Body {
    /// What it is.
    pub doc: &'static str,
    /// In which forms.
    pub contents: &'static [Content],
    /// Whether it may be left out.
    pub optional: bool,
}

/// A good answer of a route.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// When it is given.
    pub doc: &'static str,
    /// In which forms; none for an empty body.
    pub contents: &'static [Content],
    /// Headers of its own, with their meaning. All answers have `X-Conversation-Id`.
    pub headers: &'static [(&'static str, &'static str)],
}

impl Answer {
    /// An answer with content.
    pub const fn new(status: u16, doc: &'static str, contents: &'static [Content]) -> Self {
        Self { status, doc, contents, headers: &[] }
    }

    /// An answer without a body.
    pub const fn empty(status: u16, doc: &'static str) -> Self {
        Self::new(status, doc, &[])
    }

    /// Its own headers.
    #[must_use]
    pub const fn headers(mut self, headers: &'static [(&'static str, &'static str)]) -> Self {
        self.headers = headers;
        self
    }
}

/// A row: one method of one path, its handler, and everything that the document says about it.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// Method.
    pub method: Method,
    /// Path; `{name}` is a variable of [`PATH_PARAMETERS`].
    pub path: &'static str,
    /// One line.
    pub summary: &'static str,
    /// More, where there is more to say.
    pub description: &'static str,
    /// Query parameters and headers.
    pub parameters: &'static [Parameter],
    /// What it takes.
    pub body: Option<Body>,
    /// Its good answers.
    pub answers: &'static [Answer],
    /// Its refusals, besides those of the table.
    pub refusals: &'static [Code],
    /// Whether it is served without authentication.
    pub open: bool,
    /// Makes the service: `|| web::to(handler)`, without a guard for the method, which [`configure`] adds.
    pub handler: fn() -> actix_web::Route,
}

impl Route {
    /// A row; the rest is added by the functions below.
    pub const fn new(method: Method, path: &'static str, summary: &'static str, handler: fn() -> actix_web::Route) -> Self {
        Self { method, path, summary, description: "", parameters: &[], body: None, answers: &[], refusals: &[], open: false, handler }
    }

    /// Says more.
    #[must_use]
    pub const fn described(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// Query parameters and headers.
    #[must_use]
    pub const fn parameters(mut self, parameters: &'static [Parameter]) -> Self {
        self.parameters = parameters;
        self
    }

    /// A body that has to be given.
    #[must_use]
    pub const fn takes(mut self, doc: &'static str, contents: &'static [Content]) -> Self {
        self.body = Some(Body { doc, contents, optional: false });
        self
    }

    /// A body that may be left out.
    #[must_use]
    pub const fn may_take(mut self, doc: &'static str, contents: &'static [Content]) -> Self {
        self.body = Some(Body { doc, contents, optional: true });
        self
    }

    /// Good answers.
    #[must_use]
    pub const fn answers(mut self, answers: &'static [Answer]) -> Self {
        self.answers = answers;
        self
    }

    /// Refusals, besides those of the table.
    #[must_use]
    pub const fn refuses(mut self, refusals: &'static [Code]) -> Self {
        self.refusals = refusals;
        self
    }

    /// Served without authentication.
    #[must_use]
    pub const fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// Whether it answers HEAD: as GET without the body, unless its body is a stream that does not end.
    fn answers_head(&self) -> bool {
        let endless = self.answers.iter().flat_map(|answer| answer.contents).any(|content| content.media == "text/event-stream");
        self.method == Method::Get && !endless
    }

    fn answers_to(&self, method: &HttpMethod) -> bool {
        method.as_str() == self.method.as_str() || (method == HttpMethod::HEAD && self.answers_head())
    }
}

/// All routes of one listener.
#[derive(Debug)]
pub struct Table {
    /// The listener.
    pub listener: Listener,
    /// Its routes, in parts.
    pub parts: &'static [&'static [Route]],
    /// Refusals that every route can give.
    pub always: &'static [Code],
    /// Refusals that every route can give that is not open.
    pub closed: &'static [Code],
}

impl Table {
    /// Every row.
    pub fn routes(&self) -> impl Iterator<Item = &'static Route> + use<> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    /// Whether this very path is served without authentication.
    pub fn is_open(&self, path: &str) -> bool {
        self.routes().any(|route| route.open && pattern_matches(route.path, path))
    }

    /// Refusals of a row, those of the table included.
    pub fn refusals(&self, route: &Route) -> Vec<Code> {
        let closed = if route.open { &[] } else { self.closed };
        let mut codes: Vec<Code> = route.refusals.iter().chain(closed).chain(self.always).copied().collect();
        codes.sort_by_key(|code| (code.status(), code.as_str()));
        codes.dedup();
        codes
    }
}

/// Whether a path fits a pattern: as many segments, literal ones equal, variable ones not empty.
fn pattern_matches(pattern: &str, path: &str) -> bool {
    let fits = |(pattern, segment): (&str, &str)| if pattern.starts_with('{') { !segment.is_empty() } else { pattern == segment };
    pattern.split('/').count() == path.split('/').count() && pattern.split('/').zip(path.split('/')).all(fits)
}

/// Registers a table. Call it once per application.
pub fn configure(table: &'static Table, config: &mut web::ServiceConfig) {
    for (path, routes) in by_path(table) {
        let mut allow: Vec<&str> = Vec::new();
        let mut resource = web::resource(path);
        for route in routes {
            allow.push(route.method.as_str());
            if route.answers_head() {
                allow.push("HEAD");
            }
            let has_method = move |context: &GuardContext<'_>| route.answers_to(&context.head().method);
            resource = resource.route((route.handler)().guard(guard::fn_guard(has_method)));
        }
        let allow = HeaderValue::from_str(&allow.join(", ")).unwrap_or(HeaderValue::from_static("GET"));
        let refuse = move |request: HttpRequest| {
            let allow = allow.clone();
            async move { method_not_allowed(&request, allow) }
        };
        config.service(resource.default_service(web::to(refuse)));
    }
    config.default_service(web::to(not_found));
}

/// Rows by path, literal segments before variables.
fn by_path(table: &'static Table) -> Vec<(&'static str, Vec<&'static Route>)> {
    let mut paths: BTreeMap<&str, Vec<&Route>> = BTreeMap::new();
    for route in table.routes() {
        paths.entry(route.path).or_default().push(route);
    }
    let mut paths: Vec<_> = paths.into_iter().collect();
    let is_variable = |segment: &str| segment.starts_with('{');
    paths.sort_by_key(|(path, _)| path.split('/').map(|segment| (is_variable(segment), segment)).collect::<Vec<_>>());
    paths
}

fn method_not_allowed(request: &HttpRequest, allow: HeaderValue) -> HttpResponse {
    let mut response = respond(request, &Code::MethodNotAllowed.into());
    response.headers_mut().insert(ALLOW, allow);
    response
}
