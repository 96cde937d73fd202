//! The stand-in for Amazon Timestream: its settings, its state, and the path of a call through it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::Args;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};
use serde_json::{Value as Json, json};

use crate::aws_json::{self, ApiError};
use crate::catalog::Catalog;
use crate::clock;
use crate::control;
use crate::faults::{Faults, Faulty, Plan};
use crate::serve::{self, Answer, Cut, Listen, Reply};
use crate::sigv4::{self, Keys, Signed};
use crate::stats::Stats;
use crate::table::Retention;
use crate::write;

/// Largest body of a call: 100 records of 2 KB with the JSON around many short dimensions.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Settings of the stand-in.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    #[command(flatten)]
    listen: Listen,
    /// Make this table at the start; may be repeated (DATABASE.TABLE)
    #[arg(long = "table", value_parser = table_name, value_name = "DATABASE.TABLE")]
    tables: Vec<TableName>,
    /// Hours that the memory store of those tables keeps
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(i64).range(1..=8766))]
    memory_hours: i64,
    /// Most rows to hold in memory; calls beyond are answered with 500
    #[arg(long, default_value_t = 20_000_000)]
    max_rows: usize,
    /// Check that calls are signed with this access key
    #[arg(long)]
    access_key: Option<String>,
    /// Check the signatures with this secret key
    #[arg(long)]
    secret_key: Option<String>,
    /// Reject only the record (419) for an invalid name or value, instead of the call (400)
    #[arg(long)]
    invalid_rejects_record: bool,
    /// Enforce the account's rates for calls about databases and tables (1 and 5 a second)
    #[arg(long)]
    enforce_api_rates: bool,
    #[command(flatten)]
    faults: Faults,
}

/// A database's and a table's name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TableName {
    pub(crate) database: String,
    pub(crate) table: String,
}

/// The state that all connections share.
#[derive(Debug)]
pub(crate) struct Server {
    catalog: Mutex<Catalog>,
    faults: Mutex<Faulty>,
    stats: Mutex<Stats>,
    keys: Keys,
    pub(crate) rows_max: usize,
    pub(crate) is_invalid_rejecting: bool,
}

/// Runs the stand-in until it is told to end.
pub(crate) async fn run(settings: Settings) -> io::Result<()> {
    let listen = settings.listen.clone();
    let server = Arc::new(Server::new(settings)?);
    serve::serve(listen, move |request| route(Arc::clone(&server), request)).await
}

/// Splits `database.table` at the first dot.
pub(crate) fn table_name(text: &str) -> Result<TableName, String> {
    match text.split_once('.') {
        Some((database, table)) if !database.is_empty() && !table.is_empty() => {
            Ok(TableName { database: database.to_owned(), table: table.to_owned() })
        }
        Some(_) | None => Err("a table is named DATABASE.TABLE".to_owned()),
    }
}

impl Server {
    pub(crate) fn new(settings: Settings) -> io::Result<Self> {
        let mut catalog = Catalog::new(settings.enforce_api_rates);
        let retention = Retention { memory_hours: settings.memory_hours, ..Retention::default() };
        for name in &settings.tables {
            catalog.ensure(&name.database, &name.table, retention, clock::now_ns());
        }
        let mut faults = Faulty::default();
        faults.set(settings.faults, now_ms()).map_err(io::Error::other)?;
        Ok(Self {
            catalog: Mutex::new(catalog),
            faults: Mutex::new(faults),
            stats: Mutex::default(),
            keys: Keys { access_key: settings.access_key, secret_key: settings.secret_key },
            rows_max: settings.max_rows,
            is_invalid_rejecting: settings.invalid_rejects_record,
        })
    }

