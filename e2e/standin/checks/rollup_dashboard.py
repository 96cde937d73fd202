#!/usr/bin/env python3
"""Run the queries of dashboards/timestream-rollup.json on stored rows of a second and check their answers.

The rows come from a file of the stand-in's NDJSON (--rows), or are generated (--self-test). DuckDB answers the queries as
they are shipped. What they should answer comes from the samples of the same run (--samples), or else from the rows, read
another way in plain Python.
"""

import argparse
import collections
import json
import math
import pathlib
import random
import sys
import tempfile

import dashboards
from dashboards import INTERVAL_SECONDS, SECOND_NS, Report, by_interval, groups, quoted

DASHBOARD = pathlib.Path(__file__).resolve().parents[3] / "dashboards" / "timestream-rollup.json"
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
COLUMNS = {"count": "BIGINT", "sum": "DOUBLE", "min": "DOUBLE", "max": "DOUBLE", "last": "DOUBLE", "histogram": "VARCHAR"}
# What the histogram promises, and what floats add to it.
PERCENTILE_TOLERANCE = 0.01 + 1e-9
SUM_TOLERANCE = 1e-9

Cell = collections.namedtuple("Cell", "count sum min max values")


def decoded(text):
    """(value, number of samples) of a histogram."""
    for at in range(0, len(text), 3):
        high, low, number = (DIGITS.index(digit) for digit in text[at : at + 3])
        steps = 64 * high + low - 2048
        value = math.copysign(0.99e-8 * (101 / 99) ** abs(steps), steps) if steps else 0.0
        yield value, number if number < 32 else 2 ** (number - 27)


