"""Runs the static_files example from outside, and talks HTTP to it byte for byte."""

import contextlib
import os
import pathlib
import re
import socket
import sys
import tempfile
import time

from _echo import PATIENCE, Program, check, dial, pattern

CORPUS = pathlib.Path(__file__).parents[1] / "fuzz/http_request"
SECRET = b"what nobody may read"


class FileServer(Program):
    """static_files, on any port, which tells its counters at the end."""

    def __init__(self, root, *options, preexec=None):
        super().__init__("static_files", "--root", root, "--port", 0, "--stats", *options, preexec=preexec)
        try:
            self.port = int(self.wait_for(r"listening on [^ ]*:(\d+)")[1])
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise

    def open_count(self, what):
        """Descriptors of the server that are a socket, or a file below a folder."""
        folder = f"/proc/{self.process.pid}/fd"
        count = 0
        for name in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                count += os.readlink(f"{folder}/{name}").startswith(str(what))
        return count

    def wait_for_open(self, what, count, bound_s=30):
        deadline = time.monotonic() + bound_s * PATIENCE
        while self.open_count(what) != count:
            check(time.monotonic() < deadline, what, self.open_count(what), "open instead of", count)
            time.sleep(0.02)


class Answer:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    def is_last(self):
        return self.fields.get("connection") == "close"


class Client:
    """One connection, on which answers are read one by one."""

    def __init__(self, server, index=0):
        self.peer = dial(server.port, index)
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.peer.close()

    def send(self, data):
        self.peer.sendall(data)

    def _more(self):
        piece = self.peer.recv(1 << 18)
        self.rest += piece
        return bool(piece)

    def head(self):
        """The status and the fields of the next answer; what was read of its body stays for later."""
        while b"\r\n\r\n" not in self.rest:
            check(self._more(), "the end came in a head:", self.rest[:200])
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        line, *fields = head.decode("ascii").split("\r\n")
        matched = re.fullmatch(r"HTTP/1\.1 ([2-5]\d\d) [\w -]+", line)
        check(matched, "no status line:", line)
        return int(matched[1]), {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}

    def body(self, size):
        pieces, size = [self.rest], size - len(self.rest)
        while size > 0:
            piece = self.peer.recv(min(size, 1 << 20))
            check(piece, "the end came", size, "bytes too early")
            pieces.append(piece)
            size -= len(piece)
        whole = b"".join(pieces)
        self.rest = whole[len(whole) + size:] if size < 0 else b""
        return whole[:len(whole) + size] if size < 0 else whole

    def answer(self, has_body=True):
        status, fields = self.head()
        return Answer(status, fields, self.body(int(fields["content-length"])) if has_body else b"")

    def ask(self, target, *fields, method="GET"):
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *fields, "", ""]
        self.send("\r\n".join(lines).encode("latin-1"))
        return self.answer(has_body=method != "HEAD")

    def check_end(self):
        check(not self.rest, "bytes behind the last answer:", self.rest[:200])
        check(not self._more(), "bytes instead of the end:", self.rest[:200])

    def no_more_requests(self):
        self.peer.shutdown(socket.SHUT_WR)


def ask_once(server, target, *fields, method="GET"):
    with Client(server) as client:
        return client.ask(target, *fields, "Connection: close", method=method)


@contextlib.contextmanager
def folder():
    """A folder to serve, in one that holds what must not be served."""
    with tempfile.TemporaryDirectory() as outer:
        (pathlib.Path(outer) / "secret.txt").write_bytes(SECRET)
        root = pathlib.Path(outer) / "root"
        root.mkdir()
        (root / "a.txt").write_bytes(b"0123456789\n")
        (root / "index.html").write_bytes(b"<p>the first page\n")
        yield root


def fill(path, size, seed=1):
    data = pattern(seed, size)
    path.write_bytes(data)
    return data
