//! Whatever stands in an answer, the client says what came of the call, without panic.

use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings,
            SharedHttpConnector,
        },
        orchestrator::HttpRequest,
        runtime_components::RuntimeComponents,
    },
    http::{Response, StatusCode},
};
use aws_smithy_types::body::SdkBody;
use proptest::{prelude::*, sample::select};

use super::*;
use crate::core::tests::changes::changed;
use crate::output::timestream::outcome::Answer;

/// A server that answers every call alike.
#[derive(Clone, Debug)]
struct Fixed {
    status: u16,
    body: Vec<u8>,
}

impl HttpConnector for Fixed {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let status = StatusCode::try_from(self.status).unwrap();
        HttpConnectorFuture::ready(Ok(Response::new(status, SdkBody::from(self.body.clone()))))
    }
}

impl HttpClient for Fixed {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

fn answers() -> Vec<(u16, Vec<u8>)> {
    let mut rejected = error("RejectedRecordsException", "some were rejected");
    rejected["RejectedRecords"] = json!([
        { "RecordIndex": 0, "Reason": "A record already exists", "ExistingVersion": 3 },
        { "RecordIndex": 2, "Reason": "outside of the range [2026-11-22T07:28:28.250Z, 2026-11-23T00:00:00Z)" },
    ]);
    let endpoints =
        json!({ "Endpoints": [{ "Address": "127.0.0.1:1", "CachePeriodInMinutes": 1440 }] });
    [
        (200, json!({ "RecordsIngested": { "Total": 3, "MemoryStore": 3, "MagneticStore": 0 } })),
        (200, endpoints),
        (200, json!({ "Endpoints": [{ "Address": "a/b c", "CachePeriodInMinutes": i64::MAX }] })),
        (200, json!({ "Table": { "TableName": "samples", "DatabaseName": "k6" } })),
        (419, rejected),
        (429, error("ThrottlingException", "slow down")),
        (400, error("ValidationException", "bad")),
        (404, error("ResourceNotFoundException", "no table")),
        (500, error("InternalServerException", "later")),
    ]
    .map(|(status, body)| (status, body.to_string().into_bytes()))
    .into()
}

fn answer() -> impl Strategy<Value = Fixed> {
    let status = prop_oneof![
        4 => select(answers()).prop_map(|(status, _)| status),
        1 => 100..600_u16,
    ];
    let body = changed(select(answers()).prop_map(|(_, body)| body));
    (status, body).prop_map(|(status, body)| Fixed { status, body })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_answer(fixed in answer(), discovers: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let plain = output("http://127.0.0.1:1", None).await;
            let known = settings(&plain.spec).await;
            let sdk = known.sdk.to_builder().http_client(fixed.clone()).build();
            let endpoint_url = known.endpoint_url.clone().filter(|_| !discovers);
            let output = with(plain.spec.clone(), Settings { sdk, endpoint_url, ..known });
            let batch = batch();
            for kind in [None, Some("RejectedRecordsException:http://x"), Some("#")] {
                let answer = Answer::new(fixed.status, kind, &fixed.body);
                let written = outcome::of_answer(&answer, &batch.records, output.target());
                if let Written::Partly(refused) = &written {
                    assert!(!refused.is_empty());
                    assert!(refused.iter().all(|(at, _)| *at < batch.records.len()));
                }
                let is_stored = (200..300).contains(&fixed.status);
                assert!(is_stored || written != Written::Stored);
            }
            drop(output.probe().await);
        });
    }
}
