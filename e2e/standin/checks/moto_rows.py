#!/usr/bin/env python3
"""Print how many rows a moto server has stored, by measure: one `MEASURE ROWS` a line, then a total.

moto keeps the records of a call as they were sent and drops its common attributes, so a measure name
that was only in those is shown as `(none)`.
"""

import argparse
import collections
import json
import urllib.request


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", required=True, help="for example http://127.0.0.1:5000")
    parser.add_argument("--table", help="only this table (DATABASE.TABLE)")
    arguments = parser.parse_args()
    url = arguments.endpoint.rstrip("/") + "/moto-api/data.json"
    with urllib.request.urlopen(url, timeout=60) as response:
        data = json.load(response)
    counts = collections.Counter()
    for table in data.get("timestreamwrite", {}).get("TimestreamTable", []):
        name = f"{table.get('db_name')}.{table.get('name')}"
        if arguments.table in (None, name):
            records = table.get("records", [])
            counts.update(record.get("MeasureName", "(none)") for record in records)
    for measure, count in sorted(counts.items()):
        print(measure, count)
    print("total", sum(counts.values()))


if __name__ == "__main__":
    main()
