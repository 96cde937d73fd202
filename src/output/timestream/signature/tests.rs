use std::time::Duration;

use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use hyper::{HeaderMap, Request};
use proptest::prelude::*;

use super::*;

/// What the SDK's signer would add to the request.
fn by_the_sdk(
    region: &str,
    keys: &Credentials,
    endpoint: &Uri,
    body: &[u8],
    now: SystemTime,
) -> HeaderMap {
    let identity = keys.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(SERVICE)
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let headers = [("content-type", CONTENT_TYPE), (TARGET, WRITE_RECORDS)];
    let uri = endpoint.to_string();
    let signable =
        SignableRequest::new("POST", &uri, headers.into_iter(), SignableBody::Bytes(body)).unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    let mut request = Request::post(endpoint).body(()).unwrap();
    instructions.apply_to_request_http1x(&mut request);
    request.headers().clone()
}

#[test]
fn a_key_serves_one_day_and_one_secret() {
    let signer = Signer::new("eu-west-1".to_owned());
    let endpoint: Uri = "https://ingest-cell1.timestream.eu-west-1.amazonaws.com".parse().unwrap();
    let host = host(&endpoint);
    let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_504_000);
    let (one, other) = (
        Credentials::new("AKID", "secret", None, None, "test"),
        Credentials::new("AKID", "another secret", None, None, "test"),
    );
    let tomorrow = noon + Duration::from_secs(86_400);
    for (keys, now) in [(&one, noon), (&one, tomorrow), (&other, tomorrow), (&one, noon)] {
        let theirs = by_the_sdk("eu-west-1", keys, &endpoint, b"{}", now);
        let ours = signer.sign(keys, &host, b"{}", now);
        assert_eq!(ours.authorization, theirs["authorization"].to_str().unwrap());
    }
}

#[test]
fn no_secret_is_printed() {
    let signer = Signer::new("eu-west-1".to_owned());
    let keys = Credentials::new("AKID", "s3cr3t", None, None, "test");
    signer.sign(&keys, "host", b"", SystemTime::UNIX_EPOCH);
    let kept = signer.key.lock().unwrap().clone().unwrap();
    let printed = format!("{signer:?} {kept:?}");
    assert!(printed.contains("19700101") && !printed.contains("s3cr3t"), "{printed}");
    assert!(!printed.contains(&format!("{:?}", kept.bytes)), "{printed}");
}

proptest! {
    #[test]
    fn calls_are_signed_as_the_sdk_signs_them(
        secret in "[A-Za-z0-9/+]{1,60}",
        token in proptest::option::of("[A-Za-z0-9/+=]{1,200}"),
        endpoint in "https?://([a-z0-9]{1,9}(\\.[a-z0-9]{1,9}){0,3}|\\[::1\\])(:(80|443|[1-9][0-9]{0,3}))?/?",
        region in "[a-z]{2}-[a-z]{4}-[1-9]",
        body in proptest::collection::vec(any::<u8>(), 0..300),
        second in 0_u64..9_000_000_000,
    ) {
        let keys = Credentials::new("AKIDEXAMPLE", secret, token.clone(), None, "test");
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(second * 1000 + 999);
        let endpoint: Uri = endpoint.parse().unwrap();
        let theirs = by_the_sdk(&region, &keys, &endpoint, &body, now);
        let ours = Signer::new(region).sign(&keys, &host(&endpoint), &body, now);
        let theirs = |name: &str| theirs.get(name).map(|value| value.to_str().unwrap());
        prop_assert_eq!(theirs("x-amz-date"), Some(ours.time.as_str()));
        prop_assert_eq!(theirs("authorization"), Some(ours.authorization.as_str()));
        prop_assert_eq!(theirs("x-amz-security-token"), token.as_deref());
    }
}
