//! What the spec of an output `influxdb` must be.

use super::{
    dimensions::check_dimensions,
    valid::{Errors, check_object_name},
};
use crate::api::v1alpha1::{InfluxDb, InfluxDbApi, SecretKey};

/// Longest name of an organization, bucket or database, as the CRD bounds it.
const NAME_BYTES_MAX: usize = 256;
/// Longest key of a Secret.
const KEY_BYTES_MAX: usize = 253;

/// Names what is wrong with the output `spec` at `path`.
pub(super) fn check(spec: &InfluxDb, path: &str, errors: &mut Errors) {
    check_url(&spec.url, &format!("{path}.url"), errors);
    let (needed, foreign): (&[_], &[_]) = match spec.api {
        InfluxDbApi::V2 => {
            (&[("org", &spec.org), ("bucket", &spec.bucket)], &[("database", &spec.database)])
        }
        InfluxDbApi::V3 => {
            (&[("database", &spec.database)], &[("org", &spec.org), ("bucket", &spec.bucket)])
        }
    };
    for (field, name) in needed {
        let length = name.as_ref().map_or(0, String::len);
        if !(1..=NAME_BYTES_MAX).contains(&length) {
            let problem = format!("api {:?} needs it, with 1 to {NAME_BYTES_MAX} bytes", spec.api);
            errors.add(&format!("{path}.{field}"), &problem);
        }
    }
    for (field, _) in foreign.iter().filter(|(_, name)| name.is_some()) {
        let problem = format!("api {:?} does not know it; leave it out", spec.api);
        errors.add(&format!("{path}.{field}"), &problem);
    }
    if let Some(SecretKey { name, key }) = &spec.token_secret {
        check_object_name(name, &format!("{path}.tokenSecret.name"), errors);
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if !(1..=KEY_BYTES_MAX).contains(&key.len()) || !key.chars().all(allowed) {
            let problem = format!("{key:?} must have 1 to {KEY_BYTES_MAX} of a-z A-Z 0-9 _ . -");
            errors.add(&format!("{path}.tokenSecret.key"), &problem);
        }
    }
    if let Some(dimensions) = &spec.dimensions {
        check_dimensions(dimensions, &format!("{path}.dimensions"), errors);
    }
}

/// The url itself is told only where no password can stand in it: errors are for everybody's eyes.
fn check_url(url: &str, field: &str, errors: &mut Errors) {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let Some(rest) = rest else {
        return errors.add(field, "must start with http:// or https://");
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    if host.contains('@') {
        return errors.add(
            field,
            "must hold neither user nor password; put the token into a Secret and name it in tokenSecret",
        );
    }
    if host.is_empty() || !url.chars().all(|c| c.is_ascii_graphic()) {
        return errors.add(field, &format!("{url:?} is no address such as https://host:8086"));
    }
    if path.contains(['?', '#']) {
        errors.add(
            field,
            "must end with the path; org, bucket and database have fields of their own",
        );
    }
}
