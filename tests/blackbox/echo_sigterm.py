#!/usr/bin/env python3
"""SIGTERM in the middle: the server ends in time, with status 0, and every byte that it sent back is right."""

import contextlib
import selectors
import socket
import subprocess
import threading
import time

from _echo import EXAMPLES, PATIENCE, Server, check, dial, echo, pattern, run_each

STREAMS = 100


class Stream:
    """Sends numbered words without end, and compares what comes back until the end or a reset."""

    WORDS = pattern(7, 1 << 16)

    def __init__(self, peer):
        self.peer = peer
        self.sent = self.seen = 0

    def step(self, events):
        """False: it is over."""
        size = len(self.WORDS)
        if events & selectors.EVENT_READ:
            piece = self.peer.recv(1 << 16)
            expected = (self.WORDS * 3)[self.seen % size:][:len(piece)]
            check(piece == expected, "a wrong echo at byte", self.seen)
            self.seen += len(piece)
            return bool(piece)
        with contextlib.suppress(BlockingIOError):
            self.sent += self.peer.send(self.WORDS[self.sent % size:])
        return True


def streams_are_cut_clean(backend):
    with Server("--backend", backend) as server, contextlib.ExitStack() as stack, \
            selectors.EpollSelector() as selector:
        streams = []
        for i in range(STREAMS):
            peer = stack.enter_context(dial(server.port, i))
            peer.setblocking(False)
            streams.append(Stream(peer))
            selector.register(peer, selectors.EVENT_READ | selectors.EVENT_WRITE, streams[-1])
        deadline = time.monotonic() + 30 * PATIENCE
        is_told = False
        while selector.get_map():
            check(time.monotonic() < deadline, len(selector.get_map()), "streams go on after the SIGTERM")
            for key, events in selector.select(1):
                try:
                    goes_on = key.data.step(events)
                except ConnectionError:
                    goes_on = False
                if not goes_on:
                    check(is_told, "a stream ended before the SIGTERM")
                    selector.unregister(key.fileobj)
            if not is_told and all(stream.seen > 100_000 for stream in streams):
                is_told = True
                server.process.terminate()
        check(all(stream.seen <= stream.sent for stream in streams), "more came back than was sent")
        server.check_end(server.wait())


def peers_that_do_not_read_are_not_waited_for(backend):
    with Server("--backend", backend) as server, contextlib.ExitStack() as stack:
        for i in range(20):
            peer = stack.enter_context(dial(server.port, i))
            peer.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                peer.sendall(bytes(64 << 20))
        server.stop_clean(bound_s=15)


def idle_peers_see_the_end(backend):
    with Server("--backend", backend) as server, contextlib.ExitStack() as stack:
        peers = [stack.enter_context(dial(server.port, i)) for i in range(100)]
        for peer in peers:
            echo(peer, b"here")
        server.stop_clean(bound_s=10)
        for peer in peers:
            check(peer.recv(1) == b"", "bytes out of nothing")


def while_others_connect(backend):
    """Connections come in all the while: each is served, ended or refused, and nothing is left behind."""
    with Server("--backend", backend) as server:
        is_over = threading.Event()

        def connect_on_and_on(first):
            index = first
            while not is_over.is_set():
                index += 1
                with contextlib.suppress(OSError, AssertionError):
                    with dial(server.port, index, timeout_s=5) as peer:
                        echo(peer, b"quick")

        callers = [threading.Thread(target=connect_on_and_on, args=(1000 * i,)) for i in range(4)]
        for caller in callers:
            caller.start()
        try:
            with dial(server.port) as peer:
                for _ in range(200):
                    echo(peer, b"they are at it")
            server.stop_clean(bound_s=10)
        finally:
            is_over.set()
            for caller in callers:
                caller.join()
        with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", server.port), 5):
            check(False, "somebody listens still")


def as_soon_as_it_listens(backend):
    """Without the reader thread of Program, which would be too late for what the end of the boot may get wrong."""
    command = [str(EXAMPLES / "tcp_echo"), "--serve", "--shards", "1", "--connections", "8", "--backend", backend]
    for _ in range(60):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, bufsize=0) as server:
            said = b""
            while b"listening on" not in said:
                said += server.stdout.read(4096)
            server.terminate()
            check(server.wait(10 * PATIENCE) == 0, "exit status", server.returncode)


if __name__ == "__main__":
    run_each(streams_are_cut_clean, peers_that_do_not_read_are_not_waited_for, idle_peers_see_the_end,
             while_others_connect, as_soon_as_it_listens)
