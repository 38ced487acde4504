#!/usr/bin/env python3
"""What a server keeps over its end and its next start, and when it refuses to start."""

import re
import time

from _kv import Kv, Program, Talk, backends, check, folder, pattern, wait_until

POLICIES = ("always", "second", "never")


def info_of(talk, name):
    return int(re.search(rf"^{name}:(\d+)", talk.ask("INFO").decode(), re.MULTILINE)[1])


def all_that_was_done(backend):
    """Whatever the sync policy, after an orderly end."""
    for policy in POLICIES:
        for shards in (1, 2):
            options = ("--backend", backend, "--fsync", policy, "--shards", shards)
            with folder() as place:
                with Kv(place, *options) as server, Talk(server) as talk:
                    for i in range(100):
                        talk.ask("SET", f"k{i}", i)
                    talk.ask("DEL", *(f"k{i}" for i in range(0, 100, 3)))
                    talk.ask("MSET", "a", "", b"\0\r\n", b"\xff\0", "", "no key")
                    talk.ask("INCRBY", "n", 40)
                    talk.ask("DECR", "n")
                    talk.ask("SET", "large", pattern(1, 500_000))
                    talk.ask("SET", "k1", "instead", "XX")
                    talk.ask("SET", "k2", "not", "NX")
                    check(server.stop() == 0, "exit status", server.process.returncode)
                with Kv(place, *options) as server, Talk(server) as talk:
                    expected = [None if i % 3 == 0 else b"%d" % i for i in range(100)]
                    expected[1] = b"instead"
                    check(talk.ask("MGET", *(f"k{i}" for i in range(100))) == expected, "keys", policy, shards)
                    check(talk.ask("MGET", "a", b"\0\r\n", "", "n") == [b"", b"\xff\0", b"no key", b"39"], "odd keys")
                    check(talk.ask("GET", "large") == pattern(1, 500_000) and talk.ask("DBSIZE") == 71, "large")
                    talk.ask("FLUSHALL")
                    talk.ask("SET", "after", 1)
                    check(server.stop() == 0, "exit status", server.process.returncode)
                with Kv(place, *options) as server, Talk(server) as talk:
                    check(talk.ask("DBSIZE") == 1 and talk.ask("GET", "after") == b"1", "FLUSHALL")


def lives_go_on(backend):
    """A life does not begin anew with the server; what expires while none runs is not there when one does."""
    with folder() as place:
        with Kv(place, "--backend", backend) as server, Talk(server) as talk:
            talk.ask("SET", "short", 1, "PX", 300)
            short_over = time.monotonic() + 0.3
            talk.ask("SET", "long", 1, "EX", 1000)
            talk.ask("SET", "given", 1)
            talk.ask("EXPIRE", "given", 2000)
            talk.ask("SET", "taken", 1, "EX", 1000)
            talk.ask("SET", "taken", 2)
            talk.ask("SET", "counted", 1, "EX", 1000)
            talk.ask("INCR", "counted")
            before = [talk.ask("PTTL", key) for key in ("long", "given", "counted")]
            check(server.stop() == 0, "exit status", server.process.returncode)
        wait_until(lambda: time.monotonic() > short_over, "the short one's time is over")
        with Kv(place, "--backend", backend) as server, Talk(server) as talk:
            check(talk.ask("GET", "short") is None and talk.ask("DBSIZE") == 4, "an expired one is there again")
            after = [talk.ask("PTTL", key) for key in ("long", "given", "counted")]
            check(all(0 < new <= old for old, new in zip(before, after)), "to live:", before, "and later", after)
            check(talk.ask("TTL", "taken") == -1 and talk.ask("GET", "counted") == b"2", "a life that was taken away")


def written_anew(backend):
    """A file that is mostly out of date is written anew while clients write, and the next start has it all."""
    with folder() as place:
        with Kv(place, "--backend", backend, "--fsync", "always", "--shards", 1) as server, Talk(server) as talk:
            talk.ask("SET", "long", 1, "EX", 1000)
            talk.ask("SET", "old", "value")
            number = 0
            while info_of(talk, "aof_rewrites") == 0:
                number += 1
                check(number < 2000, "it was never written anew")
                said = talk.ask_all([("SET", f"k{i}", f"{number}:".encode() + pattern(i, 5000)) for i in range(50)])
                check(said == [b"+OK\r\n"] * 50, "a write while it is written anew:", said)
            size = sum(path.stat().st_size for path in place.iterdir())
            check(size < number * 50 * 5000 / 2, "it was written anew, and is", size, "bytes")
            talk.ask("SET", "last", "one")
            check(server.stop() == 0, "exit status", server.process.returncode)
        with Kv(place, "--backend", backend, "--shards", 1) as server, Talk(server) as talk:
            check(talk.ask("MGET", "old", "last") == [b"value", b"one"] and talk.ask("TTL", "long") > 0, "old and last")
            for i in range(50):
                check(talk.ask("GET", f"k{i}") == f"{number}:".encode() + pattern(i, 5000), "the last of", i)
            check(talk.ask("DBSIZE") == 53, "keys:", talk.ask("DBSIZE"))
        check(len(list(place.iterdir())) == 1, "files left behind:", list(place.iterdir()))


def refuses(place, words, *options):
    with Program("kv", "--port", 0, "--dir", place, *options) as program:
        check(program.wait() == 1, "exit status", program.process.returncode)
        check(any(re.search(words, line) for line in program.lines), "it said", program.lines)


def starts_that_are_refused(backend):
    """In words, with status 1, and nothing is changed."""
    refuses("/no/such/folder", "/no/such/folder", "--backend", backend)
    with folder() as place:
        (place / "file").write_bytes(b"")
        refuses(place / "file", str(place / "file"), "--backend", backend)
    with folder() as place:
        with Kv(place, "--backend", backend, "--memory", 16) as server, Talk(server) as talk:
            for i in range(20):
                talk.ask("SET", f"k{i}", bytes(400_000))
            check(server.stop() == 0, "exit status", server.process.returncode)
        refuses(place, "--memory", "--backend", backend, "--memory", 4)
        with Kv(place, "--backend", backend, "--memory", 16) as server, Talk(server) as talk:
            check(talk.ask("DBSIZE") == 20, "keys")
            refuses(place, r"(?i)\b(used|another|locked)\b", "--backend", backend)
            check(talk.ask("SET", "still", "here") == b"OK", "the first goes on")
            check(server.stop() == 0, "exit status", server.process.returncode)
        with Kv(place, "--backend", backend, "--memory", 16) as server, Talk(server) as talk:
            check(talk.ask("DBSIZE") == 21, "keys")


TESTS = (all_that_was_done, lives_go_on, written_anew, starts_that_are_refused)

if __name__ == "__main__":
    for name in backends():
        for test in TESTS:
            print(f"{test.__name__} {name}", flush=True)
            test(name)
