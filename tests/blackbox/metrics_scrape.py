#!/usr/bin/env python3
"""The metrics of tcp_echo, as operators ask for them: by curl, by nc, by Prometheus's own parser, idle and under load,
beside slow scrapers, and on while a shard is quarantined."""

import contextlib
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.request

from _echo import PATIENCE, Program, Server, at_once, check, dial, echo, pattern, run_each

SAMPLE = re.compile(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$")


def address_of(program):
    return program.wait_for(r"metrics at (http://[^ ]+/metrics)")[1]


def port_of(address):
    return int(re.search(r":(\d+)/", address)[1])


@contextlib.contextmanager
def held_port():
    """A port that is shared with the metrics' listeners alone: nobody who asks for any is given it."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def scrape(address):
    with urllib.request.urlopen(address, timeout=30 * PATIENCE) as answer:
        check(answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8", answer.headers)
        return answer.read().decode()


def samples(text):
    """{name: {labels: value}}"""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            matched = SAMPLE.match(line)
            check(matched, "no sample:", line)
            found.setdefault(matched[1], {})[matched[2]] = float(matched[3])
    return found


def total(found, name, **labels):
    """The sum over all samples with these labels."""
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(value for text, value in found[name].items() if all(each in text for each in wanted))


def check_with_promtool(text):
    if shutil.which("promtool") is None:
        print("skipped: promtool, which is not installed")
        return
    done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True, check=False)
    check(done.returncode == 0 and not done.stdout + done.stderr, "promtool says:", done.stdout, done.stderr)


def prometheus_accepts_them(backend):
    with Server("--backend", backend, "--metrics", "127.0.0.1:0") as server:
        address = address_of(server)
        with dial(server.port) as peer:
            echo(peer, pattern(1, 100_000))
        text = scrape(address)
        check_with_promtool(text)
        found = samples(text)
        check(total(found, "tina_io_received_bytes_total") >= 100_000, found["tina_io_received_bytes_total"])
        check(total(found, "tina_type_spawns_total", type="connection") == 1, found["tina_type_spawns_total"])
        check(total(found, "tina_shard_state", state="running") == 2, found["tina_shard_state"])
        server.stop_clean()


def curl_and_nc_get_them(backend):
    with Server("--backend", backend, "--metrics", "127.0.0.1:0") as server:
        address = address_of(server)
        told = subprocess.run(["curl", "-sSf", address, address + "?again"], text=True, capture_output=True, check=True)
        check(told.stdout.count("# HELP tina_info ") == 2, "curl got", told.stdout[:200])
        old = subprocess.run(["curl", "-sSf", "--http1.0", address], text=True, capture_output=True, check=True)
        samples(old.stdout)
        half = subprocess.run(["nc", "-N", "127.0.0.1", str(port_of(address))], input="GET /metrics HTTP/1.1\r\nHo",
                              text=True, capture_output=True, check=True, timeout=30 * PATIENCE)
        check(half.stdout == "", "an answer to half a request:", half.stdout)
        server.stop_clean()


def they_add_up_under_load(backend):
    """Counters only grow, and in the end they are what was done."""
    with Server("--backend", backend, "--metrics", "127.0.0.1:0", "--connections", 64) as server:
        address = address_of(server)
        is_over = threading.Event()
        data = pattern(2, 300_000)

        def load(index):
            with dial(server.port, index) as peer:
                for _ in range(20):
                    echo(peer, data)

        def watch():
            before = {}
            while not is_over.is_set():
                found = samples(scrape(address))
                for name in (name for name in found if name.endswith(("_total", "_bucket", "_count", "_sum"))):
                    for labels, value in found[name].items():
                        check(value >= before.get((name, labels), 0), name, labels, "went back to", value)
                        before[name, labels] = value

        watcher = threading.Thread(target=lambda: outcome.append(watch()))
        outcome = []
        watcher.start()
        at_once(*(lambda i=i: load(i) for i in range(8)))
        is_over.set()
        watcher.join()
        check(outcome == [None], "the watcher failed")
        text = scrape(address)
        check_with_promtool(text)
        found = samples(text)
        for name in ("tina_io_received_bytes_total", "tina_io_sent_bytes_total"):
            check(total(found, name) >= 8 * 20 * len(data), name, found[name])
        for labels, value in found["tina_type_handler_seconds_count"].items():
            infinite = found["tina_type_handler_seconds_bucket"][f'{labels},le="+Inf"']
            check(value == infinite, labels, value, infinite)
        server.stop_clean()


def slow_scrapers_hold_nobody_up(backend):
    """More of them than there are places, each with a byte now and then."""
    with Server("--backend", backend, "--metrics", "127.0.0.1:0", "--shards", 1) as server, contextlib.ExitStack() as stack:
        address = address_of(server)
        slow = [stack.enter_context(dial(port_of(address), i)) for i in range(30)]
        is_over = threading.Event()

        def trickle():
            for byte in b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 1000:
                for peer in slow:
                    with contextlib.suppress(OSError):
                        peer.send(bytes([byte]))
                if is_over.wait(0.05):
                    return

        trickler = threading.Thread(target=trickle)
        trickler.start()
        for _ in range(3):
            samples(scrape(address))
        with dial(server.port) as peer:
            echo(peer, b"and the server goes on")
        is_over.set()
        trickler.join()
        for peer in slow:
            peer.close()
        server.stop_clean()


def they_tell_of_a_quarantine(backend):
    """The chaos client's shard goes down; the metrics of the other one say so, at the same address."""
    with held_port() as port, \
            Program("tcp_echo", "--backend", backend, "--metrics", f"127.0.0.1:{port}", "--crash-after", 1, "--restart-max",
                    1, "--shard-restart-max", 1, "--quiet", "--stats") as program:
        address = address_of(program)
        program.wait_for("quarantine", bound_s=60)
        deadline = time.monotonic() + 30 * PATIENCE
        while True:
            found = samples(scrape(address))
            if found["tina_shard_state"]['shard="1",state="quarantined"'] == 1:
                break
            check(time.monotonic() < deadline, "never told of it")
        check(found["tina_shard_restarts_total"]['shard="1"'] >= 1, found["tina_shard_restarts_total"])
        check(total(found, "tina_type_crashes_total", type="chaos client") >= 2, found["tina_type_crashes_total"])
        program.stop()


if __name__ == "__main__":
    run_each(prometheus_accepts_them, curl_and_nc_get_them, they_add_up_under_load, slow_scrapers_hold_nobody_up,
             they_tell_of_a_quarantine)
