#!/usr/bin/env python3
"""Whatever a handler dies of, it costs that isolate alone: it comes back, and the others go on."""

import os
import platform
from functools import partial

from _echo import Program, at_once, check, run_each, run_once

DIVISION = "SIGFPE" if platform.machine() in ("x86_64", "i686") else "SIG(TRAP|ILL)"

# What --fault takes, and what the log says of it.
FAULTS = {
    "crash": "crashed, reason 42",
    "segv": r"faulted: SIGSEGV at 0\b",
    "stack": r"faulted: SIG(SEGV|BUS) at 0x",
    "div": f"faulted: {DIVISION}",
    "loop": "faulted: killed by the watchdog",
    "abort": "faulted: abort",
    "memcpy": r"faulted: SIGSEGV at 0\b",
}
ENDS = {"crash": "it crashed", "loop": "it was killed"}  # as a watcher sees it; all others: it faulted

if "thread" in os.environ.get("TINA_SANITIZE", ""):
    del FAULTS["loop"]  # ThreadSanitizer keeps the watchdog's signal until the loop ends


def check_counters(stats, fault, deaths, lives):
    """Each death is a crash or a fault, each life but the first a restart, and nothing else happened."""
    is_fault = fault != "crash"
    check(stats["faults"] == [deaths * is_fault], "faults:", stats["faults"], "of", deaths)
    check(stats["crashes"] == [deaths * (not is_fault)], "crashes:", stats["crashes"], "of", deaths)
    check(stats["watchdog_kills"] == [deaths * (fault == "loop")], "kills:", stats["watchdog_kills"], "of", deaths)
    check(stats["restarts"] == [lives - 1], "restarts:", stats["restarts"], "for", lives, "lives")
    check(stats["shard_restarts"] == [0], "a shard began anew")


def chaos_client(fault, backend):
    with Program("tcp_echo", "--backend", backend, "--crash-after", 1, "--fault", fault, "--restart-max", 1000000,
                 "--stats") as program:
        program.wait_for(rf"chaos client/0: {FAULTS[fault]}", count=3)
        program.wait_for("chaos client/0: lives", count=4)
        clients = [rf"shard {shard}\] client/{slot}: " for shard in (0, 1) for slot in (0, 1)]
        for client in clients:
            program.wait_for(client + "ping 3 came back")
        check(not program.matches("lost its connection"), "a client lost its connection")
        stats = program.stop_clean()
        for client in clients:
            pongs = [int(found[1]) for found in program.matches(client + r"ping (\d+) came back")]
            check(pongs == list(range(1, len(pongs) + 1)), client, "got", pongs)
            check(len(program.matches(client + "lives")) == 1, client, "had several lives")
        deaths = len(program.matches("round trip 1, and now "))
        check(len(program.matches(rf"chaos client/0: {FAULTS[fault]}")) == deaths, "not every death was told of")
        check_counters(stats, fault, deaths, len(program.matches("chaos client/0: lives")))


def worker(fault):
    with Program("task_dispatcher", "--workers", 2, "--crash-every", 2, "--fault", fault) as program:
        end = ENDS.get(fault, "it faulted")
        lost = program.wait_for(rf"job \d+ is lost with worker (\d): {end}", count=2)[1]
        program.wait_for(rf"worker/\d: {FAULTS[fault]}", count=2)
        program.wait_for(f"worker {lost} is ready", count=2)
        program.wait_for("is done", count=5)
        check(program.stop() == 0, "exit status", program.process.returncode)
        check(not program.matches("restart budget"), "too many restarts")


def chaos_clients(backend):
    at_once(*(partial(chaos_client, fault, backend) for fault in FAULTS))


def workers():
    at_once(*(partial(worker, fault) for fault in FAULTS))


if __name__ == "__main__":
    run_each(chaos_clients)
    run_once(workers)
