//! The streamed batch, over a bare connection so that the order of bytes on the wire can be judged.

use crate::support::gateway::Gateway;
use crate::support::setup::KOREA_KEY;
use crate::support::{goods, wire};
use serde_json::Value;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A batch under way: lines go in, result lines come out, at the same time.
struct Batch {
    stream: BufReader<TcpStream>,
    started: bool,
    pending: Vec<u8>,
}

impl Batch {
    async fn open(gateway: &Gateway) -> Batch {
        let address = gateway.korea.base().trim_start_matches("http://").to_owned();
        let mut stream = BufReader::new(TcpStream::connect(&address).await.unwrap());
        let head = format!(
            "POST /v1/declarations/batch HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {KOREA_KEY}\r\n\
             content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        Batch { stream, started: false, pending: Vec::new() }
    }

    async fn write(&mut self, bytes: &[u8]) {
        let framed = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        self.stream.write_all(&framed).await.unwrap();
    }

    async fn line(&mut self, text: &str) {
        self.write(format!("{text}\n").as_bytes()).await;
    }

    async fn end(&mut self) {
        self.stream.write_all(b"0\r\n\r\n").await.unwrap();
    }

    /// The next result line; `None` at the end of the answer.
    async fn next(&mut self) -> Option<Value> {
        tokio::time::timeout(Duration::from_secs(20), self.read()).await.expect("a result line within 20 s")
    }

    async fn read(&mut self) -> Option<Value> {
        if !self.started {
            let (first, headers) = wire::head(&mut self.stream).await.unwrap().expect("an answer");
            assert!(first.starts_with("HTTP/1.1 200"), "{first}");
            assert!(wire::header(&headers, "content-type").is_some_and(|kind| kind.starts_with("application/x-ndjson")));
            self.started = true;
        }
        loop {
            if let Some(end) = self.pending.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("a result line is JSON"));
            }
            match wire::chunk(&mut self.stream).await.unwrap() {
                Some(bytes) => self.pending.extend(bytes),
                None => {
                    assert!(self.pending.is_empty(), "the last line is whole");
                    return None;
                }
            }
        }
    }
}

/// The first answer comes before the second line was written: read while you write.
#[tokio::test]
async fn answers_start_before_the_request_ends() {
    let (gateway, broker) = Gateway::plain("batch-stream").await;
    let mut batch = Batch::open(&gateway).await;
    for serial in 1..=5 {
        // In two pieces, cut in the middle of a line.
        let text = format!("{}\n", goods::parcel(serial));
        let (front, back) = text.split_at(text.len() / 2);
        batch.write(front.as_bytes()).await;
        batch.write(back.as_bytes()).await;
        let result = batch.next().await.expect("a result");
        assert_eq!((&result["line"], &result["status"]), (&serial.into(), &202.into()), "{result}");
        let id = result["declaration"]["declaration_id"].as_str().expect("a declaration");
        gateway.korea.wait_delivered(id).await;
    }
    batch.end().await;
    assert!(batch.next().await.is_none());
    assert_eq!(broker.ledger().len(), 5);
}

/// A bad line never stops the rest, and the results stand in the order of the lines.
#[tokio::test]
async fn bad_lines_stop_nothing_and_order_is_kept() {
    let (gateway, broker) = Gateway::plain("batch-bad").await;
    let mut wrong_digit = goods::parcel(900);
    let sound = goods::item_id(900);
    let digit = if sound.as_bytes()[10] == b'0' { '1' } else { '0' };
    wrong_digit["item_id"] = format!("{}{digit}{}", &sound[..10], &sound[11..]).into();
    let mut lines: Vec<(String, u16)> = (1..=100).map(|serial| (goods::parcel(serial).to_string(), 202)).collect();
    let huge = format!(r#"{{"item_id":"{}"}}"#, "x".repeat(1024 * 1024 + 1));
    for (at, text, status) in [
        (3, "{".to_owned(), 400),
        (10, wrong_digit.to_string(), 422),
        (20, goods::parcel(1).to_string(), 200),
        (30, "[]".to_owned(), 422),
        (40, r#"{"item_id":"a","item_id":"b"}"#.to_owned(), 400),
        (50, huge, 413),
        (60, "not json at all".to_owned(), 400),
        (70, "{}".to_owned(), 422),
    ] {
        lines.insert(at, (text, status));
    }
    let mut batch = Batch::open(&gateway).await;
    let mut ids = Vec::new();
    // Results are read along the way: nobody may have to keep the whole answer in the pipe.
    for (number, (text, status)) in lines.iter().enumerate() {
        batch.line(text).await;
        let result = batch.next().await.expect("one result for each line");
        assert_eq!(result["line"], number + 1, "{result}");
        assert_eq!(result["status"], *status, "line {}: {result}", number + 1);
        assert_eq!(result.get("declaration").is_some(), *status < 300, "{result}");
        assert_eq!(result.get("problem").is_some(), *status >= 400, "{result}");
        ids.extend(result["declaration"]["declaration_id"].as_str().map(str::to_owned));
    }
    batch.end().await;
    assert!(batch.next().await.is_none());
    for id in &ids {
        gateway.korea.wait_delivered(id).await;
    }
    assert_eq!(broker.by_message().len(), 100);
}

/// Lines written in one go come back in order too, the last one without its line end.
#[tokio::test]
async fn a_burst_keeps_its_order() {
    let (gateway, _broker) = Gateway::plain("batch-burst").await;
    let mut batch = Batch::open(&gateway).await;
    let text: Vec<String> = (1..=60).map(|serial| goods::parcel(serial).to_string()).collect();
    batch.write(text.join("\n").as_bytes()).await;
    batch.end().await;
    for serial in 1..=60_u32 {
        let result = batch.next().await.expect("a result");
        assert_eq!((&result["line"], &result["status"]), (&serial.into(), &202.into()), "{result}");
        assert_eq!(result["declaration"]["item_id"], goods::item_id(serial));
    }
    assert!(batch.next().await.is_none());
}
