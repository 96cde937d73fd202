//! What stock k6 tells of the metrics that thresholds name.

use std::{collections::BTreeMap, path::Path};

use super::{handle::archive_of, rig::K6};
use crate::core::{k6::args::check, k6::options, summary::kinds};

const MAIN: &str = r"
import { Counter, Gauge, Rate, Trend } from 'k6/metrics';
new Counter('sizes', true); new Gauge('level'); new Rate('share'); new Trend('wait', true); new Trend('free', true);
export const options = { vus: 9, duration: '1h', thresholds: {
  sizes: ['count<1'], 'level{a:b}': ['value>1'], share: [], http_reqs: ['count>1'], iterations: ['count>1'],
} };
export function setup() { throw new Error('never'); }
export default function () { throw new Error('never'); }
export function handleSummary() { throw new Error('never'); }
";

/// Runs the probe of an archive in an empty folder, and gives what it wrote.
fn told(k6: K6, archive: &[u8], more: &[String]) -> Option<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let wrapped = kinds::wrap(archive, more, "answer.json").unwrap()?;
    std::fs::write(dir.path().join("wrapped.tar"), wrapped).unwrap();
    let user =
        ["-e", "A=b", "--vus=4", "--duration=1h", "--no-thresholds", "--log-output=file=x.log"];
    let user = check(&user.map(str::to_owned)).unwrap();
    let argv = kinds::argv(&user, "wrapped.tar");
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let output = k6.run(dir.path(), &argv, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!Path::exists(&dir.path().join("x.log")));
    Some(std::fs::read(dir.path().join("answer.json")).unwrap())
}

#[test]
fn each_k6_tells_what_the_metrics_with_thresholds_are_without_running_the_test() {
    for k6 in [K6::V1, K6::V2] {
        let archive = archive_of(k6, &[("main.js", MAIN)]);
        let written = told(k6, &archive, &["wait{x:y}".to_owned()]).unwrap();
        let whole = kinds::insert(b"a line of the script\n{\"maxVUs\": 9}\n", &written).unwrap();
        let read = options::parse(&whole).unwrap();
        assert_eq!(read.max_vus, 9);
        let of = |name: &str| {
            let (kind, contains) = read.metrics.get(name)?;
            Some((kind.as_str(), contains.as_str()))
        };
        let all = ["sizes", "level", "share", "wait", "free"].map(of);
        let wanted =
            [("counter", "time"), ("gauge", "default"), ("rate", "default"), ("trend", "time")];
        assert_eq!(all[..4], wanted.map(Some), "{k6:?}");
        assert_eq!(all[4], None, "it has no threshold");
    }
}

#[test]
fn a_script_with_thresholds_on_the_metrics_of_k6_alone_is_not_asked() {
    let main =
        "export const options = { thresholds: { http_reqs: ['count>1'], 'checks{a:b}': [] } };
        export default function () {}";
    let archive = archive_of(K6::V2, &[("main.js", main)]);
    assert!(kinds::wrap(&archive, &["iterations".to_owned()], "a").unwrap().is_none());
    assert!(kinds::wrap(&archive, &["mine".to_owned()], "a").unwrap().is_some());
}

#[test]
fn options_stay_as_they_are_where_nothing_readable_was_told() {
    assert_eq!(kinds::insert(b"{}", b"nonsense"), None);
    assert_eq!(kinds::insert(b"no object", b"{}"), None);
    let empty = kinds::insert(b"{\"maxVUs\": 1}", b"{}").unwrap();
    assert_eq!(options::parse(&empty).unwrap().metrics, BTreeMap::new());
}
