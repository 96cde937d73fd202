//! What a person names on the command line, turned into a test that can run on this machine.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use k8s_openapi::api::core::v1::ConfigMap;
use serde::Deserialize;
use serde_json::Value;

use crate::api::v1alpha1::{LoadTest, Script, TestSpec};

/// A test that can run on this machine.
#[derive(Debug)]
pub struct LocalTest {
    /// Name of the test; the run is called `<name>-1`.
    pub name: String,
    /// What the run does.
    pub test: TestSpec,
    /// Where the script is, or the files to write before the start.
    pub script: LocalScript,
    /// Environment of k6 besides this process's own.
    pub env: BTreeMap<String, String>,
}

/// The script on this machine.
#[derive(Debug, PartialEq, Eq)]
pub enum LocalScript {
    /// A file that exists.
    File(PathBuf),
    /// Files to be written beside each other, and the name of the one to run.
    Files {
        /// Name and content of each file.
        files: BTreeMap<String, Vec<u8>>,
        /// The file that k6 runs.
        main: String,
    },
}

/// Why a file cannot be run on this machine.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The file is no YAML, or no LoadTest.
    #[error("{path} is not a LoadTest: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// The spec asks for something that only a cluster has.
    #[error("{field} cannot be had on this machine: {remedy}")]
    ClusterOnly {
        /// The field of the spec.
        field: String,
        /// What to do.
        remedy: String,
    },
}

/// Reads `path`: a LoadTest in YAML (with ConfigMaps it uses beside it, as further documents), or a bare k6 script or archive.
pub fn read(path: &Path) -> Result<LocalTest, InputError> {
    let yaml = path
        .extension()
        .is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json");
    if !yaml {
        // As a spec must name it.
        let whole = std::fs::canonicalize(path)
            .map_err(|source| InputError::Read { path: path.to_owned(), source })?;
        return Ok(bare(path, &whole));
    }
    let text = std::fs::read_to_string(path)
        .map_err(|source| InputError::Read { path: path.to_owned(), source })?;
    parse(path, &text)
}

/// A bare script: one instance, no outputs.
fn bare(path: &Path, whole: &Path) -> LocalTest {
    let stem = path
        .file_stem()
        .map_or_else(|| "test".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let script = Script {
        file: Some(crate::api::v1alpha1::FileScript { path: whole.to_string_lossy().into_owned() }),
        ..Script::default()
    };
    LocalTest {
        name: label(&stem),
        test: TestSpec::of_script(script),
        script: LocalScript::File(path.to_owned()),
        env: BTreeMap::new(),
    }
}

/// A file name as the name of a test.
fn label(stem: &str) -> String {
    let mut name: String = stem
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(40)
        .collect();
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name.insert(0, 't');
    }
    name.trim_end_matches('-').to_owned()
}

/// Reads the documents of a YAML file.
pub fn parse(path: &Path, yaml: &str) -> Result<LocalTest, InputError> {
    let bad = |message: String| InputError::Parse { path: path.to_owned(), message };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(yaml).map_err(|error| bad(error.to_string()))?;
    let mut config_maps = BTreeMap::new();
    let mut found = None;
    for document in documents {
        match document["kind"].as_str() {
            Some("ConfigMap") => {
                let map = ConfigMap::deserialize(&document)
                    .map_err(|error| bad(format!("ConfigMap: {error}")))?;
                config_maps.insert(map.metadata.name.clone().unwrap_or_default(), map);
            }
            Some("LoadTest") if found.is_none() => {
                found =
                    Some(LoadTest::deserialize(&document).map_err(|error| bad(error.to_string()))?);
            }
            Some("LoadTest") => {
                return Err(bad("it holds more than one LoadTest; run one file each".to_owned()));
            }
            _ => {}
        }
    }
    let test = found.ok_or_else(|| bad("no document of kind LoadTest".to_owned()))?;
    let name =
        test.metadata.name.clone().ok_or_else(|| bad("metadata.name is missing".to_owned()))?;
    let spec = test.spec.test;
    Ok(LocalTest {
        name,
        script: script(&spec.script, &config_maps)?,
        env: environment(&spec)?,
        test: spec,
    })
}

fn script(
    script: &Script,
    config_maps: &BTreeMap<String, ConfigMap>,
) -> Result<LocalScript, InputError> {
    match script {
        Script { inline: Some(text), .. } => Ok(LocalScript::Files {
            files: [("script.js".to_owned(), text.clone().into_bytes())].into(),
            main: "script.js".to_owned(),
        }),
        Script { file: Some(file), .. } => Ok(LocalScript::File(PathBuf::from(&file.path))),
        Script { config_map: Some(wanted), .. } => {
            let map = config_maps.get(&wanted.name).ok_or_else(|| InputError::ClusterOnly {
                field: format!("spec.script.configMap {:?}", wanted.name),
                remedy: "put the ConfigMap into the same file, or name the script with --script"
                    .to_owned(),
            })?;
            let text = map
                .data
                .iter()
                .flatten()
                .map(|(key, text)| (key.clone(), text.clone().into_bytes()));
            let binary =
                map.binary_data.iter().flatten().map(|(key, bytes)| (key.clone(), bytes.0.clone()));
            let files: BTreeMap<_, _> = text.chain(binary).collect();
            if !files.contains_key(&wanted.key) {
                return Err(InputError::ClusterOnly {
                    field: format!("spec.script.configMap key {:?}", wanted.key),
                    remedy: format!(
                        "ConfigMap {:?} has the keys {:?}",
                        wanted.name,
                        files.keys().collect::<Vec<_>>()
                    ),
                });
            }
            Ok(LocalScript::Files { files, main: wanted.key.clone() })
        }
        Script { volume_claim: Some(claim), .. } => Err(InputError::ClusterOnly {
            field: format!("spec.script.volumeClaim {:?}", claim.name),
            remedy: "name the script on this machine with --script".to_owned(),
        }),
        Script { .. } => Err(InputError::ClusterOnly {
            field: "spec.script".to_owned(),
            remedy: "set exactly one of inline, configMap, volumeClaim, file".to_owned(),
        }),
    }
}

fn environment(spec: &TestSpec) -> Result<BTreeMap<String, String>, InputError> {
    let cluster_only = |field: String| InputError::ClusterOnly {
        field,
        remedy: "set the variable in the environment of `weir run`, and leave the field out"
            .to_owned(),
    };
    if !spec.k6.env_from.is_empty() {
        return Err(cluster_only("spec.k6.envFrom".to_owned()));
    }
    let mut env = BTreeMap::new();
    for variable in &spec.k6.env {
        if variable.value_from.is_some() {
            return Err(cluster_only(format!("spec.k6.env {:?} with valueFrom", variable.name)));
        }
        env.insert(variable.name.clone(), variable.value.clone().unwrap_or_default());
    }
    Ok(env)
}
