//! A client of k6's REST API on loopback. Every call has a deadline.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use prost::bytes::Bytes;
use tokio::{net::TcpStream, time::timeout};

use crate::{
    core::k6::rest::{self, AnswerError, Status},
    wire::MESSAGE_BYTES_MAX,
};

/// Deadline of calls that k6 answers at once.
const QUICK: Duration = Duration::from_secs(5);
/// Largest answer that is read, in bytes: setup data larger than a message could not travel anyway.
const ANSWER_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;

/// k6's REST API at one port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest {
    address: SocketAddr,
}

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RestError {
    #[error("k6's REST API cannot be reached")]
    Connect(#[source] std::io::Error),
    #[error("k6's REST API broke off")]
    Http(#[source] hyper::Error),
    #[error("k6's REST API could not be asked")]
    Request(#[source] hyper::http::Error),
    #[error("k6's answer could not be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("k6's REST API closed the connection")]
    Closed,
    #[error("k6's REST API did not answer within {0:?}")]
    TimedOut(Duration),
    /// k6's own words.
    #[error("{0}")]
    Refused(String),
    #[error("k6's answer was not understood")]
    Answer(#[source] AnswerError),
}

impl Rest {
    pub(super) fn new(port: u16) -> Self {
        Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) }
    }

    pub(super) async fn status(self) -> Result<Status, RestError> {
        let body = self.call(Method::GET, rest::STATUS, Bytes::new(), QUICK).await?;
        rest::status(&body).map_err(RestError::Answer)
    }

    pub(super) async fn resume(self) -> Result<(), RestError> {
        self.patch(rest::RESUME_BODY).await
    }

    pub(super) async fn stop(self) -> Result<(), RestError> {
        self.patch(rest::STOP_BODY).await
    }

    pub(super) async fn run_setup(self, deadline: Duration) -> Result<Option<Bytes>, RestError> {
        let body = self.call(Method::POST, rest::SETUP, Bytes::new(), deadline).await?;
        rest::setup_data(&body).map_err(RestError::Answer)
    }

    pub(super) async fn set_setup_data(self, data: Bytes) -> Result<(), RestError> {
        self.call(Method::PUT, rest::SETUP, data, QUICK).await.map(drop)
    }

    pub(super) async fn run_teardown(self, deadline: Duration) -> Result<(), RestError> {
        self.call(Method::POST, rest::TEARDOWN, Bytes::new(), deadline).await.map(drop)
    }

    async fn patch(self, body: &'static str) -> Result<(), RestError> {
        let body = Bytes::from_static(body.as_bytes());
        self.call(Method::PATCH, rest::STATUS, body, QUICK).await.map(drop)
    }

    async fn call(
        self,
        method: Method,
        path: &str,
        body: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, RestError> {
        match timeout(deadline, self.exchange(method, path, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(RestError::TimedOut(deadline)),
        }
    }

    /// One connection for one call: dropping the future closes it, and k6 then breaks off what it does.
    async fn exchange(self, method: Method, path: &str, body: Bytes) -> Result<Bytes, RestError> {
        let stream = TcpStream::connect(self.address).await.map_err(RestError::Connect)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(RestError::Http)?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.to_string())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(RestError::Request)?;
        let exchange = async {
            let answer = sender.send_request(request).await.map_err(RestError::Http)?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(RestError::Body)?.to_bytes();
            match status {
                StatusCode::OK => Ok(body),
                _ => Err(RestError::Refused(rest::refusal(&body))),
            }
        };
        tokio::pin!(exchange, connection);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            ended = &mut connection => match ended {
                // The answer may be complete in the same moment as its connection.
                Ok(()) => timeout(QUICK, exchange).await.unwrap_or(Err(RestError::Closed)),
                Err(error) => Err(RestError::Http(error)),
            },
        }
    }
}
