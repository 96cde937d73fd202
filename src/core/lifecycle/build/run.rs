//! The `LoadTestRun` that a `LoadTest` starts.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::meta::owner;
use crate::{
    api::{
        labels,
        v1alpha1::{LoadTestRun, LoadTestRunSpec, StopRequest, TestSpec},
    },
    core::lifecycle::series::TestSeen,
};

/// Run `number` of a test.
pub fn name(test: &str, number: u64) -> String {
    format!("{test}-{number}")
}

/// The number of the run called `run` of the test called `test`, where its name has that form.
pub fn number(test: &str, run: &str) -> Option<u64> {
    let digits = run.strip_prefix(test)?.strip_prefix('-')?;
    let plain = !digits.is_empty()
        && digits.chars().all(|c| c.is_ascii_digit())
        && !digits.starts_with('0');
    plain.then(|| digits.parse().ok()).flatten()
}

/// The run called `name`, with a copy of what the test says.
pub fn load_test_run(test: &TestSeen, name: &str, spec: TestSpec) -> LoadTestRun {
    LoadTestRun {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(test.namespace.clone()),
            labels: Some(BTreeMap::from([
                (labels::MANAGED_BY.to_owned(), labels::FIELD_MANAGER.to_owned()),
                (labels::LOAD_TEST.to_owned(), test.name.clone()),
            ])),
            owner_references: Some(vec![owner("LoadTest", &test.name, &test.uid)]),
            ..ObjectMeta::default()
        },
        spec: LoadTestRunSpec { test: spec, stop: StopRequest::None },
        status: None,
    }
}
