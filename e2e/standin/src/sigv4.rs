//! AWS Signature Version 4: is the request signed, for this service, and is the signature right?
//!
//! Source: "Signature Version 4 signing process" of the IAM user guide (canonical request, string to
//! sign, derived key). Written from that page alone, so that it checks clients independently.

use hmac::{Hmac, KeyInit, Mac};
use hyper::{HeaderMap, Method, Uri};
use sha2::{Digest, Sha256};

use crate::aws_json::ApiError;
use crate::clock;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "timestream";
/// A signature's date may be this far from the clock.
const SKEW_SECONDS_MAX: i64 = 300;

/// What signatures are checked against.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    /// Only this access key is known; any if absent.
    pub(crate) access_key: Option<String>,
    /// The secret of all access keys; if absent, signatures are parsed but not recomputed.
    pub(crate) secret_key: Option<String>,
}

/// The parts of a request that are signed.
#[derive(Debug)]
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

/// The `Authorization` header, taken apart.
struct Authorization<'a> {
    access_key: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

/// Refuses a request that is not signed as the service demands.
pub(crate) fn verify(request: &Signed, keys: &Keys, now_ns: i64) -> Result<(), ApiError> {
    let Some(header) = header(request.headers, "authorization") else {
        let message = "Request is missing Authentication Token";
        return Err(ApiError::signature("MissingAuthenticationTokenException", message));
    };
    let Some(auth) = parse(&header) else {
        let message = "The Authorization header is not a complete Signature Version 4 header.";
        return Err(ApiError::signature("IncompleteSignatureException", message));
    };
    if auth.service != SERVICE {
        return Err(invalid("Credential should be scoped to correct service: 'timestream'."));
    }
    if keys.access_key.as_deref().is_some_and(|key| key != auth.access_key) {
        let message = "The security token included in the request is invalid.";
        return Err(ApiError::signature("UnrecognizedClientException", message));
    }
    let date = self::header(request.headers, "x-amz-date").unwrap_or_default();
    let Some(seconds) = clock::parse_basic(&date).filter(|_| date.starts_with(auth.date)) else {
        return Err(invalid("X-Amz-Date is missing, malformed, or not the credential's date."));
    };
    if (now_ns / 1_000_000_000 - seconds).abs() > SKEW_SECONDS_MAX {
        return Err(invalid("Signature expired or not yet valid."));
    }
    for name in ["host", "x-amz-date", "x-amz-target", "x-amz-security-token"] {
        let is_signed = auth.signed_headers.split(';').any(|signed| signed == name);
        if request.headers.contains_key(name) && !is_signed {
            return Err(invalid(format!("The header {name} must be signed.")));
        }
    }
    match &keys.secret_key {
        Some(secret) => recompute(request, &auth, &date, secret),
        None => Ok(()),
    }
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::signature("InvalidSignatureException", message)
}

/// All values of a header, trimmed, runs of blanks made one, joined by commas.
fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let values = headers.get_all(name).iter();
    let values: Vec<String> = values
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    (!values.is_empty()).then(|| values.join(","))
}

fn parse(header: &str) -> Option<Authorization<'_>> {
    let fields = header.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
    let field = |name: &str| {
        let mut parts = fields.split(',').map(str::trim);
        parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
    };
    let scope: Vec<&str> = field("Credential")?.rsplitn(5, '/').collect();
    let [terminator, service, region, date, access_key] = scope[..] else {
        return None;
    };
    let (signed_headers, signature) = (field("SignedHeaders")?, field("Signature")?);
    let is_whole = terminator == "aws4_request"
        && [access_key, date, region, signed_headers].iter().all(|part| !part.is_empty())
        && signature.len() == 64;
    is_whole.then_some(Authorization {
        access_key,
        date,
        region,
        service,
        signed_headers,
        signature,
    })
}

/// Computes the signature from the secret and compares it in constant time.
fn recompute(
    request: &Signed,
    auth: &Authorization,
    date: &str,
    secret: &str,
) -> Result<(), ApiError> {
    let body_hash = hex(&Sha256::digest(request.body));
    if header(request.headers, "x-amz-content-sha256").is_some_and(|hash| hash != body_hash) {
        return Err(invalid("X-Amz-Content-SHA256 is not the hash of the body."));
    }
    let canonical = canonical(request, auth.signed_headers, &body_hash)?;
    let scope = format!("{}/{}/{}/aws4_request", auth.date, auth.region, auth.service);
    let canonical_hash = hex(&Sha256::digest(canonical.as_bytes()));
    let to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{canonical_hash}");
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [auth.date, auth.region, auth.service, "aws4_request"] {
        key = mac(&key, part)?.finalize().into_bytes().to_vec();
    }
    let signature = unhex(auth.signature).unwrap_or_default();
    mac(&key, &to_sign)?.verify_slice(&signature).map_err(|_| {
        invalid("The request signature we calculated does not match the signature you provided.")
    })
}

