//! An operator that watches one namespace ignores another. Run alone by `make e2e`, after the chart was upgraded to
//! `watchNamespaces=[weir-scoped]`: an operator that watches all would take the other namespace too.

use kube::Api;
use serde_json::json;
use weir::api::v1alpha1::{ConditionType, LoadTest, LoadTestRun};

use crate::harness::{World, condition, in_world};

const SHORT: &str = "export const options = {vus: 1, iterations: 2}; export default function () {}";

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_of_one_namespace_serves_it_and_ignores_another() {
    in_world("scope", |ignored| async move {
        let watched = World { client: ignored.client.clone(), namespace: "weir-scoped".to_owned() };
        let spec = ignored.spec(1, json!({"inline": SHORT}), json!({"outputs": []}));
        let mut bare = spec.clone();
        bare.as_object_mut().unwrap().remove("outputs");
        ignored.apply("scope", bare.clone()).await.unwrap();
        watched.apply("scope", bare).await.unwrap();
        let run = watched.complete("scope-1", 90).await;
        let (status, _, message) = condition(&run, ConditionType::Succeeded).unwrap();
        assert_eq!(status, "True", "{message}");
        let tests: Api<LoadTest> = ignored.api();
        assert_eq!(
            tests.get("scope").await.unwrap().status,
            None,
            "the other namespace's test has no status"
        );
        let runs =
            ignored.api::<LoadTestRun>().list(&kube::api::ListParams::default()).await.unwrap();
        assert!(runs.items.is_empty(), "and no run");
    })
    .await;
}
