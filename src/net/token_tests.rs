//! Tokens from a server in this process.

use super::*;
use crate::net::testing::{Pki, TestServer};

const SECRET: &str = "s3cr3t&=%";

fn tokens(pki: &Pki, port: u16, client_auth: ClientAuth) -> Tokens {
    let roots = tls::load_roots(&pki.ca_file(), "2026-11-22T10:00:00Z".parse().expect("an instant")).expect("a CA");
    let url = format!("https://localhost:{port}/oauth/token").parse().expect("a URL");
    let client = (Masked::new("client one".to_owned()), Masked::new(SECRET.to_owned()));
    Tokens::new(url, &client, client_auth, Some("write:one read:two"), Some(roots), 5).expect("a client")
}

fn token(number: usize) -> String {
    format!(r#"{{"access_token":"tok-{number}","token_type":"bearer","expires_in":3600,"scope":"write:one"}}"#)
}

#[tokio::test]
async fn a_token_is_fetched_once_for_all_who_need_it_and_anew_when_it_was_refused() {
    let pki = Pki::new();
    let server = TestServer::start(&pki, |number, _| (200, "", token(number))).await;
    let tokens = tokens(&pki, server.port, ClientAuth::Body);
    let grants = futures_util::future::join_all((0..20).map(|_| tokens.grant())).await;
    let grants: Vec<Grant> = grants.into_iter().collect::<Result<_, _>>().expect("tokens");
    assert!(grants.iter().all(|grant| grant.fresh && grant.serial == 1), "who waited for the fetch has a new one");
    assert!(!tokens.grant().await.expect("cached").fresh);
    assert_eq!(server.seen().len(), 1);
    let request = &server.seen()[0];
    assert!(request.starts_with("POST /oauth/token HTTP/1.1\r\n"), "{request}");
    let form = "grant_type=client_credentials&scope=write%3Aone+read%3Atwo&client_id=client+one&client_secret=s3cr3t%26%3D%25";
    assert!(request.ends_with(&format!("\r\n\r\n{form}")), "{request}");
    // Ten messages were refused with the same token: one fetch, and nobody drops the new one.
    for _ in 0..10 {
        tokens.drop_token(1);
        assert_eq!(tokens.grant().await.expect("a token").serial, 2);
    }
    assert_eq!(server.seen().len(), 2);
    let shown = format!("{tokens:?} {grants:?}");
    assert!(!shown.contains("tok-") && !shown.contains("s3cr3t") && !shown.contains("client one"), "{shown}");
}

#[tokio::test]
async fn id_and_secret_may_go_as_user_and_password() {
    let pki = Pki::new();
    let server = TestServer::start(&pki, |number, _| (200, "", token(number))).await;
    tokens(&pki, server.port, ClientAuth::Basic).grant().await.expect("a token");
    let request = &server.seen()[0];
    // "client+one:s3cr3t%26%3D%25"
    assert!(request.contains("authorization: Basic Y2xpZW50K29uZTpzM2NyM3QlMjYlM0QlMjU=\r\n"), "{request}");
    assert!(!request.contains("client_secret") && !request.contains("client_id"));
}

#[tokio::test]
async fn what_is_no_token_is_told_by_a_word_and_remembered_for_a_moment() {
    let many = |fill: usize| format!(r#"{{"access_token":"a","more":"{}"}}"#, "x".repeat(fill));
    for (status, headers, body, fault) in [
        (401, "", "{}".to_owned(), TokenFault::Refused),
        (400, "", r#"{"error":"invalid_client"}"#.to_owned(), TokenFault::Refused),
        (503, "", String::new(), TokenFault::Unavailable),
        (307, "Location: /oauth/token\r\n", String::new(), TokenFault::Unreadable),
        (200, "", "<html>".to_owned(), TokenFault::Unreadable),
        (200, "", r#"{"access_token":""}"#.to_owned(), TokenFault::Unreadable),
        (200, "", r#"{"access_token":"a b"}"#.to_owned(), TokenFault::Unreadable),
        (200, "", r#"{"access_token":"a","token_type":"mac"}"#.to_owned(), TokenFault::Unreadable),
        (200, "", many(MAX_ANSWER_BYTES), TokenFault::Unreadable),
    ] {
        let pki = Pki::new();
        let server = TestServer::start(&pki, move |_, _| (status, headers, body.clone())).await;
        let tokens = tokens(&pki, server.port, ClientAuth::Body);
        let grants = futures_util::future::join_all((0..10).map(|_| tokens.grant())).await;
        assert!(grants.iter().all(|grant| grant.as_ref().err() == Some(&fault)), "{status}: {grants:?}");
        assert_eq!(server.seen().len(), 1, "{status}: nobody follows or asks in turn");
    }
    let pki = Pki::new();
    let server = TestServer::start(&pki, move |_, _| (200, "", many(100))).await;
    tokens(&pki, server.port, ClientAuth::Body).grant().await.expect("other members do not matter");
    // Another authority than the configured one, and nobody there.
    let stranger = Pki::new();
    assert_eq!(tokens(&stranger, server.port, ClientAuth::Body).grant().await.err(), Some(TokenFault::Unavailable));
    assert_eq!(server.seen().len(), 1);
    assert_eq!(tokens(&pki, 1, ClientAuth::Body).grant().await.err(), Some(TokenFault::Unavailable));
}

#[test]
fn a_token_is_used_until_shortly_before_its_end() {
    for (expires_in, seconds) in [
        (Some(3600), 3540),
        (Some(14_400), 14_340),
        (Some(100), 80),
        (Some(10), 8),
        (Some(0), 8),
        (Some(u64::MAX), 24 * 3600 - 60),
        (None, 240),
    ] {
        assert_eq!(use_time(expires_in.map(Duration::from_secs)), Duration::from_secs(seconds), "{expires_in:?}");
    }
    let life = |text: &str| read(format!(r#"{{"access_token":"a","expires_in":{text}}}"#).as_bytes()).map(|(_, life)| life);
    assert_eq!(life("60"), Some(Some(Duration::from_secs(60))));
    assert_eq!(life("\"60\""), Some(Some(Duration::from_secs(60))));
    assert_eq!(life("-1"), Some(Some(Duration::ZERO)));
    assert_eq!(life("1.5"), Some(None));
}

#[tokio::test]
async fn a_token_that_ended_is_fetched_anew() {
    let pki = Pki::new();
    let server = TestServer::start(&pki, |number, _| (200, "", token(number))).await;
    let tokens = tokens(&pki, server.port, ClientAuth::Body);
    tokens.grant().await.expect("a token");
    tokens.cache.lock().expect("the cache").token.as_mut().expect("kept").good_until = Instant::now();
    assert_eq!(tokens.grant().await.expect("a token").serial, 2);
}
