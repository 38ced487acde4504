#!/usr/bin/env python3
"""static_files under load: connections on all shards, one too many, the end in the middle of it, and wrk."""

import contextlib
import re
import shutil
import socket
import subprocess
import threading

from _echo import PATIENCE, at_once, check, raise_descriptor_limit, run_each
from _static import Client, FileServer, ask_once, fill, folder


def many_at_once(backend):
    """Each has all of its bytes, on one shard and on four."""
    for shards in (1, 4):
        with folder() as root, FileServer(root, "--backend", backend, "--shards", shards) as server:
            data = [fill(root / f"{i}.bin", 1000 + 60_000 * i, seed=i) for i in range(8)]

            def talk(first):
                with Client(server, first) as client:
                    for i in range(24):
                        number = (first + i) % len(data)
                        check(client.ask(f"/{number}.bin").body == data[number], "another file")

            at_once(*(lambda first=first: talk(first) for first in range(32)))
            server.stop_clean()


def one_too_many(backend):
    """As many as all shards together hold are served, since the least loaded gets the next; others are told."""
    with folder() as root, contextlib.ExitStack() as stack, \
            FileServer(root, "--backend", backend, "--shards", 4, "--connections", 10) as server:
        clients = [stack.enter_context(Client(server, i)) for i in range(60)]
        served = []
        for client in clients:
            with contextlib.suppress(ConnectionError):  # the word may be lost, when the request comes after the end
                status = client.ask("/a.txt").status
                check(status in (200, 503), status)
                if status == 200:
                    served.append(client)
        check(30 <= len(served) <= 40, len(served), "served")
        for client in clients:
            client.peer.close()
        server.wait_for_open("socket:", 1)
        check(ask_once(server, "/a.txt").status == 200, "the room is not free again")
        server.stop_clean()


def connect_all(port, count, stack):
    """None waits for another."""
    peers = [stack.enter_context(socket.socket()) for _ in range(count)]
    for peer in peers:
        peer.setblocking(False)
        peer.connect_ex(("127.0.0.1", port))
    for peer in peers:
        peer.settimeout(30 * PATIENCE)
    return peers


def burst(backend):
    """There is hardly more room than is needed, and nobody knows at once where: all are served nevertheless."""
    raise_descriptor_limit()
    for _ in range(5):
        with folder() as root, contextlib.ExitStack() as stack, \
                FileServer(root, "--backend", backend, "--shards", 2, "--connections", 208) as server:
            peers = connect_all(server.port, 400, stack)
            for peer in peers:
                peer.sendall(b"GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n")
            for i, peer in enumerate(peers):
                said = peer.recv(100)
                check(said.startswith(b"HTTP/1.1 200 "), i, said)
            server.stop_clean()


def end_in_the_middle(backend):
    """Idle connections end at once; a file that is being sent is sent to its end, and that it is the last is told."""
    with folder() as root, FileServer(root, "--backend", backend) as server, Client(server) as idle, \
            Client(server) as half, Client(server) as busy, Client(server) as silent:
        data = fill(root / "data.bin", 16 << 20)
        check(idle.ask("/a.txt").status == 200, "no answer")
        half.send(b"GET /a.txt HTTP/1.1\r\nHos")
        busy.send(b"GET /data.bin HTTP/1.1\r\nHost: h\r\n\r\nGET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n")
        busy.head()
        server.process.terminate()
        for client in (idle, half, silent):
            client.check_end()
        check(busy.body(len(data)) == data, "another file")
        busy.check_end()
        server.check_end(server.wait())


def end_among_many(backend):
    """Clients come, ask and leave all the while: each has a whole answer, is turned away, or sees the end."""
    with folder() as root, FileServer(root, "--backend", backend) as server:
        data = fill(root / "data.bin", 300_000)
        is_over = threading.Event()
        trouble = []

        def ask_on_and_on(index):
            while not is_over.is_set():
                try:
                    with Client(server, index) as client:
                        for _ in range(5):
                            answer = client.ask("/data.bin")
                            if answer.status != 503 and (answer.status, answer.body) != (200, data):
                                trouble.append(answer.status)
                except (OSError, AssertionError):
                    continue  # the end, which only the signal brings; before it, the loop below sees others served

        callers = [threading.Thread(target=ask_on_and_on, args=(i,)) for i in range(8)]
        for caller in callers:
            caller.start()
        try:
            for _ in range(100):
                check(ask_once(server, "/data.bin").body == data, "another file")
            status = server.stop()
        finally:
            is_over.set()
            for caller in callers:
                caller.join()
        check(not trouble, trouble)
        server.check_end(status)


def with_wrk(backend):
    if shutil.which("wrk") is None:
        print("skipped: there is no wrk here")
        return
    with folder() as root, FileServer(root, "--backend", backend) as server:
        fill(root / "data.bin", 64 << 10)
        for name, connections in (("a.txt", 64), ("data.bin", 64), ("none", 16)):
            command = ["wrk", "-t1", f"-c{connections}", "-d2s", "--timeout", f"{10 * PATIENCE}s",
                       f"http://127.0.0.1:{server.port}/{name}"]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            check("Socket errors" not in said, said)
            refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
            count = int(re.search(r"(\d+) requests in", said)[1])
            check(count > 0 and (refused is None) == (name != "none"), said)
            print(f"wrk: {backend}: {name}: {re.search(r'Requests/sec: *([0-9.]+)', said)[1]} requests a second")
        server.stop_clean()


if __name__ == "__main__":
    run_each(many_at_once, one_too_many, burst, end_in_the_middle, end_among_many, with_wrk)
