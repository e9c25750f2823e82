//! The product, as `preclear serve` builds it, with its one broker paused.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use preclear::app::{self, Running};
use preclear::config;
use preclear::domain::time::SystemClock;
use preclear::pki;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::load::{answer, declaration};

/// API key of the post.
pub const KEY: &str = "bench-key";

pub struct Gateway {
    pub address: SocketAddr,
    running: Running,
}

/// Bytes of one declaration.
pub struct Sizes {
    pub body: usize,
    pub message: usize,
    pub answer: usize,
}

impl Gateway {
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

pub async fn start(dir: &Path) -> anyhow::Result<Gateway> {
    let certificates = dir.join("certs");
    let broker = pki::BrokerIdentity::parse("uk-broker").map_err(|fault| anyhow::anyhow!("{fault}"))?;
    let options = pki::FolderOptions { brokers: vec![broker], ..pki::FolderOptions::default() };
    pki::issue_into(&certificates, &options, jiff::Timestamp::now())?;
    let text = configuration(dir, &certificates);
    let config = config::load_text(&text, std::iter::empty()).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let running = app::start(config, Arc::new(SystemClock)).await.map_err(|fault| anyhow::anyhow!("{fault}"))?;
    let address = running.addresses().intake.trim_start_matches("http://").parse()?;
    let ops: SocketAddr = running.addresses().ops.trim_start_matches("http://").parse()?;
    let (status, _) = post(ops, "/v1/brokers/uk-broker/pause", "{}").await?;
    anyhow::ensure!(status == 200, "pause: {status}");
    Ok(Gateway { address, running })
}

fn configuration(dir: &Path, certificates: &Path) -> String {
    let (dir, certs) = (dir.display(), certificates.display());
    let hash = pki_hash(KEY);
    format!(
        r#"
        [intake]
        listen = "127.0.0.1:0"
        [callbacks]
        listen = "127.0.0.1:0"
        certificate = "{certs}/gateway.pem"
        key = "{certs}/gateway.key"
        client_ca = "{certs}/ca.pem"
        [ops]
        listen = "127.0.0.1:0"
        [store]
        url = "sqlite:{dir}/bench.db"
        [posts.KRA]
        name = "Korea Post"
        api_keys = ["sha256:{hash}"]
        item_countries = ["KR"]
        [brokers.uk-broker]
        mapping = "hmrc-cds"
        url = "https://localhost:1/declarations"
        ca = "{certs}/ca.pem"
        certificate = "{certs}/gateway-client.pem"
        key = "{certs}/gateway-client.key"
        rate = {{ per_second = 50, burst = 10 }}
        [brokers.uk-broker.settings]
        declarant_eori = "GB123456789000"
        [[routes]]
        when = "recipient.country == 'GB'"
        broker = "uk-broker"
        "#
    )
}

fn pki_hash(key: &str) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn post(address: SocketAddr, path: &str, body: &str) -> anyhow::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = Vec::new();
    let (status, length) = answer(&mut stream, &mut buffer).await?;
    Ok((status, buffer.split_off(buffer.len() - length)))
}

/// Measures one declaration by the product's own preview and answer.
pub async fn sizes(gateway: &Gateway) -> anyhow::Result<Sizes> {
    let body = declaration(99_999_999);
    let (status, preview) = post(gateway.address, "/v1/declarations/preview", &body).await?;
    anyhow::ensure!(status == 200, "preview: {status}");
    let preview: serde_json::Value = serde_json::from_slice(&preview)?;
    let message = preview["filings"][0]["message"].as_str().ok_or_else(|| anyhow::anyhow!("no message: {preview}"))?.len();
    let (status, answer) = post(gateway.address, "/v1/declarations", &body).await?;
    anyhow::ensure!(status == 202, "declare: {status}");
    Ok(Sizes { body: body.len(), message, answer: answer.len() })
}
