//! The call that writes records, beneath the SDK.
//!
//! The SDK's way from an operation to an answer costs about as much as everything else of a call together. So this one
//! call is signed with the SDK's own signer and sent by the HTTP client of all outputs; all other calls, credentials and
//! settings are the SDK's.

use std::time::SystemTime;

use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use http_body_util::Full;
use hyper::{Request, Uri, header};
use prost::bytes::Bytes;

use super::{credentials::Credentials, outcome::Answer};
use crate::{
    core::pipeline::retry::{Failure, Written},
    io::telemetry,
    output::http::{Answered, Http},
};

/// Name of the service in the scope of a signature.
const SERVICE: &str = "timestream";
const TARGET: &str = "x-amz-target";
const WRITE_RECORDS: &str = "Timestream_20181101.WriteRecords";
/// Header in which some errors are named.
const ERROR_TYPE: &str = "x-amzn-errortype";
const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
const USER_AGENT: &str = concat!("weir/", env!("CARGO_PKG_VERSION"));

/// What every call needs.
#[derive(Debug)]
pub(super) struct Caller {
    http: Http,
    region: String,
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
        Self { http, region, credentials: Credentials::new(provider) }
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
        let identity = self.credentials.identity(now).await.map_err(not_made)?;
        let not_signed = |error: &(dyn std::error::Error + 'static)| {
            not_made(format!("the call cannot be signed: {}", telemetry::chain(error)))
        };
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(SERVICE)
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| not_signed(&error))?;
        let uri = endpoint.to_string();
        let signed = [("content-type", CONTENT_TYPE), (TARGET, WRITE_RECORDS)];
        let (instructions, _) =
            SignableRequest::new("POST", &uri, signed.into_iter(), SignableBody::Bytes(&body))
                .and_then(|request| sign(request, &params.into()))
                .map_err(|error| not_signed(&error))?
                .into_parts();
        let mut request = Request::post(endpoint)
            .header(header::CONTENT_TYPE, CONTENT_TYPE)
            .header(TARGET, WRITE_RECORDS)
            .header(header::USER_AGENT, USER_AGENT)
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| not_signed(&error))?;
        instructions.apply_to_request_http1x(&mut request);
        self.http.call(request).await
    }
}
