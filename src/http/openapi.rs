//! The OpenAPI 3.1 document, made from the route tables of all three listeners.
//!
//! Nothing about a route is written here: its row says it. The error answers come from the error table, the declaration
//! from its record. Nothing of the configuration enters, so the served and the printed document are the same bytes.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpResponse, web};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn, PathItemBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ArrayBuilder, ComponentsBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::server::ServerBuilder;
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, HttpMethod, InfoBuilder, KnownFormat, License, OpenApi, OpenApiBuilder, PathsBuilder, Ref, RefOr, Required, Response,
    ResponseBuilder, SchemaFormat,
};

use super::problem::PROBLEM_JSON;
use super::routes::{Answer, Body, Content, Listener, Method, PATH_PARAMETERS, Parameter, Place, Route, Table, Values};
use super::schema::{self, Schemas};
use super::{callbacks, intake, ops};
use crate::error::Code;

/// Every table.
pub static TABLES: &[&Table] = &[&intake::TABLE, &callbacks::TABLE, &ops::TABLE];

const PROBLEM: &str = "Problem";
const FAULT: &str = "Fault";
const API_KEY: &str = "apiKey";
const OPERATOR_TOKEN: &str = "operatorToken";
const OPERATOR_PASSWORD: &str = "operatorPassword";
const CLIENT_CERTIFICATE: &str = "clientCertificate";

/// `GET /openapi.json`, part of the intake's table.
pub const ROUTES: &[Route] = &[Route::new(Method::Get, "/openapi.json", "This document", || web::to(serve))
    .answers(&[Answer::new(200, "OpenAPI 3.1, all three listeners.", &[Content::json(schema::object)])])
    .open()];

async fn serve() -> HttpResponse {
    static TEXT: LazyLock<Vec<u8>> = LazyLock::new(|| serde_json::to_vec(&document()).unwrap_or_default());
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body(TEXT.as_slice())
}

/// The document.
pub fn document() -> OpenApi {
    let mut schemas = Schemas::default();
    let mut items = BTreeMap::new();
    for table in TABLES {
        for route in table.routes() {
            let item = items.remove(route.path).unwrap_or_else(|| PathItemBuilder::new().servers(Some([server(table.listener)])));
            items.insert(route.path, item.operation(http_method(route.method), operation(table, route, &mut schemas)));
        }
    }
    let paths = items.into_iter().fold(PathsBuilder::new(), |paths, (path, item)| paths.path(path, item.build()));
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Preclear")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "Customs pre-clearance gateway for posts. Three listeners, each with its own routes: `intake` for posts, \
                     `callbacks` for brokers, `ops` for operators. Every answer carries `X-Conversation-Id`; every error is a \
                     problem (RFC 9457) whose `code` stands in one closed table.",
                ))
                .license(Some(license()))
                .build(),
        )
        .tags(Some([
            TagBuilder::new().name("intake").description(Some("For posts: declarations in, status back.")).build(),
            TagBuilder::new().name("callbacks").description(Some("For brokers: notices in, over mutual TLS.")).build(),
            TagBuilder::new()
                .name("ops")
                .description(Some("For operators: what is stuck, since when, why; and what to do about it."))
                .build(),
        ]))
        .paths(paths.build())
        .components(Some(components(schemas)))
        .build()
}

