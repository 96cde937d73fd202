//! A server on this machine that ends with the test, such as the stand-in.

use std::{
    env,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A server that ends with the test.
pub(crate) struct Server {
    child: Child,
    port: u16,
    _files: tempfile::TempDir,
}

impl Server {
    /// Starts the program that the environment names under `variable`.
    pub(crate) fn start(variable: &str, arguments: &[&str]) -> Self {
        let program = env::var_os(variable).map(PathBuf::from);
        let Some(program) = program else { panic!("set {variable} to the server's program") };
        assert!(
            env::var_os("AWS_SECRET_ACCESS_KEY").is_some(),
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to anything"
        );
        let files = tempfile::tempdir().unwrap();
        let port_file = files.path().join("port");
        let child = Command::new(program)
            .args(arguments)
            .arg("--port-file")
            .arg(&port_file)
            .stdout(Stdio::null())
            .spawn()
            .expect("the server starts");
        let mut server = Self { child, port: 0, _files: files };
        for _ in 0..600 {
            let port = std::fs::read_to_string(&port_file).unwrap_or_default();
            if let Ok(port) = port.trim().parse() {
                server.port = port;
                return server;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the server has no port after a minute");
    }

    /// Starts the strict stand-in.
    pub(crate) fn standin(arguments: &[&str]) -> Self {
        let secret = env::var("AWS_SECRET_ACCESS_KEY").unwrap_or_default();
        let fixed = ["timestream", "--secret-key", &secret];
        Self::start("WEIR_STANDIN", &[&fixed, arguments].concat())
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A request as HTTP/1.0, so that the answer comes in one piece and ends with the connection.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.0 2") || head.starts_with("HTTP/1.1 2"), "{head}");
        body.to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
