"""The client that boto3_check.py checks a stand-in with: boto3, and the stand-in's own side."""

import json
import time
import urllib.request

import boto3
import botocore.config
import botocore.exceptions

DATABASE, TABLE = "check", "samples"
SECOND_NS = 1_000_000_000


class Surprise(Exception):
    """The stand-in did not answer as Amazon Timestream is documented to."""


def expect(condition, text):
    if not condition:
        raise Surprise(text)


class Client:
    """Calls, and what is expected of their answers."""

    def __init__(self, arguments):
        self.endpoint = arguments.endpoint.rstrip("/")
        self.arguments = arguments
        self.client = self.new_client()
        self.base_ns = time.time_ns() - 3600 * SECOND_NS
        self.used = 0

    def new_client(self, **overrides):
        settings = {
            "endpoint_url": self.endpoint,
            "region_name": "eu-west-1",
            "aws_access_key_id": self.arguments.access_key,
            "aws_secret_access_key": self.arguments.secret_key,
            "config": botocore.config.Config(
                retries={"total_max_attempts": 1, "mode": "standard"},
                # The server's own checks are under test, not botocore's.
                parameter_validation=False,
                connect_timeout=5,
                read_timeout=20,
            ),
        }
        return boto3.client("timestream-write", **{**settings, **overrides})

    def record(self, **changes):
        """A good record with a time of its own; a change to None leaves the field out."""
        self.used += 1
        record = {
            "Dimensions": [{"Name": "instance_id", "Value": "1"}],
            "MeasureName": "http_reqs",
            "MeasureValue": "1",
            "MeasureValueType": "DOUBLE",
            "Time": str(self.base_ns + self.used),
            "TimeUnit": "NANOSECONDS",
        }
        record.update(changes)
        return {key: value for key, value in record.items() if value is not None}

    def write(self, records, client=None, **more):
        names = {"DatabaseName": DATABASE, "TableName": TABLE}
        return (client or self.client).write_records(**{**names, "Records": records, **more})

    def fails(self, code, status, call):
        """Call and expect this error; returns what botocore parsed."""
        try:
            answer = call()
        except botocore.exceptions.ClientError as error:
            response = error.response
            got = (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"])
            expect(got == (code, status), f"wanted {code} {status}, got {response}")
            expect(response["Error"]["Message"] != "", f"{code} came without a message")
            return error
        raise Surprise(f"wanted {code} {status}, got {answer}")

    def rejects(self, records, wanted, **more):
        """Write and expect exactly these places rejected: {index: part of the reason}."""
        call = lambda: self.write(records, **more)
        error = self.fails("RejectedRecordsException", 419, call)
        expect(
            isinstance(error, self.client.exceptions.RejectedRecordsException),
            "botocore does not know the error as the model's exception",
        )
        rejected = {entry["RecordIndex"]: entry for entry in error.response["RejectedRecords"]}
        expect(set(rejected) == set(wanted), f"wanted {wanted}, got {rejected}")
        for index, part in wanted.items():
            expect(part in rejected[index]["Reason"], f"{part!r} is not in {rejected[index]}")
        return rejected

    def invalid(self, records, **more):
        return self.fails("ValidationException", 400, lambda: self.write(records, **more))

    def control(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.endpoint + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.read().decode()

    def faults(self, **faults):
        self.control("PUT", "/control/faults", faults)

    def stats(self):
        return json.loads(self.control("GET", "/stats"))

    def rows(self, since=0):
        text = self.control("GET", f"/rows?table={DATABASE}.{TABLE}&since={since}")
        return [json.loads(line) for line in text.splitlines()]

    def last_seq(self):
        tables = json.loads(self.control("GET", "/control/tables"))
        return next(t["seq"] for t in tables if t["table"] == f"{DATABASE}.{TABLE}")
