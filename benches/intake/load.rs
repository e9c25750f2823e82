//! The load: keep-alive HTTP/1.1 over plain TCP, written by hand so that it costs little.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A load on one server. Each request is another item.
pub struct Load {
    pub address: SocketAddr,
    pub key: &'static str,
    pub first: u32,
}

/// What a load gave.
pub struct Result {
    latencies: Vec<Duration>,
    took: Duration,
}

impl Result {
    pub fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    pub fn percentile_ms(&self, share: f64) -> f64 {
        let index = ((self.latencies.len() as f64 * share) as usize).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
    }
}

impl Load {
    pub async fn run(&mut self, connections: usize, duration: Duration) -> anyhow::Result<Result> {
        let start = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for connection in 0..connections {
            let (address, key) = (self.address, self.key);
            let first = self.first + (connection as u32) * 30_000;
            tasks.spawn(async move { one_connection(address, key, first, start + duration).await });
        }
        let mut latencies = Vec::new();
        while let Some(done) = tasks.join_next().await {
            latencies.extend(done??);
        }
        latencies.sort();
        Ok(Result { latencies, took: start.elapsed() })
    }
}

async fn one_connection(address: SocketAddr, key: &str, first: u32, end: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut latencies, mut buffer) = (Vec::new(), Vec::with_capacity(8192));
    for serial in first.. {
        let began = Instant::now();
        if began >= end {
            break;
        }
        let body = declaration(serial);
        let head = format!(
            "POST /v1/declarations HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
        let (status, _) = answer(&mut stream, &mut buffer).await?;
        anyhow::ensure!(status == 202, "status {status}: {}", String::from_utf8_lossy(&buffer));
        latencies.push(began.elapsed());
    }
    Ok(latencies)
}

/// Reads one answer; gives its status and body length.
pub async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<(u16, usize)> {
    buffer.clear();
    loop {
        anyhow::ensure!(stream.read_buf(buffer).await? > 0, "connection closed");
        let Some(head) = buffer.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&buffer[..head])?.to_ascii_lowercase();
        let status = text.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        let length: usize =
            text.split("content-length: ").nth(1).and_then(|t| t.lines().next()).and_then(|t| t.trim().parse().ok()).unwrap_or(0);
        while buffer.len() < head + 4 + length {
            anyhow::ensure!(stream.read_buf(buffer).await? > 0, "connection closed");
        }
        return Ok((status, length));
    }
}

/// A declaration of five lines for London, with a sound S10 id made of the serial.
pub fn declaration(serial: u32) -> String {
    const WEIGHTS: [u32; 8] = [8, 6, 4, 2, 3, 5, 9, 7];
    let digits = format!("{:08}", serial % 100_000_000);
    let sum: u32 = digits.bytes().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    let check = match 11 - sum % 11 {
        10 => 0,
        11 => 5,
        digit => digit,
    };
    let posted_on = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let line = |number: u32| {
        format!(
            r#"{{"description":"Cotton T-shirt, men's, printed, size {number}","quantity":2,"net_weight_g":120,"value":{{"amount":"14.50","currency":"GBP"}},"hs_code":"610910","tariff_codes":[{{"country":"GB","code":"6109100010"}}],"origin_country":"KR","product_ids":[{{"type":"merchant","value":"TS-{number:03}"}}]}}"#
        )
    };
    let lines: Vec<String> = (1..=5).map(line).collect();
    format!(
        r#"{{"item_id":"EE{digits}{check}KR","posted_on":"{posted_on}","mail_class":"E","channel":"postal","category":"sale_of_goods","origin_office":"KRSELB","destination_office":"GBLALA","references":[{{"type":"order","value":"HG-{serial}"}}],"sender":{{"kind":"organisation","name":"Kim Minji","company":"Hanok Goods","street":["12 Jong-ro","Jongno-gu"],"city":"Seoul","postcode":"03187","country":"KR","phone":"+82 2 555 0100"}},"recipient":{{"kind":"person","name":"Ada Byron","street":["1 Park Lane"],"city":"London","postcode":"W1K 1AA","country":"GB","phone":"+44 20 7946 0000","email":"ada@example.org"}},"gross_weight_g":840,"postage":{{"amount":"23500","currency":"KRW"}},"transaction":{{"type":"b2c"}},"duty":{{"payer":"sender"}},"delivery_terms":"DDP","contents":[{}],"documents":[{{"type":"invoice","number":"INV-{serial}"}}],"transport":{{"mode":"air","carrier":"KE","flight":"KE907"}}}}"#,
        lines.join(",")
    )
}
