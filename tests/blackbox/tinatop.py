#!/usr/bin/env python3
"""tinatop beside a running server: its numbers are the server's, it refuses what is no page, and says who is gone."""

import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import tempfile
import termios
import time

from _echo import EXAMPLES, PATIENCE, Server, check, dial, echo, run_each, run_once

TINATOP = EXAMPLES.parent / "tools/tinatop"
BOUND_S = 20 * PATIENCE
LIVE, REFUSED, USAGE, GONE = 0, 1, 2, 3


def tinatop(*arguments, status=LIVE):
    ended = subprocess.run([TINATOP, *arguments], capture_output=True, text=True, timeout=BOUND_S, check=False)
    check(ended.returncode == status, arguments, "ended with", ended.returncode, ended.stdout, ended.stderr)
    return ended.stdout if status in (LIVE, GONE) else ended.stderr


def row(table, begin):
    for line in table.splitlines():
        if line.startswith(begin):
            return line.split()
    raise AssertionError(f"no line begins with {begin!r}:\n{table}")


def await_row(page, begin, is_right):
    """The page is written four times a second: until it says so."""
    deadline = time.monotonic() + BOUND_S
    while True:
        table = tinatop("--once", page)
        if is_right(row(table, begin)):
            return table
        check(time.monotonic() < deadline, "this is not right:\n" + table)
        time.sleep(0.05)


def once_has_the_servers_numbers(backend):
    with tempfile.TemporaryDirectory() as folder, \
            Server("--backend", backend, "--shards", "1", "--stats-page", f"{folder}/page") as server:
        page = f"{folder}/page"
        peers = [dial(server.port, i) for i in range(5)]
        for peer in peers:
            for _ in range(200):
                echo(peer, b"x" * 100)
        table = await_row(page, "connection", lambda words: words[1] == "5")
        check(f"process {server.process.pid}" in table, table)
        check(row(table, "    0 running")[1] == "running", table)
        words = row(table, "connection")
        check(words[1:4] == ["5", "5", "1024"], "isolates, peak and slots:", words)
        check(re.fullmatch(r"\d+(\.\d)?(ns|us|ms|s)", words[5]), "the median of the handlers' time:", words)
        descriptors = int(row(table, "descriptors")[1])
        check("REFUSED OR LOST\nnothing" in table, table)
        for peer in peers:
            peer.close()
        await_row(page, "descriptors", lambda words: int(words[1]) == descriptors - len(peers))
        table = await_row(page, "connection", lambda words: words[1] == "0")
        check(row(table, "connection")[2] == "5", "the most there were:", table)
        server.stop_clean()
        check(not pathlib.Path(page).exists(), "the page outlives its system")


def what_is_no_page_is_refused():
    with tempfile.TemporaryDirectory() as folder:
        page, other = f"{folder}/page", f"{folder}/other"
        with Server("--stats-page", page) as server:
            whole = pathlib.Path(page).read_bytes()
            server.stop_clean()
        size = len(whole)
        check("No such file" in tinatop("--once", page, status=REFUSED))
        for bytes_of_it, words in ((b"", "is empty"), (b"hello", "is no statistics page"),
                                   (bytes(5000), "is no statistics page"),
                                   (whole[:size - 1], f"is cut off: {size - 1} bytes of {size}"),
                                   (whole[:8] + b"\x02" + whole[9:], "is version 2 of the page"),
                                   (whole[:12] + b"\xff" + whole[13:], "counts other things"),
                                   (whole[:24] + b"\xff\xff" + whole[26:], "is damaged")):
            pathlib.Path(other).write_bytes(bytes_of_it)
            said = tinatop("--once", other, status=REFUSED)
            check(words in said, said, "does not say", words)
        check("is no regular file" in tinatop("--once", folder, status=REFUSED))
        os.mkfifo(f"{folder}/pipe")
        check("is no regular file" in tinatop("--once", f"{folder}/pipe", status=REFUSED))
        for wrong in ([], ["a", "b"], ["--what", "a"], ["--interval", "0", "a"], ["--interval"]):
            check("--help says more" in tinatop(*wrong, status=USAGE))
        check("--interval SECONDS" in tinatop("--help"))


def killed_process_is_said_to_be_gone():
    with tempfile.TemporaryDirectory() as folder, Server("--stats-page", f"{folder}/page") as server:
        await_row(f"{folder}/page", "listener", lambda words: words[1] == "2")
        server.process.kill()
        server.wait()
        table = tinatop("--once", f"{folder}/page", status=GONE)
        check(f"Process {server.process.pid} is gone" in table, table)
        check(row(table, "listener")[1] == "2", table)


def next_screen(terminal, words):
    """What tinatop writes until the words have come."""
    seen = b""
    deadline = time.monotonic() + BOUND_S
    while words not in seen:
        check(time.monotonic() < deadline, words, "is not in", seen)
        if select.select([terminal], [], [], 0.1)[0]:
            seen += os.read(terminal, 65536)
    return seen


def take_terminal():
    """Its keys send signals to whoever it controls."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def terminal_is_put_back():
    """q, and Ctrl-C, end it; the terminal is as it was."""
    with tempfile.TemporaryDirectory() as folder, Server("--stats-page", f"{folder}/page") as server:
        for end in (b"q", b"\x03", signal.SIGTERM):
            ours, theirs = pty.openpty()
            before = termios.tcgetattr(theirs)
            termios.tcsetwinsize(theirs, (20, 60))
            with subprocess.Popen([TINATOP, "--interval", "0.1", f"{folder}/page"], stdin=theirs, stdout=theirs,
                                  stderr=theirs, start_new_session=True, preexec_fn=take_terminal) as process:
                seen = next_screen(ours, b"(more than there is room for)")
                check(b"\x1b[?1049h" in seen, "no screen of its own")
                termios.tcsetwinsize(theirs, (50, 150))
                seen = next_screen(ours, b"REFUSED OR LOST")
                check(b"descriptors" in seen, seen)
                if end == signal.SIGTERM:
                    process.send_signal(end)
                else:
                    os.write(ours, end)
                seen = next_screen(ours, b"\x1b[?1049l")
                check(process.wait(BOUND_S) == 0, "status", process.returncode)
            check(termios.tcgetattr(theirs) == before, "the terminal is not as it was")
            os.close(ours)
            os.close(theirs)
        server.stop_clean()


if __name__ == "__main__":
    run_once(what_is_no_page_is_refused, killed_process_is_said_to_be_gone, terminal_is_put_back)
    run_each(once_has_the_servers_numbers)