fn license() -> License {
    let mut license = License::new("Apache-2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    license
}

fn server(listener: Listener) -> utoipa::openapi::Server {
    let (url, doc) = match listener {
        Listener::Intake => ("http://127.0.0.1:8080", "The intake listener's default address."),
        Listener::Callbacks => ("https://127.0.0.1:8443", "The callback listener's default address; mutual TLS always."),
        Listener::Ops => ("http://127.0.0.1:9090", "The operators' listener's default address."),
    };
    ServerBuilder::new().url(url).description(Some(doc)).build()
}

fn http_method(method: Method) -> HttpMethod {
    match method {
        Method::Get => HttpMethod::Get,
        Method::Post => HttpMethod::Post,
        Method::Put => HttpMethod::Put,
        Method::Delete => HttpMethod::Delete,
    }
}

fn operation(table: &Table, route: &Route, schemas: &mut Schemas) -> OperationBuilder {
    let mut operation = OperationBuilder::new()
        .tag(table.listener.as_str())
        .operation_id(Some(operation_id(route)))
        .summary(Some(route.summary))
        .description((!route.description.is_empty()).then_some(route.description));
    for name in variables(route.path) {
        let doc = PATH_PARAMETERS.iter().find(|(known, _)| *known == name).map_or("", |(_, doc)| doc);
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(doc))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()));
        operation = operation.parameter(parameter);
    }
    for given in route.parameters {
        operation = operation.parameter(parameter(given));
    }
    if let Some(body) = &route.body {
        operation = operation.request_body(Some(request_body(body, schemas)));
    }
    for (status, response) in responses(table, route, schemas) {
        operation = operation.response(status.to_string(), response);
    }
    operation.securities(Some(securities(table.listener, route.open)))
}

/// `get_v1_brokers`, `post_v1_brokers_by_broker_pause`.
fn operation_id(route: &Route) -> String {
    let mut id = route.method.as_str().to_lowercase();
    for segment in route.path.split('/').filter(|segment| !segment.is_empty()) {
        let variable = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
        id.push('_');
        match variable {
            Some(name) => id.push_str(&format!("by_{name}")),
            None => id.extend(segment.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })),
        }
    }
    if route.path.ends_with('/') {
        id.push_str("_index");
    }
    id
}

/// Names of the variables in a path.
fn variables(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

fn parameter(given: &Parameter) -> ParameterBuilder {
    let object = match given.values {
        Values::Text(max) => ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(max as usize)),
        Values::Integer { min, max, default } => {
            let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            let object = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(number(min))).maximum(Some(number(max)));
            if given.required { object } else { object.default(Some(default.into())) }
        }
        Values::OneOf(words) => ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.iter().copied())),
    };
    ParameterBuilder::new()
        .name(given.name)
        .parameter_in(match given.place {
            Place::Query => ParameterIn::Query,
            Place::Header => ParameterIn::Header,
        })
        .required(if given.required { Required::True } else { Required::False })
        .description(Some(given.doc))
        .schema(Some(object.build()))
}

fn request_body(body: &Body, schemas: &mut Schemas) -> utoipa::openapi::request_body::RequestBody {
    let required = if body.optional { Required::False } else { Required::True };
    let builder = RequestBodyBuilder::new().description(Some(body.doc)).required(Some(required));
    body.contents.iter().fold(builder, |builder, content| builder.content(content.media, media(content, schemas))).build()
}

fn media(content: &Content, schemas: &mut Schemas) -> utoipa::openapi::Content {
    ContentBuilder::new().schema(Some((content.shape)(schemas))).build()
}

/// Good answers and refusals by status; a status that is both has both contents.
fn responses(table: &Table, route: &Route, schemas: &mut Schemas) -> BTreeMap<u16, Response> {
    let conversation = || text_header("The request's conversation id: the incoming one if it was a UUID, else a new one.");
    let mut by_status: BTreeMap<u16, (Vec<String>, ResponseBuilder)> = BTreeMap::new();
    for answer in route.answers {
        let (docs, builder) = by_status.remove(&answer.status).unwrap_or_default();
        let builder = answer.contents.iter().fold(builder, |builder, content| builder.content(content.media, media(content, schemas)));
        let builder = answer.headers.iter().fold(builder, |builder, (name, doc)| builder.header(*name, text_header(doc)));
        by_status.insert(answer.status, (pushed(docs, answer.doc.to_owned()), builder));
    }
    for code in table.refusals(route) {
        let (docs, builder) = by_status.remove(&code.status()).unwrap_or_default();
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name(PROBLEM))).build();
        let mut builder = builder.content(PROBLEM_JSON, problem);
        if may_wait(code) {
            builder = builder.header("Retry-After", text_header("Seconds after which to try again."));
        }
        by_status.insert(code.status(), (pushed(docs, format!("`{}`: {}", code.as_str(), code.meaning())), builder));
    }
    by_status
        .into_iter()
        .map(|(status, (docs, builder))| {
            (status, builder.description(docs.join("\n\n")).header("X-Conversation-Id", conversation()).build())
        })
        .collect()
}

