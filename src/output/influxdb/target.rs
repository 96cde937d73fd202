//! Where a write goes, and as whom.

use hyper::{Uri, header::HeaderValue};

use crate::api::v1alpha1::{InfluxDb, InfluxDbApi};

/// Where the lines of one output go.
#[derive(Clone, Debug)]
pub struct Target {
    /// The whole address of a write.
    pub uri: Uri,
    /// What proves that the caller may write; none where the spec names no token. Marked as secret.
    pub authorization: Option<HeaderValue>,
    /// The bucket or database, for messages.
    pub place: String,
}

/// Why no write can be addressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The spec names a token, and none is there.
    #[error(
        "no token: spec.outputs[].influxdb.tokenSecret names one, but the environment has neither {0} nor \
         WEIR_INFLUXDB_TOKEN"
    )]
    NoToken(String),
    /// The token has characters that no header can carry.
    #[error("the token in {0} has characters that no token has; check its Secret")]
    BadToken(String),
    /// The url is none.
    #[error("spec.outputs[].influxdb.url {url:?}: {problem}")]
    BadUrl {
        /// The url.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Target {
    /// The target of `spec`. `token` is what stands in the environment under the name `variable`.
    ///
    /// # Errors
    /// When no call could be made with what is known.
    pub fn new(spec: &InfluxDb, variable: &str, token: Option<&str>) -> Result<Self, TargetError> {
        let token = token.map(str::trim).filter(|token| !token.is_empty());
        let authorization = match (&spec.token_secret, token) {
            (None, _) => None,
            (Some(_), None) => return Err(TargetError::NoToken(variable.to_owned())),
            (Some(_), Some(token)) => Some(authorization(spec.api, token, variable)?),
        };
        let name = |name: &Option<String>| name.clone().unwrap_or_default();
        let mut query = form_urlencoded::Serializer::new(String::new());
        let (path, place) = match spec.api {
            InfluxDbApi::V2 => {
                query.append_pair("org", &name(&spec.org));
                query.append_pair("bucket", &name(&spec.bucket));
                query.append_pair("precision", "ns");
                let place =
                    format!("bucket {} of organization {}", name(&spec.bucket), name(&spec.org));
                ("/api/v2/write", place)
            }
            InfluxDbApi::V3 => {
                query.append_pair("db", &name(&spec.database));
                query.append_pair("precision", "nanosecond");
                // What is stored and what is refused is told line by line, and only what is on disk is answered.
                query.append_pair("accept_partial", "true");
                query.append_pair("no_sync", "false");
                ("/api/v3/write_lp", format!("database {}", name(&spec.database)))
            }
        };
        let url = format!("{}{path}?{}", spec.url.trim_end_matches('/'), query.finish());
        let uri = url.parse().map_err(|error: hyper::http::uri::InvalidUri| {
            TargetError::BadUrl { url: spec.url.clone(), problem: error.to_string() }
        })?;
        Ok(Self { uri, authorization, place })
    }
}

fn authorization(
    api: InfluxDbApi,
    token: &str,
    variable: &str,
) -> Result<HeaderValue, TargetError> {
    let scheme = match api {
        InfluxDbApi::V2 => "Token",
        InfluxDbApi::V3 => "Bearer",
    };
    let value = HeaderValue::try_from(format!("{scheme} {token}"));
    let mut value = value.map_err(|_| TargetError::BadToken(variable.to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
