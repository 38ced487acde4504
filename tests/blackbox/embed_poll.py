#!/usr/bin/env python3
"""A system inside a program's own poll loop: examples/embed_poll.c."""

from _echo import run_each
from _embed import run_all

if __name__ == "__main__":
    run_all("embed_poll", run_each)
