#!/usr/bin/env python3
"""Run the queries of xk6-output-timestream's dashboard on stored rows and check their answers.

The rows come from a stand-in (--endpoint), a file of its NDJSON (--rows), or are generated
(--self-test). DuckDB answers the queries; plain Python computes the same from the same rows.
"""

import argparse
import collections
import json
import math
import pathlib
import random
import re
import sys
import tempfile
import urllib.parse
import urllib.request

import duckdb

from dashboards_queries import QUERIES

SECOND_NS = 1_000_000_000
INTERVAL_SECONDS = 5
# What the dashboard's variable $Measurement offers.
MEASUREMENTS = [
    "http_req_" + name
    for name in ("duration", "blocked", "connecting", "looking_up", "receiving", "sending", "waiting")
]
RELATIVE_TOLERANCE = 1e-9


class Rows:
    """The rows of one table that have a `measure_value::double`, as the queries see them."""

    def __init__(self, lines):
        self.by_measure = collections.defaultdict(list)
        self.total = self.without_instance = 0
        self.times = []
        for line in lines:
            row = json.loads(line)
            self.total += 1
            self.times.append(row["time_ns"])
            instance = row["dimensions"].get("instance_id")
            self.without_instance += instance is None
            if row["type"] == "DOUBLE":
                entry = (row["time_ns"], instance, float(row["value"]))
                self.by_measure[row["measure_name"]].append(entry)

    def of(self, measure, is_filtered=True):
        """(second, instance, value); `instance_id LIKE '%'` drops rows without an instance."""
        rows = self.by_measure.get(measure, [])
        return [
            (time_ns // SECOND_NS, instance, value)
            for time_ns, instance, value in rows
            if instance is not None or not is_filtered
        ]


# What each query must answer, computed another way.


def groups(pairs):
    """A dict of lists from (key, value) pairs."""
    grouped = collections.defaultdict(list)
    for key, value in pairs:
        grouped[key].append(value)
    return grouped


def mean(values):
    return math.fsum(values) / len(values)


def percentile(values, share):
    """The value at `share` of the sorted values, linear between neighbours."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def by_interval(seconds):
    """{interval start: mean over its seconds} of {second: value}."""
    starts = ((second - second % INTERVAL_SECONDS, value) for second, value in seconds.items())
    return {start: mean(values) for start, values in groups(starts).items()}


def virtual_users(rows, measure):
    """Instances are averaged within a second, then added up."""
    cells = groups(((s, i), value) for s, i, value in rows.of(measure, is_filtered=False))
    seconds = groups((second, mean(values)) for (second, _), values in cells.items())
    return by_interval({second: math.fsum(values) for second, values in seconds.items()})


def per_second(rows, measure):
    """A counter's sum of each second."""
    seconds = groups((second, value) for second, _, value in rows.of(measure))
    return by_interval({second: math.fsum(values) for second, values in seconds.items()})


def errors_per_second(rows, measure):
    """The share of failed requests of a second, times its requests, rounded."""
    failed = groups((second, value) for second, _, value in rows.of(measure))
    requests = groups((second, value) for second, _, value in rows.of("http_reqs"))
    both = failed.keys() & requests.keys()
    product = lambda second: mean(failed[second]) * math.fsum(requests[second])
    return by_interval({second: math.floor(product(second) + 0.5) for second in both})


def stat(function):
    """One number over all rows."""

    def compute(rows, measure):
        values = [value for _, _, value in rows.of(measure)]
        return {None: function(values) if values else None}

    return compute


def over_time(function):
    """A number for each second, averaged by interval."""

    def compute(rows, measure):
        seconds = groups((second, value) for second, _, value in rows.of(measure))
        return by_interval({second: function(values) for second, values in seconds.items()})

    return compute


EXPECTED = {
    ("Virtual Users", "A"): virtual_users,
    ("Requests per Second", "A"): per_second,
    ("Errors Per Second", "A"): errors_per_second,
    ("Data Per Second", "A"): per_second,
    ("Data Per Second", "B"): per_second,
    ("$Measurement (mean)", "A"): stat(mean),
    ("$Measurement (max)", "A"): stat(max),
    ("$Measurement (med)", "A"): stat(lambda values: percentile(values, 0.5)),
    ("$Measurement (min)", "A"): stat(min),
    ("$Measurement (p90)", "A"): stat(lambda values: percentile(values, 0.9)),
    ("$Measurement (p95)", "A"): stat(lambda values: percentile(values, 0.95)),
    ("$Measurement (over time)", "C"): over_time(max),
    ("$Measurement (over time)", "D"): over_time(lambda values: percentile(values, 0.95)),
    ("$Measurement (over time)", "E"): over_time(lambda values: percentile(values, 0.9)),
    ("$Measurement (over time)", "A"): over_time(min),
}


class Database:
    """The rows as a table of DuckDB, with what Timestream's SQL needs."""

    def __init__(self, path, times, database="k6", table="samples"):
        self.connection = duckdb.connect()
        self.names = (f'"{database}"', f'"{table}"')
        self.span_us = (min(times) // 1000, max(times) // 1000 + 1) if times else (0, 1)
        run = self.connection.execute
        run("SET TimeZone = 'UTC'")
        run("CREATE MACRO bin(t, i) AS time_bucket(i, t, TIMESTAMP '1970-01-01')")
        run("CREATE MACRO approx_percentile(x, p) AS quantile_cont(x, p)")
        run(
            "CREATE TABLE raw AS SELECT * FROM read_json(?, format = 'newline_delimited', columns ="
            " {dimensions: 'MAP(VARCHAR, VARCHAR)', measure_name: 'VARCHAR', value: 'JSON',"
            " type: 'VARCHAR', time_ns: 'BIGINT'})",
            [str(path)],
        )
        dimensions = self.dimensions()
        columns = "".join(
            f", dimensions[{quoted(name, chr(39))}] AS {quoted(name)}" for name in dimensions
        )
        run(f"CREATE SCHEMA {self.names[0]}")
        run(
            f"CREATE TABLE {self.names[0]}.{self.names[1]} AS SELECT"
            " make_timestamp(time_ns // 1000) AS time, measure_name,"
            " CASE WHEN type = 'DOUBLE' THEN CAST(value AS DOUBLE) END AS measure_value"
            f"{columns} FROM raw"
        )

    def dimensions(self):
        """Names of the dimensions; DuckDB's columns ignore case, so only one of each spelling."""
        found = self.connection.execute("SELECT DISTINCT unnest(map_keys(dimensions)) FROM raw")
        names = {name.casefold(): name for (name,) in sorted(found.fetchall(), reverse=True)}
        return sorted({**names, "instance_id": "instance_id"}.values())

    def answer(self, query, measure):
        """{interval start in seconds, or None: value} of a query."""
        sql = self.translate(query["sql"], measure)
        cursor = self.connection.execute(f"SELECT * FROM ({sql})")
        names = [column[0] for column in cursor.description]
        if "time" not in names:
            ((value,),) = cursor.fetchall()
            return {None: value}
        value = next(name for name in names if name != "time")
        sql = f"SELECT epoch_us(time), {quoted(value)} FROM ({sql})"
        rows = self.connection.execute(sql).fetchall()
        return {time_us // 1_000_000: value for time_us, value in rows}

    def translate(self, sql, measure):
        """Grafana's variables and Timestream's intervals, as DuckDB knows them."""
        first, last = self.span_us
        variables = [
            ("$__timeFilter", f"time BETWEEN make_timestamp({first}) AND make_timestamp({last})"),
            ("$__interval", f"{INTERVAL_SECONDS}s"),
            ("$__database", self.names[0]),
            ("$__table", self.names[1]),
            ("$__measure", measure),
            ("$FilterValue", "%"),
            ("$Filter", "instance_id"),
        ]
        for name, text in variables:
            sql = sql.replace(name, text)
        if "$" in sql:
            raise ValueError(f"a variable is left in: {sql}")
        return re.sub(r"\b(\d+)s\b", r"INTERVAL '\1 seconds'", sql)


def quoted(name, mark='"'):
    return mark + name.replace(mark, mark * 2) + mark


def is_close(got, wanted):
    if got is None or wanted is None:
        return got is wanted
    return math.isclose(got, wanted, rel_tol=RELATIVE_TOLERANCE, abs_tol=1e-9)


def difference(got, wanted):
    """What two answers differ in; empty if nothing."""
    if got.keys() != wanted.keys():
        odd = sorted(got.keys() ^ wanted.keys())[:5]
        return f"{len(got)} points instead of {len(wanted)}, the first odd ones at {odd}"
    odd = [key for key in wanted if not is_close(got[key], wanted[key])]
    return f"at {odd[0]}: {got[odd[0]]} instead of {wanted[odd[0]]}" if odd else ""


class Report:
    """Counts and prints outcomes."""

    is_silent = False

    def __init__(self):
        self.passed = self.failed = 0

    def add(self, title, problem):
        if problem:
            self.failed += 1
            if not self.is_silent:
                print(f"FAIL {title}: {problem}")
        else:
            self.passed += 1
            if not self.is_silent:
                print(f"ok   {title}")


def check(path, report, expectations, demanded=()):
    """All queries on the rows of an NDJSON file. The `demanded` measures must have rows."""
    with open(path, encoding="utf-8") as lines:
        rows = Rows(lines)
    database = Database(path, rows.times)
    queries = QUERIES
    keys = {(query["title"], query["ref"]) for query in queries}
    report.add("the 15 known queries are asked", "" if keys == EXPECTED.keys() else keys)
    for query in queries:
        is_variable = query["measure"] == "$Measurement"
        for measure in MEASUREMENTS if is_variable else [query["measure"]]:
            title = query["title"].replace("$Measurement", measure)
            if not is_variable:
                title += f" ({measure})"
            got = database.answer(query, measure)
            wanted = EXPECTED[query["title"], query["ref"]](rows, measure)
            problem = difference(got, wanted)
            if not problem and measure in demanded and set(wanted.values()) <= {None}:
                problem = "no data"
            report.add(f"{title} {query['ref']}", problem)
    odd = rows.without_instance
    report.add("every row has instance_id", f"{odd} of {rows.total} have none" if odd else "")
    for measure, wanted in expectations:
        got = math.fsum(value for _, _, value in rows.of(measure))
        report.add(f"{measure} adds up to {wanted:g}", "" if got == wanted else f"it is {got:g}")
    print(f"{rows.total} rows")
    return rows


def generated(start_ns=1_790_000_000_123_456_789, seed=7):
    """Rows like those of 3 k6 instances over 23 seconds, with gaps and odd tags."""
    draw = random.Random(seed)

    def row(measure, value, time_ns, instance, **dimensions):
        dimensions = {"instance_id": str(instance), "testid": "t", **dimensions}
        return {"dimensions": dimensions, "measure_name": measure, "value": value,
                "type": "DOUBLE", "time_ns": time_ns, "version": 1}

    for second in range(23):
        for instance in (1, 2, 3):
            at = lambda: start_ns + second * SECOND_NS + draw.randrange(SECOND_NS)
            for _ in range(draw.randrange(1, 3)):
                yield row("vus", float(draw.randrange(1, 50)), at(), instance)
            if second in (7, 8):
                continue
            for _ in range(draw.randrange(20)):
                tags = {"url": "http://t/?a='\"&b=ü", "group": "::a", "status": "200"}
                time_ns = at()
                yield row("http_reqs", 1.0, time_ns, instance, **tags)
                is_failed = float(draw.random() < 0.2)
                yield row("http_req_failed", is_failed, time_ns, instance, **tags)
                for measure in MEASUREMENTS[:-1]:
                    value = round(draw.lognormvariate(3, 1), 6)
                    yield row(measure, value, time_ns, instance, **tags)
            for measure in ("data_received", "data_sent"):
                yield row(measure, float(draw.randrange(100_000)), at(), instance)
    text = row("note", "1.0", start_ns, 1)
    yield {**text, "type": "VARCHAR"}


def self_test(report):
    """Generated rows pass; a lost, a doubled and a changed row are noticed."""
    rows = list(generated())
    requests = sum(row["measure_name"] == "http_reqs" for row in rows)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "rows.ndjson"
        write = lambda some: path.write_text("".join(json.dumps(row) + "\n" for row in some))
        write(rows)
        demanded = {"vus", "http_reqs", "http_req_failed", "data_sent", *MEASUREMENTS[:-1]}
        seen = check(path, report, [("http_reqs", requests)], demanded)
        queries = QUERIES
        place = next(i for i, row in enumerate(rows) if row["measure_name"] == "http_req_duration")
        requests_at = next(i for i, row in enumerate(rows) if row["measure_name"] == "http_reqs")
        changes = {
            "a lost request": (rows[:requests_at] + rows[requests_at + 1 :], "Requests per Second"),
            "a doubled request": (rows + [rows[requests_at]], "Requests per Second"),
            "a changed duration": (
                rows[:place] + [{**rows[place], "value": 1e6}] + rows[place + 1 :],
                "$Measurement (max)",
            ),
        }
        for title, (changed, panel) in changes.items():
            write(changed)
            query = next(query for query in queries if query["title"] == panel)
            measure = query["measure"].replace("$Measurement", "http_req_duration")
            got = Database(path, seen.times).answer(query, measure)
            problem = difference(got, EXPECTED[panel, query["ref"]](seen, measure))
            report.add(f"{title} is noticed", "" if problem else "it is not")


def download(endpoint, table, path):
    query = urllib.parse.urlencode({"table": table})
    url = f"{endpoint.rstrip('/')}/rows?{query}"
    with urllib.request.urlopen(url, timeout=300) as response, open(path, "wb") as file:
        while chunk := response.read(1 << 20):
            file.write(chunk)


def expectation(text):
    measure, _, number = text.partition("=")
    return measure, float(number)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--self-test", action="store_true", help="check generated rows")
    source.add_argument("--endpoint", help="read the rows of this stand-in")
    source.add_argument("--rows", type=pathlib.Path, help="read the rows of this NDJSON file")
    parser.add_argument("--table", default="k6.samples", metavar="DATABASE.TABLE")
    parser.add_argument("--expect", action="append", type=expectation, default=[],
                        metavar="MEASURE=SUM", help="the measure must add up to this")
    parser.add_argument("--demand", action="append", default=[], metavar="MEASURE",
                        help="the queries of this measure must have data")
    arguments = parser.parse_args()
    report = Report()
    if arguments.self_test:
        self_test(report)
    elif arguments.rows:
        check(arguments.rows, report, arguments.expect, arguments.demand)
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "rows.ndjson"
            download(arguments.endpoint, arguments.table, path)
            check(path, report, arguments.expect, arguments.demand)
    print(f"{report.passed} passed, {report.failed} failed")
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
