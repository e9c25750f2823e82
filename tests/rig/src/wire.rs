//! HTTP/1.1 by hand over any stream, so that the judge sees messages as they came and can misbehave at any byte.

use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Headers as they came, names in lower case.
pub type Headers = Vec<(String, String)>;

/// A request that arrived whole.
#[derive(Debug)]
pub struct Request {
    /// Path with its query.
    pub path: String,
    /// Headers.
    pub headers: Headers,
    /// Body without its framing.
    pub body: Vec<u8>,
}

/// An answer that arrived whole.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: Headers,
    /// Body without its framing.
    pub body: Vec<u8>,
}

/// The value of a header, if it is there.
pub fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

impl Response {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether the peer ends the connection after this answer.
    pub fn closes(&self) -> bool {
        header(&self.headers, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Whether an error is told as RFC 9457 wants it: the media type, and a `status` that is the answer's own.
    pub fn is_problem(&self) -> bool {
        header(&self.headers, "content-type").is_some_and(|value| value.starts_with("application/problem+json"))
            && self.json()["status"] == self.status
    }
}

async fn line<S: AsyncBufRead + Unpin>(stream: &mut S) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    if stream.read_until(b'\n', &mut bytes).await? == 0 {
        return Ok(None);
    }
    if bytes.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    String::from_utf8(bytes).map(Some).map_err(|_| io::ErrorKind::InvalidData.into())
}

async fn head<S: AsyncBufRead + Unpin>(stream: &mut S) -> io::Result<Option<(String, Headers)>> {
    let Some(first) = line(stream).await? else {
        return Ok(None);
    };
    let mut headers = Headers::new();
    loop {
        let text = line(stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if text.is_empty() {
            return Ok(Some((first, headers)));
        }
        let (name, value) = text.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

async fn body<S: AsyncBufRead + Unpin>(stream: &mut S, headers: &Headers) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if header(headers, "transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        loop {
            let size = line(stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16);
            let size = size.map_err(|_| io::ErrorKind::InvalidData)?;
            let start = body.len();
            body.resize(start + size, 0);
            stream.read_exact(&mut body[start..]).await?;
            line(stream).await?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    if let Some(length) = header(headers, "content-length") {
        body.resize(length.parse().map_err(|_| io::ErrorKind::InvalidData)?, 0);
        stream.read_exact(&mut body).await?;
    }
    Ok(body)
}

/// Reads one whole request; `None` when the peer closed before one began. A body that is cut off is an error.
pub async fn request<S: AsyncBufRead + Unpin>(stream: &mut S) -> io::Result<Option<Request>> {
    let Some((first, headers)) = head(stream).await? else {
        return Ok(None);
    };
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let body = body(stream, &headers).await?;
    Ok(Some(Request { path, headers, body }))
}

/// Reads one whole answer to a request that may have a body in its answer.
pub async fn response<S: AsyncBufRead + Unpin>(stream: &mut S) -> io::Result<Response> {
    let (first, headers) = head(stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let body = if status == 204 { Vec::new() } else { body(stream, &headers).await? };
    Ok(Response { status, headers, body })
}

/// The bytes of an answer.
pub fn answer_bytes(status: u16, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    use std::fmt::Write as _;
    let mut text = format!("HTTP/1.1 {status} Said\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Writes all and flushes.
pub async fn put<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}