fn pushed(mut docs: Vec<String>, doc: String) -> Vec<String> {
    docs.push(doc);
    docs
}

fn may_wait(code: Code) -> bool {
    matches!(code.status(), 429 | 503) || code == Code::KeyInFlight
}

fn text_header(doc: &str) -> utoipa::openapi::Header {
    HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String).build())).description(Some(doc)).build()
}

/// Any one of these is enough; the empty one says that none is needed.
fn securities(listener: Listener, open: bool) -> Vec<SecurityRequirement> {
    let by = |name: &str| SecurityRequirement::new(name, [] as [&str; 0]);
    match listener {
        Listener::Callbacks => vec![by(CLIENT_CERTIFICATE)],
        _ if open => Vec::new(),
        Listener::Intake => vec![by(API_KEY), by(CLIENT_CERTIFICATE)],
        // On loopback without a token, nothing is asked for.
        Listener::Ops => vec![by(OPERATOR_TOKEN), by(OPERATOR_PASSWORD), by(CLIENT_CERTIFICATE), SecurityRequirement::default()],
    }
}

fn components(schemas: Schemas) -> Components {
    let http = |scheme, doc: &str| SecurityScheme::Http(HttpBuilder::new().scheme(scheme).description(Some(doc)).build());
    let builder = ComponentsBuilder::new()
        .security_scheme(API_KEY, http(HttpAuthScheme::Bearer, "An API key of the post."))
        .security_scheme(OPERATOR_TOKEN, http(HttpAuthScheme::Bearer, "`[ops] token`. Not asked for where none is configured (loopback)."))
        .security_scheme(OPERATOR_PASSWORD, http(HttpAuthScheme::Basic, "Any user name with `[ops] token` as password, for browsers."))
        .security_scheme(
            CLIENT_CERTIFICATE,
            SecurityScheme::MutualTls {
                description: Some(
                    "A client certificate whose SAN is configured for the post or broker, or that the operators' CA signed.".into(),
                ),
                deprecated: None,
                extensions: None,
            },
        )
        .schema(PROBLEM, problem_schema())
        .schema(FAULT, fault_schema());
    schemas.into_inner().into_iter().fold(builder, |builder, (name, schema)| builder.schema(name, schema)).build()
}

fn string(doc: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(doc))
}

fn problem_schema() -> RefOr<Schema> {
    let errors = ArrayBuilder::new().items(Ref::from_schema_name(FAULT)).description(Some("All faults at once."));
    let object = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("An error (RFC 9457). No value of the input is ever repeated."))
        .property("type", string("Page that describes the code.").format(Some(SchemaFormat::Custom("uri".to_owned()))))
        .property("title", string("Short title of the code."))
        .property("status", ObjectBuilder::new().schema_type(Type::Integer).description(Some("HTTP status.")))
        .property("detail", string("What is allowed or what to do."))
        .property("code", string("Code of the closed table.").enum_values(Some(Code::ALL.iter().map(|code| code.as_str()))))
        .property("conversation_id", string("Finds the request in our log.").format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid))))
        .property("errors", errors);
    let names = ["type", "title", "status", "detail", "code", "conversation_id", "errors"];
    names.into_iter().fold(object, ObjectBuilder::required).build().into()
}

