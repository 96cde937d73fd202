#!/usr/bin/env python3
"""Print the signature that botocore gives the fixed request of the unit test in src/sigv4.rs."""

import datetime
from unittest import mock

from botocore import auth, awsrequest, credentials

NOW = datetime.datetime(2015, 8, 30, 12, 36, 0, tzinfo=datetime.timezone.utc)


def main():
    request = awsrequest.AWSRequest(
        method="POST",
        url="http://127.0.0.1:8000/",
        headers={
            "Content-Type": "application/x-amz-json-1.0",
            "Host": "127.0.0.1:8000",
            "X-Amz-Target": "Timestream_20181101.ListDatabases",
        },
        data=b"{}",
    )
    signer = auth.SigV4Auth(
        credentials.Credentials("AKIDEXAMPLE", "SECRETEXAMPLE"), "timestream", "us-east-1"
    )
    with mock.patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        signer.add_auth(request)
    print(request.headers["Authorization"])


if __name__ == "__main__":
    main()
