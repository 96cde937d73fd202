//! Cases for the operations about databases and tables.

use super::*;

fn call(catalog: &mut Catalog, operation: &str, body: Json) -> Result<Json, u16> {
    call_at(catalog, operation, body, 1_000_000_000)
}

fn call_at(catalog: &mut Catalog, operation: &str, body: Json, now_ns: i64) -> Result<Json, u16> {
    let body = serde_json::from_value(body).expect("a call");
    let answer = catalog.call(operation, &body, now_ns).expect("a known operation");
    answer.map_err(|error| error.status)
}

#[test]
fn names_and_retention_have_limits() {
    let long = "n".repeat(257);
    let names =
        [("k6", 400), ("", 400), ("a b", 400), ("a/b", 400), (&*long, 400), ("k6.load_test-1", 0)];
    for (name, status) in names {
        let mut catalog = Catalog::default();
        let got = call(&mut catalog, "CreateDatabase", json!({"DatabaseName": name}));
        assert_eq!(got.err().unwrap_or_default(), status, "{name}");
    }
    let periods = [(1, 1, 0), (8766, 73_000, 0), (0, 1, 400), (8767, 1, 400), (1, 73_001, 400)];
    for (hours, days, status) in periods {
        let mut catalog = Catalog::default();
        catalog.ensure("db1", "other", Retention::default(), 0);
        let body = json!({"DatabaseName": "db1", "TableName": "samples", "RetentionProperties": {
            "MemoryStoreRetentionPeriodInHours": hours,
            "MagneticStoreRetentionPeriodInDays": days}});
        let got = call(&mut catalog, "CreateTable", body);
        assert_eq!(got.err().unwrap_or_default(), status, "{hours} {days}");
    }
}

#[test]
fn a_table_lives_from_create_to_delete() {
    let mut catalog = Catalog::default();
    let database = || json!({"DatabaseName": "db1"});
    let table = || json!({"DatabaseName": "db1", "TableName": "samples"});
    assert_eq!(call(&mut catalog, "CreateTable", table()), Err(404));
    assert!(call(&mut catalog, "CreateDatabase", database()).is_ok());
    assert_eq!(call(&mut catalog, "CreateDatabase", database()), Err(409));
    assert_eq!(call(&mut catalog, "DescribeTable", table()), Err(404));
    assert!(call(&mut catalog, "CreateTable", table()).is_ok());
    assert_eq!(call(&mut catalog, "CreateTable", table()), Err(409));
    let mut update = table();
    update["RetentionProperties"] = json!({"MemoryStoreRetentionPeriodInHours": 24,
                                           "MagneticStoreRetentionPeriodInDays": 7});
    assert!(call(&mut catalog, "UpdateTable", update).is_ok());
    let described = call(&mut catalog, "DescribeTable", table()).expect("described");
    let hours = &described["Table"]["RetentionProperties"]["MemoryStoreRetentionPeriodInHours"];
    assert_eq!(hours, 24);
    assert_eq!(call(&mut catalog, "DeleteDatabase", database()), Err(400));
    assert!(call(&mut catalog, "DeleteTable", table()).is_ok());
    assert_eq!(call(&mut catalog, "DeleteTable", table()), Err(404));
    assert!(call(&mut catalog, "DeleteDatabase", database()).is_ok());
    assert_eq!(call(&mut catalog, "DescribeDatabase", database()), Err(404));
    assert!(catalog.call("Query", &ResourceCall::default(), 0).is_none());
}

#[test]
fn lists_come_in_pages() {
    let mut catalog = Catalog::default();
    for i in 0..45 {
        catalog.ensure("db1", &format!("t{i:02}"), Retention::default(), 0);
    }
    let mut seen = Vec::new();
    let mut token = Json::Null;
    loop {
        let body = json!({"DatabaseName": "db1", "NextToken": token});
        let page = call(&mut catalog, "ListTables", body).expect("a page");
        let tables = page["Tables"].as_array().expect("tables").clone();
        seen.extend(tables.iter().map(|table| table["TableName"].to_string()));
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    seen.dedup();
    assert_eq!(seen.len(), 45);
    assert_eq!(call(&mut catalog, "ListTables", json!({"MaxResults": 21})), Err(400));
    assert_eq!(call(&mut catalog, "ListTables", json!({"DatabaseName": "none"})), Err(404));
}

#[test]
fn rates_are_enforced_on_request() {
    let mut catalog = Catalog::new(true);
    let create = |name: &str| json!({ "DatabaseName": name });
    let second = 1_000_000_000;
    assert!(call_at(&mut catalog, "CreateDatabase", create("db1"), second).is_ok());
    assert_eq!(call_at(&mut catalog, "CreateDatabase", create("db2"), 2 * second - 1), Err(429));
    assert!(call_at(&mut catalog, "CreateDatabase", create("db2"), 2 * second).is_ok());
    for _ in 0..5 {
        assert!(call_at(&mut catalog, "ListDatabases", json!({}), second).is_ok());
    }
    assert_eq!(call_at(&mut catalog, "ListDatabases", json!({}), second), Err(429));
}
