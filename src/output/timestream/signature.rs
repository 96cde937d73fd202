//! Signature Version 4 of the one call that is made beneath the SDK.
//!
//! All these calls have the same method, path and headers, so the text that is signed is the same but for the time and the
//! hash of the body. The SDK's signer builds it anew from any request, sorts and normalises, and derives the key of the
//! day again: together a quarter of what the output takes. Here the text is written straight, the key is kept for its
//! day, and the cryptography is the SDK's signer's. That both say the same is tested.
//!
//! Rules: "Create a signed AWS API request" (AWS IAM user guide).

use std::{
    fmt::{self, Debug, Formatter},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use aws_credential_types::Credentials;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use hyper::Uri;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// Name of the service in the scope of a signature.
const SERVICE: &str = "timestream";
pub(super) const TARGET: &str = "x-amz-target";
pub(super) const WRITE_RECORDS: &str = "Timestream_20181101.WriteRecords";
pub(super) const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
/// Bytes of a day within a time such as `20261130T183310Z`.
const DAY_BYTES: usize = 8;

/// What a signed request has besides the headers that all have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signed {
    /// `x-amz-date`.
    pub(super) time: String,
    /// `authorization`.
    pub(super) authorization: String,
}

/// Signs calls to one region.
#[derive(Debug)]
pub(super) struct Signer {
    region: String,
    key: Mutex<Option<Arc<Key>>>,
}

/// What signs the calls of one day.
struct Key {
    day: String,
    credentials: Credentials,
    bytes: Vec<u8>,
}

impl Debug for Key {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("day", &self.day).finish_non_exhaustive()
    }
}

impl Key {
    fn is_of(&self, day: &str, credentials: &Credentials) -> bool {
        self.day == day
            && self.credentials.access_key_id() == credentials.access_key_id()
            && self.credentials.secret_access_key() == credentials.secret_access_key()
    }
}

/// The value of the `host` header: hosts name a port only where it is not their scheme's.
pub(super) fn host(endpoint: &Uri) -> String {
    let host = endpoint.host().unwrap_or_default();
    match (endpoint.scheme_str(), endpoint.port_u16()) {
        (_, None) | (Some("http"), Some(80)) | (Some("https"), Some(443)) => host.to_owned(),
        (_, Some(port)) => format!("{host}:{port}"),
    }
}

impl Signer {
    pub(super) const fn new(region: String) -> Self {
        Self { region, key: Mutex::new(None) }
    }

    /// Signs a call with this body to the path `/` of `host`.
    pub(super) fn sign(
        &self,
        credentials: &Credentials,
        host: &str,
        body: &[u8],
        now: SystemTime,
    ) -> Signed {
        let time = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
        let time = time.strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = time.get(..DAY_BYTES).unwrap_or_default();
        let token = credentials.session_token();
        let (token_line, token_name) = match token {
            Some(token) => {
                (format!("x-amz-security-token:{}\n", token.trim()), "x-amz-security-token;")
            }
            None => (String::new(), ""),
        };
        let names = format!("content-type;host;x-amz-date;{token_name}{TARGET}");
        let request = format!(
            "POST\n/\n\ncontent-type:{CONTENT_TYPE}\nhost:{host}\nx-amz-date:{time}\n{token_line}\
             {TARGET}:{WRITE_RECORDS}\n\n{names}\n{}",
            hash(body)
        );
        let scope = format!("{day}/{}/{SERVICE}/aws4_request", self.region);
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hash(request.as_bytes()));
        let key = self.key(day, credentials, now);
        let signature = calculate_signature(&key.bytes, text.as_bytes());
        let id = credentials.access_key_id();
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}"
        );
        Signed { time, authorization }
    }

    fn key(&self, day: &str, credentials: &Credentials, now: SystemTime) -> Arc<Key> {
        let mut kept = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = kept.as_ref().filter(|key| key.is_of(day, credentials)) {
            return key.clone();
        }
        let secret = credentials.secret_access_key();
        let bytes = generate_signing_key(secret, now, &self.region, SERVICE);
        let key = Arc::new(Key {
            day: day.to_owned(),
            credentials: credentials.clone(),
            bytes: bytes.as_ref().to_vec(),
        });
        *kept = Some(key.clone());
        key
    }
}

/// SHA-256 in lower-case hexadecimal digits.
fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests;