    /// The databases and tables. Locked alone or before the counters, never after.
    pub(crate) fn catalog(&self) -> MutexGuard<'_, Catalog> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The faults.
    pub(crate) fn faults(&self) -> MutexGuard<'_, Faulty> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counters.
    pub(crate) fn stats(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> i64 {
    clock::now_ns() / 1_000_000
}

async fn route(server: Arc<Server>, request: Request<Incoming>) -> Reply {
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/") => call(server, request).await,
        _ => Ok(control::route(server, request).await),
    }
}

/// One call of the API: faults that close the connection, then the signature, then the faults that
/// answer, then the operation.
async fn call(server: Arc<Server>, request: Request<Incoming>) -> Reply {
    let plan = server.faults().plan(now_ms());
    let (head, body) = request.into_parts();
    let Some(body) = serve::body(body, BODY_BYTES_MAX).await else {
        return Ok(serve::plain(413, "the body is too large, or broke off\n"));
    };
    if plan.latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(plan.latency_ms)).await;
    }
    server.stats().bytes_received += body.len() as u64;
    if plan.is_down || plan.is_cut {
        let mut stats = server.stats();
        stats.refused_down += u64::from(plan.is_down);
        stats.cut += u64::from(!plan.is_down);
        return Err(Cut);
    }
    let signed =
        Signed { method: &head.method, uri: &head.uri, headers: &head.headers, body: &body };
    let checked = sigv4::verify(&signed, &server.keys, clock::now_ns());
    let operation = checked.and_then(|()| aws_json::operation(&head.headers));
    let answer = match operation {
        Ok(operation) => {
            *server.stats().calls.entry(known(operation).to_owned()).or_default() += 1;
            match refusal(&server, plan) {
                Some(error) => Err(error),
                None => carry_out(&server, operation, &head.headers, &body),
            }
        }
        Err(error) => Err(error),
    };
    if plan.is_cut_after_apply {
        server.stats().cut_after_apply += 1;
        return Err(Cut);
    }
    Ok(respond(&server, answer))
}

/// The answer that a fault gives in the operation's place.
fn refusal(server: &Server, plan: Plan) -> Option<ApiError> {
    let mut stats = server.stats();
    if plan.is_denied {
        stats.denied += 1;
        Some(ApiError::access_denied())
    } else if plan.is_invalid_endpoint {
        Some(ApiError::invalid_endpoint())
    } else if plan.is_throttled {
        stats.throttled += 1;
        Some(ApiError::throttled())
    } else if plan.is_failed {
        stats.failed += 1;
        Some(ApiError::internal("The server encountered an internal error."))
    } else {
        None
    }
}

fn carry_out(
    server: &Server,
    operation: &str,
    headers: &hyper::HeaderMap,
    body: &Bytes,
) -> Result<Json, ApiError> {
    let now_ns = clock::now_ns();
    match operation {
        "WriteRecords" => write::write_records(server, &aws_json::parse(body)?, body.len(), now_ns),
        "DescribeEndpoints" => {
            let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
            Ok(json!({"Endpoints": [{"Address": host, "CachePeriodInMinutes": 1440}]}))
        }
        _ => {
            let call = aws_json::parse(body)?;
            let answer = server.catalog().call(operation, &call, now_ns);
            answer.unwrap_or_else(|| Err(ApiError::unknown_operation()))
        }
    }
}

fn respond(server: &Server, answer: Result<Json, ApiError>) -> Response<Answer> {
    match answer {
        Ok(body) => aws_json::respond(200, &body),
        Err(error) => {
            *server.stats().errors.entry(error.code).or_default() += 1;
            error.answer()
        }
    }
}

/// An operation's name for the counters: clients must not fill the memory with invented ones.
fn known(operation: &str) -> &str {
    const KNOWN: [&str; 11] = [
        "WriteRecords",
        "DescribeEndpoints",
        "CreateDatabase",
        "CreateTable",
        "DescribeDatabase",
        "DescribeTable",
        "ListDatabases",
        "ListTables",
        "UpdateTable",
        "DeleteTable",
        "DeleteDatabase",
    ];
    KNOWN.into_iter().find(|name| *name == operation).unwrap_or("unknown")
}

/// A streamed answer.
pub(crate) fn stream(kind: &'static str, rows: crate::rows::Rows) -> Response<Answer> {
    let mut response = serve::text(200, kind, Bytes::new());
    *response.body_mut() = rows.boxed_unsync();
    response
}
