#!/usr/bin/env python3
"""Ten thousand connections at once, and 100,000 (in CI: 5,000) connects and closes in a row."""

import multiprocessing

from _echo import (PATIENCE, Server, dial, echo, echo_all, pattern, raise_descriptor_limit, reset, run_each, soak_count)

CONNECTIONS = 10_000
CLIENTS_MOST = 5_000  # connections of one client process


def hold(port, first, count, orders, reports):
    """A client process: connects, says so, and echoes at each order, until one is None."""
    raise_descriptor_limit()
    try:
        peers = [dial(port, first + i) for i in range(count)]
        reports.put(None)
        while (size := orders.get()) is not None:
            echo_all([(peer, pattern(first + i, size)) for i, peer in enumerate(peers)])
            reports.put(None)
        for peer in peers:
            peer.close()
    except BaseException as trouble:  # pylint: disable=broad-exception-caught
        reports.put(repr(trouble))
        raise


def ten_thousand_connections(backend):
    share = max(1, min(CLIENTS_MOST, raise_descriptor_limit() - 100))
    firsts = range(0, CONNECTIONS, share)
    with Server("--backend", backend, "--connections", CONNECTIONS) as server:
        reports = multiprocessing.Queue()
        clients = []
        for first in firsts:
            orders = multiprocessing.Queue()
            count = min(share, CONNECTIONS - first)
            client = multiprocessing.Process(target=hold, args=(server.port, first, count, orders, reports), daemon=True)
            client.start()
            clients.append((client, orders))

        def await_all():
            for _ in clients:
                trouble = reports.get(timeout=60 * PATIENCE)
                assert trouble is None, trouble

        await_all()
        server.wait_for_sockets(CONNECTIONS + 2)  # connected does not yet mean accepted
        for size in (1, 512, 5000):
            for _, orders in clients:
                orders.put(size)
            await_all()
        for client, orders in clients:
            orders.put(None)
            client.join(30 * PATIENCE)
        server.wait_for_sockets(2)
        stats = server.stop_clean()
        assert stats["spawns"] == [CONNECTIONS + 2], stats
        assert stats["bytes_in"] == stats["bytes_out"] == [CONNECTIONS * 5513], stats
        print(f"soak: {backend}: {CONNECTIONS} connections at once")


def one_after_another(backend):
    """Every tenth says something, every seventh leaves with a reset."""
    count = soak_count(100_000, 5_000)
    with Server("--backend", backend, "--connections", 64) as server:
        for i in range(count):
            peer = dial(server.port, i)
            if i % 10 == 0:
                echo(peer, b"0123456789")
            if i % 7 == 0:
                reset(peer)
            else:
                peer.close()
        server.wait_for_sockets(2)
        with dial(server.port) as peer:
            echo(peer, b"still there")
        server.stop_clean()
        print(f"soak: {backend}: {count} connects and closes in a row")


if __name__ == "__main__":
    run_each(ten_thousand_connections, one_after_another)
