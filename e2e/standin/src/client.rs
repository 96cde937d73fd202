//! One request to another server over HTTP, on a connection of its own.

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long a server may take to answer.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Sends `request` to `authority`, and reads the whole answer.
pub(crate) async fn send(
    authority: &str,
    mut request: Request<Full<Bytes>>,
) -> io::Result<Response<Bytes>> {
    let host = HeaderValue::try_from(authority).map_err(io::Error::other)?;
    request.headers_mut().insert(HOST, host);
    let answer = async {
        let stream = TcpStream::connect(authority).await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let driver = tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        driver.abort();
        Ok(Response::from_parts(head, body))
    };
    tokio::time::timeout(TIMEOUT, answer).await?
}
