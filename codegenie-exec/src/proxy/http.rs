//! The head of an HTTP request to a proxy: strict where two readers could understand it differently. Pure
//! functions on bytes.

use crate::sandbox::HostName;
use std::fmt;
use std::io::Write;

const MAX_HEADERS: usize = 128;
const MAX_METHOD: usize = 32;

/// Headers that are about one connection and are not handed on. The framing of the body is written anew.
const HOP_BY_HOP: [&str; 11] = [
    "connection",
    "proxy-connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "host",
];

/// What a request asks the proxy for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpRequest {
    /// A tunnel: `CONNECT host:port`.
    Connect {
        /// The host.
        host: HostName,
        /// The port.
        port: u16,
    },
    /// One request to be handed on: `GET http://host/…`.
    Forward(Forward),
}

/// A request to be handed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The host.
    pub host: HostName,
    /// The port.
    pub port: u16,
    /// The body that follows the head.
    pub body: Body,
    method: String,
    path: String,
    headers: Vec<(String, Vec<u8>)>,
}

/// How long a request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpError {
    /// A line is no request line, or ends otherwise than by CR LF, or holds a control character.
    Malformed,
    /// It is a request to a server, not to a proxy.
    NotForAProxy,
    /// `https://` or another scheme in clear text.
    Scheme,
    /// The target names no host, or a user, or a port that does not exist.
    Target,
    /// A header is malformed, folded, or there are too many.
    Header,
    /// `Host` is missing, there more than once, or not the host of the target.
    Host,
    /// The length of the body is given twice, or in a way that readers differ about.
    Framing,
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is not an HTTP/1 request",
            Self::NotForAProxy => "it is a request to a server, and this is a proxy",
            Self::Scheme => "only http:// is handed on; everything else goes through CONNECT",
            Self::Target => "its target names no host that could be asked",
            Self::Header => "a header is malformed",
            Self::Host => "its Host header is missing, there twice, or not its target's host",
            Self::Framing => "the length of its body is ambiguous",
        })
    }
}

/// Where the head ends that begins these bytes: the length up to and with the empty line. `seen` bytes
/// were looked at before.
#[must_use]
pub fn head_end(bytes: &[u8], seen: usize) -> Option<usize> {
    let from = seen.saturating_sub(3);
    let rest = bytes.get(from..)?;
    rest.windows(4).position(|window| window == b"\r\n\r\n").map(|at| from + at + 4)
}

/// Reads a whole head, its empty line included.
pub fn parse_head(head: &[u8]) -> Result<HttpRequest, HttpError> {
    let text = head.strip_suffix(b"\r\n\r\n").ok_or(HttpError::Malformed)?;
    let mut lines = Lines(Some(text));
    let (method, target, minor) = request_line(lines.next().ok_or(HttpError::Malformed)?)?;
    let mut headers = Vec::new();
    for line in lines {
        if headers.len() == MAX_HEADERS {
            return Err(HttpError::Header);
        }
        headers.push(header(line)?);
    }
    let host_header = host_header(&headers)?;
    if method == "CONNECT" {
        let (host, port) = HostName::parse_with_port(target).ok_or(HttpError::Target)?;
        let port = port.ok_or(HttpError::Target)?;
        // Clients differ in whether they name the port again.
        if host_header.is_some_and(|(named, its)| named != host || its.is_some_and(|its| its != port)) {
            return Err(HttpError::Host);
        }
        // A tunnel's request has no body: what would be one is the tunnel's.
        return match body(&headers, minor)? {
            Body::None => Ok(HttpRequest::Connect { host, port }),
            Body::Length(_) | Body::Chunked => Err(HttpError::Framing),
        };
    }
    if method.eq_ignore_ascii_case("CONNECT") {
        return Err(HttpError::Malformed);
    }
    let (host, port, path) = absolute(target)?;
    match host_header {
        None if minor == 1 => return Err(HttpError::Host),
        Some((named, its)) if named != host || its.unwrap_or(80) != port => return Err(HttpError::Host),
        _ => {}
    }
    let body = body(&headers, minor)?;
    Ok(HttpRequest::Forward(Forward { host, port, body, method: method.to_owned(), path, headers }))
}

