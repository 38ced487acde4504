#!/usr/bin/env python3
"""The examples tell their stories: what crashes comes back, who watches is told, and nothing stops."""

import signal
import time

from _echo import IS_SOAK, Program, check, run_each, run_once

LONG_S = 300 if IS_SOAK else 16
# Of restarts: without an end to them, tcp_echo's story has none either.
ENDLESS = ("--restart-max", 1000000)


def echo_with_clients(backend):
    """Five clients ping; the one that crashes comes back, again and again; the others do not notice."""
    with Program("tcp_echo", "--backend", backend, "--crash-after", 1, *ENDLESS) as program:
        program.wait_for(r"listening on 127\.0\.0\.1:\d+")
        program.wait_for(r"\[shard 1\] chaos client/0: lives", count=4)
        for name in (r"shard 0\] client/0", r"shard 0\] client/1", r"shard 1\] client/0", r"shard 1\] client/1"):
            program.wait_for(name + r": ping 4 came back after \d+ us")
        check(not program.matches("lost its connection"), "a client lost its connection")
        check(program.stop() == 0, "exit status", program.process.returncode)
        check(not program.matches("restart budget"), "too many restarts")


def echo_with_one_shard_and_many(backend):
    for shards in (1, 4):
        with Program("tcp_echo", "--backend", backend, "--shards", shards) as program:
            program.wait_for(rf"\[shard {shards - 1}\] chaos client/0: ping 2 came back")
            check(program.stop() == 0, "exit status", program.process.returncode)


def quiet_and_over_by_itself(backend):
    with Program("tcp_echo", "--backend", backend, "--seconds", 2, "--crash-after", 0, "--quiet") as program:
        check(program.wait() == 0, "exit status", program.process.returncode)
        check(len(program.lines) == 1, "lines:", program.lines)
        check("listening on" in program.lines[0], program.lines)


def dispatcher():
    with Program("task_dispatcher") as program:
        lost = program.wait_for(r"job \d+ is lost with worker (\d+): it crashed", count=2)
        program.wait_for(rf"worker {lost[1]} is ready", count=2)
        program.wait_for(r"job \d+ is done", count=10)
        check(program.stop() == 0, "exit status", program.process.returncode)
        given, done, lost = map(int, program.wait_for(r"(\d+) jobs given, (\d+) done, (\d+) lost").groups())
        check(given - 1 <= done + lost <= given, given, "jobs, but", done, "and", lost)
        check(not program.matches("TINA_STALE_HANDLE"), "a job for somebody who is gone")


def dispatcher_that_nobody_can_help():
    """The only worker is away more often than not: jobs wait."""
    with Program("task_dispatcher", "--workers", 1, "--crash-every", 1) as program:
        program.wait_for(r"job (\d+) waits: no worker can take it", count=6)
        program.wait_for(r"worker 0 is ready", count=2)
        check(program.stop() == 0, "exit status", program.process.returncode)


def dispatcher_over_by_itself():
    with Program("task_dispatcher", "--seconds", 2) as program:
        check(program.wait() == 0, "exit status", program.process.returncode)
        program.wait_for(r"\d+ jobs given, \d+ done, \d+ lost")


def dispatcher_past_its_budget():
    """One restart too many restarts the shard, one more of these quarantines it; it can still be revived and stopped."""
    with Program("task_dispatcher", "--restart-max", 1, "--window-ms", 60000, "--shard-restart-max", 1, "--crash-every",
                 1) as program:
        program.wait_for("is quarantined")
        check(len(program.matches("begins anew")) == 1, "not one new beginning")
        program.process.send_signal(signal.SIGUSR2)
        program.wait_for("is ready", count=2 * 3 + 1)
        program.wait_for("is quarantined", count=2)
        check(program.stop() == 0, "exit status", program.process.returncode)


def nothing_stops():
    """With their own budgets, and the worst that their options may ask of them."""
    commands = (("task_dispatcher",), ("task_dispatcher", "--crash-every", 1, "--workers", 256), ("tcp_echo", *ENDLESS),
                ("tcp_echo", "--crash-after", 1, *ENDLESS))
    programs = [Program(*command) for command in commands]
    time.sleep(LONG_S)
    for program in programs:
        with program:
            check(program.process.poll() is None, "it ended by itself")
            check(program.stop() == 0, "exit status", program.process.returncode)
            check(program.matches("crashed, reason 42"), "nothing crashed")
            check(not program.matches("restart budget|quarantined"), "too many restarts")
    print(f"soak: {LONG_S} s of crashes and restarts")


def wrong_options():
    """Status 2, and a line that says what would be right."""
    for name, options, expected in (
            ("tcp_echo", ("--port", "65536"), "--port takes a number from 0 to 65535"),
            ("tcp_echo", ("--port", "-1"), "--port takes a number"),
            ("tcp_echo", ("--port", "80x"), "--port takes a number"),
            ("tcp_echo", ("--port",), "--port needs a value"),
            ("tcp_echo", ("--shards", "0"), "--shards takes a number from 1 to 254"),
            ("tcp_echo", ("--backend", "kqueue"), "--backend takes one of: auto uring epoll"),
            ("tcp_echo", ("--fault", "boom"), "--fault takes one of: crash segv stack div loop abort memcpy"),
            ("tcp_echo", ("--host", "localhost"), "--host takes a numeric address"),
            ("tcp_echo", ("--nonsense",), "--nonsense is no option"),
            ("tcp_echo", ("--serve", "extra"), "extra is no option"),
            ("task_dispatcher", ("--workers", "257"), "--workers takes a number from 1 to 256"),
            ("task_dispatcher", ("--serve",), "--serve is no option")):
        with Program(name, *options) as program:
            check(program.wait() == 2, name, options, "exit status", program.process.returncode)
            check(len(program.lines) == 1 and expected in program.lines[0], program.lines)
    for name in ("tcp_echo", "task_dispatcher"):
        with Program(name, "--help") as program:
            check(program.wait() == 0, "exit status", program.process.returncode)
            program.wait_for("--seconds")


def port_that_is_taken(backend):
    with Program("tcp_echo", "--serve", "--backend", backend, "--shards", 1) as first:
        port = first.wait_for(r"listening on .*:(\d+)")[1]
        with Program("tcp_echo", "--serve", "--backend", backend, "--shards", 1, "--port", port) as second:
            check(second.wait() == 1, "exit status", second.process.returncode)
            second.wait_for(rf"cannot listen on 127\.0\.0\.1:{port}: .*in use")
            second.wait_for("TINA_INIT_FAILED")
        check(first.stop() == 0, "exit status", first.process.returncode)


if __name__ == "__main__":
    run_each(echo_with_clients, echo_with_one_shard_and_many, quiet_and_over_by_itself, port_that_is_taken)
    run_once(dispatcher, dispatcher_that_nobody_can_help, dispatcher_over_by_itself, dispatcher_past_its_budget,
             wrong_options, nothing_stops)
