#!/usr/bin/env python3
"""Check the plain HTTP side of both servers: the load target, bad input, limits, the control page."""

import argparse
import concurrent.futures
import http.client
import json
import socket
import sys
import time
import urllib.parse


class Surprise(Exception):
    """A server did not do what it says."""


def expect(got, wanted, text):
    if got != wanted:
        raise Surprise(f"{text}: {got!r} instead of {wanted!r}")


class Check:
    """The checks; each method that starts with `check_` is one, in this order."""

    def __init__(self, standin, target):
        self.standin = urllib.parse.urlsplit(standin)
        self.target = urllib.parse.urlsplit(target)

    def send(self, server, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(server.hostname, server.port, timeout=20)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def raw(self, server, data):
        """What the server answers to these bytes, until it closes or two seconds are over."""
        with socket.create_connection((server.hostname, server.port), timeout=2) as stream:
            stream.sendall(data)
            stream.shutdown(socket.SHUT_WR)
            answer = b""
            try:
                while chunk := stream.recv(65536):
                    answer += chunk
            except TimeoutError:
                pass
            return answer

    def check_the_target_answers(self):
        cases = [
            ("GET", "/", None, 200, "weir\n"),
            ("GET", "/healthz", None, 200, "ok\n"),
            ("GET", "/status/503", None, 503, "503\n"),
            ("GET", "/status/42", None, 400, None),
            ("GET", "/status/abc", None, 400, None),
            ("GET", "/delay/x", None, 400, None),
            ("GET", "/delay/60001", None, 400, None),
            ("POST", "/echo", "hello", 200, "hello"),
            ("POST", "/echo", "x" * (1 << 20), 200, "x" * (1 << 20)),
            ("POST", "/echo", "x" * ((1 << 20) + 1), 413, None),
            ("POST", "/count/", None, 400, None),
            ("POST", "/count/" + "n" * 101, None, 400, None),
            ("GET", "/nothing", None, 404, None),
        ]
        for method, path, body, status, text in cases:
            got = self.send(self.target, method, path, body)
            expect(got[0], status, f"{method} {path[:40]}")
            if text is not None and got[1] != text:
                raise Surprise(f"{method} {path[:40]}: {got[1][:40]!r}")

    def check_a_delay_is_kept(self):
        start = time.monotonic()
        expect(self.send(self.target, "GET", "/delay/250")[0], 200, "delay")
        if not 0.25 <= time.monotonic() - start < 5:
            raise Surprise(f"a delay of 250 ms took {time.monotonic() - start} s")

    def check_counters_count_concurrent_requests(self):
        self.send(self.target, "DELETE", "/counts")
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            calls = [pool.submit(self.send, self.target, "POST", "/count/setup") for _ in range(200)]
            values = sorted(int(call.result()[1]) for call in calls)
        expect(values, list(range(1, 201)), "values of a counter")
        expect(json.loads(self.send(self.target, "GET", "/counts")[1]), {"setup": 200}, "counts")

    def check_bad_input_is_survived(self):
        for server in (self.target, self.standin):
            for data in (b"\0\1\2\3\r\n\r\n", b"GET /\r\n", b"POST / HTTP/1.1\r\nHost: a\r\n"
                         b"Content-Length: 99999999999\r\n\r\n", b"x" * 100_000):
                self.raw(server, data)
            expect(self.send(server, "GET", "/healthz"), (200, "ok\n"), "health after bad input")

    def check_bad_calls_are_refused(self):
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        zeros = "0" * 64
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": "Timestream_20181101.WriteRecords",
            "X-Amz-Date": date,
            "Authorization": f"AWS4-HMAC-SHA256 Credential=A/{date[:8]}/eu-west-1/timestream/"
            f"aws4_request, SignedHeaders=host;x-amz-date;x-amz-target, Signature={zeros}",
        }
        huge = "[" * 5_000_000
        for body, status in (("", 400), ("[]", 400), ('{"Records": 1}', 400), ("[" * 9999, 400),
                             ('{"DatabaseName": "a", "TableName": "b"}', 400)):
            expect(self.send(self.standin, "POST", "/", body, headers)[0], status, body[:40])
        expect(self.send(self.standin, "POST", "/", huge, headers)[0], 413, "5 MB")
        for change, status in (
            ({"X-Amz-Target": "Timestream_20181101.Query"}, 404),
            ({"X-Amz-Target": "Other.WriteRecords"}, 404),
            ({"Content-Type": "application/json"}, 404),
            ({"Authorization": "nonsense"}, 403),
        ):
            got = self.send(self.standin, "POST", "/", "{}", {**headers, **change})
            expect(got[0], status, str(change))

    def check_the_control_page_refuses_nonsense(self):
        cases = [
            ("PUT", "/control/faults", '{"throttle_percent": 101}', 400),
            ("PUT", "/control/faults", '{"unknown": 1}', 400),
            ("PUT", "/control/faults", "{", 400),
            ("PUT", "/control/faults", '{"seed": 9}', 200),
            ("GET", "/control/faults", None, 200),
            ("DELETE", "/control/faults", None, 200),
            ("GET", "/rows?table=none.here", None, 404),
            ("GET", "/rows?table=nodot", None, 400),
            ("GET", "/rows?since=x", None, 400),
            ("GET", "/rows?since=18446744073709551615", None, 200),
            ("GET", "/control/tables", None, 200),
            ("GET", "/stats", None, 200),
            ("GET", "/nothing", None, 404),
        ]
        for method, path, body, status in cases:
            expect(self.send(self.standin, method, path, body)[0], status, f"{method} {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--standin", required=True, help="a stand-in without --secret-key")
    parser.add_argument("--target", required=True)
    arguments = parser.parse_args()
    check = Check(arguments.standin, arguments.target)
    passed = failed = 0
    for name in [name for name in vars(Check) if name.startswith("check_")]:
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
