#!/usr/bin/env python3
# ctest: timeout 300
# ctest: not under address
"""kv stays inside the memory that it was given.

What does not fit is refused in redis-server's words, what is there stays, and DEL makes room again, whatever sizes came
and went.
"""

import random

from _kv import (IS_SOAK, VALUE_LIMIT, Error, Kv, Redis, Talk, backends, check, folder, has_redis, pattern, refused, request,
                 soak_count)

MIB = 1 << 20
MEMORY = 24 * MIB
BESIDE = 32 * MIB  # what a server takes besides: its code, its stacks, the page tables
ANY = pattern(5, 2 * VALUE_LIMIT)


def value_of(number, size):
    return ANY[number * 13 % VALUE_LIMIT:][:size]


def most_of(server):
    """What the values and the shards were given, as the boot told, and a constant."""
    return MEMORY + BESIDE + sum(round(float(found[1]) * MIB) for found in server.matches(r"shard \d+: .* ([\d.]+) MiB"))


def fill(talk, size):
    """Sets keys of that size until one does not fit. Returns how many did, and the error's words."""
    number, batch = 0, max(1, min(500, 500_000 // size))
    while True:
        said = talk.ask_all([("SET", f"fill{i}", value_of(i, size)) for i in range(number, number + batch)])
        good = next((i for i, answer in enumerate(said) if answer != b"+OK\r\n"), batch)
        number += good
        if good < batch:  # those behind it may have fit into another shard
            talk.ask("DEL", *(f"fill{i}" for i in range(number, number + batch - good)))
            return number, said[good][1:-2].decode()


def words_of_redis():
    with Redis("--maxmemory", "3mb", "--maxmemory-policy", "noeviction") as server, Talk(server) as talk:
        return fill(talk, 10_000)[1]


def until_it_is_full(backend, shards, words):
    with folder() as place, Kv(place, "--backend", backend, "--shards", shards, "--memory", MEMORY // MIB, "--fsync",
                               "never") as server, Talk(server) as talk:
        for size in (*([10] if IS_SOAK else []), 100, 1000, 10_000, 100_000, VALUE_LIMIT):
            count, said = fill(talk, size)
            check(said == words, "it is full with", said, "and redis-server with", words)
            total = count * (size + len("fill1234"))
            print(f"{count} values of {size} bytes, {100 * total / MEMORY:.0f} % of the memory", flush=True)
            check(total > MEMORY / 3 if size > 50 else count > 0, "only", total, "bytes fit into", MEMORY)
            check(server.resident() < most_of(server), "resident:", server.resident(), "of", MEMORY)
            check(talk.ask("DBSIZE") == count, "keys")
            for number in range(0, count, max(1, count // 50)):
                check(talk.ask("GET", f"fill{number}") == value_of(number, size), "value", number, "changed")
            more = f"fill{count}"  # which did not fit before
            for command in (("SET", more, value_of(count, size)), ("MSET", more, value_of(count, size))):
                check(refused(talk, *command) == words, command[0], "when it is full")
            check(talk.ask("EXISTS", more) == 0, "what was refused is there")
            even = range(0, count, 2)
            check(talk.ask_all([("DEL", f"fill{number}") for number in even]) == [b":1\r\n"] * len(even), "DEL when it is full")
            said = talk.ask_all([("SET", f"fill{number}", value_of(number, size)) for number in even])
            check(said.count(b"+OK\r\n") >= 0.99 * len(even), "of what was deleted only", said.count(b"+OK\r\n"), "fit again")
            check(talk.ask("FLUSHALL") == b"OK" and talk.ask("DBSIZE") == 0, "FLUSHALL when it is full")
        check(server.stop() == 0, "exit status", server.process.returncode)


def pieces_of_all_sizes(backend):
    """Values of all sizes come and go at random; afterwards as much fits as at the beginning, or nearly."""
    draw = random.Random(6)
    with folder() as place, Kv(place, "--backend", backend, "--shards", 1, "--memory", MEMORY // MIB, "--fsync",
                               "never") as server, Talk(server) as talk:
        first, _ = fill(talk, VALUE_LIMIT)
        talk.ask("FLUSHALL")
        held, refusals = {}, 0
        for number in range(soak_count(30_000, 3000)):
            key = f"k{draw.randrange(400)}"
            if draw.randrange(3) == 0:
                check(talk.ask("DEL", key) == (key in held), "DEL", key)
                held.pop(key, None)
                continue
            size = draw.choice((0, 10, 100, 1000, 5000, 20_000, 100_000, 300_000, VALUE_LIMIT, draw.randrange(VALUE_LIMIT)))
            talk.send(request("SET", key, value_of(number, size)))
            said = talk.answer()
            if isinstance(said, Error):
                check(said.args[0].startswith("OOM "), said)
                refusals += 1
            else:
                held[key] = number, size
            if number % 50 == 0:
                one = draw.choice(list(held))
                check(talk.ask("GET", one) == value_of(*held[one]), "another value in", one)
        check(refusals > 0, "it was never full")
        check(server.resident() < most_of(server), "resident:", server.resident())
        for key, (number, size) in held.items():
            check(talk.ask("GET", key) == value_of(number, size), "another value in", key)
            check(talk.ask("DEL", key) == 1, "DEL")
        again, _ = fill(talk, VALUE_LIMIT)
        print(f"{VALUE_LIMIT} bytes: {first} values at first, {again} after {refusals} refusals")
        check(again >= first - 1, "after all was deleted only", again, "values fit, where", first, "did")
        check(server.stop() == 0, "exit status", server.process.returncode)


def many_large_answers(backend):
    """Clients that ask for large values and do not read make it hold no more; others are served."""
    with folder() as place, Kv(place, "--backend", backend, "--shards", 1, "--memory", MEMORY // MIB, "--fsync",
                               "never") as server, Talk(server) as talk:
        talk.ask("SET", "large", value_of(1, VALUE_LIMIT))
        talks = [Talk(server, index) for index in range(40)]
        for one in talks:
            one.send(request("GET", "large") * 20 + request("MGET", *["large"] * 10))
        for number in range(200):
            check(talk.ask("SET", "small", number) == b"OK", "SET beside them")
        check(server.resident() < most_of(server), "resident:", server.resident())
        for one in talks[::2]:
            for _ in range(20):
                check(one.answer() == value_of(1, VALUE_LIMIT), "a large answer")
            check(one.answer() == [value_of(1, VALUE_LIMIT)] * 10, "many large ones in one answer")
        check(server.resident() < most_of(server), "resident:", server.resident())
        for one in talks:
            one.close()
        check(talk.ask("GET", "small") == b"199", "the server goes on")
        check(server.stop() == 0, "exit status", server.process.returncode)


if __name__ == "__main__":
    if has_redis():
        oom = words_of_redis()
        for name in backends():
            for count_of_shards in (1, 2):
                until_it_is_full(name, count_of_shards, oom)
            pieces_of_all_sizes(name)
            many_large_answers(name)
