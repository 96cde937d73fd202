#!/usr/bin/env python3
"""Check a stand-in with boto3, a client that is not Weir's.

The stand-in must have been started with --secret-key. Ends at the first surprise.
"""

import argparse
import collections
import json
import sys
import threading
import time

import botocore
import botocore.config
import botocore.exceptions

from boto3_client import DATABASE, SECOND_NS, TABLE, Client, Surprise, expect


class Check(Client):
    """The checks; each method that starts with `check_` is one, in this order."""

    # Databases and tables.

    def check_databases_and_tables_are_made_and_described(self):
        client = self.client
        missing = lambda: client.describe_database(DatabaseName=DATABASE)
        self.fails("ResourceNotFoundException", 404, missing)
        self.fails("ResourceNotFoundException", 404, lambda: self.write([self.record()]))
        made = client.create_database(DatabaseName=DATABASE)
        expect(made["Database"]["DatabaseName"] == DATABASE, made)
        again = lambda: client.create_database(DatabaseName=DATABASE)
        self.fails("ConflictException", 409, again)
        client.create_table(DatabaseName=DATABASE, TableName=TABLE)
        described = client.describe_table(DatabaseName=DATABASE, TableName=TABLE)["Table"]
        retention = described["RetentionProperties"]
        expect(retention["MemoryStoreRetentionPeriodInHours"] == 6, described)
        expect(described["CreationTime"].year >= 2025, described)
        names = [table["TableName"] for table in client.list_tables(DatabaseName=DATABASE)["Tables"]]
        expect(names == [TABLE], names)

    def check_a_name_must_be_good(self):
        call = lambda: self.client.create_database(DatabaseName="a b")
        self.fails("ValidationException", 400, call)

    def check_endpoints_are_described(self):
        endpoints = self.client.describe_endpoints()["Endpoints"]
        expect(endpoints[0]["Address"] in self.endpoint, endpoints)

    # Whole calls.

    def check_a_hundred_records_are_taken(self):
        answer = self.write([self.record() for _ in range(100)])["RecordsIngested"]
        expect(answer == {"Total": 100, "MemoryStore": 100, "MagneticStore": 0}, answer)
        expect(len(self.rows()) == 100, "not all rows can be read")

    def check_101_records_fail_the_call(self):
        before = self.last_seq()
        error = self.invalid([self.record() for _ in range(101)])
        expect("less than or equal to 100" in str(error), error)
        self.invalid([])
        expect(self.last_seq() == before, "a failed call stored something")

    def check_one_record_without_dimensions_fails_the_call(self):
        before = self.last_seq()
        error = self.invalid([self.record(), self.record(Dimensions=[])])
        expect("At least one dimension is required" in str(error), error)
        expect(self.last_seq() == before, "a failed call stored something")

    def check_bad_names_and_values_fail_the_call(self):
        dimension = lambda name, value="x": self.record(Dimensions=[{"Name": name, "Value": value}])
        for name in ("time", "measure_value", "ts_x", "measure_name", "a:b"):
            self.invalid([dimension(name)])
        self.invalid([dimension("empty", "")])
        for value in ("NaN", "Infinity", "-Infinity", "one"):
            self.invalid([self.record(MeasureValue=value)])
        self.invalid([self.record(Time="now")])
        self.invalid([self.record(MeasureName=None)])

    # Single records.

    def check_limits_reject_single_records(self):
        long_name = [{"Name": "n" * 61, "Value": "1"}]
        large = [{"Name": "url", "Value": "u" * 2040}]
        records = [
            self.record(),
            self.record(Dimensions=long_name),
            self.record(Dimensions=large),
            self.record(MeasureName="m" * 257),
            self.record(),
        ]
        before = self.last_seq()
        self.rejects(records, {1: "60 bytes", 2: "2 KB", 3: "256 bytes"})
        expect(len(self.rows(before)) == 2, "the other records were not stored")

    def check_times_outside_the_window_are_rejected(self):
        now_ms = time.time_ns() // 1_000_000
        at = lambda ms: self.record(Time=str(now_ms + ms), TimeUnit=None)
        minute_ms = 60_000
        records = [at(16 * minute_ms), at(14 * minute_ms), at(-361 * minute_ms), at(-359 * minute_ms)]
        self.rejects(records, {0: "outside the time range", 2: "outside the time range"})

    def check_the_same_again_is_no_error(self):
        record = self.record()
        before = self.last_seq()
        repeated = self.stats()["records_repeated"]
        for _ in range(2):
            answer = self.write([record])["RecordsIngested"]
            expect(answer["Total"] == 1, answer)
        expect(len(self.rows(before)) == 1, "a repeated record was stored twice")
        expect(self.stats()["records_repeated"] == repeated + 1, "the repetition was not counted")

    def check_another_value_needs_a_higher_version(self):
        record = self.record(Version=3)
        before = self.last_seq()
        self.write([record])
        other = dict(record, MeasureValue="2")
        entry = self.rejects([self.record(), other], {1: "A record already exists"})[1]
        expect(entry.get("ExistingVersion") == 3, entry)
        lower = dict(other, Version=2)
        entry = self.rejects([lower], {0: "lower than the existing version 3"})[0]
        expect(entry.get("ExistingVersion") == 3, entry)
        self.write([dict(other, Version=4)])
        rows = [row for row in self.rows(before) if row["time_ns"] == int(record["Time"])]
        got = [(row["value"], row["version"]) for row in rows]
        expect(got == [(2.0, 4)], got)

    def check_common_attributes_are_merged(self):
        before = self.last_seq()
        record = self.record(MeasureName=None, MeasureValueType=None, TimeUnit=None)
        common = {
            "Dimensions": [{"Name": "testid", "Value": "t-1"}],
            "MeasureName": "vus",
            "MeasureValueType": "BIGINT",
            "TimeUnit": "NANOSECONDS",
        }
        self.write([record], CommonAttributes=common)
        row = self.rows(before)[0]
        expect(row["dimensions"] == {"instance_id": "1", "testid": "t-1"}, row)
        expect((row["measure_name"], row["value"], row["type"]) == ("vus", 1, "BIGINT"), row)
        self.invalid([record], CommonAttributes={"Dimensions": record["Dimensions"]})

    def check_multi_measure_records_are_taken(self):
        before = self.last_seq()
        columns = [
            {"Name": "p95", "Value": "1.5", "Type": "DOUBLE"},
            {"Name": "count", "Value": "7", "Type": "BIGINT"},
        ]
        record = self.record(MeasureValue=None, MeasureValueType="MULTI", MeasureValues=columns)
        self.write([record])
        value = self.rows(before)[0]["value"]
        expect(value["count"] == {"type": "BIGINT", "value": 7}, value)
        self.invalid([self.record(MeasureValueType="TIMESTAMP")])

    def check_retention_can_be_changed(self):
        old = lambda: self.record(Time=str(time.time_ns() - 8 * 3600 * SECOND_NS))
        names = {"DatabaseName": DATABASE, "TableName": TABLE}
        retention = {
            "MemoryStoreRetentionPeriodInHours": 12,
            "MagneticStoreRetentionPeriodInDays": 7,
        }
        self.rejects([old()], {0: "outside the time range"})
        self.client.update_table(**names, RetentionProperties=retention)
        self.write([old()])

    # Signatures and faults.

    def check_signatures_are_verified(self):
        wrong = self.new_client(aws_secret_access_key="wrong")
        call = lambda: self.write([self.record()], client=wrong)
        self.fails("InvalidSignatureException", 403, call)
        unsigned = botocore.config.Config(signature_version=botocore.UNSIGNED)
        nobody = self.new_client(config=self.client.meta.config.merge(unsigned))
        call = lambda: self.write([self.record()], client=nobody)
        self.fails("MissingAuthenticationTokenException", 403, call)

    def check_answers_of_faults_are_parsed(self):
        cases = [
            ({"throttle_percent": 100}, "ThrottlingException", 429),
            ({"fail_percent": 100}, "InternalServerException", 500),
            ({"deny": True}, "AccessDeniedException", 403),
            ({"invalid_endpoint": True}, "InvalidEndpointException", 421),
        ]
        before = self.last_seq()
        for faults, code, status in cases:
            self.faults(**faults)
            self.fails(code, status, lambda: self.write([self.record()]))
        expect(self.last_seq() == before, "a refused call stored something")
        self.faults()
        self.write([self.record()])

    def check_a_cut_connection_is_seen_and_a_retry_repairs_it(self):
        for fault, stored in (("cut_percent", 0), ("cut_after_apply_percent", 1)):
            before = self.last_seq()
            record = self.record()
            self.faults(**{fault: 100})
            try:
                answer = self.write([record])
            except botocore.exceptions.HTTPClientError:
                pass
            else:
                raise Surprise(f"{fault}: there was an answer: {answer}")
            expect(len(self.rows(before)) == stored, f"{fault}: wrong number of rows")
            self.faults()
            self.write([record])
            expect(len(self.rows(before)) == 1, f"{fault}: the retry lost or doubled the record")

    def check_down_ends_by_itself(self):
        self.faults(down_ms=700)
        try:
            self.write([self.record()])
            raise Surprise("there was an answer while down")
        except botocore.exceptions.HTTPClientError:
            pass
        time.sleep(0.8)
        self.write([self.record()])

    def check_latency_is_kept(self):
        self.faults(latency_ms=300)
        start = time.monotonic()
        self.write([self.record()])
        elapsed = time.monotonic() - start
        self.faults()
        expect(0.3 <= elapsed < 5, f"{elapsed} s")

    def check_many_faulty_writers_lose_nothing(self):
        """Four writers with boto3's own retries, against throttling, errors and cut connections."""
        retries = botocore.config.Config(retries={"total_max_attempts": 30, "mode": "standard"})
        config = self.client.meta.config.merge(retries)
        before, stats = self.last_seq(), self.stats()
        problems = []
        batches = [[self.record() for _ in range(100)] for _ in range(20)]

        def writer(client, share):
            for batch in share:
                for _ in range(30):
                    try:
                        self.write(batch, client=client)
                        break
                    except botocore.exceptions.HTTPClientError:
                        continue
                    except Exception as error:  # handed to the main thread
                        problems.append(error)
                        return

        self.faults(throttle_percent=5, fail_percent=5, cut_percent=5, cut_after_apply_percent=10)
        clients = [self.new_client(config=config) for _ in range(4)]
        threads = [
            threading.Thread(target=writer, args=(client, batches[i::4]))
            for i, client in enumerate(clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.faults()
        expect(not problems, problems)
        expect(len(self.rows(before)) == 2000, "rows were lost or doubled")
        after = self.stats()
        grown = lambda key: after[key] - stats[key]
        expect(grown("records_stored") == 2000, after)
        parts = ("records_stored", "records_upserted", "records_repeated", "records_rejected")
        expect(grown("records_received") == sum(map(grown, parts)), after)

    # Reading.

    def check_rows_are_read_in_every_way(self):
        csv = self.control("GET", "/rows.csv").splitlines()
        rows = self.rows()
        expect(len(csv) == len(rows) + 1, f"{len(csv)} lines of CSV, {len(rows)} rows")
        vus = self.control("GET", "/rows?measure=vus").splitlines()
        expect(len(vus) == 1, vus)
        summary = json.loads(self.control("GET", "/summary"))
        counts = collections.Counter(row["measure_name"] for row in rows)
        got = {name: count["rows"] for name, count in summary["measures"].items()}
        expect(got == dict(counts), f"{got} and {counts}")
        self.control("DELETE", f"/rows?table={DATABASE}.{TABLE}")
        expect(self.rows() == [], "rows are left")

    def check_a_table_takes_128_dimensions_over_its_life(self):
        known = json.loads(self.control("GET", "/control/tables"))[0]["dimensions"]
        fresh = [f"d{i}" for i in range(129 - len(known))]
        records = [self.record(Dimensions=[{"Name": name, "Value": "1"}]) for name in fresh]
        expect(len(records) > 100, f"too many dimensions are known already: {known}")
        self.write(records[:100])
        self.rejects(records[100:], {len(records) - 101: "128 dimensions"})

    def check_tables_and_databases_are_deleted(self):
        names = {"DatabaseName": DATABASE, "TableName": TABLE}
        call = lambda: self.client.delete_database(DatabaseName=DATABASE)
        self.fails("ValidationException", 400, call)
        self.client.delete_table(**names)
        self.fails("ResourceNotFoundException", 404, lambda: self.write([self.record()]))
        self.client.delete_database(DatabaseName=DATABASE)
        expect(self.client.list_databases()["Databases"] == [], "a database is left")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--access-key", default="AKIDCHECK")
    parser.add_argument("--secret-key", required=True)
    check = Check(parser.parse_args())
    names = [name for name in vars(Check) if name.startswith("check_")]
    passed = failed = 0
    for name in names:
        title = name.removeprefix("check_").replace("_", " ")
        try:
            getattr(check, name)()
        except Exception as error:  # a surprise of any kind ends the check
            print(f"FAIL {title}: {type(error).__name__}: {error}")
            failed += 1
            break
        print(f"ok   {title}")
        passed += 1
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
