#!/usr/bin/env python3
"""Whatever is sent to static_files is answered as the name of its file says, or ended, and the server lives.

The files are those that the parser is fuzzed from; and what chance makes of them.
"""

import contextlib
import random
import re

from _echo import check, run_each, soak_count
from _static import CORPUS, SECRET, Client, FileServer, ask_once, folder

STATUS = re.compile(rb"HTTP/1\.1 (\d\d\d) ")


def say(server, data, cuts=()):
    """All that the server answers to it, up to the end that both sides make; None: it broke the connection."""
    with Client(server) as client:
        with contextlib.suppress(ConnectionError):
            for start, end in zip((0, *cuts), (*cuts, len(data))):
                client.send(data[start:end])
            client.no_more_requests()
            pieces = []
            while piece := client.peer.recv(1 << 16):
                pieces.append(piece)
            return b"".join(pieces)
    return None


def corpus(backend):
    with folder() as root, FileServer(root, "--backend", backend) as server:
        files = sorted(path for path in CORPUS.iterdir() if not path.name.startswith("."))
        check(len(files) > 50, "no corpus in", CORPUS)
        for path in files:
            expected = path.name.split("_")[0].encode()
            for cuts in ((), range(1, min(300, path.stat().st_size))):
                said = say(server, path.read_bytes(), cuts)
                check(said is not None, path.name, "breaks the connection")
                statuses = STATUS.findall(said)
                check(statuses[:1] == ([] if expected == b"none" else [expected]), path.name, statuses)
                check(SECRET not in said and b"root:" not in said, path.name)
        check(ask_once(server, "/a.txt").status == 200, "the server is gone")
        server.stop_clean()


def changed_by_chance(backend):
    """Each file, with bytes changed, left out and doubled: an answer like any, or the end."""
    dice = random.Random(5)
    with folder() as root, FileServer(root, "--backend", backend) as server:
        files = [path.read_bytes() for path in sorted(CORPUS.iterdir()) if path.stat().st_size > 0]
        count = soak_count(20_000, 500)
        for _ in range(count):
            data = bytearray(dice.choice(files))
            for _ in range(dice.randint(1, 4)):
                start = dice.randrange(len(data))
                end = dice.choice((start, start + 1, dice.randint(start, len(data))))
                twice = bytes(data[start:end]) * 2
                data[start:end] = dice.choice((b"", b"\r\n", b"\0", b"\n", b":", twice, dice.randbytes(3)))
                data = data or bytearray(b"x")
            said = say(server, bytes(data))
            check(not said or STATUS.match(said), bytes(data), said)
            check(said is None or SECRET not in said, bytes(data))
        check(ask_once(server, "/a.txt").status == 200, "the server is gone")
        server.stop_clean()
        print(f"soak: {backend}: {count} malformed streams of requests")


if __name__ == "__main__":
    run_each(corpus, changed_by_chance)
