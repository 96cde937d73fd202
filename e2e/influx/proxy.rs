//! What stands between Weir and the server: it asks for the token, does harm, and remembers every line that went through,
//! as InfluxDB's own parser reads it.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use flate2::read::GzDecoder;
use influxdb_line_protocol::{FieldValue, ParsedLine, parse_lines};
use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};
use serde_json::json;

use crate::export::Labels;

/// The token that opens it.
pub(crate) const TOKEN: &str = "the-token-that-nobody-may-see";
/// Lines of this measurement are refused, by their numbers (V3) or with all others of their call (V2).
pub(crate) const POISON: &str = "poison";

/// Of a hundred calls, so many meet this.
#[derive(Clone, Copy, Default)]
pub(crate) struct Faults {
    /// Are throttled; every other one is told for how long.
    pub(crate) throttled: u64,
    /// Fail without being written.
    pub(crate) failed: u64,
    /// Lose their answer after they were written.
    pub(crate) cut: u64,
}

/// What has happened so far.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) calls: u64,
    /// Calls of which the lines were compressed.
    pub(crate) compressed: u64,
    /// Bytes of all calls, and of their lines.
    pub(crate) bytes: usize,
    pub(crate) line_bytes: usize,
    pub(crate) probes: u64,
    pub(crate) throttled: u64,
    pub(crate) failed: u64,
    pub(crate) cut: u64,
    pub(crate) refused_down: u64,
    pub(crate) unauthorized: u64,
    pub(crate) poisoned_calls: u64,
    pub(crate) longest_call_lines: usize,
    /// Lines that went through, by what InfluxDB knows a point by, with its value.
    pub(crate) points: BTreeMap<(Labels, i64), f64>,
    /// Lines that went through again.
    pub(crate) again: u64,
    /// Lines that no rule allows: they make the test fail.
    pub(crate) wrong: Vec<String>,
}

/// A connection, by TLS or not.
trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// The proxy.
pub(crate) struct Proxy {
    url: String,
    inner: Arc<Inner>,
}

struct Inner {
    upstream: u16,
    faults: Faults,
    is_down: AtomicBool,
    seen: Mutex<Seen>,
}

struct Call {
    target: String,
    token: String,
    /// As it came.
    bytes: Vec<u8>,
    is_compressed: bool,
    lines: String,
}

struct Answer {
    status: u16,
    retry_after_seconds: Option<u32>,
    body: String,
}

impl Answer {
    fn of(status: u16, body: impl Into<String>) -> Self {
        Self { status, retry_after_seconds: None, body: body.into() }
    }
}

impl Proxy {
    /// Listens on loopback; by TLS where there is a file to write its certificate to.
    pub(crate) fn start(upstream: u16, faults: Faults, certificate: Option<&Path>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (is_down, seen) = (AtomicBool::new(false), Mutex::default());
        let inner = Arc::new(Inner { upstream, faults, is_down, seen });
        let tls = certificate.map(tls);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let own = inner.clone();
        // It ends with the process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (inner, tls) = (own.clone(), tls.clone());
                thread::spawn(move || match tls {
                    Some(tls) => {
                        let session = ServerConnection::new(tls).unwrap();
                        inner.serve(StreamOwned::new(session, stream));
                    }
                    None => inner.serve(stream),
                });
            }
        });
        Self { url: format!("{scheme}://127.0.0.1:{port}"), inner }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.inner.is_down.store(is_down, Ordering::SeqCst);
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.inner.seen.lock().unwrap()
    }
}

impl Inner {
    fn serve(&self, stream: impl Stream) {
        let mut reader = BufReader::new(stream);
        while let Some(call) = read_call(&mut reader) {
            let Some(Answer { status, retry_after_seconds, body }) = self.answer(&call) else {
                return;
            };
            let wait =
                retry_after_seconds.map_or(String::new(), |s| format!("retry-after: {s}\r\n"));
            let length = body.len();
            let to = reader.get_mut();
            let sent =
                write!(to, "HTTP/1.1 {status} x\r\n{wait}content-length: {length}\r\n\r\n{body}");
            if sent.is_err() {
                return;
            }
        }
    }

