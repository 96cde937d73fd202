//! What a spec must be.

use super::{super::valid::validate, world::spec};

#[track_caller]
fn check(yaml: &str, expected: &[&str]) {
    let found = match validate("checkout-1", spec(yaml).test) {
        Ok(_) => String::new(),
        Err(invalid) => invalid.to_string(),
    };
    if expected.is_empty() {
        assert_eq!(found, "");
    }
    for words in expected {
        assert!(found.contains(words), "{words:?} is not in {found:?}");
    }
}

#[test]
fn a_small_spec_is_valid() {
    check("{script: {inline: 'export default function () {}'}}", &[]);
}

#[test]
fn each_source_of_a_script_is_checked() {
    check("{script: {}}", &["spec.script: set exactly one"]);
    check("{script: {inline: ''}}", &["spec.script.inline: must have 1 to"]);
    check("{script: {configMap: {name: Not_A_Name}}}", &["spec.script.configMap.name"]);
    check("{script: {configMap: {name: a, key: 'a/b'}}}", &["spec.script.configMap.key"]);
    check("{script: {volumeClaim: {name: a, path: /abs.js}}}", &["spec.script.volumeClaim.path"]);
    check(
        "{script: {volumeClaim: {name: a, path: a/../../etc}}}",
        &["spec.script.volumeClaim.path"],
    );
    check("{script: {file: {path: rel.js}}}", &["spec.script.file.path"]);
}

#[test]
fn an_inline_script_has_a_largest_size() {
    let yaml = |bytes: usize| format!("{{script: {{inline: '{}'}}}}", "x".repeat(bytes));
    check(&yaml(512 << 10), &[]);
    check(&yaml((512 << 10) + 1), &["spec.script.inline"]);
}

#[test]
fn names_of_outputs_are_unique_also_when_left_out() {
    let one = "timestream: {databaseName: abc, tableName: def}";
    check(
        &format!("{{script: {{inline: x}}, outputs: [{{{one}}}, {{{one}}}]}}"),
        &["spec.outputs[1].name: \"timestream\" is used twice"],
    );
    check(&format!("{{script: {{inline: x}}, outputs: [{{{one}}}, {{name: b, {one}}}]}}"), &[]);
    check(
        "{script: {inline: x}, outputs: [{name: a}]}",
        &["spec.outputs[0]: needs exactly one kind"],
    );
    let other = "influxdb: {url: 'http://host', org: o, bucket: b}";
    check(&format!("{{script: {{inline: x}}, outputs: [{{{one}}}, {{{other}}}]}}"), &[]);
    check(
        &format!("{{script: {{inline: x}}, outputs: [{{{one}, {other}}}]}}"),
        &["spec.outputs[0]: needs exactly one kind"],
    );
}

#[test]
fn each_mode_has_its_own_table() {
    let with = |table: &str, mode: &str| {
        let other = format!("databaseName: abc, tableName: {table}, mode: {mode}");
        format!(
            "{{script: {{inline: x}}, outputs: [{{timestream: {{databaseName: abc, tableName: def}}}}, {{name: b, timestream: {{{other}}}}}]}}"
        )
    };
    check(&with("def", "Samples"), &[]);
    check(&with("rows", "Rollup"), &[]);
    check(&with("def", "Rollup"), &["spec.outputs[1].timestream.tableName: another output"]);
}

#[test]
fn the_dimensions_of_an_output_are_checked() {
    let with = |dimensions: &str| {
        format!(
            "{{script: {{inline: x}}, outputs: [{{timestream: {{databaseName: abc, tableName: def, dimensions: {dimensions}}}}}]}}"
        )
    };
    for good in ["{}", "{include: []}", "{exclude: [url, vu, iter]}", "{include: [instance_id]}"] {
        check(&with(good), &[]);
    }
    let path = "spec.outputs[0].timestream.dimensions";
    check(&with("{include: [a], exclude: []}"), &[&format!("{path}: set include or exclude")]);
    check(&with("{exclude: [testid]}"), &[&format!("{path}.exclude: testid tells")]);
    check(&with("{exclude: [url, url]}"), &[&format!("{path}.exclude: url is given twice")]);
    check(&with("{include: ['']}"), &[&format!("{path}.include: \"\" must have 1 to")]);
}

#[test]
fn an_output_to_influxdb_is_checked() {
    let output =
        |fields: &str| format!("{{script: {{inline: x}}, outputs: [{{influxdb: {{{fields}}}}}]}}");
    let v2 = |more: &str| output(&format!("url: 'https://host:8086', org: o, bucket: b{more}"));
    let v3 = |more: &str| output(&format!("url: 'https://host', api: V3{more}"));
    check(&v2(""), &[]);
    check(&v2(", tokenSecret: {name: influx, key: token_1.a}, dimensions: {exclude: [url]}"), &[]);
    check(&v3(", database: k6"), &[]);
    let path = "spec.outputs[0].influxdb";
    check(&v2(", database: k6"), &[&format!("{path}.database: api V2 does not know it")]);
    check(
        &v3(", bucket: b"),
        &[&format!("{path}.database: api V3 needs it"), &format!("{path}.bucket: api V3 does not")],
    );
    check(
        &output("url: 'https://host', org: ''"),
        &[&format!("{path}.org: api V2 needs it"), &format!("{path}.bucket: api V2 needs it")],
    );
    check(
        &v2(", dimensions: {exclude: [testid]}"),
        &[&format!("{path}.dimensions.exclude: testid")],
    );
    check(
        &v2(", tokenSecret: {name: Not_A_Name, key: 'a/b'}"),
        &[&format!("{path}.tokenSecret.name"), &format!("{path}.tokenSecret.key")],
    );
}

