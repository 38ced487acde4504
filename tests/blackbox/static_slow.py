#!/usr/bin/env python3
"""Clients that send or read a byte a second are timed out by static_files, and others are served meanwhile."""

import contextlib
import multiprocessing
import selectors
import socket
import time

from _echo import IS_SOAK, PATIENCE, check, raise_descriptor_limit, run_each, soak_count, source_address
from _static import Client, FileServer, ask_once, fill, folder

CLIENTS_MOST = 5_000  # connections of one client process
BEGINNING = b"GET /a.txt HTTP/1.1\r\nHost: h\r\nX-Slow: "
LARGE = 32 << 20


def connect(port, index, window=None):
    peer = socket.socket()
    peer.settimeout(30 * PATIENCE)
    if window is not None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    peer.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
    peer.bind((source_address(index), 0))
    peer.connect(("127.0.0.1", port))
    return peer


def hear(peer, heard):
    """False: that was the end."""
    try:
        piece = peer.recv(4096)
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    heard[peer] = heard.get(peer, b"") + piece
    return bool(piece)


def trickle(port, first, count, reports):
    """A client process: begins count requests, says so, sends a byte a second of each, and tells how they ended."""
    raise_descriptor_limit()
    try:
        heard = {}
        with selectors.EpollSelector() as selector:
            for i in range(count):
                peer = connect(port, first + i)
                peer.sendall(BEGINNING)
                peer.setblocking(False)
                selector.register(peer, selectors.EVENT_READ)
            reports.put("connected")
            next_byte = time.monotonic()
            deadline = next_byte + 120 * PATIENCE
            while selector.get_map():
                check(time.monotonic() < deadline, len(selector.get_map()), "slow clients are still connected")
                if time.monotonic() >= next_byte:
                    next_byte += 1
                    for key in selector.get_map().values():
                        with contextlib.suppress(OSError):
                            key.fileobj.send(b"x")
                for key, _ in selector.select(0.1):
                    if not hear(key.fileobj, heard):
                        selector.unregister(key.fileobj)
                        key.fileobj.close()
        told = sum(text.startswith(b"HTTP/1.1 408 ") for text in heard.values())
        reports.put(f"{told} were told")
    except BaseException as trouble:  # pylint: disable=broad-exception-caught
        reports.put(repr(trouble))
        raise


def quick_requests(server, data, count):
    with Client(server) as client:
        for _ in range(count):
            check(client.ask("/data.bin").body == data, "another file")
    for _ in range(count // 4):
        check(ask_once(server, "/a.txt").status == 200, "a new client is not served")


def slow_requests(backend):
    count = soak_count(10_000, 200)
    share = max(1, min(CLIENTS_MOST, raise_descriptor_limit() - 100))
    timeout = 10 if IS_SOAK else 3
    options = ("--backend", backend, "--connections", count + 100, "--timeout", timeout)
    with folder() as root, FileServer(root, *options) as server:
        data = fill(root / "data.bin", 100_000)
        reports = multiprocessing.Queue()
        clients = []
        for first in range(0, count, share):
            arguments = (server.port, first, min(share, count - first), reports)
            clients.append(multiprocessing.Process(target=trickle, args=arguments, daemon=True))
            clients[-1].start()
        for _ in clients:
            said = reports.get(timeout=60 * PATIENCE)
            check(said == "connected", said)
        start = time.monotonic()
        quick_requests(server, data, 200)
        lasted = time.monotonic() - start
        told = 0
        for client in clients:
            said = reports.get(timeout=130 * PATIENCE)
            check(said.endswith("were told"), said)
            told += int(said.split()[0])
            client.join(30 * PATIENCE)
        check(told == count, told, "of", count, "were told why")
        server.wait_for_open("socket:", 1)
        quick_requests(server, data, 4)
        server.stop_clean()
        print(f"soak: {backend}: {count} slow clients timed out; 250 requests beside them took {lasted:.2f} s")


def slow_readers(backend):
    """They are reset, with the file only half sent, and neither sockets nor files stay open."""
    count = soak_count(1_000, 40)
    with folder() as root, FileServer(root, "--backend", backend, "--timeout", 2) as server, \
            contextlib.ExitStack() as stack:
        data = fill(root / "data.bin", 100_000)
        with open(root / "large.bin", "wb") as file:
            file.truncate(LARGE)
        peers = [stack.enter_context(connect(server.port, i, window=4096)) for i in range(count)]
        for peer in peers:
            peer.sendall(b"GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n")
            check(peer.recv(1), "no answer")
        quick_requests(server, data, 100)
        deadline = time.monotonic() + 60 * PATIENCE
        while server.open_count("socket:") != 1:
            check(time.monotonic() < deadline, server.open_count("socket:"), "sockets are still open")
            for peer in peers:
                with contextlib.suppress(ConnectionError):
                    peer.recv(1)
            time.sleep(1)  # a byte a second
        server.wait_for_open(root, 0)
        for peer in peers:
            seen = 0
            with contextlib.suppress(ConnectionError):
                while piece := peer.recv(1 << 16):
                    seen += len(piece)
                check(False, "an end after", seen, "bytes, as if it were all")
            check(seen < LARGE, "all of the file")
        server.stop_clean()
        print(f"soak: {backend}: {count} slow readers cut off")


def steady_readers(backend):
    """Whoever takes much longer than --timeout for all of a file, but takes some all the while, has all of it."""
    with folder() as root, FileServer(root, "--backend", backend, "--timeout", 2) as server, Client(server) as client:
        data = fill(root / "data.bin", 16 << 20)
        client.send(b"GET /data.bin HTTP/1.1\r\nHost: h\r\n\r\n")
        client.head()
        pieces = []
        for start in range(0, len(data), 1 << 18):
            pieces.append(client.body(min(1 << 18, len(data) - start)))
            time.sleep(0.1)  # the pace of the client
        check(b"".join(pieces) == data, "another file")
        server.stop_clean()


def idle_clients(backend):
    """They see the end, without a word, whether or not they ever asked for something."""
    with folder() as root, FileServer(root, "--backend", backend, "--timeout", 1) as server:
        with Client(server) as silent, Client(server) as idle:
            check(idle.ask("/a.txt").status == 200, "no answer")
            idle.check_end()
            silent.check_end()
        server.stop_clean()


if __name__ == "__main__":
    run_each(slow_requests, slow_readers, steady_readers, idle_clients)