    /// What is answered; nothing where the connection is cut.
    fn answer(&self, call: &Call) -> Option<Answer> {
        let (is_v3, scheme) = match call.target.as_str() {
            "/api/v2/write?org=load+tests&bucket=k6&precision=ns" => (false, "Token"),
            "/api/v3/write_lp?db=k6&precision=nanosecond&accept_partial=true&no_sync=false" => {
                (true, "Bearer")
            }
            other => {
                self.lock().wrong.push(other.to_owned());
                return Some(Answer::of(404, ""));
            }
        };
        if self.is_down.load(Ordering::SeqCst) {
            self.lock().refused_down += 1;
            return None;
        }
        if call.token != format!("{scheme} {TOKEN}") {
            self.lock().unauthorized += 1;
            return Some(Answer::of(401, r#"{"code":"unauthorized"}"#));
        }
        if call.lines.is_empty() {
            self.lock().probes += 1;
            let status = forward(self.upstream, &call.bytes, call.is_compressed);
            return Some(Answer::of(status, ""));
        }
        let dice = {
            let mut seen = self.lock();
            seen.calls += 1;
            seen.compressed += u64::from(call.is_compressed);
            seen.bytes += call.bytes.len();
            seen.line_bytes += call.lines.len();
            roll(seen.calls)
        };
        let Faults { throttled, failed, cut } = self.faults;
        if dice < throttled {
            self.lock().throttled += 1;
            let retry_after_seconds = (dice % 2 == 0).then_some(1);
            return Some(Answer { retry_after_seconds, ..Answer::of(429, "") });
        }
        if dice < throttled + failed {
            self.lock().failed += 1;
            return Some(Answer::of(if dice % 2 == 0 { 500 } else { 503 }, ""));
        }
        let answer = self.apply(call, is_v3);
        if dice < throttled + failed + cut {
            self.lock().cut += 1;
            return None;
        }
        Some(answer)
    }

    /// Writes what can be written, as the version does: a call that is all good, as it came.
    fn apply(&self, call: &Call, is_v3: bool) -> Answer {
        let mut good = String::new();
        let mut refused = Vec::new();
        let mut points = Vec::new();
        for (at, (line, parsed)) in call.lines.lines().zip(parse_lines(&call.lines)).enumerate() {
            match parsed.map_err(|error| error.to_string()).and_then(|parsed| point(&parsed)) {
                Ok((labels, _, _)) if labels["__name__"] == format!("{POISON}_value") => {
                    refused.push(json!({"line_number": at + 1, "error_message": "it is poison", "original_line": ""}));
                }
                Ok(point) => {
                    points.push(point);
                    good.extend([line, "\n"]);
                }
                Err(why) => self.lock().wrong.push(format!("{line:?}: {why}")),
            }
        }
        self.lock().poisoned_calls += u64::from(!refused.is_empty());
        if !refused.is_empty() && !is_v3 {
            return Answer::of(400, r#"{"code":"invalid","message":"it is poison"}"#);
        }
        let status = match good.len() {
            0 => 204,
            all if all == call.lines.len() => {
                forward(self.upstream, &call.bytes, call.is_compressed)
            }
            _ => forward(self.upstream, good.as_bytes(), false),
        };
        if status != 204 {
            return Answer::of(status, "");
        }
        self.lock().remember(points);
        if refused.is_empty() {
            return Answer::of(204, "");
        }
        let error = "partial write of line protocol occurred";
        Answer::of(400, json!({"error": error, "data": refused}).to_string())
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }
}

impl Seen {
    fn remember(&mut self, points: Vec<(Labels, i64, f64)>) {
        self.longest_call_lines = self.longest_call_lines.max(points.len());
        for (labels, time_ns, value) in points {
            let held = self.points.insert((labels.clone(), time_ns), value);
            self.again += u64::from(held.is_some());
            if held.is_some_and(|held| held.to_bits() != value.to_bits()) {
                self.wrong.push(format!("{labels:?} at {time_ns} has two values"));
            }
        }
    }
}

/// A certificate of its own, written to the file.
fn tls(certificate: &Path) -> Arc<ServerConfig> {
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(certificate, own.cert.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let config =
        ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key);
    Arc::new(config.unwrap())
}

/// What a line is, named as VictoriaMetrics names it.
fn point(line: &ParsedLine<'_>) -> Result<(Labels, i64, f64), String> {
    let mut labels = Labels::new();
    for (name, value) in line.series.tag_set.iter().flatten() {
        labels.insert(name.to_string(), value.to_string());
    }
    let [(field, FieldValue::F64(value))] = line.field_set.as_slice() else {
        return Err("not one number".to_owned());
    };
    labels.insert("__name__".to_owned(), format!("{}_{field}", line.series.measurement));
    Ok((labels, line.timestamp.ok_or("no time")?, *value))
}

/// The next call of a connection; none when it has ended.
fn read_call(reader: &mut BufReader<impl Stream>) -> Option<Call> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let header = |name: &str| {
        let found = head.iter().filter_map(|line| line.split_once(": "));
        let mut found = found.filter(|(given, _)| given.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.to_owned())
    };
    let mut bytes = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut bytes).ok()?;
    let is_compressed = header("content-encoding").as_deref() == Some("gzip");
    let lines = if is_compressed {
        io::read_to_string(GzDecoder::new(&bytes[..]))
    } else {
        io::read_to_string(&bytes[..])
    };
    let lines = lines.unwrap();
    let target = head.first()?.split(' ').nth(1)?.to_owned();
    let token = header("authorization").unwrap_or_default();
    Some(Call { target, token, bytes, is_compressed, lines })
}

/// Posts the lines to the server, and tells the status.
fn forward(port: u16, lines: &[u8], is_compressed: bool) -> u16 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let encoding = if is_compressed { "content-encoding: gzip\r\n" } else { "" };
    let head = format!(
        "POST /api/v2/write?precision=ns HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{encoding}content-length: {}\r\n\r\n",
        lines.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(lines).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// 0 to 99, the same for the same call: SplitMix64.
fn roll(call: u64) -> u64 {
    let mut z = call.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % 100
}
