//! The stand-in's own side: the rows and counters that tests read, and the faults they set.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use serde_json::{Value as Json, json};

use crate::faults::Faults;
use crate::rows::{Format, Rows};
use crate::serve::{self, Answer};
use crate::stats::Stats;
use crate::table::Table;
use crate::timestream::{self, Server, TableName};
use crate::value::Value;

const BODY_BYTES_MAX: usize = 64 * 1024;

/// Answers everything but the API.
pub(crate) async fn route(server: Arc<Server>, request: Request<Incoming>) -> Response<Answer> {
    let (head, body) = request.into_parts();
    let uri = &head.uri;
    let get = Method::GET;
    match (&head.method, uri.path()) {
        (method, "/healthz") if *method == get => serve::plain(200, "ok\n"),
        (method, "/stats") if *method == get => stats(&server),
        (&Method::DELETE, "/stats") => {
            *server.stats() = Stats::default();
            done()
        }
        (method, "/rows") if *method == get => rows(server, uri, Format::Ndjson),
        (method, "/rows.csv") if *method == get => rows(server, uri, Format::Csv),
        (&Method::DELETE, "/rows") => delete_rows(&server, uri),
        (method, "/summary") if *method == get => summary(&server, uri),
        (method, "/control/tables") if *method == get => tables(&server),
        (method, "/control/faults") if *method == get => faults_json(&server),
        (&Method::DELETE, "/control/faults") => set_faults(&server, Faults::default()),
        (&Method::PUT, "/control/faults") => {
            let body = serve::body(body, BODY_BYTES_MAX).await.unwrap_or_default();
            match serde_json::from_slice(&body) {
                Ok(faults) => set_faults(&server, faults),
                Err(error) => problem(400, &format!("the body is no set of faults: {error}")),
            }
        }
        _ => problem(404, "there is nothing here; see the README of weir-standin"),
    }
}

fn done() -> Response<Answer> {
    serve::json(200, &json!({"ok": true}))
}

fn problem(status: u16, text: &str) -> Response<Answer> {
    serve::json(status, &json!({ "error": text }))
}

fn set_faults(server: &Server, faults: Faults) -> Response<Answer> {
    let set = server.faults().set(faults, timestream::now_ms());
    match set {
        Ok(()) => faults_json(server),
        Err(text) => problem(400, &text),
    }
}

fn faults_json(server: &Server) -> Response<Answer> {
    let faults = server.faults().get().clone();
    serve::json(200, &serde_json::to_value(faults).unwrap_or_default())
}

fn stats(server: &Server) -> Response<Answer> {
    let stored_rows = server.catalog().tables().map(|(_, _, table)| table.len()).sum();
    serve::json(200, &server.stats().json(stored_rows))
}

fn tables(server: &Server) -> Response<Answer> {
    let catalog = server.catalog();
    let tables = catalog.tables().map(|(database, name, table)| {
        json!({
            "table": format!("{database}.{name}"),
            "rows": table.len(),
            "seq": table.seq(),
            "dimension_sets": table.sets.len(),
            "dimensions": table.dimensions(),
            "measure_names": table.measure_count(),
            "memory_hours": table.retention.memory_hours,
            "magnetic_days": table.retention.magnetic_days,
            "magnetic_writes": table.retention.is_magnetic_write,
        })
    });
    serve::json(200, &tables.collect())
}

/// The table that a request names; the only table there is, if it names none.
fn named(server: &Server, uri: &hyper::Uri) -> Result<TableName, Box<Response<Answer>>> {
    let catalog = server.catalog();
    let name = match serve::query(uri, "table") {
        Some(text) => {
            timestream::table_name(&text).map_err(|text| Box::new(problem(400, &text)))?
        }
        None => {
            let mut tables = catalog.tables();
            let (Some((database, table, _)), None) = (tables.next(), tables.next()) else {
                let text = "name one of the tables: ?table=DATABASE.TABLE";
                return Err(Box::new(problem(400, text)));
            };
            TableName { database: database.to_owned(), table: table.to_owned() }
        }
    };
    match catalog.table(&name.database, &name.table) {
        Some(_) => Ok(name),
        None => Err(Box::new(problem(404, "the table does not exist"))),
    }
}

fn rows(server: Arc<Server>, uri: &hyper::Uri, format: Format) -> Response<Answer> {
    let name = match named(&server, uri) {
        Ok(name) => name,
        Err(response) => return *response,
    };
    let Ok(since) = serve::query(uri, "since").as_deref().unwrap_or("0").parse() else {
        return problem(400, "since is a number");
    };
    let measure = serve::query(uri, "measure");
    let kind = match format {
        Format::Ndjson => "application/x-ndjson",
        Format::Csv => "text/csv",
    };
    let TableName { database, table } = name;
    let columns = Vec::new();
    timestream::stream(kind, Rows { server, database, table, measure, format, since, columns })
}

fn delete_rows(server: &Server, uri: &hyper::Uri) -> Response<Answer> {
    if serve::query(uri, "table").is_none() {
        server.catalog().tables_mut().for_each(Table::clear);
        return done();
    }
    let name = match named(server, uri) {
        Ok(name) => name,
        Err(response) => return *response,
    };
    if let Ok(table) = server.catalog().table_mut(&name.database, &name.table) {
        table.clear();
    }
    done()
}

/// Rows and sums of a measure; of multi-measure rows, sums by column.
#[derive(Default)]
struct Count<'a> {
    rows: u64,
    sum: f64,
    columns: BTreeMap<&'a str, f64>,
}

impl<'a> Count<'a> {
    fn add(&mut self, value: &'a Value) {
        self.rows += 1;
        self.sum += number(value).filter(|_| matches!(value, Value::Double(_))).unwrap_or(0.0);
        for (name, value) in value.columns() {
            if let Some(number) = number(value) {
                *self.columns.entry(name).or_default() += number;
            }
        }
    }

    fn json(&self) -> Json {
        if self.columns.is_empty() {
            json!({"rows": self.rows, "sum": self.sum})
        } else {
            json!({"rows": self.rows, "sum": self.sum, "columns": self.columns})
        }
    }
}

/// A number that can be added up.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Double(number) => Some(*number),
        #[expect(clippy::cast_precision_loss, reason = "sums are for people")]
        Value::BigInt(number) => Some(*number as f64),
        Value::Boolean(_) | Value::Timestamp(_) | Value::Long(_) => None,
    }
}

fn summary(server: &Server, uri: &hyper::Uri) -> Response<Answer> {
    let name = match named(server, uri) {
        Ok(name) => name,
        Err(response) => return *response,
    };
    let catalog = server.catalog();
    let Some(table) = catalog.table(&name.database, &name.table) else {
        return problem(404, "the table does not exist");
    };
    let instance_id = table.names.get("instance_id");
    let mut measures: BTreeMap<&str, Count> = BTreeMap::new();
    let mut instances: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for (_, row) in table.rows_since(0) {
        let measure = table.names.text(row.measure);
        measures.entry(measure).or_default().add(&row.value);
        let pairs = table.sets.pairs(row.set).iter();
        let id = pairs.into_iter().find(|(name, _)| Some(*name) == instance_id);
        let id = id.map_or("", |(_, value)| table.names.text(*value));
        *instances.entry(id).or_default().entry(measure).or_default() += 1;
    }
    let measures: BTreeMap<&str, Json> =
        measures.into_iter().map(|(name, count)| (name, count.json())).collect();
    serve::json(
        200,
        &json!({
            "table": format!("{}.{}", name.database, name.table),
            "rows": table.len(),
            "measures": measures,
            "instances": instances,
        }),
    )
}
