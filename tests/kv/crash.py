#!/usr/bin/env python3
# ctest: timeout 300
"""Killed with SIGKILL under load, with --fsync always, kv starts again and has every write that it acknowledged.

A write that was under way may be there or not, whole in either case. With TINA_SOAK=1 it is killed a hundred times on
each backend.
"""

import os
import random
import threading
import time

from _kv import Ended, Kv, Program, Talk, backends, check, folder, pattern, request, soak_count, wait_until

CLIENTS = 8
KEYS = 12  # of each client
MOST_WRITES = 1500  # acknowledged before a kill
DEPTH = 6  # commands under way on a connection, at most


class Client:
    """Writes keys that are its own, and knows what each may hold.

    Of a key: what was acknowledged last, and what is under way behind it, in order. After a crash the value is the
    first or one of the others.
    """

    def __init__(self, number, seed):
        self.number, self.draw = number, random.Random(seed)
        self.acked, self.under_way = {}, {}
        self.ack_count = self.serial = 0
        self.failure = None

    def key(self):
        return b"%d:%d" % (self.number, self.draw.randrange(KEYS))

    def counter(self):
        return b"%d:n%d" % (self.number, self.draw.randrange(3))

    def latest(self, key):
        return self.under_way[key][-1] if self.under_way.get(key) else self.acked.get(key)

    def value(self):
        """A new one each time, of a size that is mostly small."""
        self.serial += 1
        size = self.draw.choice((0, 10, 10, 100, 100, 1000, 1000, 5000, 70000))
        return b"%d.%d:" % (self.number, self.serial) + pattern(self.serial, size)

    def command(self):
        """A command, what it makes of which key, and its answer."""
        kind = self.draw.randrange(10)
        if kind < 3:
            key = self.counter()
            number = int(self.latest(key) or 0) + 1
            return (b"INCR", key), {key: b"%d" % number}, number
        if kind == 3:
            key = self.key()
            return (b"DEL", key), {key: None}, int(self.latest(key) is not None)
        if kind == 4:
            changes = {self.key(): self.value() for _ in range(3)}
            return (b"MSET", *(word for pair in changes.items() for word in pair)), changes, b"OK"
        key, value = self.key(), self.value()
        options = (b"EX", b"100000") if kind == 5 else ()
        return (b"SET", key, value, *options), {key: value}, b"OK"

    def rounds(self, talk):
        while True:
            batch = []
            for _ in range(self.draw.randrange(1, DEPTH)):
                words, changes, answer = self.command()
                for key, value in changes.items():
                    self.under_way.setdefault(key, []).append(value)
                batch.append((words, changes, answer))
            talk.send(b"".join(request(*words) for words, _, _ in batch))
            for words, changes, answer in batch:
                said = talk.answer()
                check(said == answer, words[:2], "was answered", said, "instead of", answer)
                self.ack_count += 1
                for key in changes:
                    self.acked[key] = self.under_way[key].pop(0)

    def write_until_the_end(self, server):
        try:
            with Talk(server, self.number) as talk:
                self.rounds(talk)
        except (ConnectionError, Ended):
            pass
        except BaseException as failure:  # pylint: disable=broad-except
            self.failure = failure

    def look(self, talk):
        """Compares with what is there; that is what counts from here on."""
        keys = [b"%d:%d" % (self.number, i) for i in range(KEYS)] + [b"%d:n%d" % (self.number, i) for i in range(3)]
        for key, value in zip(keys, talk.ask("MGET", *keys)):
            possible = [self.acked.get(key), *self.under_way.get(key, [])]
            check(value in possible, key, "holds", short(value), "though", short(possible[0]), "was acknowledged, and",
                  [short(one) for one in possible[1:]], "was under way")
            self.acked[key] = value
        self.under_way = {}


def short(value):
    return value if not isinstance(value, bytes) or len(value) < 60 else b"%s... (%d bytes)" % (value[:30], len(value))


def is_any_alive(threads):
    return any(thread.is_alive() for thread in threads)


def kill_under_load(server, clients, draw):
    threads = [threading.Thread(target=client.write_until_the_end, args=(server,)) for client in clients]
    for thread in threads:
        thread.start()
    target = sum(client.ack_count for client in clients) + draw.randrange(MOST_WRITES)
    try:
        wait_until(lambda: sum(client.ack_count for client in clients) >= target or not is_any_alive(threads),
                   "so many writes are acknowledged")
    finally:
        server.process.kill()
    for thread in threads:
        thread.join()
    for client in clients:
        if client.failure:
            raise client.failure


def kill_while_it_starts(place, options, draw):
    """At any moment of its recovery."""
    with Program("kv", "--port", 0, "--dir", place, *options) as server:
        time.sleep(draw.random() * 0.1)
        server.process.kill()


def killed_again_and_again(backend, seed):
    print(f"seed {seed}, {backend}", flush=True)
    draw = random.Random(seed)
    clients = [Client(number, seed + number) for number in range(CLIENTS)]
    kills = soak_count(100, 10)
    options = ("--backend", backend, "--fsync", "always", "--shards", 2)
    with folder() as place:
        for number in range(kills + 1):
            if number % 5 == 4:
                kill_while_it_starts(place, options, draw)
            with Kv(place, *options) as server:
                with Talk(server) as talk:
                    for client in clients:
                        client.look(talk)
                if number < kills:
                    kill_under_load(server, clients, draw)
                else:
                    check(server.stop() == 0, "exit status", server.process.returncode)
    acked = sum(client.ack_count for client in clients)
    check(acked > kills, "hardly anything was written:", acked)
    print(f"{kills} kills, {acked} acknowledged writes, none lost", flush=True)


if __name__ == "__main__":
    for name in backends():
        killed_again_and_again(name, int(os.environ.get("TINA_SEED", random.randrange(2**32))))
