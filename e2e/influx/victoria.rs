//! A VictoriaMetrics on this machine that ends with the test.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// Longest time until it answers, and until what was written can be read.
const PATIENCE: Duration = Duration::from_secs(30);

/// Name and tags of a series: a sample of measurement `m` and field `value` is one of `m_value`.
pub(crate) type Labels = BTreeMap<String, String>;

/// The server.
pub(crate) struct Victoria {
    child: Child,
    port: u16,
    _data: tempfile::TempDir,
}

impl Victoria {
    pub(crate) fn start() -> Self {
        let program = env::var_os("WEIR_VICTORIA_METRICS").expect("set WEIR_VICTORIA_METRICS");
        let data = tempfile::tempdir().unwrap();
        // It takes no port of the system's choice.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program)
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
            .arg(format!("-storageDataPath={}", data.path().display()))
            .args(["-retentionPeriod=10y", "-memory.allowedBytes=128MB", "-loggerLevel=ERROR"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("VictoriaMetrics starts");
        let server = Self { child, port, _data: data };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < PATIENCE, "VictoriaMetrics does not listen");
            thread::sleep(Duration::from_millis(50));
        }
        server
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// All samples once so many of them are distinct, or the patience is at its end: it shows what it has been given with a
    /// delay, and what was written again may show before what was written once. Each as often as it is there, the time in
    /// milliseconds.
    pub(crate) fn samples(&self, wanted: usize) -> Vec<(Labels, i64, f64)> {
        let began = Instant::now();
        loop {
            self.get("/internal/force_flush");
            let text = self.get("/api/v1/export?match[]=%7B__name__!%3D%22%22%7D");
            let samples: Vec<_> = text.lines().flat_map(read).collect();
            let distinct: BTreeSet<_> =
                samples.iter().map(|(labels, time_ms, _)| (labels, time_ms)).collect();
            if distinct.len() >= wanted || began.elapsed() > PATIENCE {
                return samples;
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        // The answer to HTTP/1.0 comes in one piece and ends with the connection.
        write!(stream, "GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{path}: {head}");
        body.to_owned()
    }
}

/// The samples of one series.
fn read(line: &str) -> Vec<(Labels, i64, f64)> {
    let series: Value = serde_json::from_str(line).unwrap();
    let labels: Labels = serde_json::from_value(series["metric"].clone()).unwrap();
    let times = series["timestamps"].as_array().unwrap().iter().map(|time| time.as_i64().unwrap());
    let values = series["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap());
    times.zip(values).map(|(time, value)| (labels.clone(), time, value)).collect()
}

impl Drop for Victoria {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
