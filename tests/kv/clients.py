#!/usr/bin/env python3
# ctest: timeout 300
"""Clients as they are: too many, silent, slow, rude. Others do not notice, and nothing is left behind."""

import contextlib
import random
import re
import socket
import threading
import urllib.request

from _kv import BOUND_S, PATIENCE, Ended, Error, Kv, Talk, backends, check, folder, pattern, request, reset, wait_until

CONNECTIONS = 40
LARGE = pattern(1, 400_000)


def server_of(place, backend, *options):
    return Kv(place, "--backend", backend, "--shards", 2, "--fsync", "never", *options)


def is_served(server, number=0):
    with Talk(server, number) as talk:
        check(talk.ask("ECHO", number) == b"%d" % number, "ECHO")


def ends_as_it_began(server, descriptors):
    """Nothing is left of all those who came."""
    wait_until(lambda: server.descriptor_count() <= descriptors, f"no more than {descriptors} descriptors")
    is_served(server)
    check(server.stop() == 0, "exit status", server.process.returncode)


def more_than_fit(backend):
    """Those beyond the limit are told so, or see the end; those who are there stay; a free place is given again."""
    with folder() as place, server_of(place, backend, "--connections", CONNECTIONS // 2) as server:  # of each shard
        descriptors = server.descriptor_count()
        talks = []
        for index in range(CONNECTIONS):
            talks.append(Talk(server, index))
            talks[-1].ask("SET", f"k{index}", index)
        words = set()
        for index in range(200):
            with Talk(server, index) as talk, contextlib.suppress(ConnectionError):
                talk.send(request("PING"))
                words.add(talk.rest())
        check(words <= {b"", b"-ERR max number of clients reached\r\n"}, "one too many was told", words)
        for index, talk in enumerate(talks):
            check(talk.ask("GET", f"k{index}") == b"%d" % index, "one of those who are there")
            talk.close()
        wait_until(lambda: served_again(server), "a place is free")
        ends_as_it_began(server, descriptors)


def served_again(server):
    with contextlib.suppress(ConnectionError, Ended, Error), Talk(server) as talk:
        return talk.ask("PING") == b"PONG"
    return False


def silent_ones_are_ended(backend):
    """Half a command and then silence ends with the connection; so does an idle one, where a timeout is asked for."""
    with folder() as place, server_of(place, backend, "--timeout", 1) as server:
        descriptors = server.descriptor_count()
        whole = request("SET", "half", "value")
        pieces = [b"", b"*", whole[:5], whole[:-3], b"PIN", request("SET", "half", LARGE)[:200_000], request("PING"), whole]
        talks = [Talk(server, index) for index in range(len(pieces))]
        for talk, piece in zip(talks, pieces):
            talk.send(piece)
        said = [talk.rest() for talk in talks]
        check(said == [b""] * (len(pieces) - 2) + [b"+PONG\r\n", b"+OK\r\n"], "the silent ones were told", said)
        for talk in talks:
            talk.close()
        with Talk(server) as talk:
            check(talk.ask("GET", "half") == b"value", "half a command was done")
        ends_as_it_began(server, descriptors)


def active_ones_stay(backend):
    """A connection that speaks is not ended by the timeout, however long it lives."""
    with folder() as place, server_of(place, backend, "--timeout", 1) as server:
        with Talk(server) as silent, Talk(server) as active:
            silent_end = threading.Thread(target=silent.rest)
            silent_end.start()
            while silent_end.is_alive():  # which began as old as the other
                check(active.ask("PING") == b"PONG", "PING")
                silent_end.join(0.05)
            check(active.ask("SET", "k", "v") == b"OK", "it goes on")
        check(server.stop() == 0, "exit status", server.process.returncode)


def stuff(talk, data):
    """Sends until the server takes no more."""
    talk.peer.settimeout(0.3)
    with contextlib.suppress(TimeoutError, ConnectionError):
        while True:
            talk.peer.sendall(data)


def those_who_do_not_read(backend):
    """They are waited for, in bounded memory, and the others are served; when they read at last, all is there."""
    with folder() as place, server_of(place, backend) as server, contextlib.ExitStack() as stack:
        descriptors = server.descriptor_count()
        with Talk(server) as talk:
            talk.ask("SET", "large", LARGE)
        before = server.resident()
        talks = [stack.enter_context(Talk(server, index)) for index in range(20)]
        for talk in talks:
            stuff(talk, request("GET", "large") * 50)
            is_served(server)
        grown = server.resident() - before
        check(grown < 64 << 20, "grown by", grown, "bytes")
        talk = Talk(server)
        talk.peer.settimeout(60)
        sender = threading.Thread(target=talk.send, args=(request("GET", "large") * 200,))
        sender.start()
        for _ in range(200):
            check(talk.answer() == LARGE, "a late reader's answer")
        sender.join()
        talk.close()
        stack.close()
        ends_as_it_began(server, descriptors)


def rude_ones(backend):
    """Resets at any moment: in a command, in a value, in an answer, behind a pipeline."""
    draw = random.Random(7)
    with folder() as place, server_of(place, backend) as server:
        descriptors = server.descriptor_count()
        with Talk(server) as talk:
            talk.ask("SET", "large", LARGE)
        data = (request("SET", "k", "v") + request("GET", "large") + request("SET", "large2", LARGE) +
                request("MGET", "large", "k") + request("MSET", "k", 1, "l", 2) + request("NONSENSE"))
        for number in range(300):
            peer = server.dial(number)
            with contextlib.suppress(ConnectionError):
                size = draw.choice((1, 10, 100, 1000, 100_000, 300_000, len(data)))
                peer.sendall(data[:size])
                if size > 50 and draw.randrange(2):  # more than the first command, which is answered
                    peer.recv(draw.choice((1, 10_000)))
            if draw.randrange(4):
                reset(peer)
            else:
                peer.close()
        ends_as_it_began(server, descriptors)


def clients_are_counted(backend):
    """INFO knows those of all shards, and not those who have left."""
    with folder() as place, server_of(place, backend) as server, contextlib.ExitStack() as stack:
        def count(talk):
            return int(re.search(rb"^connected_clients:(\d+)\r$", talk.ask("INFO"), re.MULTILINE)[1])

        talks = [stack.enter_context(Talk(server, index)) for index in range(7)]
        for talk in talks:
            talk.ask("PING")
        wait_until(lambda: count(talks[0]) == 7, "seven are counted")
        for talk in talks[4:]:
            talk.close()
        wait_until(lambda: count(talks[0]) == 4, "four are counted")
        check(server.stop() == 0, "exit status", server.process.returncode)


def half_closed(backend):
    """Who sends all and then its end gets all answers, then the end."""
    with folder() as place, server_of(place, backend) as server, Talk(server) as talk:
        talk.send(request("SET", "k", LARGE) + request("GET", "k") * 20 + request("PING"))
        talk.peer.shutdown(socket.SHUT_WR)
        check(talk.answer() == b"OK", "SET")
        for _ in range(20):
            check(talk.answer() == LARGE, "GET")
        check(talk.answer() == b"PONG" and talk.rest() == b"", "the end")
        check(server.stop() == 0, "exit status", server.process.returncode)


class Loader(threading.Thread):
    """Writes numbers until the end, and knows the last that was acknowledged."""

    def __init__(self, server, number):
        super().__init__()
        self.talk, self.number = Talk(server, number), number
        self.acked = self.sent = 0
        self.failure = None

    def run(self):
        with self.talk, contextlib.suppress(ConnectionError, Ended):
            while True:
                self.sent += 1
                said = self.talk.ask("SET", f"loaded{self.number}", self.sent)
                if said != b"OK":
                    self.failure = said
                self.acked = self.sent


def sigterm_under_load(backend):
    """It ends with status 0, and what was acknowledged is there when it starts again, whatever the sync policy is."""
    for policy in ("always", "second", "never"):
        with folder() as place:
            with Kv(place, "--backend", backend, "--shards", 2, "--fsync", policy) as server:
                loaders = [Loader(server, number) for number in range(10)]
                for loader in loaders:
                    loader.start()
                wait_until(lambda: all(loader.acked > 20 for loader in loaders), "they write")
                check(server.stop() == 0, "exit status", server.process.returncode)
                for loader in loaders:
                    loader.join()
            with Kv(place, "--backend", backend, "--shards", 2) as server, Talk(server) as talk:
                for loader in loaders:
                    check(loader.failure is None, loader.failure)
                    value = int(talk.ask("GET", f"loaded{loader.number}"))
                    check(loader.acked <= value <= loader.sent, policy, value, "of", loader.acked, loader.sent)
                check(server.stop() == 0, "exit status", server.process.returncode)


def sigterm_beside_silent_ones(backend):
    """Those who hold a connection and say nothing, or half of something, or do not read, do not keep it from ending."""
    with folder() as place, server_of(place, backend) as server, contextlib.ExitStack() as stack:
        talks = [stack.enter_context(Talk(server, index)) for index in range(30)]
        talks[0].ask("SET", "large", LARGE)
        for talk in talks[:10]:
            talk.send(request("SET", "k", LARGE)[:1000])
        for talk in talks[10:15]:
            stuff(talk, request("GET", "large") * 50)
        check(server.stop() == 0, "exit status", server.process.returncode)


def no_descriptor(backend):
    """The process may open fewer than its clients want: who waits is served when another goes."""
    def lower():
        import resource  # pylint: disable=import-outside-toplevel

        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    with folder() as place, Kv(place, "--backend", backend, "--shards", 1, preexec=lower) as server:
        peers = [server.dial(index) for index in range(80)]
        for peer in peers[:60]:
            peer.close()
        wait_until(lambda: served_again(server), "somebody is served")
        for peer in peers[60:]:
            peer.close()
        check(server.stop() == 0, "exit status", server.process.returncode)


def all_ask_all_at_once(backend):
    """As many as may connect each ask every partition, again and again, while the disk keeps all of them waiting: what
    there is of everything is enough, and nobody is told anything but OK."""
    shards, each, steps = 6, 16, 100
    with folder() as place, Kv(place, "--backend", backend, "--shards", shards, "--fsync", "always", "--connections",
                               each) as server, contextlib.ExitStack() as stack:
        talks = [stack.enter_context(Talk(server, index)) for index in range(shards * each)]
        for turn in range(6):
            for index, talk in enumerate(talks):
                talk.send(b"".join(request("SET", f"{index}:{turn}:{step}", step) for step in range(steps)))
            for talk in talks:
                said = {talk.raw() for _ in range(steps)}
                check(said == {b"+OK\r\n"}, "a client is told", said)
        check(talks[0].ask("DBSIZE") == len(talks) * 6 * steps, "DBSIZE")
        check(server.stop() == 0, "exit status", server.process.returncode)


def metrics_are_served(backend):
    """Where asked for: of each shard, and by each that a scrape may come to."""
    with folder() as place, server_of(place, backend, "--metrics", "127.0.0.1:0") as server, Talk(server) as talk:
        address = server.wait_for(r"metrics at (http://[^ ]+/metrics)")[1]
        check(talk.ask("SET", "k", 1) == b"OK", "SET")
        for _ in range(4):
            with urllib.request.urlopen(address, timeout=BOUND_S * PATIENCE) as answer:
                text = answer.read().decode()
            alive = re.findall(r'^tina_type_isolates\{shard="(\d)",type="partition"[^}]*\} 1$', text, re.MULTILINE)
            check(alive == ["0", "1"], "the partitions that are alive", text)
            calls = re.findall(r'^tina_type_dispatches_total\{shard="\d",type="connection"[^}]*\} (\d+)$', text, re.MULTILINE)
            check(sum(map(int, calls)) > 0, "nobody called a connection", text)
        check(server.stop() == 0, "exit status", server.process.returncode)


TESTS = (more_than_fit, silent_ones_are_ended, active_ones_stay, those_who_do_not_read, rude_ones, half_closed,
         sigterm_under_load, sigterm_beside_silent_ones, no_descriptor,
         all_ask_all_at_once, metrics_are_served, clients_are_counted)

if __name__ == "__main__":
    for name in backends():
        for test in TESTS:
            print(f"{test.__name__} {name}", flush=True)
            test(name)
