//! Settings of the SDK: default credential chain, one TLS stack, no retries of its own.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_timestreamwrite::config::{
    Builder, Config, retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::api::v1alpha1::Timestream;

/// Longest time for a connection to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time for one call, from its first byte to its answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// The service's own variable for an endpoint; the SDK reads it where none is given.
const ENDPOINT_VARIABLE: &str = "AWS_ENDPOINT_URL_TIMESTREAM_WRITE";
/// With an endpoint of one's own a region only takes part in the signature.
const SIGNING_REGION: &str = "us-east-1";

/// Why no client can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Neither the spec nor the environment names a region.
    #[error(
        "no AWS region: set spec.outputs[].timestream.region, or AWS_REGION in spec.aggregator.env"
    )]
    NoRegion,
}

/// The SDK's settings for `spec`, and whether the endpoint must be discovered.
///
/// # Errors
/// When no call could succeed with what is known.
pub async fn load(spec: &Timestream) -> Result<(Config, bool), ConfigError> {
    let http = aws_smithy_http_client::Builder::new()
        .pool_max_idle_per_host(usize::try_from(spec.max_concurrent_writes).unwrap_or(1))
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(CALL_TIMEOUT)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if let Some(region) = &spec.region {
        loader = loader.region(Region::new(region.clone()));
    }
    let shared = loader.load().await;
    let own_endpoint = spec.endpoint_url.is_some()
        || shared.endpoint_url().is_some()
        || std::env::var_os(ENDPOINT_VARIABLE).is_some_and(|value| !value.is_empty());
    let mut builder = Builder::from(&shared);
    if let Some(url) = &spec.endpoint_url {
        builder = builder.endpoint_url(url);
    }
    if shared.region().is_none() {
        if !own_endpoint {
            return Err(ConfigError::NoRegion);
        }
        builder = builder.region(Region::from_static(SIGNING_REGION));
    }
    Ok((builder.build(), !own_endpoint))
}
