//! The dashboard's 15 queries on the rows of a cluster's run: the proof that Weir's rows are xk6-output-timestream's.

use std::{io::Write, path::Path, process::Command};

use serde_json::json;

use crate::harness::{assert_passed, in_world};

const REQUESTS: &str = "
import http from 'k6/http'; import { sleep } from 'k6';
export const options = {scenarios: {all: {executor: 'per-vu-iterations', vus: 8, iterations: 15}}};
export default function () { http.get(__ENV.BASE_URL + '/'); http.get(__ENV.BASE_URL + '/status/500'); sleep(0.2); }
";

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboards_queries_give_right_answers() {
    in_world("boards", |world| async move {
        world.timestream(&[]).await;
        world.target().await;
        let url = format!("BASE_URL=http://target.{}.svc:8080", world.namespace);
        let spec = world.spec(4, json!({"inline": REQUESTS}), json!({"k6": {"args": ["-e", url]}}));
        world.apply("boards", spec).await.unwrap();
        let stored = assert_passed(&world.complete("boards-1", 90).await);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let text = world.rows_text().await;
        assert_eq!(text.lines().count() as u64, stored);
        file.write_all(text.as_bytes()).unwrap();

        let checks = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/standin/checks");
        let python = Command::new(checks.join("venv")).output().unwrap();
        assert!(python.status.success(), "{python:?}");
        let demanded = [
            "vus",
            "http_reqs",
            "http_req_failed",
            "data_sent",
            "data_received",
            "http_req_duration",
        ];
        let answer = Command::new(String::from_utf8(python.stdout).unwrap().trim())
            .arg(checks.join("dashboards.py"))
            .arg("--rows")
            .arg(file.path())
            .args(["--expect", "http_reqs=240"])
            .args(demanded.iter().flat_map(|measure| ["--demand", measure]))
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&answer.stdout);
        println!("{}", printed.lines().last().unwrap_or_default());
        assert!(answer.status.success(), "{printed}\n{}", String::from_utf8_lossy(&answer.stderr));
    })
    .await;
}
