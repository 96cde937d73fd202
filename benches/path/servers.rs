//! A server that takes anything.

use std::thread;

use axum::{Router, body::Bytes, http::StatusCode};

/// Answers every request with 204 at once, in this process: what it takes is not the children's.
pub(crate) struct Sink {
    port: u16,
}

impl Sink {
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        listener.set_nonblocking(true).expect("a listener for tokio");
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let take = |_: Bytes| async { StatusCode::NO_CONTENT };
                axum::serve(listener, Router::new().fallback(take)).await
            })
        });
        Self { port }
    }

    /// As k6's `--out` wants it.
    pub(crate) fn influxdb(&self) -> String {
        format!("influxdb=http://127.0.0.1:{}/k6", self.port)
    }
}
