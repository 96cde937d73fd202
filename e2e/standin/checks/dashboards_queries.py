"""What the panels of xk6-output-timestream's dashboard ask of the table.

The dashboard (commit 1a433e6 of its repository) is an interface that rows must satisfy: its users keep it. The
questions are built here from the few shapes that they share; `$name` are Grafana's macros and variables.
"""

ONE_SECOND = "BIN(time, 1s)"
TABLE = "$__database.$__table"
VALUE = "measure_value::double"
COLUMN = "$__measure"


def where(measure=COLUMN, is_filtered=True):
    """Rows of one measure in the time range, and of the chosen value of the chosen tag."""
    conditions = [f"measure_name = '{measure}'", "$__timeFilter"]
    if is_filtered:
        conditions.append("$Filter LIKE '$FilterValue'")
    return "WHERE " + " AND ".join(conditions)


def of_each_second(aggregate, column=COLUMN, by_instance=False, measure=COLUMN, is_filtered=True, is_ordered=True):
    """One value a second (and instance)."""
    order = f" ORDER BY {ONE_SECOND} DESC" if is_ordered else ""
    also = ", instance_id" if by_instance else ""
    return (
        f"SELECT {ONE_SECOND} AS time, {aggregate} AS {column}{also} FROM {TABLE} "
        f"{where(measure, is_filtered)} GROUP BY {ONE_SECOND}{also}{order}"
    )


def of_each_interval(inner, column):
    """The mean of the seconds of each of the panel's intervals."""
    return f"SELECT BIN(time, $__interval) AS time, AVG({COLUMN}) AS {column} FROM ({inner}) GROUP BY BIN(time, $__interval)"


def summed_over_instances(aggregate, column=COLUMN, is_filtered=True):
    """Instances are added up within a second."""
    seconds = of_each_second(aggregate, by_instance=True, is_filtered=is_filtered)
    return of_each_interval(f"SELECT time, SUM({COLUMN}) AS {COLUMN} FROM ({seconds}) GROUP BY time", column)


def errors():
    """The share of failed requests times the requests, second by second."""
    requests = of_each_second(f"SUM({VALUE})", column="http_reqs", measure="http_reqs")
    ratio = of_each_second(f"AVG({VALUE})")
    return of_each_interval(
        f"SELECT success.time, ROUND(AVG(fail_ratio.{COLUMN} * success.http_reqs), 0) AS {COLUMN} "
        f"FROM ({requests}) AS success, ({ratio}) AS fail_ratio "
        "WHERE fail_ratio.time = success.time GROUP BY success.time",
        COLUMN + "_per_s",
    )


def of_all(aggregate):
    """One number over the time range."""
    return f"SELECT {aggregate} AS {COLUMN} FROM {TABLE} {where()}"


def percentile(share):
    """Timestream's approximate percentile."""
    return f"APPROX_PERCENTILE({VALUE}, {share})"


def query(title, ref, measure, sql):
    """One question of a panel."""
    return {"title": title, "ref": ref, "measure": measure, "sql": sql}


CHOSEN = "$Measurement"
QUERIES = [
    query("Virtual Users", "A", "vus", summed_over_instances(f"AVG({VALUE})", is_filtered=False)),
    query("Requests per Second", "A", "http_reqs", summed_over_instances(f"SUM({VALUE})")),
    query("Errors Per Second", "A", "http_req_failed", errors()),
    query("Data Per Second", "A", "data_received", summed_over_instances(f"SUM({VALUE})", COLUMN + "_per_s")),
    query("Data Per Second", "B", "data_sent", summed_over_instances(f"SUM({VALUE})", COLUMN + "_per_s")),
    *(
        query(f"{CHOSEN} ({name})", "A", CHOSEN, of_all(aggregate))
        for name, aggregate in [
            ("mean", f"AVG({VALUE})"),
            ("max", f"MAX({VALUE})"),
            ("med", percentile(0.5)),
            ("min", f"MIN({VALUE})"),
            ("p90", percentile(0.9)),
            ("p95", percentile(0.95)),
        ]
    ),
    *(
        query(f"{CHOSEN} (over time)", ref, CHOSEN, of_each_interval(of_each_second(aggregate, is_ordered=False), column))
        for ref, aggregate, column in [
            ("C", f"MAX({VALUE})", '"max"'),
            ("D", percentile(0.95), "p95"),
            ("E", percentile(0.9), "p90"),
            ("A", f"MIN({VALUE})", '"min"'),
        ]
    ),
]
