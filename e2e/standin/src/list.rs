//! `weir-standin list`: what a running stand-in has stored, for people.

use std::io::{self, Write};

use clap::Args;
use http_body_util::Full;
use hyper::Request;
use serde_json::Value as Json;

use crate::client;

/// What to list.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// The stand-in's address, for example <http://127.0.0.1:8000>
    #[arg(long)]
    endpoint: String,
    /// Only this table (DATABASE.TABLE); all of them if absent
    #[arg(long)]
    table: Option<String>,
}

/// Prints rows by measure and by instance, with totals, of each table.
pub(crate) async fn run(settings: Settings) -> io::Result<()> {
    let tables = match settings.table {
        Some(table) => vec![table],
        None => {
            let tables = get(&settings.endpoint, "/control/tables").await?;
            let tables = tables.as_array().cloned().unwrap_or_default();
            tables.iter().filter_map(|table| table["table"].as_str().map(String::from)).collect()
        }
    };
    for table in tables {
        let summary = get(&settings.endpoint, &format!("/summary?table={table}")).await?;
        io::stdout().write_all(render(&summary).as_bytes())?;
    }
    Ok(())
}

async fn get(endpoint: &str, path: &str) -> io::Result<Json> {
    let authority = endpoint.strip_prefix("http://").unwrap_or(endpoint).trim_end_matches('/');
    let request = Request::get(path).body(Full::default()).map_err(io::Error::other)?;
    let answer = client::send(authority, request).await?;
    let (status, body) = (answer.status(), answer.into_body());
    if !status.is_success() {
        return Err(io::Error::other(format!("{status}: {}", String::from_utf8_lossy(&body))));
    }
    serde_json::from_slice(&body).map_err(io::Error::other)
}

/// The summary of one table as text.
fn render(summary: &Json) -> String {
    let empty = serde_json::Map::new();
    let measures = summary["measures"].as_object().unwrap_or(&empty);
    let instances = summary["instances"].as_object().unwrap_or(&empty);
    let mut ids: Vec<&String> = instances.keys().collect();
    ids.sort_by_key(|id| (id.parse::<u64>().unwrap_or(u64::MAX), id.as_str()));
    let shown = if ids.len() <= 8 { ids.as_slice() } else { &[] };
    let number = |json: &Json| json.as_u64().unwrap_or_default();

    let mut head = vec!["MEASURE".to_owned(), "ROWS".to_owned(), "SUM".to_owned()];
    head.extend(shown.iter().map(|id| format!("INSTANCE {}", label(id))));
    let mut lines = vec![head];
    for (measure, counts) in measures {
        let sum = counts["sum"].as_f64().unwrap_or_default();
        let mut line = vec![measure.clone(), number(&counts["rows"]).to_string(), short(sum)];
        line.extend(shown.iter().map(|id| number(&instances[*id][measure]).to_string()));
        lines.push(line);
        for (column, sum) in counts["columns"].as_object().into_iter().flatten() {
            let sum = short(sum.as_f64().unwrap_or_default());
            let mut line = vec![format!("  {column}"), String::new(), sum];
            line.extend(shown.iter().map(|_| String::new()));
            lines.push(line);
        }
    }
    let of = |id: &String| instances[id].as_object().into_iter().flatten().map(|(_, n)| number(n));
    let mut total = vec!["total".to_owned(), number(&summary["rows"]).to_string(), String::new()];
    total.extend(shown.iter().map(|id| of(id).sum::<u64>().to_string()));
    lines.push(total);

    let title = summary["table"].as_str().unwrap_or_default();
    let mut text = format!("{title}\n{}", align(&lines));
    if ids.len() > shown.len() {
        let mut lines = vec![vec!["INSTANCE".to_owned(), "ROWS".to_owned()]];
        let rows = |id: &&String| vec![label(id).to_owned(), of(id).sum::<u64>().to_string()];
        lines.extend(ids.iter().map(rows));
        text = format!("{text}\n{}", align(&lines));
    }
    text + "\n"
}

/// A number with at most three decimals.
fn short(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn label(id: &str) -> &str {
    if id.is_empty() { "(none)" } else { id }
}

/// Columns of equal width, the first to the left and the others to the right.
fn align(lines: &[Vec<String>]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..lines[0].len()).map(|c| width(c).unwrap_or_default()).collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(i, (cell, width))| {
            if i == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") }
        });
        text += cells.collect::<String>().trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_summary_reads_as_a_table() {
        let summary = json!({
            "table": "k6.samples", "rows": 7,
            "measures": {
                "http_reqs": {"rows": 5, "sum": 5.0},
                "vus": {"rows": 2, "sum": 8.5, "columns": {"count": 9.0}},
            },
            "instances": {"10": {"http_reqs": 2}, "2": {"http_reqs": 3, "vus": 2}},
        });
        let want = "k6.samples\n\
                    MEASURE    ROWS  SUM  INSTANCE 2  INSTANCE 10\n\
                    http_reqs     5    5           3            2\n\
                    vus           2  8.5           2            0\n\
                    \x20 count            9\n\
                    total         7                5            2\n\n";
        assert_eq!(render(&summary), want);
    }
}
