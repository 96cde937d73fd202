#!/usr/bin/env python3
"""Write generated rows to a stand-in with boto3, then run the dashboard's queries on what it stored.

Every call is sent until it is answered, with connections cut at random, so rows that are lost or
doubled on the way would show.
"""

import argparse
import json
import sys
import time
import urllib.request

import boto3
import botocore.config
import botocore.exceptions

import dashboards

TRIES_MAX = 50


def faults(endpoint, **settings):
    data = json.dumps(settings).encode()
    request = urllib.request.Request(endpoint + "/control/faults", data=data, method="PUT")
    urllib.request.urlopen(request, timeout=20).close()


def record(row):
    dimensions = [{"Name": name, "Value": value} for name, value in row["dimensions"].items()]
    return {
        "Dimensions": dimensions,
        "MeasureName": row["measure_name"],
        "MeasureValue": str(row["value"]),
        "MeasureValueType": row["type"],
        "Time": str(row["time_ns"]),
        "TimeUnit": "NANOSECONDS",
    }


def write(client, database, table, records):
    for _ in range(TRIES_MAX):
        try:
            client.write_records(DatabaseName=database, TableName=table, Records=records)
            return
        except botocore.exceptions.HTTPClientError:
            continue
    raise TimeoutError(f"a call was not answered in {TRIES_MAX} tries")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--table", default="k6.samples", metavar="DATABASE.TABLE")
    parser.add_argument("--secret-key", default="unchecked")
    arguments = parser.parse_args()
    database, _, table = arguments.table.partition(".")
    client = boto3.client(
        "timestream-write",
        endpoint_url=arguments.endpoint,
        region_name="eu-west-1",
        aws_access_key_id="AKIDCHECK",
        aws_secret_access_key=arguments.secret_key,
        config=botocore.config.Config(retries={"total_max_attempts": 2, "mode": "standard"}),
    )
    rows = list(dashboards.generated(start_ns=time.time_ns() - 60 * dashboards.SECOND_NS))
    faults(arguments.endpoint, cut_percent=10, cut_after_apply_percent=20, seed=3)
    for start in range(0, len(rows), 100):
        records = [record(row) for row in rows[start : start + 100]]
        write(client, database, table, records)
    faults(arguments.endpoint)
    requests = sum(row["measure_name"] == "http_reqs" for row in rows)
    # Through its own command line, as others will call it.
    sys.argv = ["dashboards.py", "--endpoint", arguments.endpoint, "--table", arguments.table,
                "--expect", f"http_reqs={requests}", "--demand", "http_reqs"]
    dashboards.main()


if __name__ == "__main__":
    main()
