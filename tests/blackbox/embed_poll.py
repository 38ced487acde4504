#!/usr/bin/env python3
"""A system inside a program's own poll loop: examples/embed_poll.c."""

import errno

from _echo import Program, check, run_each, uring_is_allowed
from _embed import Embedding, run_all
from echo_refused_uring import SYSTEM_CALLS, refuse


def uses_epoll_where_io_uring_is_refused(call):
    def before():
        refuse(SYSTEM_CALLS[call], errno.EPERM)

    with Embedding("embed_poll", "auto", preexec=before) as program:
        program.say("hello")
        program.wait_for("^1 lines of 5 bytes")
        check(program.ask() == "1 lines of 5 bytes", "over epoll")
        program.finish(1)
    with Program("embed_poll", "--backend", "uring", preexec=before) as program:
        check(program.wait() == 1, "exit status", program.process.returncode)
        program.wait_for("TINA_UNSUPPORTED.*io_uring")  # the start says it, not the first step


if __name__ == "__main__":
    run_all("embed_poll", run_each)
    if uring_is_allowed():
        for name in SYSTEM_CALLS:
            print("refused:", name)
            uses_epoll_where_io_uring_is_refused(name)
