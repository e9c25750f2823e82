//! `GET /docs`: the OpenAPI document as a page, with every file embedded and nothing loaded from elsewhere.
//!
//! The page is Swagger UI out of the binary, behind the cargo feature `api-page` (12 crates, 4 MB of the binary). The
//! content security policy makes the browser hold the promise: scripts only from this listener, no frames, no forms.

use std::sync::{Arc, LazyLock};

use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY};
use actix_web::{HttpRequest, HttpResponse, web};
use utoipa_swagger_ui::Config;

use super::problem::{answer, respond};
use super::routes::{Answer, Content, Method, Route};
use super::schema;
use crate::error::Code;

/// The page's routes, part of the intake's table.
pub const ROUTES: &[Route] = &[
    Route::new(Method::Get, "/docs", "To the page", || web::to(to_page))
        .answers(&[Answer::empty(308, "The page is at `/docs/`.").headers(&[("Location", "`/docs/`")])])
        .open(),
    Route::new(Method::Get, "/docs/", "This document as a page", || web::to(page))
        .answers(&[Answer::new(200, "The page; it loads nothing from elsewhere.", &[Content::of("text/html", schema::text)])])
        .open(),
    Route::new(Method::Get, "/docs/{file}", "A file of the page", || web::to(page))
        .answers(&[Answer::new(200, "The file.", &[Content::of("*/*", schema::bytes)])])
        .refuses(&[Code::NotFound])
        .open(),
];

/// Swagger UI sets styles from its script, hence `unsafe-inline` for styles; scripts come from files only.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::new(["/openapi.json"]).display_request_duration(true).default_models_expand_depth(0).validator_url("none");
    Arc::new(config)
});

async fn to_page() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "/docs/")).finish()
}

async fn page(request: HttpRequest) -> HttpResponse {
    let name = request.match_info().get("file").unwrap_or("index.html");
    // An embedded file that cannot be prepared is a fault of the build, not of the request.
    let Ok(found) = utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG)) else {
        return respond(&request, &Code::Internal.into());
    };
    let Some(file) = found else {
        return answer(&request, Err(Code::NotFound.into()));
    };
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_TYPE, with_charset(&file.content_type)));
    response.insert_header((CONTENT_SECURITY_POLICY, POLICY));
    response.insert_header((REFERRER_POLICY, "no-referrer"));
    response.insert_header((CACHE_CONTROL, "private, max-age=3600"));
    response.body(file.bytes.into_owned())
}

fn with_charset(content_type: &str) -> String {
    let text = content_type.starts_with("text/") && !content_type.contains("charset");
    if text { format!("{content_type}; charset=utf-8") } else { content_type.to_owned() }
}

#[cfg(test)]
mod tests {
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use actix_web::{App, http::StatusCode};

    use super::*;
    use crate::http::openapi;
    use crate::http::routes::{Listener, Table, configure};

    static TABLE: Table = Table { listener: Listener::Intake, parts: &[ROUTES, openapi::ROUTES], always: &[], closed: &[] };

    async fn get(path: &str) -> (StatusCode, actix_web::http::header::HeaderMap, String) {
        let app = init_service(App::new().configure(|config| configure(&TABLE, config))).await;
        let response = call_service(&app, TestRequest::get().uri(path).to_request()).await;
        let (status, headers) = (response.status(), response.headers().clone());
        (status, headers, String::from_utf8_lossy(&read_body(response).await).into_owned())
    }

    fn header<'h>(headers: &'h actix_web::http::header::HeaderMap, name: &str) -> &'h str {
        headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// Every file that the page names is served here, under a policy that allows no other place.
    #[actix_web::test]
    async fn the_page_is_whole_and_loads_nothing_from_elsewhere() {
        let (status, headers, _) = get("/docs").await;
        assert_eq!((status.as_u16(), header(&headers, "location")), (308, "/docs/"));
        let (status, headers, page) = get("/docs/").await;
        assert_eq!((status.as_u16(), header(&headers, "content-type")), (200, "text/html; charset=utf-8"));
        let policy = header(&headers, "content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"), "{policy}");
        let named: Vec<&str> =
            page.split('"').filter(|text| text.ends_with(".js") || text.ends_with(".css") || text.ends_with(".png")).collect();
        assert!(named.len() >= 5, "{named:?}");
        for file in named {
            assert!(!file.starts_with("//") && !file.contains("://"), "{file}");
            assert_eq!(get(&format!("/docs/{}", file.trim_start_matches("./"))).await.0, 200, "{file}");
        }
        let (_, _, start) = get("/docs/swagger-initializer.js").await;
        assert!(start.contains("/openapi.json") && !start.contains("petstore") && start.contains("\"validatorUrl\": \"none\""), "{start}");
        assert_eq!(get("/docs/nothing.js").await.0, 404);
        assert_eq!(get("/docs/..%2f..%2fetc%2fpasswd").await.0, 404);
    }

    #[actix_web::test]
    async fn the_document_is_served_as_it_is_printed() {
        let (status, headers, text) = get("/openapi.json").await;
        assert_eq!((status.as_u16(), header(&headers, "content-type")), (200, "application/json"));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).expect("JSON"),
            serde_json::to_value(openapi::document()).expect("JSON")
        );
    }
}
