#!/usr/bin/env python3
"""Clients that vanish, reset, half-close, read slowly or never, and more of them than the server has room for."""

import contextlib
import os
import signal
import socket
import time

from _echo import PATIENCE, Server, check, dial, echo, pattern, read_exactly, reset, run_each


def is_served(server, index=0):
    with dial(server.port, index) as peer:
        echo(peer, b"is anybody there?")


def half_close(backend):
    """All that was sent before the half-close comes back, then the end."""
    with Server("--backend", backend) as server:
        for size in (1, 5000, 200_000):
            with dial(server.port) as peer:
                data = pattern(size, size)
                peer.sendall(data)
                peer.shutdown(socket.SHUT_WR)
                check(read_exactly(peer, size) == data, "a wrong echo of", size, "bytes")
                check(peer.recv(1) == b"", "bytes after the end")
        with dial(server.port) as peer:
            peer.shutdown(socket.SHUT_WR)
            check(peer.recv(1) == b"", "bytes out of nothing")
        server.wait_for_sockets(2)
        server.stop_clean()


def vanish(backend):
    """A process with two hundred busy connections is killed."""
    with Server("--backend", backend) as server:
        reader, writer = os.pipe()
        client = os.fork()
        if client == 0:
            peers = [dial(server.port, i) for i in range(200)]
            for peer in peers:
                peer.sendall(b"x" * 10_000)
            os.write(writer, b"!")
            signal.pause()
        os.close(writer)
        check(os.read(reader, 1) == b"!", "the client failed")
        os.close(reader)
        os.kill(client, signal.SIGKILL)
        os.waitpid(client, 0)
        server.wait_for_sockets(2)
        is_served(server)
        server.stop_clean()


def resets(backend):
    """Before, during and after the echo."""
    with Server("--backend", backend) as server:
        for i in range(300):
            peer = dial(server.port, i)
            if i % 3 == 1:
                peer.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    peer.send(b"y" * 1_000_000)
            elif i % 3 == 2:
                echo(peer, b"z" * 1000)
            reset(peer)
        server.wait_for_sockets(2)
        is_served(server)
        server.stop_clean()


def read_slowly(backend):
    """A megabyte through a small window, in small pieces, beside others who do not notice."""
    with Server("--backend", backend) as server, contextlib.ExitStack() as stack:
        data = pattern(3, 1 << 20)
        peer = stack.enter_context(socket.socket())
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(("127.0.0.1", server.port))
        peer.setblocking(False)
        sent = 0
        back = bytearray()
        deadline = time.monotonic() + 60 * PATIENCE
        while len(back) < len(data):
            check(time.monotonic() < deadline, "after a minute only", len(back))
            with contextlib.suppress(BlockingIOError):
                sent += peer.send(data[sent:sent + 65536])
            with contextlib.suppress(BlockingIOError):
                back += peer.recv(1500)
            if len(back) % 50 == 0:
                is_served(server, len(back))
        check(bytes(back) == data, "a wrong echo")
        peer.close()
        server.wait_for_sockets(2)
        server.stop_clean()


def stuff(peer):
    """Sends without reading until nothing goes any more."""
    peer.setblocking(False)
    still_since = time.monotonic()
    while time.monotonic() - still_since < 0.02:
        with contextlib.suppress(BlockingIOError):
            if peer.send(b"w" * 65536):
                still_since = time.monotonic()


def never_read(backend):
    """One more than there are buffers send and never read. A fresh client on the same shard is served all the same."""
    buffers = 32
    with Server("--backend", backend, "--shards", 1, "--buffers", buffers) as server, contextlib.ExitStack() as stack:
        for i in range(buffers + 1):
            peer = stack.enter_context(socket.socket())
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            peer.connect(("127.0.0.1", server.port))
            with contextlib.suppress(ConnectionError):
                stuff(peer)
            is_served(server, i)
        for i in range(20):
            with dial(server.port, i) as peer:
                echo(peer, pattern(i, 20_000))
        stats = server.stop_clean()
        check(stats["buffers"][1] <= buffers, stats)


def more_than_slots(backend):
    """The surplus sees the end at once; who has a slot keeps it; a slot that is free again is given again."""
    slots = 20
    with Server("--backend", backend, "--shards", 1, "--connections", slots) as server, contextlib.ExitStack() as stack:
        peers = [stack.enter_context(dial(server.port, i)) for i in range(slots)]
        for i, peer in enumerate(peers):
            echo(peer, pattern(i, 100))
        for i in range(200):
            with dial(server.port, i) as peer, contextlib.suppress(ConnectionError):
                check(peer.recv(1) == b"", "a connection too many was served")
        for i, peer in enumerate(peers):
            echo(peer, pattern(i, 10_000))
        check(1 <= len(server.matches("refused")) <= 10, "lines about refusals:", len(server.matches("refused")))
        server.wait_for_sockets(slots + 1)
        peers[0].close()
        server.wait_for_sockets(slots)
        is_served(server)
        server.stop_clean()


def no_descriptor(backend):
    """The process's own limit is smaller than what the spec asks for: accepts wait until a descriptor is free."""
    limit = 64

    def lower():
        import resource  # pylint: disable=import-outside-toplevel

        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    with Server("--backend", backend, "--shards", 1, preexec=lower) as server, contextlib.ExitStack() as stack:
        peers = [stack.enter_context(dial(server.port, i)) for i in range(limit)]
        echo(peers[0], b"the first has a descriptor")
        peers[-1].settimeout(0.2)
        peers[-1].sendall(b"the last waits")
        with contextlib.suppress(TimeoutError):
            check(not peers[-1].recv(1), "more connections than descriptors")
        for peer in peers[:-1]:
            peer.close()
        peers[-1].settimeout(20 * PATIENCE)
        check(read_exactly(peers[-1], 14) == b"the last waits", "a wrong echo")
        peers[-1].close()
        server.wait_for_sockets(1)
        server.stop_clean()


if __name__ == "__main__":
    run_each(half_close, vanish, resets, read_slowly, never_read, more_than_slots, no_descriptor)
