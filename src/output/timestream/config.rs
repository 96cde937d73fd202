//! Settings of the SDK: default credential chain, one TLS stack, no retries of its own.

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_timestreamwrite::config::{
    Builder, Config, retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_types::{SdkConfig, service_config::ServiceConfigKey};

use crate::{
    api::v1alpha1::Timestream,
    output::http::{CALL_TIMEOUT, CONNECT_TIMEOUT},
};

/// The service's name where the environment (`AWS_ENDPOINT_URL_TIMESTREAM_WRITE`) or a profile gives its endpoint.
const SERVICE_ID: &str = "Timestream Write";
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
    /// The endpoint is no address.
    #[error(
        "spec.outputs[].timestream.endpointUrl, or the AWS_ENDPOINT_URL of the environment, is no url: {0}"
    )]
    Endpoint(String),
    /// No connection can be made.
    #[error("{0}")]
    Http(String),
}

/// What calls are made with.
#[derive(Debug)]
pub struct Settings {
    /// The SDK's own.
    pub sdk: Config,
    /// The endpoint that somebody chose; without it, it is discovered.
    pub endpoint_url: Option<String>,
    /// The region that signatures are for.
    pub region: String,
    /// Where credentials come from.
    pub credentials: Option<SharedCredentialsProvider>,
}

/// The settings for `spec`.
///
/// # Errors
/// When no call could succeed with what is known.
pub async fn load(spec: &Timestream) -> Result<Settings, ConfigError> {
    let http = aws_smithy_http_client::Builder::new()
        .pool_max_idle_per_host(1)
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
    let endpoint_url = spec.endpoint_url.clone().or_else(|| environment_endpoint(&shared));
    let region = match (shared.region(), &endpoint_url) {
        (Some(region), _) => region.clone(),
        (None, Some(_)) => Region::from_static(SIGNING_REGION),
        (None, None) => return Err(ConfigError::NoRegion),
    };
    let mut builder = Builder::from(&shared).region(region.clone());
    builder.set_endpoint_url(endpoint_url.clone());
    Ok(Settings {
        sdk: builder.build(),
        endpoint_url,
        region: region.to_string(),
        credentials: shared.credentials_provider(),
    })
}

/// The endpoint that environment or profile give: the service's own before that of all services, as the SDKs have it.
fn environment_endpoint(shared: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id(SERVICE_ID)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok()?;
    let own = shared.service_config().and_then(|config| config.load_config(key));
    own.or_else(|| shared.endpoint_url().map(ToOwned::to_owned)).filter(|url| !url.is_empty())
}
