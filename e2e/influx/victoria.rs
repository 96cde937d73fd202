//! A VictoriaMetrics on this machine that ends with the test.

use std::{
    env,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::export::{EXPORT, FLUSH, Sample, distinct, samples};

/// Longest time until it answers, and until what was written can be read.
const PATIENCE: Duration = Duration::from_secs(30);

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

    /// All samples once so many of them are distinct, or the patience is at its end.
    pub(crate) fn samples(&self, wanted: usize) -> Vec<Sample> {
        let began = Instant::now();
        loop {
            self.get(FLUSH);
            let samples = samples(&self.get(EXPORT));
            if distinct(&samples).len() >= wanted || began.elapsed() > PATIENCE {
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

impl Drop for Victoria {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
