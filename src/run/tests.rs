use std::path::Path;

use super::{
    input::{InputError, LocalScript, parse, read},
    progress::line,
};
use crate::{
    api::v1alpha1::OutputStatus,
    wire::result::{RunResult, Stage},
};

const LOAD_TEST: &str = "
apiVersion: weir.dev/v1alpha1
kind: LoadTest
metadata: {name: shop}
spec:
  parallelism: 3
  script: {configMap: {name: files, key: main.js}}
  k6: {env: [{name: A, value: b}]}
";
const FILES: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: files}
data: {main.js: 'import \"./lib.js\"', lib.js: 'export const n = 1'}
";

fn parsed(text: &str) -> Result<super::input::LocalTest, InputError> {
    parse(Path::new("test.yaml"), text)
}

#[test]
fn a_config_map_in_the_same_file_gives_the_script_and_what_lies_beside_it() {
    let test = parsed(&format!("{LOAD_TEST}---{FILES}")).unwrap();
    assert_eq!((test.name.as_str(), test.test.parallelism), ("shop", 3));
    assert_eq!(test.env.get("A").map(String::as_str), Some("b"));
    let LocalScript::Files { files, main } = test.script else { panic!("files") };
    assert_eq!(main, "main.js");
    assert_eq!(files.keys().collect::<Vec<_>>(), ["lib.js", "main.js"]);
}

#[test]
fn a_config_map_that_is_not_in_the_file_is_named_with_the_remedy() {
    let error = parsed(LOAD_TEST).unwrap_err().to_string();
    assert!(error.contains("configMap \"files\"") && error.contains("--script"), "{error}");
}

#[test]
fn a_missing_key_is_named_with_the_keys_there_are() {
    let text = format!("{LOAD_TEST}---{FILES}").replace("key: main.js", "key: other.js");
    let error = parsed(&text).unwrap_err().to_string();
    assert!(error.contains("other.js") && error.contains("lib.js"), "{error}");
}

#[test]
fn a_field_that_the_api_does_not_have_right_is_named_with_its_place() {
    let error =
        parsed(&LOAD_TEST.replace("parallelism: 3", "parallelism: three")).unwrap_err().to_string();
    assert!(error.contains("test.yaml"), "{error}");
}

#[test]
fn a_secret_environment_needs_a_cluster() {
    let text = LOAD_TEST
        .replace("k6: {env: [{name: A, value: b}]}", "k6: {envFrom: [{secretRef: {name: s}}]}");
    let error = parsed(&format!("{text}---{FILES}")).unwrap_err().to_string();
    assert!(error.contains("spec.k6.envFrom"), "{error}");
}

#[test]
fn a_bare_script_gets_a_name_that_kubernetes_would_take() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("9 Checkout_Flow.js");
    std::fs::write(&path, "export default function () {}").unwrap();
    let test = read(&path).unwrap();
    assert_eq!(test.name, "t9-checkout-flow");
    assert_eq!(test.script, LocalScript::File(path));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = read(Path::new("/no/such/script.js")).unwrap_err();
    assert!(error.to_string().contains("/no/such/script.js"));
}

#[test]
fn the_progress_line_tells_stage_instances_and_account() {
    let result = RunResult {
        stage: Stage::Running,
        wanted: 4,
        ready: 4,
        vus: 8,
        outputs: vec![OutputStatus {
            name: "timestream".to_owned(),
            emitted: 20,
            stored: 17,
            rejected: [("X".to_owned(), 1)].into(),
            in_flight: 2,
            duplicates_ignored: 0,
        }],
        ..RunResult::default()
    };
    assert_eq!(
        line(&result, 65_000),
        "01:05 running   4/4 ready  8 VUs  timestream: 20 emitted, 17 stored, 1 rejected"
    );
}
