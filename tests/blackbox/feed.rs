//! The feed and the stream: one cursor, no gap, nothing lost between two readers.

use crate::support::broker::Broker;
use crate::support::gateway::Gateway;
use crate::support::goods;
use crate::support::notice::{Notice, mrn};
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// Items from one serial to another, all cleared: three events each.
async fn cleared(gateway: &Gateway, broker: &Broker, serials: std::ops::RangeInclusive<u32>) {
    let voice = gateway.uk_broker();
    for serial in serials {
        let id = gateway.korea.accepted(&goods::parcel(serial)).await;
        gateway.korea.wait_delivered(&id).await;
        let lrn = broker.about(&goods::item_id(serial))[0].lrn();
        voice.notify(&Notice::new("01", &lrn).mrn(&mrn(serial))).await;
        gateway.korea.wait_clearance(&id, "accepted").await;
        voice.notify(&Notice::new("09", &lrn).mrn(&mrn(serial)).after(1)).await;
        gateway.korea.wait_clearance(&id, "cleared").await;
    }
}

fn ids(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| event["id"].as_str().expect("an event has an id").to_owned()).collect()
}

/// P8: pages of any size give the same events in the same order, from the oldest, without a gap or a repeat.
#[tokio::test]
async fn the_cursor_is_gap_free() {
    let (gateway, broker) = Gateway::plain("cursor").await;
    cleared(&gateway, &broker, 1..=8).await;
    let all = gateway.korea.events().await;
    assert_eq!(all.len(), 24, "three events for each of eight items");
    assert_eq!(all[0]["type"], "clearance.submitted", "without a cursor the feed starts at the oldest");
    assert_eq!(ids(&all).into_iter().collect::<BTreeSet<_>>().len(), 24, "ids are unique");
    for limit in [1, 5, 7, 24] {
        let (mut read, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let after = cursor.map(|cursor| format!("&after={cursor}")).unwrap_or_default();
            let page = gateway.korea.json(&format!("/v1/events?limit={limit}{after}")).await;
            let events = page["events"].as_array().unwrap().clone();
            assert!(events.len() <= limit);
            cursor = Some(page["next"].as_str().expect("a next cursor").to_owned());
            if events.is_empty() {
                break;
            }
            read.extend(events);
        }
        assert_eq!(read, all, "pages of {limit}");
    }
}

/// Long poll: waits at the end, wakes with the event; malformed cursors and waits are 400.
#[tokio::test]
async fn long_poll_wakes_and_bad_cursors_are_refused() {
    let (gateway, broker) = Gateway::plain("long-poll").await;
    cleared(&gateway, &broker, 1..=1).await;
    let korea = &gateway.korea;
    let next = korea.json("/v1/events?limit=1000").await["next"].as_str().unwrap().to_owned();
    let empty = korea.json(&format!("/v1/events?after={next}")).await;
    assert_eq!((empty["events"].as_array().map(Vec::len), &empty["next"]), (Some(0), &next.as_str().into()));
    let waiting = {
        let (korea, path) = (korea.clone(), format!("/v1/events?after={next}&wait=60"));
        tokio::spawn(async move { korea.json(&path).await })
    };
    korea.accepted(&goods::parcel(2)).await;
    let page = tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("woken long before its end").unwrap();
    assert_eq!(page["events"][0]["subject"], goods::item_id(2), "{page}");
    for query in ["after=nonsense", "after=%00", "after=-1", "wait=61", "wait=x", "limit=x", "limit=0"] {
        korea.get(&format!("/v1/events?{query}")).await.expect(400);
    }
}

/// An open stream of server-sent events.
struct Stream {
    bytes: futures_util::stream::BoxStream<'static, reqwest::Result<Vec<u8>>>,
    buffer: String,
}

impl Stream {
    async fn open(gateway: &Gateway, last: Option<&str>) -> Stream {
        let korea = &gateway.korea;
        let mut request = korea.request(Method::GET, "/v1/events/stream").header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.expect("the stream opens");
        assert_eq!(response.status(), 200);
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
        Stream { bytes: response.bytes_stream().map(|piece| piece.map(|bytes| bytes.to_vec())).boxed(), buffer: String::new() }
    }

    /// The next event with its cursor; comments that keep the line open are passed over.
    async fn next(&mut self) -> (String, Value) {
        loop {
            while let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let field = |name: &str| {
                    let lines = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                    lines.map(str::trim_start).collect::<Vec<_>>().join("\n")
                };
                let (id, data) = (field("id"), field("data"));
                self.buffer = rest.to_owned();
                if !data.is_empty() {
                    return (id, serde_json::from_str(&data).expect("an event is JSON"));
                }
            }
            let piece = tokio::time::timeout(Duration::from_secs(20), self.bytes.next()).await.expect("an event within 20 s");
            self.buffer.push_str(std::str::from_utf8(&piece.expect("the stream stays open").unwrap()).unwrap());
            self.buffer = self.buffer.replace("\r\n", "\n");
        }
    }
}

/// The stream starts now, or after `Last-Event-ID`, which is the feed's cursor; its events are the feed's.
#[tokio::test]
async fn the_stream_resumes_where_it_was_left() {
    let (gateway, broker) = Gateway::plain("stream").await;
    cleared(&gateway, &broker, 1..=2).await;
    let mut live = Stream::open(&gateway, None).await;
    cleared(&gateway, &broker, 3..=4).await;
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(live.next().await);
    }
    let all = gateway.korea.events().await;
    let events: Vec<Value> = seen.iter().map(|(_, event)| event.clone()).collect();
    assert_eq!(events, all[6..], "from now on, and nothing from before");
    drop(live);

    let mut resumed = Stream::open(&gateway, Some(&seen[1].0)).await;
    for expected in &seen[2..] {
        assert_eq!(&resumed.next().await, expected, "resumed after the second");
    }
    // One cursor for both ways of reading.
    let page = gateway.korea.json(&format!("/v1/events?limit=1000&after={}", seen[1].0)).await;
    assert_eq!(page["events"].as_array().unwrap().as_slice(), &all[8..]);
    // An old reader that was away during an event gets it when it comes back.
    drop(resumed);
    cleared(&gateway, &broker, 5..=5).await;
    let mut back = Stream::open(&gateway, Some(&seen[5].0)).await;
    assert_eq!(back.next().await.1["subject"], goods::item_id(5));
    let request = gateway.korea.request(Method::GET, "/v1/events/stream").header("last-event-id", "nonsense");
    gateway.korea.finish(request).await.expect(400);
}
