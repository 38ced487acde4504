#!/usr/bin/env python3
"""A file of more than 4 GiB: ranges of it, byte for byte, and 64 MiB across the edge of 32 bits. In a soak, all of it."""

import hashlib
import os

from _echo import IS_SOAK, check, pattern, run_each
from _static import Client, FileServer, folder

SIZE = (4 << 30) + 12_345
MARK = 5_000  # bytes that are no hole
MARKS = (0, (1 << 30) - 77, (2 << 30) - MARK // 2, (3 << 30) + 1, (4 << 30) - MARK // 2, SIZE - MARK)


def sparse_file(path):
    with open(path, "wb") as file:
        file.truncate(SIZE)
        for i, offset in enumerate(MARKS):
            file.seek(offset)
            file.write(pattern(i + 1, MARK))


def digest_of_file(path, offset, size):
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        file.seek(offset)
        while size > 0:
            piece = file.read(min(size, 1 << 20))
            digest.update(piece)
            size -= len(piece)
    return digest.hexdigest()


def digest_of_body(client, size):
    digest = hashlib.md5(usedforsecurity=False)
    while size > 0:
        piece = client.body(min(size, 1 << 20))
        digest.update(piece)
        size -= len(piece)
    return digest.hexdigest()


def fetch(client, path, first, last):
    size = last - first + 1
    client.send(f"GET /{path.name} HTTP/1.1\r\nHost: h\r\nRange: bytes={first}-{last}\r\n\r\n".encode())
    status, fields = client.head()
    check(status == 206 and fields["content-range"] == f"bytes {first}-{last}/{SIZE}", fields)
    check(fields["content-length"] == str(size), fields)
    check(digest_of_body(client, size) == digest_of_file(path, first, size), "other bytes from", first, "to", last)


def ranges_of_it(backend):
    with folder() as root, FileServer(root, "--backend", backend) as server:
        path = root / "large.bin"
        sparse_file(path)
        check(os.stat(path).st_size == SIZE, "no sparse files here")
        with Client(server) as client:
            check(client.ask("/large.bin", method="HEAD").fields["content-length"] == str(SIZE), "another size")
            for offset in MARKS:
                first, last = max(0, offset - 1000), min(SIZE, offset + MARK + 1000) - 1
                fetch(client, path, first, last)
            for point in (0, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, SIZE - 1):
                fetch(client, path, point, point)
            fetch(client, path, (4 << 30) - (63 << 20), (4 << 30) + 9_999)
            answer = client.ask("/large.bin", "Range: bytes=-12345")
            check(answer.body[-MARK:] == pattern(len(MARKS), MARK), "another end")
            if IS_SOAK:
                fetch(client, path, 0, SIZE - 1)
                print(f"soak: {backend}: {SIZE} bytes of a file")
        server.stop_clean()


if __name__ == "__main__":
    run_each(ranges_of_it)