/// The canonical request. The service has one path and no query, so neither needs encoding rules.
fn canonical(request: &Signed, signed: &str, body_hash: &str) -> Result<String, ApiError> {
    let mut lines = String::new();
    let mut before = "";
    for name in signed.split(';') {
        let value = header(request.headers, name);
        let Some(value) = value.filter(|_| before < name && name == name.to_lowercase()) else {
            return Err(invalid("SignedHeaders must be sorted, lower case, and in the request."));
        };
        lines = lines + name + ":" + &value + "\n";
        before = name;
    }
    let (method, path) = (request.method, request.uri.path());
    let query = request.uri.query().unwrap_or_default();
    Ok(format!("{method}\n{path}\n{query}\n{lines}\n{signed}\n{body_hash}"))
}

fn mac(key: &[u8], text: &str) -> Result<Hmac<Sha256>, ApiError> {
    let mac = Hmac::<Sha256>::new_from_slice(key);
    let mut mac = mac.map_err(|error| ApiError::internal(error.to_string()))?;
    mac.update(text.as_bytes());
    Ok(mac)
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let pairs = digits?;
    pairs.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair.get(1)?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_NS: i64 = 1_440_938_160_000_000_000; // 2015-08-30T12:36:00Z

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = list.iter();
        pairs.map(|(n, v)| (n.parse().expect("name"), v.parse().expect("value"))).collect()
    }

    fn check(list: &[(&'static str, &str)], keys: &Keys, body: &[u8]) -> Result<(), &'static str> {
        let (uri, headers) = (Uri::from_static("/"), headers(list));
        let request = Signed { method: &Method::POST, uri: &uri, headers: &headers, body };
        verify(&request, keys, NOW_NS).map_err(|error| error.code)
    }

    /// A header as botocore 1.44 signs it for these inputs (`checks/sigv4_sample.py` prints it).
    const SAMPLE: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/timestream/\
        aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=";
    const SIGNATURE: &str = "2fa17a01c3f61f1b1ebabbb053734d1f918ff79cd908e86eb7b5192ebec6f45d";

    #[test]
    fn a_signature_is_recomputed() {
        let keys = Keys { access_key: None, secret_key: Some("SECRETEXAMPLE".into()) };
        let good = format!("{SAMPLE}{SIGNATURE}");
        let list = |auth| {
            [
                ("authorization", auth),
                ("content-type", "application/x-amz-json-1.0"),
                ("host", "127.0.0.1:8000"),
                ("x-amz-date", "20150830T123600Z"),
                ("x-amz-target", "Timestream_20181101.ListDatabases"),
            ]
        };
        assert_eq!(check(&list(&good), &keys, b"{}"), Ok(()));
        assert_eq!(check(&list(&good), &keys, b"{ }"), Err("InvalidSignatureException"));
        let other = Keys { secret_key: Some("OTHER".into()), ..keys.clone() };
        assert_eq!(check(&list(&good), &other, b"{}"), Err("InvalidSignatureException"));
        let known = Keys { access_key: Some("SOMEONE".into()), ..keys };
        assert_eq!(check(&list(&good), &known, b"{}"), Err("UnrecognizedClientException"));
    }

    #[test]
    fn a_request_must_carry_a_whole_header() {
        let zeros = "0".repeat(64);
        let with = |credential: &str, signed: &str| {
            format!(
                "{ALGORITHM} Credential={credential}, SignedHeaders={signed}, Signature={zeros}"
            )
        };
        let scope = "A/20150830/us-east-1/timestream/aws4_request";
        let (signed, late) = ("host;x-amz-date", "20150830T124200Z");
        let now = "20150830T123600Z";
        let cases = [
            (None, now, Err("MissingAuthenticationTokenException")),
            (Some("Basic abc".to_owned()), now, Err("IncompleteSignatureException")),
            (Some(with("A/20150830/x", signed)), now, Err("IncompleteSignatureException")),
            (Some(with(scope, "")), now, Err("IncompleteSignatureException")),
            (Some(with(scope, signed)), now, Ok(())),
            (Some(with(scope, "x-amz-date")), now, Err("InvalidSignatureException")),
            (
                Some(with(&scope.replace("timestream", "s3"), signed)),
                now,
                Err("InvalidSignatureException"),
            ),
            (
                Some(with(&scope.replace("0830", "0829"), signed)),
                now,
                Err("InvalidSignatureException"),
            ),
            (Some(with(scope, signed)), late, Err("InvalidSignatureException")),
            (Some(with(scope, signed)), "today", Err("InvalidSignatureException")),
        ];
        for (auth, date, want) in cases {
            let mut list = vec![("host", "h"), ("x-amz-date", date)];
            list.extend(auth.as_deref().map(|auth| ("authorization", auth)));
            assert_eq!(check(&list, &Keys::default(), b""), want, "{auth:?} {date}");
        }
    }
}
