//! The call that writes records, beneath the SDK.
//!
//! The SDK's way from an operation to an answer costs about as much as everything else of a call together. So this one
//! call is signed with what the SDK's own signer is made of and sent by the HTTP client of all outputs; all other calls,
//! credentials and settings are the SDK's.

use std::time::SystemTime;

use aws_credential_types::{Credentials as Keys, provider::SharedCredentialsProvider};
use http_body_util::Full;
use hyper::{
    Request, Uri,
    header::{self, HeaderValue},
};
use prost::bytes::Bytes;

use super::{
    credentials::Credentials,
    outcome::Answer,
    signature::{self, CONTENT_TYPE, Signer, TARGET, WRITE_RECORDS},
};
use crate::{
    core::pipeline::retry::{Failure, Written},
    io::telemetry,
    output::http::{Answered, Http},
};

/// Header in which some errors are named.
const ERROR_TYPE: &str = "x-amzn-errortype";
const TIME: &str = "x-amz-date";
const TOKEN: &str = "x-amz-security-token";
const USER_AGENT: &str = concat!("weir/", env!("CARGO_PKG_VERSION"));

/// What every call needs.
#[derive(Debug)]
pub(super) struct Caller {
    http: Http,
    signer: Signer,
    pub(super) credentials: Credentials,
}

/// What of an answer tells what came of the call.
pub(super) fn answer(answered: &Answered) -> Answer<'_> {
    Answer::new(answered.status, answered.header(ERROR_TYPE), &answered.body)
}

impl Caller {
    pub(super) fn new(
        http: Http,
        region: String,
        provider: Option<SharedCredentialsProvider>,
    ) -> Self {
        Self { http, signer: Signer::new(region), credentials: Credentials::new(provider) }
    }

    /// Posts the body of a `WriteRecords` call to this endpoint.
    ///
    /// # Errors
    /// When there is no answer.
    pub(super) async fn write_records(
        &self,
        endpoint: &Uri,
        body: Vec<u8>,
    ) -> Result<Answered, Written> {
        let now = SystemTime::now();
        let not_made = |said: String| Written::Failed(Failure::Connection, said);
        let keys = match self.credentials.at_hand(now) {
            Some(keys) => keys,
            None => self.credentials.fetched(now).await.map_err(not_made)?,
        };
        let request = self.request(endpoint, &keys, body, now).map_err(|error| {
            not_made(format!("the call cannot be made: {}", telemetry::chain(&error)))
        })?;
        self.http.call(request).await
    }

    fn request(
        &self,
        endpoint: &Uri,
        keys: &Keys,
        body: Vec<u8>,
        now: SystemTime,
    ) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let host = signature::host(endpoint);
        let signed = self.signer.sign(keys, &host, &body, now);
        let mut request = Request::post(endpoint)
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE))
            .header(header::USER_AGENT, HeaderValue::from_static(USER_AGENT))
            .header(TARGET, HeaderValue::from_static(WRITE_RECORDS))
            .header(TIME, signed.time)
            .header(header::AUTHORIZATION, signed.authorization);
        if let Some(token) = keys.session_token() {
            let mut token = HeaderValue::try_from(token)?;
            token.set_sensitive(true);
            request = request.header(TOKEN, token);
        }
        request.body(Full::new(Bytes::from(body)))
    }
}
