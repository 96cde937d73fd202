//! Inputs that libFuzzer begins with: what those write from whom the bytes come.

use std::{env, fs, path::Path};

use prost::Message;
use weir::core::{
    ledger::{
        codec::{self, Detail},
        merged::Merged,
    },
    samples::spool::record,
};

use crate::{pieces, valid};

const ANSWERS: [(u16, u8, &str, &str); 8] = [
    (
        419,
        0,
        "",
        r#"{"__type":"x#RejectedRecordsException","Message":"some","RejectedRecords":[{"RecordIndex":0,"Reason":"A record already exists","ExistingVersion":3},{"RecordIndex":2,"Reason":"outside of the range [2026-11-22T07:28:28.250Z, 2026-11-23T00:00:00Z)"}]}"#,
    ),
    (
        400,
        1,
        "",
        r#"{"RejectedRecords":[{"RecordIndex":1,"Reason":"The record exceeds a limit"}]}"#,
    ),
    (400, 9, "ValidationException", r#"{"message":"bad"}"#),
    (200, 0, "", r#"{"RecordsIngested":{"Total":3,"MemoryStore":3,"MagneticStore":0}}"#),
    (
        422,
        0,
        "",
        r#"{"code":"unprocessable entity","message":"partial write: points beyond retention policy dropped=3"}"#,
    ),
    (
        400,
        0,
        "",
        r#"{"error":"partial write of line protocol occurred","data":[{"original_line":"a","line_number":2,"error_message":"too long"}]}"#,
    ),
    (503, 0, "Sun, 22 Nov 2026 07:28:28 GMT", "{}"),
    (429, 0, "2", ""),
];

const DOCUMENTS: [(u8, &str); 11] = [
    (
        0,
        r#"{"vus":4,"noSetup":null,"setupTimeout":"1m30s","teardownTimeout":null,"executionSegment":null,"thresholds":{"mine{a:b}":["p(95)<5",{"threshold":"rate>0.9","abortOnFail":true,"delayAbortEval":"10s"}]},"systemTags":["url"],"summaryTrendStats":["avg","p(99.9)"],"tags":{"team":"x"},"totalDuration":"10m30s","maxVUs":4}"#,
    ),
    (
        1,
        r#"{"data":{"type":"status","id":"default","attributes":{"status":7,"paused":false,"vus":3,"vus-max":4,"stopped":false,"running":true,"tainted":false}}}"#,
    ),
    (1, r#"{"data":{"type":"setupData","id":"default","attributes":{"data":{"a":[1,2]}}}}"#),
    (1, r#"{"errors":[{"status":"400","title":"Error","detail":"no such thing"}]}"#),
    (2, r#"{"kind":"files","files":[["stdout",{"text":"a"}],["b",{"base64":"AQID"}]]}"#),
    (
        3,
        "k6 v2.2.0 (commit/x, go1.25, linux/amd64)\n{\"level\":\"error\",\"msg\":\"no\",\"time\":\"2026-11-22T07:28:28Z\"}\nERRO[0001] no\n--tag\na=b\n-e\nA=1\n--out=json=x\n",
    ),
    (
        3,
        "p(99.9) >= 1.5e3\nmine{a:b, c: \"d\"}\n1h2m3.5s\n2026-11-22T07:28:28.250116571+01:00\n2262-04-11T23:47:16.854775807Z\n",
    ),
    (
        5,
        "apiVersion: weir.dev/v1alpha1\nkind: LoadTest\nmetadata: {name: a}\nspec:\n  parallelism: 4\n  script: {configMap: {name: b, key: test.js}}\n  k6: {image: grafana/k6:2.2.0, args: [--env, A=b]}\n  outputs:\n    - timestream: {region: eu-west-1, databaseName: k6, tableName: samples}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata: {test.js: export default 1}\n",
    ),
    (
        6,
        r#"{"parallelism":4,"script":{"inline":"export default 1"},"k6":{"image":"k6","args":["--vus=4"],"env":[{"name":"A","value":"b"}]},"thresholds":{"mine":[{"threshold":"p(95)<5","abortOnFail":true}]},"outputs":[{"influxdb":{"url":"https://a:8086","org":"o","bucket":"b","tokenSecret":{"name":"t","key":"k"}}}],"tags":{"team":"x"}}"#,
    ),
    (2, r#"{"kind":"threw","message":"a"}"#),
    (2, r#"{"kind":"default"}"#),
];

/// Writes the first inputs of a target into the folder that is named in the environment, if one is: libFuzzer reads its
/// folders only after a target has begun.
pub fn write(target: &str) {
    let Some(folder) = env::var_os("WEIR_SEEDS") else { return };
    for (at, input) in of(target).iter().enumerate() {
        let path = Path::new(&folder).join(format!("seed-{at}"));
        fs::write(&path, input).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "k6_lines" => k6_lines(),
        "frames" => frames(),
        "to_aggregator" => to_aggregator(),
        "to_agent" => to_agent(),
        "spool" => spool(),
        "answers" => ANSWERS.map(answer).into(),
        "ledgers" => ledgers(),
        "documents" => documents(),
        _ => panic!("no target is called {target}"),
    }
}

fn prefixed(first: &[u8], rest: &[u8]) -> Vec<u8> {
    [first, rest].concat()
}

fn k6_lines() -> Vec<Vec<u8>> {
    let lines = valid::LINES.join("\n");
    let thrice = [lines.as_str(); 4].join("\n");
    let numbers = ["1e3", "-0.0", "123456789012345678901", "4.9e-324"]
        .map(|value| valid::LINES[1].replace("1.5", value));
    let mut all: Vec<_> = (0..32).map(|form| prefixed(&[form], thrice.as_bytes())).collect();
    all.push(prefixed(&[4], [numbers.join("\n").as_str(); 3].join("\n").as_bytes()));
    // A tag that a row cannot have by its name, and one that has the name it gets instead.
    let named_so = valid::LINES[3].replace(r#""time":"x""#, r#""k6_time":"x""#);
    let one_column = [valid::LINES[3], &named_so];
    all.push(prefixed(&[0], one_column.join("\n").as_bytes()));
    all
}

fn some_frames() -> Vec<Vec<u8>> {
    let kinds = [valid::measured(3).1, valid::folded(3, false), valid::folded(3, true)];
    kinds.into_iter().flatten().map(|frame| frame.encode_to_vec()).collect()
}

fn frames() -> Vec<Vec<u8>> {
    let fates: [&[u8]; 5] = [&[], &[2, 2, 2, 2], &[3, 7, 1, 255, 5], &[254], &[3, 254, 2]];
    let frames = some_frames();
    let with = |fates: &&[u8]| {
        let mut pieces = vec![fates.to_vec()];
        pieces.extend(frames.iter().cloned());
        pieces::join(&pieces)
    };
    let alone = frames.iter().map(|frame| pieces::join(&[&[], frame.as_slice()]));
    fates.iter().map(with).chain(alone).collect()
}

fn to_aggregator() -> Vec<Vec<u8>> {
    let ups = valid::ups();
    let of = |phase: u8, session: u8| {
        let said = ups.iter().map(|up| prefixed(&[session], up));
        pieces::join(&[vec![phase]].into_iter().chain(said).collect::<Vec<_>>())
    };
    let alone = ups.iter().map(|up| pieces::join(&[vec![2], prefixed(&[1], up)]));
    (0..5).map(|phase| of(phase, 1 + phase % 3)).chain(alone).collect()
}

fn to_agent() -> Vec<Vec<u8>> {
    let all = pieces::join(&valid::downs());
    [0, 1].map(|which| prefixed(&[which], &all)).into()
}

fn spool() -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    valid::measured(2).1.iter().for_each(|frame| record::put_frame(frame, &mut records));
    vec![
        prefixed(&[1, 9], &records),
        prefixed(&[0, 255], &valid::segment(true, 2)),
        prefixed(&[2, 0], &records[..records.len() - 3]),
        prefixed(&[0, 40], &[&[3, 0, 0, 0, 1, 2, 3, 4, 9, 9, 9][..], &records].concat()),
    ]
}

fn answer((status, kind, header, body): (u16, u8, &str, &str)) -> Vec<u8> {
    let [high, low] = (status - 100).to_be_bytes();
    [&[high, low, kind, 2], header.as_bytes(), b"\n", body.as_bytes()].concat()
}

fn ledgers() -> Vec<Vec<u8>> {
    let snapshot = |times, detail| valid::measured(times).0.snapshot(detail, true);
    let mut pieces = Vec::new();
    let mut merged = Merged::default();
    for (instance, detail) in [(1, Detail::Summary), (2, Detail::Verdict), (1, Detail::Verdict)] {
        for message in snapshot(2 + usize::from(instance), detail) {
            pieces.push(prefixed(&[instance, 1], &message.encode_to_vec()));
            let read = codec::decode(message).expect("it was written a moment ago");
            merged.merge(instance.into(), 1, read).expect("nothing contradicts it");
        }
    }
    let kept = merged.keep(1, true).expect("there is something of it");
    vec![pieces::join(&pieces), prefixed(&[3, 0], &kept)]
}

fn documents() -> Vec<Vec<u8>> {
    let mut all: Vec<_> = DOCUMENTS.map(|(which, text)| prefixed(&[which], text.as_bytes())).into();
    for is_over in [false, true] {
        let result = serde_json::to_vec(&valid::published(is_over)).expect("it can be written");
        all.push(prefixed(&[4], &result));
    }
    all.push(prefixed(&[7], &archive()));
    all
}

/// An archive as small as one of k6's can be.
fn archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let metadata = br#"{"type":"js","options":{"thresholds":{}},"filename":"file:///a.js","pwd":"file:///","k6version":"2.2.0"}"#;
    for (name, content) in [("metadata.json", &metadata[..]), ("data", b"export default 1")] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(5);
        builder.append_data(&mut header, name, content).expect("memory takes all");
    }
    builder.into_inner().expect("memory takes all")
}
