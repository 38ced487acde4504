#!/usr/bin/env python3
"""A system inside libuv's loop: examples/embed_libuv.c, which is built where libuv is installed."""

from _echo import EXAMPLES, run_each
from _embed import run_all

if __name__ == "__main__":
    if (EXAMPLES / "embed_libuv").exists():
        run_all("embed_libuv", run_each)
    else:
        print("skipped: libuv, which is not installed")
