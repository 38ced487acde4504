#!/usr/bin/env python3
# ctest: alone
# ctest: not under address
"""A thousand idle connections over two shards cost nothing for ten seconds, and a message still wakes each of them."""

import contextlib
import pathlib
import time

from _echo import Server, check, dial, echo, run_each

CONNECTIONS = 1000
SECONDS = 10
LIMIT_NS = SECONDS * 1_000_000_000 // 200  # half a percent of a core


def cpu_ns(process):
    """What its threads have used, of the scheduler's own account."""
    tasks = pathlib.Path(f"/proc/{process.pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks)


def idle_costs_nothing(backend):
    with Server("--backend", backend, "--shards", 2) as server, contextlib.ExitStack() as stack:
        peers = [stack.enter_context(dial(server.port, i)) for i in range(CONNECTIONS)]
        for peer in peers:
            echo(peer, b"here")
        time.sleep(0.2)  # the spinning before the sleep belongs to the work
        before = cpu_ns(server.process)
        check(before > 0, "the scheduler keeps no account")
        time.sleep(SECONDS)
        used = cpu_ns(server.process) - before
        for peer in peers:
            echo(peer, b"awake?")
        server.stop_clean()
        print(f"soak: {backend}: {CONNECTIONS} idle connections used {used / 1e6:.3f} ms in {SECONDS} s")
        check(used < LIMIT_NS, used, "ns of", LIMIT_NS)


if __name__ == "__main__":
    run_each(idle_costs_nothing)