#[test]
fn the_url_of_influxdb_is_an_address_and_holds_no_secret() {
    let found = |url: &str| {
        let yaml = format!(
            "{{script: {{inline: x}}, outputs: [{{influxdb: {{url: '{url}', org: o, bucket: b}}}}]}}"
        );
        validate("checkout-1", spec(&yaml).test).err().map(|invalid| invalid.to_string())
    };
    for good in ["http://host", "https://host:8086/", "https://[::1]:8086/a/b@c"] {
        assert_eq!(found(good), None, "{good}");
    }
    for (bad, why) in [
        ("host:8086", "must start with http"),
        ("ftp://host", "must start with http"),
        ("http://", "is no address"),
        ("http:///a", "is no address"),
        ("http://ho st", "is no address"),
        ("http://host/?org=o", "must end with the path"),
        ("http://host#a", "must end with the path"),
        ("https://user:s3cret@host", "neither user nor password"),
        ("https://s3cret@host", "tokenSecret"),
    ] {
        let error = found(bad).unwrap_or_else(|| panic!("{bad} must be refused"));
        assert!(error.contains("spec.outputs[0].influxdb.url: ") && error.contains(why), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn flags_that_are_weirs_own_are_refused_by_name() {
    for flag in [
        "--paused",
        "--address=0.0.0.0:1",
        "--linger",
        "--execution-segment",
        "--execution-segment-sequence",
    ] {
        check(
            &format!("{{script: {{inline: x}}, k6: {{args: ['{flag}']}}}}"),
            &[&format!("spec.k6.args: {}", flag.split('=').next().unwrap())],
        );
    }
    check("{script: {inline: x}, k6: {args: [--vus, '4', --no-setup]}}", &[]);
}

#[test]
fn variables_tags_and_limits_are_checked() {
    check(
        "{script: {inline: x}, k6: {env: [{name: A}, {name: A}]}}",
        &["spec.k6.env: A is given twice"],
    );
    check(
        "{script: {inline: x}, aggregator: {env: [{name: WEIR_PLAN}]}}",
        &["spec.aggregator.env: WEIR_PLAN is Weir's own"],
    );
    let token = "aggregator: {env: [{name: WEIR_INFLUXDB_TOKEN_0}]}";
    let influxdb = |secret: &str| {
        format!(
            "{{script: {{inline: x}}, {token}, outputs: [{{influxdb: {{url: 'http://a', api: V3, database: d{secret}}}}}]}}"
        )
    };
    check(&influxdb(""), &[]);
    check(
        &influxdb(", tokenSecret: {name: a, key: b}"),
        &["spec.aggregator.env: WEIR_INFLUXDB_TOKEN_0 is Weir's own"],
    );
    check("{script: {inline: x}, tags: {'a=b': c}}", &["spec.tags"]);
    check("{script: {inline: x}, parallelism: 0}", &["spec.parallelism"]);
    check("{script: {inline: x}, deadlines: {readySeconds: 1}}", &["spec.deadlines.readySeconds"]);
    check("{script: {inline: x}, spool: {sizeMiB: 64, onFull: Drop}}", &[]);
    check(
        "{script: {inline: x}, spool: {sizeMiB: 63}}",
        &["spec.spool.sizeMiB: must be 64 to 65536"],
    );
    check("{script: {inline: x}, aggregator: {replicas: 65}}", &["spec.aggregator.replicas"]);
    check(
        "{script: {inline: x}, thresholds: {http_reqs: [{threshold: ' '}]}}",
        &["spec.thresholds[http_reqs]"],
    );
    check("{script: {inline: x}, k6: {imagePullPolicy: Sometimes}}", &["spec.k6.imagePullPolicy"]);
    check("{script: {inline: x}, k6: {image: 'a b'}}", &["spec.k6.image"]);
}

#[test]
fn a_template_may_not_take_what_is_weirs() {
    let check = |template: &str, words: &str| {
        check(&format!("{{script: {{inline: x}}, runnerTemplate: {template}}}"), &[words]);
    };
    check(
        "{spec: {containers: [{name: k6, command: [sh]}]}}",
        "spec.runnerTemplate.spec.containers[0].command",
    );
    check(
        "{spec: {containers: [{name: k6, args: [a]}]}}",
        "spec.runnerTemplate.spec.containers[0].args",
    );
    check("{spec: {containers: [{image: a}]}}", "spec.runnerTemplate.spec.containers[0].name");
    check(
        "{spec: {initContainers: [{name: weir-init, args: [a]}]}}",
        "spec.runnerTemplate.spec.initContainers[0].args",
    );
    check(
        "{spec: {initContainers: [{name: weir-init, lifecycle: {}}]}}",
        "spec.runnerTemplate.spec.initContainers[0].lifecycle",
    );
    check("{spec: {tolerations: 5}}", "spec.runnerTemplate.spec.tolerations");
    check("{spec: {restartPolicy: Always}}", "spec.runnerTemplate.spec.restartPolicy");
    check(
        "{metadata: {labels: {weir.dev/run: x}}}",
        "spec.runnerTemplate.metadata.labels[weir.dev/run]",
    );
    check("{metadata: {name: x}}", "spec.runnerTemplate.metadata.name");
    check("{kind: Pod}", "spec.runnerTemplate.kind");
}

#[test]
fn the_name_of_a_run_leaves_room_for_the_names_of_its_pods() {
    let named = |name: &str| validate(name, spec("{script: {inline: x}}").test);
    assert!(named(&"a".repeat(48)).is_ok());
    for bad in ["a".repeat(49), "1a".to_owned(), "A".to_owned(), "a-".to_owned(), String::new()] {
        assert!(named(&bad).unwrap_err().to_string().contains("metadata.name"), "{bad}");
    }
}