def cells_of_rows(lines):
    """{measure: [(second, instance, Cell)]} of rows of a second."""
    cells = collections.defaultdict(list)
    for row in map(json.loads, lines):
        column = lambda name: row["value"].get(name, {}).get("value")
        values = list(decoded(column("histogram") or ""))
        cell = Cell(column("count"), column("sum"), column("min"), column("max"), values)
        place = (row["time_ns"] // SECOND_NS, row["dimensions"].get("instance_id"), cell)
        cells[row["measure_name"]].append(place)
    return cells


def cells_of_samples(lines):
    """The same of samples, each a cell of its own."""
    cells = collections.defaultdict(list)
    for row in map(json.loads, lines):
        value = float(row["value"])
        cell = Cell(1, value, value, value, [(value, 1)])
        place = (row["time_ns"] // SECOND_NS, row["dimensions"].get("instance_id"), cell)
        cells[row["measure_name"]].append(place)
    return cells


def total(cells):
    return math.fsum(cell.sum for cell in cells)


def mean(cells):
    return total(cells) / sum(cell.count for cell in cells)


def lowest(cells):
    return min(cell.min for cell in cells)


def highest(cells):
    return max(cell.max for cell in cells)


def percentile(share):
    """The smallest value that at least this share of all values does not exceed."""

    def of(cells):
        values = sorted(value for cell in cells for value in cell.values)
        rank = share * sum(number for _, number in values)
        for value, number in values:
            rank -= number
            if rank <= 1e-9:
                return value
        return None

    return of


def summed(function):
    """Instances are added up within a second, and an interval is the mean of its seconds."""

    def compute(cells):
        each = groups(((second, instance), cell) for second, instance, cell in cells)
        seconds = groups((second, function(own)) for (second, _), own in each.items())
        return by_interval({second: math.fsum(values) for second, values in seconds.items()})

    return compute


def stat(function):
    def compute(cells):
        return {None: function([cell for *_, cell in cells]) if cells else None}

    return compute


def over_time(function):
    def compute(cells):
        starts = groups((second - second % INTERVAL_SECONDS, cell) for second, _, cell in cells)
        return {start: function(own) for start, own in starts.items()}

    return compute


CHOSEN = "$Measurement"
EXPECTED = {
    ("Virtual Users", "A"): (summed(mean), SUM_TOLERANCE),
    ("Requests per Second", "A"): (summed(total), SUM_TOLERANCE),
    ("Errors per Second", "A"): (summed(total), SUM_TOLERANCE),
    ("Data per Second", "A"): (summed(total), SUM_TOLERANCE),
    ("Data per Second", "B"): (summed(total), SUM_TOLERANCE),
    (f"{CHOSEN} (mean)", "A"): (stat(mean), SUM_TOLERANCE),
    (f"{CHOSEN} (max)", "A"): (stat(highest), SUM_TOLERANCE),
    (f"{CHOSEN} (med)", "A"): (stat(percentile(0.5)), PERCENTILE_TOLERANCE),
    (f"{CHOSEN} (min)", "A"): (stat(lowest), SUM_TOLERANCE),
    (f"{CHOSEN} (p90)", "A"): (stat(percentile(0.9)), PERCENTILE_TOLERANCE),
    (f"{CHOSEN} (p95)", "A"): (stat(percentile(0.95)), PERCENTILE_TOLERANCE),
    (f"{CHOSEN} (over time)", "C"): (over_time(highest), SUM_TOLERANCE),
    (f"{CHOSEN} (over time)", "D"): (over_time(percentile(0.95)), PERCENTILE_TOLERANCE),
    (f"{CHOSEN} (over time)", "E"): (over_time(percentile(0.9)), PERCENTILE_TOLERANCE),
    (f"{CHOSEN} (over time)", "A"): (over_time(lowest), SUM_TOLERANCE),
}


class Database(dashboards.Database):
    """The rows as a table of DuckDB with the columns of multi-measure records."""

    def __init__(self, path, times):
        super().__init__(path, times)
        run = self.connection.execute
        names = self.names[0] + "." + self.names[1]
        own = "".join(f", dimensions['{name}'] AS {quoted(name)}" for name in self.dimensions())
        columns = "".join(
            f", CAST(json_extract_string(value, '$.{name}.value') AS {kind}) AS {quoted(name)}"
            for name, kind in COLUMNS.items()
        )
        run(
            f"CREATE OR REPLACE TABLE {names} AS SELECT make_timestamp(time_ns // 1000) AS time,"
            f" measure_name{columns}{own} FROM raw WHERE type = 'MULTI'"
        )


def questions():
    """(title, ref, measure, sql) of the shipped dashboard."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["refId"], target["measure"], target["rawQuery"]


def measurements():
    variables = json.loads(DASHBOARD.read_text())["templating"]["list"]
    return next(variable["query"] for variable in variables if variable["name"] == "Measurement").split(",")


def difference(got, wanted, tolerance):
    """What two answers differ in; empty if nothing."""
    if got.keys() != wanted.keys():
        return f"{len(got)} points instead of {len(wanted)}, odd at {sorted(got.keys() ^ wanted.keys())[:5]}"

    def is_close(key):
        if got[key] is None or wanted[key] is None:
            return got[key] is wanted[key]
        return math.isclose(got[key], wanted[key], rel_tol=tolerance, abs_tol=1e-8)

    odd = [key for key in wanted if not is_close(key)]
    return f"at {odd[0]}: {got[odd[0]]} instead of {wanted[odd[0]]}" if odd else ""


def check(rows_path, samples_path, report, demanded):
    """All queries of the dashboard on the rows of an NDJSON file. The `demanded` measures must have rows."""
    lines = pathlib.Path(rows_path).read_text(encoding="utf-8").splitlines()
    if samples_path:
        cells = cells_of_samples(pathlib.Path(samples_path).read_text(encoding="utf-8").splitlines())
    else:
        cells = cells_of_rows(lines)
    database = Database(rows_path, [json.loads(line)["time_ns"] for line in lines])
    asked = list(questions())
    keys = {(title, ref) for title, ref, *_ in asked}
    report.add("the 15 known queries are asked", "" if keys == EXPECTED.keys() else keys ^ EXPECTED.keys())
    for title, ref, measure, sql in asked:
        expected, tolerance = EXPECTED[title, ref]
        for measure in measurements() if measure == CHOSEN else [measure]:
            wanted = expected(cells.get(measure, []))
            problem = difference(database.answer({"sql": sql}, measure), wanted, tolerance)
            if not problem and measure in demanded and set(wanted.values()) <= {None}:
                problem = "no data"
            report.add(f"{title.replace(CHOSEN, measure)} ({measure}) {ref}", problem)
    print(f"{len(lines)} rows")


def encoded(values):
    """A histogram of values, as a row has it, made another way than Weir makes it."""
    counts = collections.Counter()
    for value in values:
        steps = max(1, math.ceil(math.log(abs(value) / 1e-8) / math.log(101 / 99))) if value else 0
        counts[2048 + steps] += 1
    text = ""
    for place, number in sorted(counts.items()):
        for bit in [*(n for n in range(40, 4, -1) if number >> n & 1), None]:
            last = number % 32 if bit is None else bit + 27
            if last:
                text += DIGITS[place // 64] + DIGITS[place % 64] + DIGITS[last]
    return text


def generated(draw):
    """Rows of 3 instances over 23 seconds with gaps, and the samples that they are of."""
    start_ns = 1_790_000_000 * SECOND_NS
    rows, samples = [], []
    for second in range(23):
        for instance in "123":
            for measure in ["vus", "http_reqs", "http_req_failed", "data_sent", "data_received", *measurements()]:
                values = [round(draw.lognormvariate(3, 1), 6) for _ in range(draw.randrange(40))]
                if measure == "http_req_failed":
                    values = [float(draw.random() < 0.2) for _ in values]
                if measure.endswith("connecting"):
                    values = [0.0 for _ in values] * 5
                if not values or second in (7, 8):
                    continue
                common = {"dimensions": {"instance_id": instance}, "measure_name": measure, "version": 1}
                time_ns = start_ns + second * SECOND_NS
                samples += [
                    {**common, "type": "DOUBLE", "value": v, "time_ns": time_ns + draw.randrange(SECOND_NS)}
                    for v in values
                ]
                columns = {"count": len(values), "sum": math.fsum(values), "min": min(values), "max": max(values)}
                if measure in measurements():
                    columns["histogram"] = encoded(values)
                value = {name: {"type": COLUMNS[name], "value": value} for name, value in columns.items()}
                rows.append({**common, "type": "MULTI", "value": value, "time_ns": time_ns + draw.randrange(3)})
    return rows, samples


def self_test(report):
    """Generated rows pass; a lost row, a changed sum and a changed histogram are noticed."""
    rows, samples = generated(random.Random(7))
    place = next(i for i, row in enumerate(rows) if row["measure_name"] == "http_req_duration")
    with tempfile.TemporaryDirectory() as folder:
        paths = [pathlib.Path(folder) / name for name in ("rows", "samples")]
        write = lambda path, some: path.write_text("".join(json.dumps(row) + "\n" for row in some))
        write(paths[0], rows)
        write(paths[1], samples)
        check(paths[0], paths[1], report, measurements())
        check(paths[0], None, report, measurements())

        def changed(column, value):
            own = {**rows[place]["value"], column: {"type": COLUMNS[column], "value": value}}
            return rows[:place] + [{**rows[place], "value": own}] + rows[place + 1 :]

        for title, some in {
            "a lost row": rows[:place] + rows[place + 1 :],
            "a changed sum": changed("sum", 1e9),
            "a changed histogram": changed("histogram", encoded([1e6] * 500)),
        }.items():
            write(paths[0], some)
            noted = Report()
            noted.is_silent = True
            check(paths[0], paths[1], noted, measurements())
            report.add(f"{title} is noticed", "" if noted.failed else "it is not")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--self-test", action="store_true", help="check generated rows")
    source.add_argument("--rows", type=pathlib.Path, help="read the rows of this NDJSON file")
    parser.add_argument("--samples", type=pathlib.Path, help="the samples of the same run, as NDJSON")
    parser.add_argument("--demand", action="append", default=[], metavar="MEASURE",
                        help="the queries of this measure must have data")
    arguments = parser.parse_args()
    report = Report()
    if arguments.self_test:
        self_test(report)
    else:
        check(arguments.rows, arguments.samples, report, arguments.demand)
    print(f"{report.passed} passed, {report.failed} failed")
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
