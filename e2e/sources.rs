//! Every source of a script, on a cluster since mounts and init containers are the kubelet's.

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};

use crate::harness::{BUSYBOX_IMAGE, World, assert_passed, in_world};

const MAIN: &str = "import { n } from './lib.js'; import { Counter } from 'k6/metrics'; const c = new Counter('from_lib'); export const options = {vus: 2, iterations: 6}; export default function () { c.add(n); }";
const LIB: &str = "export const n = 7;";

/// Runs the script on two instances and asserts that `lib.js` was found: six samples of 7.
async fn runs(world: &World, script: Value, more: Value) {
    world.timestream(&[]).await;
    world.apply("src", world.spec(2, script, more)).await.unwrap();
    let stored = assert_passed(&world.complete("src-1", 90).await);
    let rows = world.rows().await;
    assert_eq!(rows.len() as u64, stored);
    let values: Vec<_> = rows
        .iter()
        .filter(|r| r.measure_name == "from_lib")
        .map(crate::harness::Row::number)
        .collect();
    assert_eq!(values.len(), 6, "{values:?}");
    assert!(
        rows.iter()
            .filter(|r| r.measure_name == "from_lib")
            .all(|r| (r.number() - 7.0).abs() < 1e-9)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_of_several_files_in_a_config_map() {
    in_world("files", |world| async move {
        world.config_map("files", &[("main.js", MAIN), ("lib.js", LIB)]).await;
        runs(&world, json!({"configMap": {"name": "files", "key": "main.js"}}), json!({})).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_k6_archive_in_a_config_map() {
    in_world("archive", |world| async move {
        let tar = archive();
        let object: ConfigMap = ConfigMap {
            metadata: kube::core::ObjectMeta {
                name: Some("archive".to_owned()),
                ..Default::default()
            },
            binary_data: Some([("test.tar".to_owned(), k8s_openapi::ByteString(tar))].into()),
            ..ConfigMap::default()
        };
        world.api::<ConfigMap>().create(&PostParams::default(), &object).await.unwrap();
        runs(&world, json!({"configMap": {"name": "archive", "key": "test.tar"}}), json!({})).await;
    })
    .await;
}

/// The bytes of `k6 archive` on the two files, by the k6 that `WEIR_K6` names.
fn archive() -> Vec<u8> {
    let k6 = std::env::var("WEIR_K6").expect("WEIR_K6 must name a k6 binary: `make e2e` sets it");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("main.js"), MAIN).unwrap();
    std::fs::write(folder.path().join("lib.js"), LIB).unwrap();
    let tar = folder.path().join("test.tar");
    let status = std::process::Command::new(k6)
        .args(["archive", "--quiet", "-O"])
        .arg(&tar)
        .arg(folder.path().join("main.js"))
        .status()
        .unwrap();
    assert!(status.success());
    std::fs::read(tar).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_with_an_init_container_that_writes_the_script() {
    in_world("init", |world| async move {
        let write = "printf '%s' \"$MAIN\" > /scripts/main.js && printf '%s' \"$LIB\" > /scripts/lib.js";
        let template = json!({"spec": {
            "volumes": [{"name": "scripts", "emptyDir": {}}],
            "initContainers": [{
                "name": "write", "image": BUSYBOX_IMAGE, "command": ["/bin/sh", "-c", write],
                "env": [{"name": "MAIN", "value": MAIN}, {"name": "LIB", "value": LIB}],
                "volumeMounts": [{"name": "scripts", "mountPath": "/scripts"}],
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
            "containers": [{"name": "k6", "volumeMounts": [{"name": "scripts", "mountPath": "/scripts"}]}],
        }});
        runs(&world, json!({"file": {"path": "/scripts/main.js"}}), json!({"runnerTemplate": template})).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_on_a_volume_claim() {
    in_world("claim", |world| async move {
        let folder = format!("/tmp/weir-e2e-{}", world.namespace);
        let volumes: Api<PersistentVolume> = Api::all(world.client.clone());
        let volume: PersistentVolume = serde_json::from_value(json!({
            "metadata": {"name": world.namespace},
            "spec": {"capacity": {"storage": "1Mi"}, "accessModes": ["ReadWriteMany"], "storageClassName": "",
                "persistentVolumeReclaimPolicy": "Retain", "claimRef": {"namespace": world.namespace, "name": "scripts"},
                "hostPath": {"path": folder, "type": "DirectoryOrCreate"}},
        }))
        .unwrap();
        volumes.create(&PostParams::default(), &volume).await.unwrap();
        let claim: PersistentVolumeClaim = serde_json::from_value(json!({
            "metadata": {"name": "scripts"},
            "spec": {"accessModes": ["ReadWriteMany"], "storageClassName": "", "volumeName": world.namespace,
                "resources": {"requests": {"storage": "1Mi"}}},
        }))
        .unwrap();
        world.api::<PersistentVolumeClaim>().create(&PostParams::default(), &claim).await.unwrap();
        // The tests run on the node itself in the local cluster; elsewhere a hostPath cannot be filled from here.
        std::fs::create_dir_all(format!("{folder}/sub")).unwrap();
        std::fs::write(format!("{folder}/sub/main.js"), MAIN).unwrap();
        std::fs::write(format!("{folder}/sub/lib.js"), LIB).unwrap();
        runs(&world, json!({"volumeClaim": {"name": "scripts", "path": "sub/main.js"}}), json!({})).await;
        drop(volumes.delete(&world.namespace, &DeleteParams::default()).await);
        drop(std::fs::remove_dir_all(folder));
    })
    .await;
}
