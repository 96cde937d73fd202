//! Scripts that nobody here wrote: the examples in k6's own Go module, read from Go's module cache at the time of the
//! test. Their hosts lead to the local target (k6's option `hosts`), and all else is as its authors left it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Map, Value, json};

use crate::{
    case::{Case, Head, Logs, TELL, copy},
    target::Target,
};

/// Hosts that the examples speak to.
const HOSTS: &[&str] = &[
    "api.github.com",
    "dev-li-david.pantheonsite.io",
    "echo.websocket.org",
    "httpbin.org",
    "quickpizza.grafana.com",
    "sha256.badssl.com",
    "stackoverflow.com",
];
/// Few and short, whatever the example itself wants: some want minutes.
const LOAD: &[&str] = &["--vus=5", "--iterations=10"];

/// Words in a path or in a text by which an example needs what is not here.
const NEEDS: &[(&str, &str)] = &[
    ("k6/browser", "needs a browser"),
    ("https://jslib.k6.io", "imports a module from the internet"),
    ("k6/net/grpc", "needs a gRPC server"),
    ("k6/experimental/redis", "needs a Redis server"),
    ("K6_SECRET_SOURCE_URL", "needs its own server of secrets"),
];

/// Examples left out by their names.
const LEFT_OUT: &[(&str, &str)] = &[
    ("enhanced/user.ts", "is no script but a module of another example"),
    ("es6sample.js", "chance decides its threshold"),
    ("malicious.js", "never ends, as its authors intend"),
    ("pantheon", "thinks for half a minute between pages, several times in each iteration"),
    ("source_map/issue_1804/imported.js", "is no script but a module of another example"),
];

/// What chance or time decides in an example besides what they decide in all.
const FREE: &[(&str, &[&str])] = &[
    ("custom_metrics.js", &["my_gauge", "my_trend"]),
    ("enhanced/abort.ts", &["iterations"]),
    ("tagging.js", &["my_trend"]),
    ("websocket.js", &["ws_msgs_sent", "ws_msgs_received"]),
    ("websockets/test-echo.js", &["ws_msgs_sent", "ws_msgs_received"]),
    (
        "thresholds_readme_example.js",
        &["check_failure_rate", "checks", "http_req_failed", "http_reqs", "iterations"],
    ),
];

/// Examples in which time decides how often they log.
const FREE_LOGS: &[&str] = &["websocket.js", "websockets/test-echo.js"];

/// Metrics that chance keeps away from an example.
const MAYBE: &[(&str, &[&str])] = &[
    // Broken off by its own abortOnFail 2 s after the start, when its iterations take 2 s and more.
    ("thresholds_readme_example.js", &["iterations", "iteration_duration"]),
];

/// Examples with thresholds of a few milliseconds.
const ALONE: &[&str] = &["localhost.js"];

/// Exit codes of k6 itself that are not 0.
const EXITS: &[(&str, i32)] = &[("enhanced/abort.ts", 108), ("thresholds_readme_example.js", 99)];

/// Examples that run, and why each other one does not.
pub(crate) struct Examples {
    pub(crate) cases: Vec<Case>,
    pub(crate) left_out: BTreeMap<String, String>,
}

/// The examples of the k6 that is tested, copied to `work`, where each tells its data.
pub(crate) fn find(version: &str, work: &Path, target: &Target) -> Result<Examples, String> {
    let folder = folder(version)?;
    copy(&folder, work);
    let config = work.join("parity-config.json");
    fs::write(&config, hosts(target).to_string()).unwrap();
    let mut found = Examples { cases: Vec::new(), left_out: BTreeMap::new() };
    let mut folders = vec![work.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let is_script = path.extension().is_some_and(|kind| kind == "js" || kind == "ts");
            if is_script {
                take(&mut found, work, &path, &config);
            }
        }
    }
    found.cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn take(found: &mut Examples, work: &Path, path: &Path, config: &Path) {
    let name = path.strip_prefix(work).unwrap().to_string_lossy().into_owned();
    let text = fs::read_to_string(path).unwrap();
    let reason = LEFT_OUT.iter().find(|(start, _)| name.starts_with(start));
    let reason = reason.or_else(|| NEEDS.iter().find(|(word, _)| text.contains(word)));
    let reason = reason.map(|(_, reason)| *reason);
    if let Some(reason) = reason {
        found.left_out.insert(name, reason.to_owned());
        return;
    }
    if !text.contains("handleSummary") {
        fs::write(path, text + TELL).unwrap();
    }
    let mut args: Vec<String> = LOAD.iter().map(|arg| (*arg).to_owned()).collect();
    args.push(format!("--config={}", config.display()));
    let of = |list: &'static [(&str, &[&str])]| {
        let found = list.iter().find(|(known, _)| *known == name);
        found.into_iter().flat_map(|(_, metrics)| metrics.iter()).map(|metric| (*metric).to_owned())
    };
    // How long an iteration takes is no one's choice, so neither is how many VUs are left at a second's end.
    let everywhere = ["data_received", "data_sent", "vus"].map(str::to_owned);
    let head = Head {
        args,
        exit: EXITS.iter().find(|(known, _)| *known == name).map_or(0, |(_, exit)| *exit),
        free: everywhere.into_iter().chain(of(FREE)).collect(),
        maybe: of(MAYBE).collect(),
        alone: ALONE.contains(&name.as_str()),
        logs: if FREE_LOGS.contains(&name.as_str()) { Logs::Free } else { Logs::Levels },
        ..Head::default()
    };
    let script = path.to_string_lossy().into_owned();
    found.cases.push(Case { name: format!("examples/{name}"), script, head });
}

/// Every host's HTTP and HTTPS lead to the target.
fn hosts(target: &Target) -> Value {
    let mut hosts = Map::new();
    for host in HOSTS {
        hosts.insert(format!("{host}:80"), json!(target.http.to_string()));
        hosts.insert(format!("{host}:443"), json!(target.https.to_string()));
    }
    hosts.insert("localhost:8080".to_owned(), json!(target.http.to_string()));
    json!({ "hosts": hosts, "insecureSkipTLSVerify": true })
}

/// Where Go keeps the module of this k6.
fn folder(version: &str) -> Result<PathBuf, String> {
    let asked = Command::new("go").args(["env", "GOMODCACHE"]).output();
    let cache = asked.map_err(|error| format!("go env GOMODCACHE: {error}"))?.stdout;
    let cache = PathBuf::from(String::from_utf8_lossy(&cache).trim().to_owned());
    let module = if version.starts_with("v1.") { "go.k6.io/k6" } else { "go.k6.io/k6/v2" };
    let folder = cache.join(format!("{module}@{version}")).join("examples");
    if folder.is_dir() { Ok(folder) } else { Err(format!("{} is not there", folder.display())) }
}
