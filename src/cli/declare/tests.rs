//! `declare` against a gateway of thirty lines that answers by script.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use serde_json::json;

use super::*;

/// What the server does with a request, given its number from 0 and its lines.
type Script = dyn Fn(usize, &[String]) -> Reply + Send + Sync;

enum Reply {
    /// A whole HTTP answer: status, further head lines, body.
    Whole(u16, &'static str, String),
    /// Head and a part of the body of an answer, then a cut.
    Cut(String),
}

struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Server {
    async fn start(script: impl Fn(usize, &[String]) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let seen: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
        let (ledger, script): (_, Arc<Script>) = (seen.clone(), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (ledger, script) = (ledger.clone(), script.clone());
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let (mut length, mut line) = (0, String::new());
                    while stream.read_line(&mut line).await.is_ok_and(|read| read > 2) {
                        if let Some(digits) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                            length = digits.trim().parse().expect("a length");
                        }
                        line.clear();
                    }
                    let mut body = vec![0; length];
                    stream.read_exact(&mut body).await.expect("a body");
                    let lines: Vec<String> = String::from_utf8(body).expect("UTF-8").lines().map(str::to_owned).collect();
                    let number = {
                        let mut ledger = ledger.lock().expect("sound");
                        ledger.push(lines.clone());
                        ledger.len() - 1
                    };
                    let answer = match script(number, &lines) {
                        Reply::Whole(status, head, body) => {
                            format!("HTTP/1.1 {status} X\r\n{head}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
                        }
                        Reply::Cut(body) => format!("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{body}"),
                    };
                    stream.write_all(answer.as_bytes()).await.expect("the client reads");
                });
            }
        });
        Self { url, seen }
    }
}

/// Result lines that take everything.
fn take(lines: &[String]) -> String {
    (1..=lines.len())
        .map(|line| format!("{{\"line\":{line},\"status\":202,\"declaration\":{{\"declaration_id\":\"d{line}\"}}}}\n"))
        .collect()
}

const PACE: Pace = Pace { first: Duration::from_millis(1), longest: Duration::from_millis(2) };

fn entries(count: u64) -> Vec<Entry> {
    let body = |line| Ok(bytes::Bytes::from(format!("{{\"item_id\":\"I{line}\"}}")));
    (1..=count)
        .map(|line| Entry { file: "f".into(), line, item_id: Some(format!("I{line}")), body: body(line), read_bytes: line })
        .collect()
}

async fn run_on(server: &Server, entries: Vec<Entry>) -> (Report, Vec<Value>) {
    let client = Client::new(&server.url, "key", None).expect("a client");
    let source = Source { bytes: 0, entries: Box::new(entries.into_iter().map(Ok)) };
    let mut out = Vec::new();
    let report = declare(&client, PACE, vec![source], 3, &mut out).await;
    let lines = String::from_utf8(out).expect("UTF-8").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    (report, lines)
}

#[tokio::test]
async fn results_stand_in_the_order_of_the_input() {
    // The first request is told apart by its first line.
    let server = Server::start(|_, lines| match lines[0].contains("\"I1\"") && lines.len() > 1 {
        true => Reply::Whole(200, "", take(lines).replace("202", "200")),
        false => Reply::Whole(200, "", take(lines)),
    })
    .await;
    let (report, lines) = run_on(&server, entries(250)).await;
    assert_eq!((report.accepted, report.known, report.not_taken), (150, 100, 0));
    let order: Vec<_> = lines.iter().map(|line| line["line"].as_u64().expect("a line")).collect();
    assert_eq!(order, (1..=250).collect::<Vec<_>>());
    assert_eq!((&lines[249]["declaration_id"], &lines[249]["item_id"]), (&json!("d50"), &json!("I250")));
}

#[tokio::test]
async fn what_has_no_final_answer_is_sent_again_and_nothing_else() {
    let busy = |line: u64| format!("{{\"line\":{line},\"status\":503,\"problem\":{{\"code\":\"overloaded\"}}}}\n");
    let server = Server::start(move |number, lines| match number {
        0 => Reply::Whole(429, "retry-after: 0\r\n", "{}".to_owned()),
        // Line 2 is put off, line 3 refused, and then the connection breaks.
        1 => Reply::Cut(format!(
            "{}{}{}",
            take(&lines[..1]),
            busy(2),
            "{\"line\":3,\"status\":422,\"problem\":{\"code\":\"invalid_declaration\"}}\n{\"li"
        )),
        _ => Reply::Whole(200, "", take(lines)),
    })
    .await;
    let (report, lines) = run_on(&server, entries(4)).await;
    let statuses: Vec<_> = lines.iter().map(|line| line["status"].as_u64()).collect();
    assert_eq!(statuses, [Some(202), Some(202), Some(422), Some(202)]);
    assert_eq!((lines[2]["problem"]["code"].as_str(), report.not_taken), (Some("invalid_declaration"), 1));
    let seen = server.seen.lock().expect("sound");
    let again: Vec<_> = seen[2].iter().map(String::as_str).collect();
    assert_eq!(again, ["{\"item_id\":\"I2\"}", "{\"item_id\":\"I4\"}"]);
}

#[tokio::test]
async fn repeats_end_and_a_refusal_of_the_whole_is_told_for_each() {
    let table = [(503, "{\"code\":\"draining\"}", 8), (401, "{\"code\":\"unauthorized\"}", 1), (404, "<html>", 1)];
    for (status, body, requests) in table {
        let server = Server::start(move |_, _| Reply::Whole(status, "", body.to_owned())).await;
        let (report, lines) = run_on(&server, entries(2)).await;
        assert_eq!((report.not_taken, lines.len()), (2, 2));
        let code = if status == 404 {
            "no_problem_json"
        } else {
            serde_json::from_str::<Value>(body).expect("JSON")["code"].as_str().map_or("", |_| &body[9..body.len() - 2])
        };
        assert!(lines.iter().all(|line| line["status"] == status && line["problem"]["code"] == code), "{lines:?}");
        assert_eq!(server.seen.lock().expect("sound").len(), requests, "{status}");
    }
}

#[tokio::test]
async fn nobody_there_is_told_and_a_spoiled_row_is_never_sent() {
    let server = Server::start(|_, lines| Reply::Whole(200, "", take(lines))).await;
    let mut mixed = entries(2);
    mixed[0].body = Err(json!({ "code": "invalid_csv" }));
    let (report, lines) = run_on(&server, mixed).await;
    assert_eq!((report.accepted, report.not_taken), (1, 1));
    assert_eq!((&lines[0]["status"], &lines[0]["problem"]["code"]), (&Value::Null, &json!("invalid_csv")));
    assert_eq!(server.seen.lock().expect("sound")[0].len(), 1);
    let gone = Server { url: "http://127.0.0.1:1".to_owned(), seen: Arc::default() };
    let (_, lines) = run_on(&gone, entries(1)).await;
    assert_eq!(lines[0]["problem"]["code"], "no_answer");
}
