//! The little of HTTP/1.1 that the simulated broker speaks, by hand.
//!
//! Why it exists: a server framework hides exactly what a bad broker does (cut the connection after the request, answer
//! late, answer nonsense), so the sandbox writes and cuts its own bytes.
//!
//! Invariants: head, number of headers and body are bounded, and each part has a deadline; a request that could be read in
//! two ways (two lengths, a length beside chunks) is refused and the connection closed.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

const MAX_HEAD_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// Longest line of a chunk's size, with its extensions.
const MAX_CHUNK_LINE_BYTES: usize = 256;
/// Trailers are read over, up to this many bytes.
const MAX_TRAILER_BYTES: usize = 4096;
/// How long a kept connection may be idle, and a head may take.
const HEAD_DEADLINE: Duration = Duration::from_secs(75);
/// How long a body may take.
const BODY_DEADLINE: Duration = Duration::from_secs(30);
const WRITE_DEADLINE: Duration = Duration::from_secs(30);

/// A request, read whole.
#[derive(Debug)]
pub(crate) struct Request {
    pub method: String,
    pub path: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the client wants to go on on this connection.
    pub keep_alive: bool,
}

impl Request {
    /// The value of a header that stands there exactly once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        one_header(&self.headers, name).ok().flatten()
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// Why no request could be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadFault {
    /// The client closed, was cut off, or took too long: nothing is answered.
    Gone,
    /// Answer with this status and close.
    Refuse(u16),
}

/// One connection, with the bytes that were read beyond the last request.
pub(crate) struct Http1<S> {
    stream: S,
    buffer: Vec<u8>,
    max_body: usize,
}

struct Head {
    request: Request,
    length: Length,
    expects_continue: bool,
}

enum Length {
    Bytes(usize),
    Chunked,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http1<S> {
    pub(crate) fn new(stream: S, max_body: usize) -> Self {
        Self { stream, buffer: Vec::new(), max_body }
    }

    /// The stream itself, to cut it.
    pub(crate) fn into_stream(self) -> S {
        self.stream
    }

    /// Reads the next request.
    pub(crate) async fn read(&mut self) -> Result<Request, ReadFault> {
        let mut head = timeout(HEAD_DEADLINE, self.read_head()).await.map_err(|_| ReadFault::Gone)??;
        if let Length::Bytes(bytes) = head.length
            && bytes > self.max_body
        {
            return Err(ReadFault::Refuse(413));
        }
        if head.expects_continue {
            self.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let body = async {
            match head.length {
                Length::Bytes(bytes) => self.read_bytes(bytes).await,
                Length::Chunked => self.read_chunks().await,
            }
        };
        head.request.body = timeout(BODY_DEADLINE, body).await.map_err(|_| ReadFault::Refuse(408))??;
        Ok(head.request)
    }

    /// Writes an answer; `close` tells the client that the connection ends with it.
    pub(crate) async fn write(&mut self, response: &Response, close: bool) -> Result<(), ReadFault> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", response.status, reason(response.status));
        for (name, value) in &response.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n", response.body.len()));
        if close {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&response.body);
        self.write_all(&bytes).await
    }

    /// Ends the connection in good order.
    pub(crate) async fn shut(mut self) {
        // The client may be gone already; there is nothing left to tell.
        let _ = timeout(Duration::from_secs(2), self.stream.shutdown()).await;
    }

    async fn write_all(&mut self, bytes: &[u8]) -> Result<(), ReadFault> {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        timeout(WRITE_DEADLINE, write).await.map_err(|_| ReadFault::Gone)?.map_err(|_| ReadFault::Gone)
    }

    /// Reads some more bytes into the buffer.
    async fn fill(&mut self) -> Result<(), ReadFault> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => Err(ReadFault::Gone),
            Ok(_) => Ok(()),
        }
    }

    async fn read_head(&mut self) -> Result<Head, ReadFault> {
        loop {
            if let Some((head, used)) = parse_head(&self.buffer)? {
                self.buffer.drain(..used);
                return Ok(head);
            }
            if self.buffer.len() >= MAX_HEAD_BYTES {
                return Err(ReadFault::Refuse(431));
            }
            self.fill().await?;
        }
    }

    async fn read_bytes(&mut self, bytes: usize) -> Result<Vec<u8>, ReadFault> {
        while self.buffer.len() < bytes {
            self.fill().await?;
        }
        Ok(self.buffer.drain(..bytes).collect())
    }

    async fn read_chunks(&mut self) -> Result<Vec<u8>, ReadFault> {
        let mut body = Vec::new();
        loop {
            let size = self.read_chunk_size().await?;
            if size == 0 {
                self.read_trailers().await?;
                return Ok(body);
            }
            if size > self.max_body - body.len() {
                return Err(ReadFault::Refuse(413));
            }
            body.append(&mut self.read_bytes(size).await?);
            if self.read_bytes(2).await? != b"\r\n" {
                return Err(ReadFault::Refuse(400));
            }
        }
    }

    async fn read_chunk_size(&mut self) -> Result<usize, ReadFault> {
        loop {
            match httparse::parse_chunk_size(&self.buffer).map_err(|_| ReadFault::Refuse(400))? {
                httparse::Status::Complete((used, size)) => {
                    self.buffer.drain(..used);
                    return usize::try_from(size).map_err(|_| ReadFault::Refuse(413));
                }
                httparse::Status::Partial if self.buffer.len() >= MAX_CHUNK_LINE_BYTES => {
                    return Err(ReadFault::Refuse(400));
                }
                httparse::Status::Partial => self.fill().await?,
            }
        }
    }

    /// Reads over the lines after the last chunk, up to the empty one.
    async fn read_trailers(&mut self) -> Result<(), ReadFault> {
        let mut passed = 0;
        loop {
            match self.buffer.windows(2).position(|two| two == b"\r\n") {
                Some(end) => {
                    self.buffer.drain(..end + 2);
                    passed += end + 2;
                    if end == 0 {
                        return Ok(());
                    }
                }
                None => self.fill().await?,
            }
            if passed + self.buffer.len() > MAX_TRAILER_BYTES + self.max_body {
                return Err(ReadFault::Refuse(431));
            }
        }
    }
}

