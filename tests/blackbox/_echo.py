"""Runs the examples from outside, and echoes over many connections at once."""

import contextlib
import ctypes
import os
import pathlib
import re
import resource
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

EXAMPLES = pathlib.Path(os.environ.get("TINA_EXAMPLES", pathlib.Path(__file__).parents[2] / "build/examples"))
IS_SOAK = os.environ.get("TINA_SOAK") == "1"
# How often longer than on an idle machine, without sanitizers, things may take. No test measures time with it.
PATIENCE = 4 if os.environ.get("TINA_SANITIZE") else 1

POOLS = ("messages", "timers", "watches", "ops", "buffers", "fds", "transfers")
LEDGER = (("sent_local", "sent_remote", "posted"),
          ("delivered", "arrived_full", "arrived_stale", "arrived_exhausted", "died_with_owner"))


def soak_count(full, slice_of_it):
    return full if IS_SOAK else slice_of_it


def raise_descriptor_limit():
    """Returns how many descriptors this process, and each that it starts, may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def uring_is_allowed():
    setup, params = 425, ctypes.create_string_buffer(120)
    ring = ctypes.CDLL(None, use_errno=True).syscall(setup, 4, params)
    if ring >= 0:
        os.close(ring)
    return ring >= 0


def backends():
    if uring_is_allowed():
        yield "uring"
    else:
        print("skipped: io_uring, which this kernel refuses")
    yield "epoll"


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(word) for word in what))


class Program:
    """An example that runs. Leaving the context ends it, by force if it must."""

    def __init__(self, name, *options, before=(), preexec=None, stdin=subprocess.DEVNULL):
        command = [*before, str(EXAMPLES / name), *map(str, options)]
        # pylint: disable=subprocess-popen-preexec-fn
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        stdin=stdin, preexec_fn=preexec)
        self.lines = []
        self.news = threading.Condition()
        self.is_over = False
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self.news:
                self.lines.append(line.rstrip("\n"))
                self.news.notify_all()
        with self.news:
            self.is_over = True
            self.news.notify_all()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        if kind is not None:
            print("\n".join(["---- the program said:", *self.lines[-60:]]))

    def matches(self, pattern):
        with self.news:
            return [found for found in (re.search(pattern, line) for line in self.lines) if found]

    def wait_for(self, pattern, count=1, bound_s=30):
        """The count-th match of the pattern in a line."""
        deadline = time.monotonic() + bound_s * PATIENCE
        with self.news:
            while True:
                found = self.matches(pattern)
                if len(found) >= count:
                    return found[count - 1]
                check(not self.is_over, "the program ended without", repr(pattern))
                check(self.news.wait(max(0, deadline - time.monotonic())), "no", repr(pattern), "in", bound_s, "s")

    def wait(self, bound_s=30):
        status = self.process.wait(bound_s * PATIENCE)
        self.reader.join()
        return status

    def stop(self, bound_s=30):
        self.process.send_signal(signal.SIGTERM)
        return self.wait(bound_s)

    # Of those that were started with --stats:

    def stats(self):
        line = self.wait_for("^stats: ").string
        pairs = re.findall(r"(\w+)=([\d/]+)", line)
        return {name: [int(word) for word in value.split("/")] for name, value in pairs}

    def stop_clean(self, bound_s=30):
        return self.check_end(self.stop(bound_s))

    def check_end(self, status):
        """Checks that it drained, that nothing is left, and that every message is accounted for."""
        check(status == 0, "exit status", status)
        stats = self.stats()
        for pool in POOLS:
            check(stats[pool][0] == 0, pool, "still used:", stats[pool])
        for name in ("isolates", "undrained", "stuck"):
            check(stats[name] == [0], name, stats[name])
        check(stats["io_submitted"] == stats["io_completed"], "operations:", stats["io_submitted"],
              stats["io_completed"])
        sent, ended = (sum(stats[name][0] for name in side) for side in LEDGER)
        check(sent == ended, "messages sent", sent, "but ended", ended)
        return stats


class Server(Program):
    """tcp_echo --serve, on any port, which tells its counters at the end."""

    def __init__(self, *options, before=(), preexec=None):
        super().__init__("tcp_echo", "--serve", "--port", 0, "--stats", *options, before=before, preexec=preexec)
        try:
            self.port = int(self.wait_for(r"listening on [^ ]*:(\d+)")[1])
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise

    def cpu_ticks(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def socket_count(self):
        """Sockets that the server has open, its listeners among them."""
        folder = f"/proc/{self.process.pid}/fd"
        count = 0
        for name in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                count += os.readlink(f"{folder}/{name}").startswith("socket:")
        return count

    def wait_for_sockets(self, count, bound_s=30):
        deadline = time.monotonic() + bound_s * PATIENCE
        while self.socket_count() != count:
            check(time.monotonic() < deadline, "sockets:", self.socket_count(), "instead of", count)
            time.sleep(0.01)


def source_address(index):
    """One of many client addresses: each has its own ports, of which an ended connection keeps one for a minute."""
    return f"127.{1 + index // 200 % 200}.{1 + index % 200}.1"


def dial(port, index=0, timeout_s=30, host="127.0.0.1"):
    """A connection from the index-th client address."""
    peer = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    peer.settimeout(timeout_s * PATIENCE)
    try:
        if ":" not in host:
            peer.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
            peer.bind((source_address(index), 0))
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.connect((host, port))
    except BaseException:
        peer.close()
        raise
    return peer


def reset(peer):
    """Closes with a reset instead of an end."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def pattern(seed, size):
    """Bytes that another seed, or another offset, does not have."""
    words = (size + 7) // 8
    start = seed * 0x9E3779B97F4A7C15
    return struct.pack(f"<{words}Q", *((start + word * 0xBF58476D1CE4E5B9) & (2**64 - 1) for word in range(words)))[:size]


