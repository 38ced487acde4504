#!/usr/bin/env python3
# ctest: not under address
"""With --fsync always, a write is in the file, and the file is synced, before the write is acknowledged.

strace shows the system calls of the epoll backend. A ring's operations are no system calls; they show in the kernel's
trace events, which perf reads where it may.
"""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
from typing import NamedTuple

from _kv import PATIENCE, Ended, Error, Kv, Talk, at_once, backends, check, folder, wait_until
from examples_memory import can_trace

CALLS = "fsync,fdatasync,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,read,readv,recvfrom,recvmsg"
CLIENTS, WRITES_OF_EACH = 12, 20
RING_WRITES = 50


# ---- What strace saw ----

class Call(NamedTuple):
    """begin and end: numbers of lines, so that one call is over before another begins if its end is the smaller."""
    begin: int
    end: int
    name: str
    descriptor: str  # with what strace says of it: 7</path>, 9<socket:[123]>
    arguments: str
    result: str


def calls_of(trace):
    """In the order of their ends."""
    open_calls, calls = {}, []
    for number, line in enumerate(trace.read_text(encoding="latin-1").splitlines()):
        thread, _, text = line.partition(" ")
        text = text.strip()
        begin = number
        if text.endswith("<unfinished ...>"):
            open_calls[thread] = number, text[:-len("<unfinished ...>")]
            continue
        if resumed := re.match(r"<\.\.\. \w+ resumed>", text):
            begin, start = open_calls.pop(thread)
            text = start + text[resumed.end():]
        if found := re.match(r"(\w+)\((\d+<[^>]*>)(.*) = (-?\d+[^=]*)$", text):
            name, descriptor, arguments, result = found.groups()
            calls.append(Call(begin, number, name, descriptor, arguments, result.split()[0]))
    return calls


@contextlib.contextmanager
def traced(place, *options, wishes=()):
    """kv on epoll, and where its trace is written. The tracer is no parent of it, so that signals reach it directly."""
    with tempfile.TemporaryDirectory() as name:
        trace = pathlib.Path(name) / "trace"
        before = ("strace", "-D", "-f", "-y", "-s", "100000", "-e", f"trace={CALLS}", *wishes, "-o", str(trace))
        with Kv(place, "--backend", "epoll", *options, before=before) as server:
            yield server, trace


def is_sync_of(call, file):
    return call.name in ("fsync", "fdatasync") and call.descriptor == file and call.result == "0"


def is_write_of(call, place, token):
    return "write" in call.name and f"<{place}" in call.descriptor and token in call.arguments


def look_at(calls, place, token):
    """Received, written, synced, acknowledged: each after the one before."""
    received = next((call for call in calls if call.name.startswith(("re", "recv")) and token in call.arguments), None)
    check(received, "nobody saw", token, "come in")
    sent = next((call for call in calls if call.name.startswith(("send", "write")) and call.begin > received.end
                 and call.descriptor == received.descriptor), None)
    check(sent and "+OK" in sent.arguments, token, "was not acknowledged, but", sent)
    written = [call for call in calls if is_write_of(call, place, token)]
    check(written, token, "is in no file")
    check(any(one.end < sync.begin and sync.end < sent.begin and is_sync_of(sync, one.descriptor)
              for one in written for sync in calls), token, "was acknowledged before a sync:", received, *written, sent)


def write_each(server, number):
    with Talk(server, number) as talk:
        for i in range(WRITES_OF_EACH):
            check(talk.ask("SET", f"key-{number}-{i}", f"token-{number}-{i}-") == b"OK", "SET")


def each_write_is_synced_first(shards):
    with folder() as place:
        with traced(place, "--fsync", "always", "--shards", shards) as (server, trace):
            at_once(*(lambda number=number: write_each(server, number) for number in range(CLIENTS)))
            check(server.stop() == 0, "exit status", server.process.returncode)
            calls = calls_of(trace)
        for number in range(CLIENTS):
            for i in range(WRITES_OF_EACH):
                look_at(calls, place, f"token-{number}-{i}-")
    print(f"{CLIENTS * WRITES_OF_EACH} writes, {sum(call.name in ('fsync', 'fdatasync') for call in calls)} syncs")


def alarm_rings():
    """With --fsync never there is no sync before an acknowledgement, and the look says so."""
    with folder() as place:
        with traced(place, "--fsync", "never") as (server, trace):
            write_each(server, 0)
            check(server.stop() == 0, "exit status", server.process.returncode)
            calls = calls_of(trace)
        try:
            look_at(calls, place, "token-0-0-")
        except AssertionError:
            return
        check(False, "the look sees a sync where there is none")


def once_a_second():
    """With --fsync second, what was written is synced, though nobody writes any more."""
    with folder() as place, traced(place, "--fsync", "second") as (server, trace):
        write_each(server, 0)

        def is_synced():
            calls = calls_of(trace)
            written = [call for call in calls if is_write_of(call, place, f"token-0-{WRITES_OF_EACH - 1}-")]
            return any(one.end < sync.begin and is_sync_of(sync, one.descriptor) for one in written for sync in calls)

        wait_until(is_synced, "the file is synced")
        check(server.stop() == 0, "exit status", server.process.returncode)


