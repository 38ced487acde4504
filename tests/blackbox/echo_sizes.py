#!/usr/bin/env python3
"""Every byte comes back, for all sizes of messages and from one to hundreds of connections at once."""

import contextlib

from _echo import Server, dial, echo, echo_all, pattern, run_each

SIZES = (1, 2, 63, 64, 1000, 4095, 4096, 4097, 8192, 65535, 65537, 300_000, 1 << 20)


def one_connection(backend):
    with Server("--backend", backend) as server:
        with dial(server.port) as peer:
            for size in SIZES:
                echo(peer, pattern(size, size))
        server.stop_clean()


def five_hundred_connections(backend):
    with Server("--backend", backend) as server, contextlib.ExitStack() as stack:
        peers = [stack.enter_context(dial(server.port, i)) for i in range(500)]
        total = 0
        for size in (1, 100, 5000, 65536):
            echo_all([(peer, pattern(i, size)) for i, peer in enumerate(peers)])
            total += size * len(peers)
        for peer in peers:
            peer.close()
        server.wait_for_sockets(2)
        stats = server.stop_clean()
        assert stats["bytes_in"] == stats["bytes_out"] == [total], stats
        print(f"soak: {backend}: 500 connections at once, {total} bytes")


def a_megabyte_each(backend):
    with Server("--backend", backend) as server, contextlib.ExitStack() as stack:
        peers = [stack.enter_context(dial(server.port, i)) for i in range(32)]
        echo_all([(peer, pattern(i, 1 << 20)) for i, peer in enumerate(peers)])
        server.stop_clean()


def over_ipv6(backend):
    with Server("--backend", backend, "--host", "[::1]") as server:
        with dial(server.port, host="::1") as peer:
            echo(peer, pattern(6, 100_000))
        server.stop_clean()


def on_small_buffers(backend):
    """Two sends at a time may keep a buffer: the others are cut, and those two are served."""
    with Server("--backend", backend, "--shards", 1, "--buffers", 8) as server:
        for i in range(20):
            with dial(server.port, i) as peer:
                echo(peer, pattern(i, 100_000))
        server.stop_clean()


if __name__ == "__main__":
    run_each(one_connection, five_hundred_connections, a_megabyte_each, over_ipv6, on_small_buffers)