fn parse_head(buffer: &[u8]) -> Result<Option<(Head, usize)>, ReadFault> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut slots);
    let used = match parsed.parse(buffer) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(ReadFault::Refuse(431)),
        Err(_) => return Err(ReadFault::Refuse(400)),
    };
    let mut headers = Vec::with_capacity(parsed.headers.len());
    for header in parsed.headers.iter() {
        let value = std::str::from_utf8(header.value).map_err(|_| ReadFault::Refuse(400))?;
        headers.push((header.name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let (Some(method), Some(path)) = (parsed.method, parsed.path) else { return Err(ReadFault::Refuse(400)) };
    let length = body_length(&headers, method)?;
    let connection = one_header(&headers, "connection").ok().flatten().unwrap_or("").to_ascii_lowercase();
    let keep_alive = parsed.version == Some(1) && !connection.contains("close");
    let expects_continue = one_header(&headers, "expect")?.is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
    let request = Request { method: method.to_owned(), path: path.to_owned(), headers, body: Vec::new(), keep_alive };
    Ok(Some((Head { request, length, expects_continue }, used)))
}

fn body_length(headers: &[(String, String)], method: &str) -> Result<Length, ReadFault> {
    match (one_header(headers, "transfer-encoding")?, one_header(headers, "content-length")?) {
        (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => Ok(Length::Chunked),
        (Some(_), _) => Err(ReadFault::Refuse(400)),
        (None, Some(digits)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map(Length::Bytes).map_err(|_| ReadFault::Refuse(413))
        }
        (None, Some(_)) => Err(ReadFault::Refuse(400)),
        (None, None) if method == "POST" || method == "PUT" => Err(ReadFault::Refuse(411)),
        (None, None) => Ok(Length::Bytes(0)),
    }
}

/// The header's value; twice the same header is refused, for two readers could choose differently.
fn one_header<'a>(headers: &'a [(String, String)], name: &str) -> Result<Option<&'a str>, ReadFault> {
    let mut values = headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str());
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(ReadFault::Refuse(400)),
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Unnamed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Result<Request, ReadFault> {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        client.write_all(bytes).await.expect("fits");
        drop(client);
        Http1::new(server, 64).read().await
    }

    #[tokio::test]
    async fn bodies_come_by_length_or_in_chunks() {
        let plain = read(b"POST /d HTTP/1.1\r\nContent-Length: 3\r\nIdempotency-Key: k\r\n\r\nabc").await.expect("read");
        assert_eq!((plain.body.as_slice(), plain.header("idempotency-key")), (b"abc".as_slice(), Some("k")));
        let chunks = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nT: v\r\n\r\n";
        assert_eq!(read(chunks).await.expect("read").body, b"abc");
    }

    #[tokio::test]
    async fn what_is_ambiguous_or_too_large_is_refused() {
        let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(MAX_HEAD_BYTES));
        let table: [(&[u8], ReadFault); 9] = [
            (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", ReadFault::Refuse(400)),
            (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", ReadFault::Refuse(400)),
            (b"POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\nabc", ReadFault::Refuse(400)),
            (b"POST / HTTP/1.1\r\nContent-Length: 65\r\n\r\n", ReadFault::Refuse(413)),
            (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n41\r\n", ReadFault::Refuse(413)),
            (b"POST / HTTP/1.1\r\n\r\n", ReadFault::Refuse(411)),
            (b"nonsense\r\n\r\n", ReadFault::Refuse(400)),
            (long.as_bytes(), ReadFault::Refuse(431)),
            (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", ReadFault::Gone),
        ];
        for (bytes, expected) in table {
            assert_eq!(read(bytes).await.expect_err("refused"), expected, "{}", bytes.len());
        }
    }
}