def read_exactly(peer, size):
    data = bytearray()
    while len(data) < size:
        piece = peer.recv(min(size - len(data), 1 << 16))
        check(piece, "the end came after", len(data), "of", size, "bytes")
        data += piece
    return bytes(data)


def echo(peer, data):
    """Sends and reads at once, so that it works for any size."""

    def send():
        with contextlib.suppress(OSError):  # which the reader sees as well
            peer.sendall(data)

    sender = threading.Thread(target=send)
    sender.start()
    back = read_exactly(peer, len(data))
    sender.join()
    check(back == data, "another echo than what was sent, of", len(data), "bytes")


class Talk:
    """One connection of many: sends its bytes, expects them back."""

    def __init__(self, peer, data):
        self.peer, self.data = peer, memoryview(data)
        self.sent = self.seen = 0

    def events(self):
        reading = selectors.EVENT_READ if self.seen < len(self.data) else 0
        return reading | (selectors.EVENT_WRITE if self.sent < len(self.data) else 0)

    def step(self, events):
        if events & selectors.EVENT_WRITE:
            with contextlib.suppress(BlockingIOError):
                self.sent += self.peer.send(self.data[self.sent:self.sent + (1 << 18)])
        if events & selectors.EVENT_READ:
            with contextlib.suppress(BlockingIOError):
                piece = self.peer.recv(1 << 18)
                check(piece, "the end came after", self.seen, "of", len(self.data), "bytes")
                check(piece == self.data[self.seen:self.seen + len(piece)], "a wrong echo at byte", self.seen)
                self.seen += len(piece)


def echo_all(pairs, bound_s=60):
    """Echoes each (connection, bytes) pair, all at once."""
    deadline = time.monotonic() + bound_s * PATIENCE
    with selectors.EpollSelector() as selector:
        for peer, data in pairs:
            peer.setblocking(False)
            selector.register(peer, selectors.EVENT_READ | selectors.EVENT_WRITE, Talk(peer, data))
        while selector.get_map():
            ready = selector.select(max(0, deadline - time.monotonic()))
            check(ready, len(selector.get_map()), "connections wait for their echo after", bound_s, "s")
            for key, events in ready:
                talk = key.data
                before = key.events
                talk.step(events)
                after = talk.events()
                if after == 0:
                    selector.unregister(key.fileobj)
                    key.fileobj.settimeout(bound_s * PATIENCE)
                elif after != before:
                    selector.modify(key.fileobj, after, talk)


def at_once(*calls):
    """Calls all of them together, those that wait more than they work. Raises what the first of them raised."""
    with ThreadPoolExecutor(len(calls)) as pool:
        for call in [pool.submit(call) for call in calls]:
            call.result()


def run_each(*tests):
    """Runs every test on every backend. Each is called with the backend's name."""
    raise_descriptor_limit()
    for backend in backends():
        for test in tests:
            print(f"{test.__name__} {backend}", flush=True)
            test(backend)


def run_once(*tests):
    """Runs tests that have nothing to do with the backend."""
    for test in tests:
        print(test.__name__, flush=True)
        test()
