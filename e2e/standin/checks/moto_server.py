#!/usr/bin/env python3
"""Serve moto on a free loopback port, with one Timestream table in it, until SIGTERM.

Prints the port on its first line once the table is there.
"""

import argparse
import logging
import os
import signal
import threading

import boto3
from moto.server import ThreadedMotoServer


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", default="k6.samples", metavar="DATABASE.TABLE")
    parser.add_argument("--port-file", help="write the port to this file as well")
    arguments = parser.parse_args()
    database, _, table = arguments.table.partition(".")

    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()

    client = boto3.client(
        "timestream-write",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_database(DatabaseName=database)
    client.create_table(DatabaseName=database, TableName=table)
    if arguments.port_file:
        part = arguments.port_file + ".part"
        with open(part, "w", encoding="ascii") as file:
            print(port, file=file)
        os.replace(part, arguments.port_file)
    print(port, flush=True)
    stopped.wait()
    server.stop()


if __name__ == "__main__":
    main()