fn fault_schema() -> RefOr<Schema> {
    let object = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("One fault or warning about one place of the input."))
        .property(
            "pointer",
            string("RFC 6901 pointer into the body; the name of a query parameter or header after `/` where that is at fault."),
        )
        .property("code", string("What is wrong."))
        .property("detail", string("What is allowed."));
    ["pointer", "code", "detail"].into_iter().fold(object, ObjectBuilder::required).build().into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn rows() -> impl Iterator<Item = (&'static Table, &'static Route)> {
        TABLES.iter().flat_map(|table| table.routes().map(move |route| (*table, route)))
    }

    fn json() -> Value {
        serde_json::to_value(document()).expect("JSON")
    }

    /// Every row is in the document under its tag, and the document has nothing else.
    #[test]
    fn the_document_and_the_tables_are_the_same() {
        let document = json();
        let mut described = BTreeSet::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("an item").iter().filter(|(key, _)| *key != "servers") {
                described.insert((operation["tags"][0].as_str().expect("a tag").to_owned(), method.to_uppercase(), path.clone()));
            }
        }
        let served: BTreeSet<_> = rows()
            .map(|(table, route)| (table.listener.as_str().to_owned(), route.method.as_str().to_owned(), route.path.to_owned()))
            .collect();
        assert_eq!(served, described);
        assert_eq!(served.len(), rows().count(), "no row twice");
        assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")));
    }

    /// A path belongs to one listener; its variables are known; what a row says is whole.
    #[test]
    fn rows_are_whole() {
        let mut owners: BTreeMap<&str, Listener> = BTreeMap::new();
        for (table, route) in rows() {
            assert_eq!(*owners.entry(route.path).or_insert(table.listener), table.listener, "{} is on two listeners", route.path);
            assert!(route.path.starts_with('/') && !route.summary.is_empty() && !route.summary.ends_with('.'), "{}", route.path);
            assert!(!route.answers.is_empty(), "{} answers", route.path);
            assert!(route.answers.iter().all(|answer| (200..400).contains(&answer.status) && !answer.doc.is_empty()), "{}", route.path);
            for name in variables(route.path) {
                assert!(PATH_PARAMETERS.iter().any(|(known, _)| *known == name), "{name} of {}", route.path);
            }
            let names: BTreeSet<_> = route.parameters.iter().map(|parameter| parameter.name).collect();
            assert_eq!(names.len(), route.parameters.len(), "{}", route.path);
            // A stream of lines has no end; its lines are bounded one by one.
            let is_stream = |body: &Body| body.contents.iter().any(|content| content.media == "application/x-ndjson");
            if route.body.as_ref().is_some_and(|body| !is_stream(body)) {
                let codes = table.refusals(route);
                assert!(
                    codes.contains(&Code::BodyTooLarge) && codes.contains(&Code::UnsupportedMediaType),
                    "a body is bounded: {}",
                    route.path
                );
            }
        }
    }

    /// Every documented refusal is a problem and stands in the error table; every reference leads somewhere; ids are unique.
    #[test]
    fn statuses_references_and_ids_hold() {
        let document = json();
        let mut ids = BTreeSet::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("an item").iter().filter(|(key, _)| *key != "servers") {
                assert!(ids.insert(operation["operationId"].as_str().expect("an id").to_owned()), "{method} {path}");
                for (status, response) in operation["responses"].as_object().expect("responses") {
                    assert!(!response["description"].as_str().expect("text").is_empty());
                    let status: u16 = status.parse().expect("a number");
                    if status >= 400 {
                        assert!(Code::ALL.iter().any(|code| code.status() == status), "{method} {path}: {status}");
                        assert!(response["content"][PROBLEM_JSON].is_object(), "{method} {path}: {status}");
                    }
                }
            }
        }
        let mut references = Vec::new();
        collect(&document, &mut references);
        assert!(references.len() > 10);
        for reference in references {
            let pointer = reference.strip_prefix('#').expect("a local reference");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|value| collect(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
}
