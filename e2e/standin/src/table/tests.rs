//! Cases for identity and versions, retention, and the limits over a table's life.

use super::*;

const NOW_NS: i64 = 1_700_000_000_000_000_000;

fn table() -> Table {
    Table::new(Retention::default(), NOW_NS)
}

fn row<'a>(dimension: &'a str, measure: &'a str, value: f64, version: i64) -> Checked<'a> {
    Checked {
        dimensions: vec![(dimension, "1")],
        measure_name: measure,
        value: Value::Double(value),
        time_ns: NOW_NS,
        version,
    }
}

fn reason(result: Result<Written, Reject>) -> Option<Reason> {
    result.err().map(|reject| reject.reason)
}

#[test]
fn versions_decide_about_the_same_identity() {
    let cases = [
        // (first value, version), (second value, version), outcome, value that is read then
        ((1.0, 1), (1.0, 1), Ok(Written::Repeated), 1.0),
        ((1.0, 1), (2.0, 1), Err((Reason::Duplicate, 1)), 1.0),
        ((1.0, 1), (2.0, 2), Ok(Written::Upserted), 2.0),
        ((1.0, 1), (1.0, 2), Ok(Written::Upserted), 1.0),
        ((1.0, 5), (2.0, 4), Err((Reason::LowerVersion, 5)), 1.0),
        ((1.0, 5), (1.0, 4), Ok(Written::Repeated), 1.0),
    ];
    for (first, second, want, read) in cases {
        let mut table = table();
        assert_eq!(table.write(row("d", "m", first.0, first.1)), Ok(Written::Stored));
        let got = table.write(row("d", "m", second.0, second.1));
        let got = got.map_err(|r| (r.reason, r.existing_version.unwrap_or_default()));
        assert_eq!(got, want, "{first:?} {second:?}");
        assert_eq!(table.len(), 1);
        let values: Vec<_> = table.rows_since(0).map(|(_, row)| row.value.clone()).collect();
        assert_eq!(values, [Value::Double(read)]);
    }
}

#[test]
fn identity_is_dimensions_measure_and_time() {
    let mut table = table();
    let mut later = row("d", "m", 3.0, 1);
    later.time_ns += 1;
    for record in [row("d", "m", 1.0, 1), row("e", "m", 2.0, 1), row("d", "n", 2.0, 1), later] {
        assert_eq!(table.write(record), Ok(Written::Stored));
    }
    assert_eq!((table.len(), table.seq()), (4, 4));
    let seqs: Vec<u64> = table.rows_since(2).map(|(seq, _)| seq).collect();
    assert_eq!(seqs, [3, 4]);
}

#[test]
fn a_replaced_row_comes_again_under_a_new_number_and_clearing_keeps_counting() {
    let mut table = table();
    let writes = [row("d", "m", 1.0, 1), row("d", "m", 2.0, 2)];
    for record in writes {
        table.write(record).expect("accepted");
    }
    let seqs: Vec<u64> = table.rows_since(0).map(|(seq, _)| seq).collect();
    assert_eq!((seqs, table.len(), table.held()), (vec![2], 1, 2));
    table.clear();
    assert_eq!((table.len(), table.seq()), (0, 2));
    assert_eq!(table.write(row("d", "m", 9.0, 1)), Ok(Written::Stored));
    assert_eq!(table.rows_since(2).next().map(|(seq, _)| seq), Some(3));
}

#[test]
fn a_table_takes_128_dimension_names_in_its_life() {
    let mut table = table();
    for i in 0..128 {
        assert_eq!(table.write(row(&format!("d{i}"), "m", 1.0, 1)), Ok(Written::Stored));
    }
    assert_eq!(reason(table.write(row("one_more", "m", 1.0, 1))), Some(Reason::TableDimensions));
    table.clear();
    assert_eq!(reason(table.write(row("one_more", "m", 1.0, 1))), Some(Reason::TableDimensions));
    assert_eq!(table.write(row("d0", "m", 1.0, 1)), Ok(Written::Stored));
}

#[test]
fn a_table_takes_8192_measure_names() {
    let mut table = table();
    for i in 0..MEASURES_MAX {
        assert_eq!(table.write(row("d", &format!("m{i}"), 1.0, 1)), Ok(Written::Stored));
    }
    assert_eq!(reason(table.write(row("d", "one_more", 1.0, 1))), Some(Reason::TableMeasures));
    assert_eq!(table.measure_count(), MEASURES_MAX);
}

#[test]
fn a_table_takes_1024_columns_and_none_named_like_a_dimension() {
    let mut table = table();
    for i in 0..COLUMNS_MAX {
        assert_eq!(table.write(multi(&format!("c{i}"))), Ok(Written::Stored));
    }
    assert_eq!(reason(table.write(multi("one_more"))), Some(Reason::TableColumns));
    assert_eq!(reason(table.write(row("c0", "m", 1.0, 1))), Some(Reason::ColumnConflict));
    let mut other = Table::new(Retention::default(), NOW_NS);
    assert_eq!(reason(other.write(multi("d"))), Some(Reason::ColumnConflict));
    assert_eq!(other.write(multi("c")), Ok(Written::Stored));
}

#[test]
fn retention_sets_the_window() {
    let memory = Retention::default();
    let magnetic = Retention { memory_hours: 1, magnetic_days: 1, is_magnetic_write: true };
    let minute = 60_000_000_000;
    let cases = [
        (memory, 0, Ok(Tier::Memory)),
        (memory, 15 * minute - 1, Ok(Tier::Memory)),
        (memory, 15 * minute, Err(Reason::TooNew)),
        (memory, -6 * HOUR_NS, Ok(Tier::Memory)),
        (memory, -6 * HOUR_NS - 1, Err(Reason::TooOld)),
        (magnetic, -HOUR_NS, Ok(Tier::Memory)),
        (magnetic, -HOUR_NS - 1, Ok(Tier::Magnetic)),
        (magnetic, -24 * HOUR_NS, Ok(Tier::Magnetic)),
        (magnetic, -24 * HOUR_NS - 1, Err(Reason::TooOld)),
    ];
    for (retention, offset_ns, want) in cases {
        let got = retention.tier(NOW_NS + offset_ns, NOW_NS).map_err(|reject| reject.reason);
        assert_eq!(got, want, "{offset_ns}");
    }
}

fn multi(name: &str) -> Checked<'_> {
    let columns = vec![(name.to_owned(), Value::Boolean(true))];
    Checked { value: Value::multi(columns), ..row("d", name, 1.0, 1) }
}
