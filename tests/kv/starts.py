#!/usr/bin/env python3
"""What kv says where it can't start: one line that names what is wrong, at once, and a status that says so."""

import contextlib
import socket

from _kv import Program, backends, check


@contextlib.contextmanager
def taken_port():
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def ends_with(what, *options):
    """The line that says it, on each shard that runs into it at most once; and no second try."""
    with Program("kv", *options) as program:
        status = program.wait()
        check(status == 1, options, "exit status", status)
        lines = program.matches(what)
        check(0 < len(lines) <= 2, options, "said", what, len(lines), "times")


def run():
    for backend in backends():
        with taken_port() as port:
            for shards in (1, 2):
                common = ("--backend", backend, "--shards", shards)
                ends_with("cannot listen on", *common, "--port", port)
                ends_with("cannot listen on", *common, "--port", 0, "--metrics", f"127.0.0.1:{port}")


if __name__ == "__main__":
    run()
