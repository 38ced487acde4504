#!/usr/bin/env python3
# ctest: not under address
"""Neither example asks the system for memory once it runs: strace sees no brk, mmap, mremap or munmap under load."""

import contextlib
import pathlib
import re
import socket
import subprocess
import tempfile

from _echo import Program, check, dial, echo, echo_all, pattern, reset, run_each, run_once

CALLS = r"\b(brk|mmap|mremap|munmap)\("


def can_trace():
    with tempfile.NamedTemporaryFile() as file:
        command = ["strace", "-D", "-o", file.name, "true"]
        with contextlib.suppress(FileNotFoundError):
            return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    return False


@contextlib.contextmanager
def traced(name, *options):
    """The program, and where its trace is written. The tracer is no parent of it, so that signals reach it directly."""
    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder) / "trace"
        before = ("strace", "-D", "-f", "-s", "200", "-e", "trace=brk,mmap,mremap,munmap,write", "-o", str(trace))
        with Program(name, *options, before=before) as program:
            yield program, trace


def calls_between(trace, start, end):
    """The lines of the trace from the first that has start to the first after it that has end."""
    lines = trace.read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if start in line)
    last = next(i for i, line in enumerate(lines[first:], first) if end in line)
    return [line for line in lines[first:last] if re.search(CALLS, line)]


def load(program):
    """Echoes of all sizes, many at once, half-closes, resets and refusals."""
    port = int(program.wait_for(r"listening on .*:(\d+)")[1])
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(dial(port, i)) for i in range(100)]
        echo_all([(peer, pattern(i, 20_000)) for i, peer in enumerate(peers)])
        echo(peers[0], pattern(1, 1 << 20))
        for i in range(50):
            reset(peers[i])
        for peer in peers[50:]:
            peer.shutdown(socket.SHUT_WR)
            check(peer.recv(1) == b"", "bytes after the end")
    for i in range(300):
        dial(port, i).close()
    with contextlib.ExitStack() as stack:
        for i in range(150):
            stack.enter_context(dial(port, i))
        program.wait_for("refused")


def echo_server(backend):
    with traced("tcp_echo", "--serve", "--backend", backend, "--connections", 64) as (program, trace):
        load(program)
        check(program.stop() == 0, "exit status", program.process.returncode)
        seen = calls_between(trace, "listening on", "SIGTERM")
        check(not seen, "\n".join(seen))


def echo_with_clients(backend):
    with traced("tcp_echo", "--backend", backend, "--crash-after", 1, "--fault", "segv") as (program, trace):
        program.wait_for("is quarantined")
        check(program.stop() == 0, "exit status", program.process.returncode)
        seen = calls_between(trace, "listening on", "SIGTERM")
        check(not seen, "\n".join(seen))


def dispatcher():
    with traced("task_dispatcher") as (program, trace):
        program.wait_for("is lost with worker", count=3)
        check(program.stop() == 0, "exit status", program.process.returncode)
        seen = calls_between(trace, "job 1 waits", "SIGTERM")
        check(not seen, "\n".join(seen))


def alarm_rings():
    """Boot does ask for memory, and the trace shows it."""
    with traced("task_dispatcher") as (program, trace):
        program.wait_for("job 1 waits")
        check(program.stop() == 0, "exit status", program.process.returncode)
        check(calls_between(trace, "brk(", "job 1 waits"), "no memory for the boot")


if __name__ == "__main__":
    if can_trace():
        run_each(echo_server, echo_with_clients)
        run_once(dispatcher, alarm_rings)
    else:
        print("skipped: strace can't trace here")
