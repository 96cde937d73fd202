//! The samples that readers copy: each parses, is valid, and makes a sound plan.

use std::{fs, path::Path};

use k8s_openapi::api::core::v1::ConfigMap;

use crate::{
    api::v1alpha1::LoadTest,
    core::lifecycle::{
        check::assert_sound,
        decide::decide,
        seen::{RunSeen, Seen},
        valid::{ScriptSource, validate},
    },
};

/// When the run of a sample is created.
const CREATED_MS: i64 = 1_795_000_000_000;

#[test]
fn every_sample_parses_is_valid_and_plans() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/samples");
    let mut tests = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let whole = fs::read_to_string(&path).unwrap();
        let mut maps: Vec<ConfigMap> = Vec::new();
        for document in whole.split("\n---\n") {
            if document.contains("\nkind: ConfigMap\n") {
                maps.push(serde_saphyr::from_str(document).unwrap());
                continue;
            }
            let test: LoadTest =
                serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{file}: {error}"));
            check(&file, test, &maps);
            tests += 1;
        }
    }
    assert!(tests >= 5, "only {tests} samples");
}

#[track_caller]
fn check(file: &str, test: LoadTest, maps: &[ConfigMap]) {
    let name = test.metadata.name.unwrap();
    let run = RunSeen {
        namespace: "default".to_owned(),
        name: format!("{name}-1"),
        uid: "uid-of-run".to_owned(),
        test: Some(name),
        generation: 1,
        wanted: test.spec.test.parallelism,
        created_ms: CREATED_MS,
        ..RunSeen::default()
    };
    let valid =
        validate(&run.name, test.spec.test).unwrap_or_else(|error| panic!("{file}: {error}"));
    if let (ScriptSource::ConfigMap { name, key }, [map]) = (valid.script(), maps) {
        assert_eq!(map.metadata.name.as_ref(), Some(name), "{file}");
        assert!(map.data.as_ref().unwrap().contains_key(key), "{file} has no key {key}");
    }
    let seen = Seen { run, ..Seen::default() };
    let now_ms = CREATED_MS + 100;
    let plan = decide(Ok(&valid), &seen, "weir:test", now_ms);
    assert_sound(&plan, &seen, now_ms);
    assert!(plan.apply.iter().filter(|child| child.is_job()).count() == 2, "{file}");
}