def a_sync_that_fails_acknowledges_nothing():
    """The disk fails from some sync on: no write is acknowledged from there on, and those before are there later."""
    with folder() as place:
        wishes = ("-e", "inject=fsync,fdatasync:error=EIO:when=20+")
        acked = []
        with traced(place, "--fsync", "always", "--shards", 1, wishes=wishes) as (server, trace):
            with contextlib.suppress(Ended, ConnectionError), Talk(server) as talk:
                for i in range(200):
                    try:
                        talk.ask("SET", f"key-{i}", f"token-{i}-")
                        acked.append(i)
                    except Error as error:
                        print(f"write {i}: {error}")
                        break
            check(len(acked) < 200, "all writes were acknowledged, though no sync went well")
            calls = calls_of(trace)
            for i in acked:
                look_at(calls, place, f"token-{i}-")
        with Kv(place) as server, Talk(server) as talk:
            for i in acked:
                check(talk.ask("GET", f"key-{i}") == b"token-%d-" % i, "write", i, "was acknowledged and is lost")


# ---- What a ring did ----

class Event(NamedTuple):
    is_end: bool
    request: str  # its user data
    operation: str  # at its beginning
    result: int  # at its end


def events_of(record):
    done = subprocess.run(["perf", "script", "-i", str(record), "-F", "trace:event,trace"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    for line in done.stdout.splitlines():
        data = re.search(r"user_data (0x[0-9a-f]+)", line)
        if "io_uring_submit_req" in line:
            yield Event(False, data[1], re.search(r"opcode (\w+)", line)[1], 0)
        elif "io_uring_complete" in line:
            yield Event(True, data[1], "", int(re.search(r"result (-?\d+)", line)[1]))


@contextlib.contextmanager
def recorded(pid, record):
    """perf, which writes down what the rings of a process are asked, and what comes of it, from here on."""
    control, answer = (f"{record}.{name}" for name in ("control", "answer"))
    os.mkfifo(control)
    os.mkfifo(answer)
    command = ["perf", "record", "-q", "-D", "-1", f"--control=fifo:{control},{answer}", "-e",
               "io_uring:io_uring_submit_req,io_uring:io_uring_complete", "-p", str(pid), "-o", str(record)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as perf:
        try:
            with open(control, "w", encoding="ascii") as orders, open(answer, encoding="ascii") as answers:
                orders.write("enable\n")
                orders.flush()
                answers.readline()
                yield
        finally:
            perf.send_signal(signal.SIGINT)
            perf.wait(30 * PATIENCE)


def can_record():
    if not shutil.which("perf"):
        return False
    with tempfile.TemporaryDirectory() as name:
        command = ["perf", "record", "-q", "-e", "io_uring:io_uring_submit_req", "-o", f"{name}/record", "true"]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


def look_at_ring(events):
    """Of one client that waits for each answer: between two sends a write and then a sync come to a good end."""
    begun, acknowledged, written, synced = {}, 0, False, False
    for event in events:
        if not event.is_end:
            begun[event.request] = event.operation, written
            if event.operation.startswith("SEND"):
                check(written and synced, "a send before a write and its sync, the", acknowledged, "th")
                written, synced, acknowledged = False, False, acknowledged + 1
            continue
        operation, was_written = begun.get(event.request, ("", False))
        if operation.startswith("WRITE"):
            check(event.result > 0, "a write's result is", event.result)
            written = True
        if operation == "FSYNC":
            check(event.result == 0, "a sync's result is", event.result)
            synced = was_written
    return acknowledged


def a_ring_syncs_first():
    with folder() as place, tempfile.TemporaryDirectory() as name:
        record = pathlib.Path(name) / "record"
        with Kv(place, "--backend", "uring", "--fsync", "always", "--shards", 1) as server:
            with Talk(server) as talk:
                talk.ask("PING")
                with recorded(server.process.pid, record):
                    for i in range(RING_WRITES):
                        talk.ask("SET", "k", i)
                    talk.ask("DEL", "k")
            check(server.stop() == 0, "exit status", server.process.returncode)
        seen = look_at_ring(events_of(record))
    check(seen == RING_WRITES + 1, "acknowledgements seen:", seen)
    print(f"a ring synced before each of {seen} acknowledgements")


if __name__ == "__main__":
    if can_trace():
        for count in (1, 2):
            each_write_is_synced_first(count)
        alarm_rings()
        once_a_second()
        a_sync_that_fails_acknowledges_nothing()
    else:
        print("skipped: strace can't trace here")
    if "uring" not in backends():
        pass
    elif can_record():
        a_ring_syncs_first()
    else:
        print("skipped: perf can't read the kernel's trace events here")
