#!/usr/bin/env python3
# ctest: not under address
"""static_files does not ask the system for memory once it runs: strace sees no brk, mmap, mremap or munmap under load."""

from _echo import check, run_each
from _static import Client, fill, folder
from examples_memory import calls_between, can_trace, traced


class Port:
    def __init__(self, port):
        self.port = port


def files_of_all_kinds(backend):
    with folder() as root:
        data = fill(root / "data.bin", 3_000_000)
        with traced("static_files", "--root", root, "--backend", backend, "--connections", 16) as (program, trace):
            server = Port(int(program.wait_for(r"listening on .*:(\d+)")[1]))
            for index in range(40):
                with Client(server, index) as client:
                    check(client.ask("/data.bin").body == data, "another file")
                    check(client.ask("/a.txt", "Range: bytes=1-2").status == 206, "no range")
                    check(client.ask("/none").status == 404, "a file out of nothing")
                    check(client.ask("/", "Cookie: " + "x" * 9000).status == 431, "too long a head")
            check(program.stop() == 0, "exit status", program.process.returncode)
            seen = calls_between(trace, "listening on", "SIGTERM")
            check(not seen, "\n".join(seen))


if __name__ == "__main__":
    if can_trace():
        run_each(files_of_all_kinds)
    else:
        print("skipped: strace can't trace here")
