#!/usr/bin/env python3
"""Where io_uring is refused, static_files serves all the same, over epoll and its threads for files."""

import errno

from _echo import PATIENCE, check, uring_is_allowed
from _static import Client, FileServer, ask_once, fill, folder
from echo_refused_uring import SYSTEM_CALLS, refuse


def serves(call):
    with folder() as root, FileServer(root, preexec=lambda: refuse(SYSTEM_CALLS[call], errno.EPERM)) as server:
        data = fill(root / "data.bin", 10_000_000)
        with Client(server) as client:
            client.peer.settimeout(30 * PATIENCE)
            for _ in range(5):
                check(client.ask("/data.bin").body == data, "another file")
                check(client.ask("/data.bin", "Range: bytes=-7").body == data[-7:], "another range")
                check(client.ask("/none").status == 404, "a file out of nothing")
        check(ask_once(server, "/").status == 200, "no index")
        server.stop_clean()
        print(f"{call} refused: served")


if __name__ == "__main__":
    if uring_is_allowed():
        for system_call in SYSTEM_CALLS:
            serves(system_call)
    else:
        print("skipped: this kernel refuses io_uring anyhow")
