//! The servers that the scripts put load on: HTTP and HTTPS on loopback, with the answers of httpbin that k6's examples
//! read, and counters by which a test sees how often something was done.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde_json::{Map, Value, json};

use crate::websocket;

/// A connection on which nothing comes for so long is closed.
const IDLE: Duration = Duration::from_secs(60);
/// The page of every address that is none of httpbin's.
const PAGE: &str = "<!DOCTYPE html><html><head><title>target</title></head><body>\
    <p class=\"description\">This is a replacement of the service </p></body></html>";

/// Both servers, and what they counted.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    counts: Counts,
}

/// Requests to `/count/RUN/NAME`, by both.
type Counts = Arc<Mutex<BTreeMap<String, BTreeMap<String, u64>>>>;

impl Target {
    pub(crate) fn start() -> Self {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let private =
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()));
        let tls =
            ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![key.cert.der().clone()], private)
                .unwrap();
        let counts = Counts::default();
        Self { http: listen(&counts, None), https: listen(&counts, Some(Arc::new(tls))), counts }
    }

    /// What was counted for a run.
    pub(crate) fn counted(&self, run: &str) -> BTreeMap<String, u64> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(run).cloned().unwrap_or_default()
    }
}

fn listen(counts: &Counts, tls: Option<Arc<ServerConfig>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let counts = counts.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (counts, tls) = (counts.clone(), tls.clone());
            // A client that leaves in the middle is no matter of ours.
            thread::spawn(move || drop(serve(stream, tls, &counts)));
        }
    });
    address
}

fn serve(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    counts: &Counts,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_nodelay(true)?;
    match tls {
        None => converse(BufReader::new(stream), "http", counts),
        Some(config) => {
            let session = ServerConnection::new(config).map_err(std::io::Error::other)?;
            converse(BufReader::new(StreamOwned::new(session, stream)), "https", counts)
        }
    }
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn page(status: u16) -> Self {
        let kind = ("Content-Type", "text/html; charset=utf-8".to_owned());
        Self { status, headers: vec![kind], body: PAGE.into() }
    }

    fn json(value: &Value) -> Self {
        let kind = ("Content-Type", "application/json".to_owned());
        Self { status: 200, headers: vec![kind], body: value.to_string().into_bytes() }
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

fn converse<S: Read + Write>(
    mut stream: BufReader<S>,
    scheme: &str,
    counts: &Counts,
) -> std::io::Result<()> {
    while let Some(request) = read(&mut stream)? {
        if let Some(key) = request.headers.get("Sec-Websocket-Key") {
            let accept = websocket::accept(key);
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            let out = stream.get_mut();
            out.write_all(head.as_bytes())?;
            out.flush()?;
            // A client says nothing before the answer, so nothing waits in the buffer.
            return websocket::echo(out);
        }
        let answer = answer(&request, scheme, counts);
        let mut head = format!("HTTP/1.1 {} Status\r\n", answer.status);
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", answer.body.len()));
        let body: &[u8] = if request.method == "HEAD" { &[] } else { &answer.body };
        let out = stream.get_mut();
        out.write_all(&[head.as_bytes(), body].concat())?;
        out.flush()?;
    }
    Ok(())
}

/// The next request; none at the end of the connection.
fn read(stream: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let address = words.next().unwrap_or_default();
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(canonical(name), value.trim().to_owned()),
            None => break,
        };
    }
    let length = headers.get("Content-Length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some(Request { method, path, query, headers, body }))
}

/// `content-length` as `Content-Length`.
fn canonical(name: &str) -> String {
    let capital = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + &rest.to_lowercase()
    };
    name.split('-').map(capital).collect::<Vec<_>>().join("-")
}

fn answer(request: &Request, scheme: &str, counts: &Counts) -> Answer {
    let path: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    match *path.as_slice() {
        ["count", run, name] => {
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            let count =
                counts.entry(run.to_owned()).or_default().entry(name.to_owned()).or_default();
            *count += 1;
            Answer::json(&json!({ "ok": true }))
        }
        ["status", status] => Answer::page(status.parse().unwrap_or(400)),
        ["get" | "post" | "put" | "patch" | "delete" | "headers"] => {
            Answer::json(&echo(request, scheme))
        }
        ["cookies"] => Answer::json(&json!({ "cookies": cookies(request) })),
        ["cookies", "set"] => {
            let mut answer = Answer::page(302).with("Location", "/cookies".to_owned());
            for (name, value) in pairs(&request.query) {
                answer = answer.with("Set-Cookie", format!("{name}={value}; Path=/"));
            }
            answer
        }
        ["redirect", times] => match times.parse::<u32>() {
            Ok(times) if times > 1 => {
                Answer::page(302).with("Location", format!("/redirect/{}", times - 1))
            }
            _ => Answer::page(302).with("Location", "/get".to_owned()),
        },
        ["basic-auth", user, password] => {
            let wanted = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            if request.headers.get("Authorization") == Some(&wanted) {
                Answer::json(&json!({ "authenticated": true, "user": user }))
            } else {
                Answer::page(401).with("Www-Authenticate", "Basic realm=\"target\"".to_owned())
            }
        }
        _ => Answer::page(200),
    }
}

/// What httpbin says of a request.
fn echo(request: &Request, scheme: &str) -> Value {
    let text = String::from_utf8_lossy(&request.body);
    let host = request.headers.get("Host").cloned().unwrap_or_default();
    let query =
        if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    let is_form = request
        .headers
        .get("Content-Type")
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    json!({
        "args": object(pairs(&request.query)),
        "data": if is_form { "" } else { &text },
        "form": if is_form { object(pairs(&text)) } else { json!({}) },
        "headers": request.headers,
        "json": serde_json::from_str::<Value>(&text).unwrap_or_default(),
        "url": format!("{scheme}://{host}{}{query}", request.path),
    })
}

fn cookies(request: &Request) -> Value {
    let given = request.headers.get("Cookie").cloned().unwrap_or_default();
    let pair = |text: &str| text.trim().split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned()));
    object(given.split(';').filter_map(pair).collect())
}

fn object(pairs: Vec<(String, String)>) -> Value {
    Value::Object(
        pairs.into_iter().map(|(name, value)| (name, json!(value))).collect::<Map<_, _>>(),
    )
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| text.replace('+', " ").replace("%20", " ");
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}
