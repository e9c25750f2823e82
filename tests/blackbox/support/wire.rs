//! HTTP/1.1 by hand over any stream, so that the judge sees requests as they came and can misbehave at any byte.

use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Headers as they came, names in lower case.
pub type Headers = Vec<(String, String)>;

/// A request that arrived whole.
#[derive(Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Headers,
    pub body: Vec<u8>,
}

/// The value of a header, if it is there.
pub fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
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

/// The first line and the headers of a message; `None` when the peer closed before a new one began.
pub async fn head<S: AsyncBufRead + Unpin>(stream: &mut S) -> io::Result<Option<(String, Headers)>> {
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

/// The next chunk of a chunked body; `None` at its regular end.
pub async fn chunk<S: AsyncBufRead + Unpin>(stream: &mut S) -> io::Result<Option<Vec<u8>>> {
    let size = line(stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let size = size.split(';').next().unwrap_or_default().trim();
    let size = usize::from_str_radix(size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut bytes = vec![0; size];
    stream.read_exact(&mut bytes).await?;
    line(stream).await?;
    Ok((size > 0).then_some(bytes))
}

/// Reads one whole request; a body that is cut off is an error and so is never counted as arrived.
pub async fn request<S: AsyncBufRead + Unpin>(stream: &mut S) -> io::Result<Option<Request>> {
    let Some((first, headers)) = head(stream).await? else {
        return Ok(None);
    };
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut body = Vec::new();
    if header(&headers, "transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        while let Some(bytes) = chunk(stream).await? {
            body.extend(bytes);
        }
    } else if let Some(length) = header(&headers, "content-length") {
        body.resize(length.parse().map_err(|_| io::ErrorKind::InvalidData)?, 0);
        stream.read_exact(&mut body).await?;
    }
    Ok(Some(Request { method, path, headers, body }))
}

/// Writes one whole answer and keeps the connection.
pub async fn answer<S: AsyncWrite + Unpin>(stream: &mut S, status: u16, headers: &[(String, String)], body: &[u8]) -> io::Result<()> {
    let mut text = format!("HTTP/1.1 {status} Said\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    stream.write_all(&bytes).await?;
    stream.flush().await
}