impl Forward {
    /// The head as the server gets it: for one request on one connection.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        let mut named: Vec<String> = Vec::new();
        for (_, value) in self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection")) {
            named.extend(
                String::from_utf8_lossy(value).split(',').map(|token| token.trim().to_ascii_lowercase()),
            );
        }
        let mut head = Vec::with_capacity(512);
        // Writing to a vector does not fail.
        let _ = write!(head, "{} {} HTTP/1.1\r\nHost: {}", self.method, self.path, self.host);
        if self.port != 80 {
            let _ = write!(head, ":{}", self.port);
        }
        head.extend_from_slice(b"\r\n");
        for (name, value) in &self.headers {
            let lower = name.to_ascii_lowercase();
            if !HOP_BY_HOP.contains(&lower.as_str()) && !named.contains(&lower) {
                head.extend_from_slice(name.as_bytes());
                head.extend_from_slice(b": ");
                head.extend_from_slice(value);
                head.extend_from_slice(b"\r\n");
            }
        }
        match self.body {
            Body::None => {}
            Body::Length(length) => {
                let _ = write!(head, "Content-Length: {length}\r\n");
            }
            Body::Chunked => head.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        }
        head.extend_from_slice(b"Connection: close\r\n\r\n");
        head
    }
}

/// Lines that CR LF separates; a CR or LF by itself stays in its line, where it is found.
struct Lines<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0.take()?;
        match rest.windows(2).position(|pair| pair == b"\r\n") {
            None => Some(rest),
            Some(end) => {
                self.0 = rest.get(end + 2..);
                rest.get(..end)
            }
        }
    }
}

fn request_line(line: &[u8]) -> Result<(&str, &str, u8), HttpError> {
    // Visible ASCII and single spaces: no control character, no NUL, no other letter.
    if !line.iter().all(|byte| matches!(byte, 0x20..=0x7e)) {
        return Err(HttpError::Malformed);
    }
    let line = std::str::from_utf8(line).map_err(|_| HttpError::Malformed)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(HttpError::Malformed);
    };
    let minor = match version {
        "HTTP/1.1" => 1,
        "HTTP/1.0" => 0,
        _ => return Err(HttpError::Malformed),
    };
    let is_method = (1..=MAX_METHOD).contains(&method.len()) && method.bytes().all(is_token);
    if is_method && !target.is_empty() { Ok((method, target, minor)) } else { Err(HttpError::Malformed) }
}

fn header(line: &[u8]) -> Result<(String, Vec<u8>), HttpError> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or(HttpError::Header)?;
    let (name, value) = (line.get(..colon).unwrap_or_default(), line.get(colon + 1..).unwrap_or_default());
    // No space before the colon, and none at the beginning, which would continue the line before.
    if name.is_empty() || !name.iter().copied().all(is_token) {
        return Err(HttpError::Header);
    }
    let clean = value.iter().all(|byte| matches!(byte, b'\t' | 0x20..=0x7e | 0x80..=0xff));
    let name = std::str::from_utf8(name).map_err(|_| HttpError::Header)?;
    if clean { Ok((name.to_owned(), value.trim_ascii().to_vec())) } else { Err(HttpError::Header) }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn values<'a>(headers: &'a [(String, Vec<u8>)], wanted: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .iter()
        .filter(move |(name, _)| name.eq_ignore_ascii_case(wanted))
        .map(|(_, value)| value.as_slice())
}

type HostAndPort = (HostName, Option<u16>);

fn host_header(headers: &[(String, Vec<u8>)]) -> Result<Option<HostAndPort>, HttpError> {
    let mut hosts = values(headers, "host");
    match (hosts.next(), hosts.next()) {
        (None, _) => Ok(None),
        (Some(host), None) => {
            let host = std::str::from_utf8(host).ok().and_then(HostName::parse_with_port);
            host.map(Some).ok_or(HttpError::Host)
        }
        (Some(_), Some(_)) => Err(HttpError::Host),
    }
}

fn absolute(target: &str) -> Result<(HostName, u16, String), HttpError> {
    let Some((scheme, rest)) = target.split_once("://") else {
        return Err(HttpError::NotForAProxy);
    };
    if target.starts_with('/') {
        return Err(HttpError::NotForAProxy);
    }
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(HttpError::Scheme);
    }
    if rest.contains(['#', '\\']) {
        return Err(HttpError::Target);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = (rest.get(..end).unwrap_or_default(), rest.get(end..).unwrap_or_default());
    let (host, port) = HostName::parse_with_port(authority).ok_or(HttpError::Target)?;
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok((host, port.unwrap_or(80), path))
}

fn body(headers: &[(String, Vec<u8>)], minor: u8) -> Result<Body, HttpError> {
    let mut lengths = values(headers, "content-length");
    let mut codings = values(headers, "transfer-encoding");
    let lengths = (lengths.next(), lengths.next());
    let codings = (codings.next(), codings.next());
    match (lengths, codings) {
        ((None, _), (None, _)) => Ok(Body::None),
        ((Some(length), None), (None, _)) => decimal(length).map(Body::Length).ok_or(HttpError::Framing),
        ((None, _), (Some(coding), None)) if minor == 1 && coding.eq_ignore_ascii_case(b"chunked") => {
            Ok(Body::Chunked)
        }
        _ => Err(HttpError::Framing),
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let valid = (1..=18).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| valid)?.parse().ok()
}
