"""Runs the kv example from outside, and redis-server beside it, and talks RESP to both byte for byte."""

import contextlib
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "blackbox"))

from _echo import (IS_SOAK, PATIENCE, Program, at_once, backends, check, dial, pattern, reset,  # noqa: E402,F401
                   soak_count)

VALUE_LIMIT = 512 * 1024
BOUND_S = 30


class Kv(Program):
    """kv on any port, which keeps its files in that folder."""

    def __init__(self, folder, *options, port=0, before=(), preexec=None):
        super().__init__("kv", "--port", port, "--dir", folder, *options, before=before, preexec=preexec)
        try:
            self.port = int(self.wait_for(r"listening on [^ ]*:(\d+)")[1])
            check(is_loaded(self), "it listens before it has read its files")
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise

    def dial(self, index=0):
        return dial(self.port, index, BOUND_S)

    def cli_place(self):
        return ["-p", str(self.port)]

    def descriptor_count(self):
        return len(list(pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def resident(self):
        """Bytes of memory that the process has now."""
        status = pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text(encoding="ascii")
        return int(re.search(r"^Rss:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024


def redis_server():
    """The program. Debian's redis-tools have it under another name, without the service that redis-server installs."""
    return shutil.which("redis-server") or shutil.which("redis-check-rdb")


def is_loaded(server):
    """Has each of its parts read its file?"""
    with Talk(server) as talk:
        talk.send(request("MGET", *range(64)))
        said = talk.answer()
    return isinstance(said, list) and not any(isinstance(one, Error) for one in said)


class Redis:
    """redis-server, behind a socket of the file system: no port is taken, nothing is kept."""

    def __init__(self, *options):
        self.folder = tempfile.TemporaryDirectory()
        self.path = f"{self.folder.name}/redis"
        command = ["redis-server", "--port", "0", "--unixsocket", self.path, "--dir", self.folder.name, "--save", "",
                   "--appendonly", "no", "--proto-max-bulk-len", "1mb", *map(str, options)]
        self.process = subprocess.Popen(command, executable=redis_server(), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + BOUND_S * PATIENCE
        while not self._answers():
            check(self.process.poll() is None, "redis-server ended")
            check(time.monotonic() < deadline, "redis-server does not answer")
            time.sleep(0.01)

    def _answers(self):
        with contextlib.suppress(OSError), self.dial():
            return True
        return False

    def dial(self, _index=0):
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(BOUND_S * PATIENCE)
        try:
            peer.connect(self.path)
        except BaseException:
            peer.close()
            raise
        return peer

    def cli_place(self):
        return ["-s", self.path]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def has_redis():
    """redis-server, and redis-cli to ask with. A word where they are missing."""
    if shutil.which("redis-cli") and redis_server():
        return True
    print("skipped: redis-server and redis-cli are not there (scripts/setup)")
    return False


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield pathlib.Path(name)


# ---- RESP ----

def octets(word):
    return word if isinstance(word, bytes) else str(word).encode()


def request(*words):
    """One command as a client library sends it."""
    words = [octets(word) for word in words]
    return b"".join([b"*%d\r\n" % len(words), *(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)])


class Error(Exception):
    """What the server said behind its minus sign. Two with the same words are equal."""

    def __eq__(self, other):
        return isinstance(other, Error) and self.args == other.args

    def __hash__(self):
        return hash(self.args)


class Ended(Exception):
    """The server ended the connection."""


class Talk:
    """One connection. Answers are read one by one, as the bytes that they are or as what they mean."""

    def __init__(self, server, index=0):
        self.peer = server.dial(index)
        self.file = self.peer.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.peer.close()

    def send(self, data):
        self.peer.sendall(data)

    def _line(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise Ended(line)
        return line

    def raw(self):
        """The next answer's bytes."""
        line = self._line()
        kind, number = line[:1], line[1:-2]
        if kind == b"$" and number != b"-1":
            size = int(number) + 2
            body = self.file.read(size)
            if len(body) < size:
                raise Ended(line + body)
            return line + body
        if kind == b"*" and number != b"-1":
            return b"".join([line, *(self.raw() for _ in range(int(number)))])
        check(kind in b"+-:$*", "no answer begins like this:", line[:100])
        return line

    def answer(self):
        """The next answer: bytes, a number, None, a list or an Error."""
        line = self._line()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            return Error(rest.decode("latin-1"))
        if kind == b"+":
            return rest
        number = int(rest)
        if kind == b":":
            return number
        if number < 0:
            return None
        if kind == b"$":
            body = self.file.read(number + 2)
            if len(body) < number + 2:
                raise Ended(line + body)
            return body[:-2]
        check(kind == b"*", "no answer begins like this:", line[:100])
        return [self.answer() for _ in range(number)]

    def ask(self, *words):
        """Raises what is an error."""
        self.send(request(*words))
        said = self.answer()
        if isinstance(said, Error):
            raise said
        return said

    def ask_raw(self, *words):
        self.send(request(*words))
        return self.raw()

    def exchange(self, pieces, count):
        """Sends the pieces while it reads; the bytes of so many answers."""
        sender = threading.Thread(target=self._send_all, args=(pieces,))
        sender.start()
        said = [self.raw() for _ in range(count)]
        sender.join()
        return said

    def _send_all(self, pieces):
        with contextlib.suppress(OSError):  # which the reader sees as well
            for piece in pieces:
                self.send(piece)

    def ask_all(self, commands):
        """All of them at once; the bytes of each answer."""
        return self.exchange([b"".join(request(*command) for command in commands)], len(commands))

    def rest(self):
        """What comes until the server ends the connection, with an end or a reset."""
        pieces = []
        with contextlib.suppress(ConnectionError):
            while piece := self.file.read1(1 << 16):
                pieces.append(piece)
        return b"".join(pieces)


def refused(talk, *words):
    """The words of the error that the command is answered with."""
    try:
        said = talk.ask(*words)
    except Error as error:
        return error.args[0]
    raise AssertionError(f"{words[0]} was answered: {said!r:.200}")


def wait_until(holds, what, bound_s=BOUND_S):
    deadline = time.monotonic() + bound_s * PATIENCE
    while not holds():
        check(time.monotonic() < deadline, "not within", bound_s, "s:", what)
        time.sleep(0.005)
