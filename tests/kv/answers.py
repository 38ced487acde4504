#!/usr/bin/env python3
# ctest: timeout 600
"""What kv answers is what redis-server answers, word for word and byte for byte, on one shard and on several.

Every case goes to both servers: as a client library sends it, and through redis-cli. Where kv differs, and should, a
test of its own says how.
"""

import base64
import itertools
import random
import re
import subprocess

from _kv import (IS_SOAK, PATIENCE, VALUE_LIMIT, Error, Kv, Redis, Talk, backends, check, folder, has_redis, octets,
                 pattern, request, wait_until)

LARGE = base64.b64encode(pattern(1, VALUE_LIMIT))[:VALUE_LIMIT]
ECHO_LIMIT = 16000  # what is no value is bounded more tightly
SHOWN = 300  # bytes of an answer that a failure tells


class Left:
    """A step that asks how long a key has to live: no two answers need be the same, but each has to fit the other."""

    def __init__(self, key, at_most_ms):
        self.key, self.at_most_ms = octets(key), at_most_ms


def words(text):
    return tuple(text.split())


# ---- What is asked: each story begins with an empty server ----

def connection():
    yield from map(words, ("PING", "ping", "PiNg", "PING hello", "PING a b", "ECHO hello", "ECHO", "ECHO a b",
                           "CLIENT GETNAME", "CLIENT SETNAME me", "CLIENT GETNAME", "client getname", "CLIENT SETNAME",
                           "CLIENT SETNAME a b", "CLIENT GETNAME x", "CLIENT", "CLIENT NONSENSE", "CLIENT NONSENSE a b"))
    yield "CLIENT", "SETNAME", "two words"
    yield "CLIENT", "SETNAME", "line\nline"
    yield "CLIENT", "SETNAME", b"\x80"
    yield "CLIENT", "GETNAME"
    yield "CLIENT", "SETNAME", ""
    yield "CLIENT", "GETNAME"
    yield "ECHO", ""
    yield "ECHO", b"\0\r\n\xff"
    yield "PING", b"\0\r\n\xff"


def hello_errors():
    yield from map(words, ("HELLO 1", "HELLO 4", "HELLO two", "HELLO -1", "HELLO 2 NONSENSE", "HELLO 2 SETNAME",
                           "HELLO 2 AUTH", "HELLO 2 AUTH a"))
    yield "HELLO", "2", "SETNAME", "two words"
    yield "HELLO", ""


def unknown():
    yield from map(words, ("NONSENSE", "nonsense a b", "GETX k", "G", "LPUSHX_", "NONSENSE " + "x" * 200,
                           "NONSENSE " + "yy " * 30))
    yield ("N" * 200,)
    yield "", ""
    yield "NON\r\nSENSE", "a\r\nb"
    yield "NON'SENSE", "'"
    yield b"NON\0SENSE", b"\0a"
    yield b"\xff\xfe", b"\x80"


def get_and_set():
    yield from map(words, ("GET", "GET a b", "SET", "SET k", "GET k", "SET k v", "GET k", "get k", "SET k w", "GET k",
                           "GET K", "SET K other", "GET k", "GET K", "SET k v nonsense", "SET k v EX", "SET k v PX",
                           "SET k v EX x", "SET k v EX 1.5", "SET k v EX 0", "SET k v EX -1", "SET k v PX 0",
                           "SET k v PX -5", "SET k v EX 9223372036854775807", "SET k v EX 9223372036854775",
                           "SET k v PX 9223372036854775807", "SET k v EX 9223372036854775808", "SET k v EX 10 10",
                           "SET k v ex 1000 nx", "SET fresh v ex 1000 nx", "SET k v px 1000000 xx", "SET k v 1000"))
    yield "SET", "k", "v", "EX", ""
    yield "SET", "k", "v", "EX", " 10"
    yield "SET", "k", "v", "EX", "010"
    yield "SET", "k", "v", "EX", "+10"
    yield "SET", "k", "v", ""


def set_options():
    """All options, alone and in twos and threes, in every order, for a key that is there and one that is not."""
    times = ("EX 1000", "PX 1000000", "EX 0", "PX -1", "EX word", "EX")
    times += ("EXAT 9999999999", "PXAT 9999999999999", "EXAT 0", "PXAT")
    flags = ("NX", "xx", "GET", "KEEPTTL", "NONSENSE")
    for count in range(4):
        for chosen in itertools.permutations((*times, *flags), count):
            options = " ".join(chosen).split()
            for key in ("there", "missing"):
                yield "SET", "there", "old"
                yield "DEL", "missing"
                yield "SET", key, "new", *options
                yield "GET", key


def bytes_of_all_kinds():
    everything = bytes(range(256))
    for key in (b"", b"\0", b"\r\n", b"$5\r\n", b" ", b"\xff" * 10, everything):
        yield "SET", key, b"value of " + key
        yield "GET", key
        yield "EXISTS", key
    for value in (b"", b"\0", b"\r\n", b"+OK\r\n", everything, everything * 16):
        yield "SET", "k", value
        yield "GET", "k"
        yield "MGET", "k", "missing", "k"
    yield "DBSIZE",
    yield "SET", "empty", ""
    yield "EXISTS", "empty"
    yield "INCR", "empty"
    yield "MGET", ""


def sizes():
    for size in (1, 15, 16, 63, 64, 100, 1000, 4095, 4096, 4097, 16383, 16384, 16385, 65535, 65536, 65537, 131072, 400000,
                 VALUE_LIMIT - 1, VALUE_LIMIT):
        yield "SET", "k", LARGE[:size]
        yield "GET", "k"
        yield "ECHO", LARGE[:min(size, ECHO_LIMIT)]
        yield "SET", f"k{size}", LARGE[-size:]
    yield "MGET", *(f"k{size}" for size in (16384, 131072, VALUE_LIMIT, 1, VALUE_LIMIT - 1))
    for size in (1, 100, 250):
        yield "SET", LARGE[:size], "long key"
        yield "GET", LARGE[:size]
        yield "GET", LARGE[:size - 1]


def counting():
    yield from map(words, ("INCR", "INCR a b", "DECR", "DECR a b", "INCRBY", "INCRBY n", "INCRBY n 1 2", "INCR n", "INCR n",
                           "GET n", "DECR n", "DECR n", "DECR n", "GET n", "INCRBY n 100", "INCRBY n -200", "INCRBY n 0",
                           "INCRBY n x", "INCRBY n 1.5", "INCRBY n 9223372036854775808", "INCRBY new 7", "DECR fresh"))
    for value in ("9223372036854775807", "9223372036854775806", "-9223372036854775808", "-9223372036854775807",
                  "9223372036854775808", "0", "-0", "00", "01", "+1", "-1", "1 ", " 1", "1.0", "1e3", "0x10", "word", "",
                  b"1\0", "99999999999999999999999", "-", "1" * 30):
        yield "SET", "n", value
        yield "INCR", "n"
        yield "SET", "n", value
        yield "DECR", "n"
        for step in ("9223372036854775807", "-9223372036854775808", "-1", "1", "01", "+1", "", " 1"):
            yield "SET", "n", value
            yield "INCRBY", "n", step
            yield "GET", "n"
    yield from map(words, ("SET n 10 EX 1000", "INCR n"))
    yield Left("n", 1000000)
    yield from map(words, ("INCRBY n 5", "DECR n"))
    yield Left("n", 1000000)


def many_keys():
    yield from map(words, ("MSET", "MSET a", "MSET a 1 b", "MSET a 1 b 2 c 3", "MGET", "MGET a", "MGET a b c d", "MGET d",
                           "MGET a a a", "MSET a 5 a 6", "GET a", "EXISTS", "EXISTS a", "EXISTS a a b d", "DEL",
                           "DEL d", "DEL a a b d", "EXISTS a b c", "DBSIZE", "DBSIZE x", "DEL c", "DBSIZE"))
    yield "MSET", *itertools.chain.from_iterable((f"k{i}", f"v{i}") for i in range(100))
    yield "MGET", *(f"k{i}" for i in range(-20, 120))
    yield "EXISTS", *(f"k{i}" for i in range(-20, 120))
    yield "DEL", *(f"k{i}" for i in range(50, 200))
    yield "DBSIZE",
    yield "MGET", *(f"k{i}" for i in range(0, 100, 7))
    yield from map(words, ("FLUSHALL", "DBSIZE", "MGET k1 k2", "SET a 1 EX 1000", "MSET a 2 b 3", "TTL a", "PTTL a",
                           "FLUSHALL NONSENSE", "GET a", "FLUSHALL ASYNC x", "GET a", "FLUSHALL SYNC", "GET a", "SET a 1",
                           "flushall async", "GET a"))


def living():
    yield from map(words, ("TTL", "TTL a b", "TTL missing", "PTTL", "PTTL a b", "PTTL missing", "EXPIRE", "EXPIRE k",
                           "EXPIRE missing 10", "EXPIRE missing x", "SET k v", "TTL k", "PTTL k", "EXPIRE k x",
                           "EXPIRE k 1.5", "EXPIRE k 9223372036854775807", "EXPIRE k -9223372036854775808",
                           "EXPIRE k 9223372036854775808", "EXPIRE k 10 NONSENSE", "TTL k", "EXPIRE k 1000"))
    yield Left("k", 1000000)
    yield from map(words, ("SET k v", "TTL k", "SET k v EX 500"))
    yield Left("k", 500000)
    for left_ms in (100000, 100400, 100499, 100500, 100501, 100900, 100999, 3600000, 9000000000):
        yield "SET", "k", "v", "PX", left_ms
        yield Left("k", left_ms)
    yield from map(words, ("EXPIRE k 2000",))
    yield Left("k", 2000000)
    yield from map(words, ("EXPIRE k 0", "GET k", "TTL k", "EXISTS k", "SET k v", "EXPIRE k -1", "GET k", "DBSIZE",
                           "SET k v EX 1000", "DEL k", "SET k v", "TTL k", "SET k v EX 1000", "SET k w XX", "TTL k",
                           "SET k v EX 1000", "SET k w NX", "GET k"))
    yield Left("k", 1000000)


def living_longer():
    """Further words for a life, each with what the key had before."""
    lives = ("DEL k", "SET k v", "SET k v EX 1000")
    asked = ("EXPIRE k 2000", "EXPIRE k 500", "EXPIRE k 0", "PEXPIRE k 2000000", "PEXPIRE k x", "EXPIREAT k 9999999999",
             "EXPIREAT k 1", "EXPIREAT k x", "PEXPIRE k 9223372036854775807", "EXPIREAT k 9223372036854775807")
    conditions = ("", "NX", "XX", "GT", "LT", "nx", "NX XX", "NX GT", "GT LT", "XX GT", "XX LT", "NONSENSE", "NX NONSENSE")
    for life, question, condition in itertools.product(lives, asked, conditions):
        yield words(life)
        yield words(f"{question} {condition}")
        yield words("EXISTS k")
        yield words("PERSIST k")
    yield from map(words, ("SET k v", "PEXPIRE k 500000"))
    yield Left("k", 500000)
    yield from map(words, ("SET k w KEEPTTL",))
    yield Left("k", 500000)
    yield from map(words, ("PERSIST k", "TTL k", "PERSIST", "PERSIST k k", "PERSIST missing", "SET k v EX 1000 GET", "GET k"))
    yield Left("k", 1000000)


def further_words():
    yield from map(words, ("SET k value", "STRLEN k", "STRLEN missing", "STRLEN", "STRLEN k k", "DECRBY n 5", "DECRBY n x",
                           "DECRBY n -9223372036854775808", "DECRBY n", "DECRBY k 1", "GET n", "UNLINK", "UNLINK k k missing",
                           "EXISTS k n", "SELECT 0", "SELECT", "SELECT x", "SELECT 0 0", "SELECT -1", "SELECT 99999",
                           "SET k v", "FLUSHDB NONSENSE", "GET k", "FLUSHDB", "GET k", "SET k v", "FLUSHDB ASYNC", "DBSIZE",
                           "SET k v", "FLUSHDB SYNC", "DBSIZE"))


def other_errors():
    for command in ("PING", "ECHO", "GET", "SET", "DEL", "EXISTS", "INCR", "DECR", "INCRBY", "MGET", "MSET", "EXPIRE", "TTL",
                    "PTTL", "DBSIZE", "CLIENT", "DECRBY", "STRLEN", "UNLINK", "PEXPIRE", "EXPIREAT", "PERSIST"):
        for count in range(6):
            if (command, count) not in {("CLIENT", 0), ("PING", 1)}:
                yield command, *(f"k{i}" for i in range(count))
                yield command.lower(), *(f"k{i}" for i in range(count))
    yield "FLUSHALL",


STORIES = (connection, hello_errors, unknown, get_and_set, set_options, bytes_of_all_kinds, sizes, counting, many_keys,
           living, living_longer, further_words, other_errors)


# ---- As a client library asks ----

def differ(step, ours, theirs):
    return f"{step!r:.{SHOWN}}\n  kv:    {ours!r:.{SHOWN}}\n  redis: {theirs!r:.{SHOWN}}"


def look_at_life(talk, left):
    """Rounds as the time that is left at the moment of the question does, which lies between two other questions."""
    talk.send(request("PTTL", left.key) + request("TTL", left.key) + request("PTTL", left.key))
    before, seconds, after = (talk.answer() for _ in range(3))
    check(0 < after <= before <= left.at_most_ms, "left to live:", before, "then", after, "of", left.at_most_ms)
    check((after + 500) // 1000 <= seconds <= (before + 500) // 1000, "TTL says", seconds, "PTTL", before, "and", after)


def parts(story):
    """The story's commands in lists, and what stands between them."""
    for is_left, steps in itertools.groupby(story(), lambda step: isinstance(step, Left)):
        if is_left:
            yield from steps
        else:
            yield list(steps)


def as_a_library(ours, theirs):
    wrong = []
    for story in STORIES:
        with Talk(ours) as mine, Talk(theirs) as other:
            check(mine.ask("FLUSHALL") == other.ask("FLUSHALL") == b"OK", "FLUSHALL")
            for part in parts(story):
                if isinstance(part, Left):
                    look_at_life(mine, part)
                    look_at_life(other, part)
                else:
                    answers = zip(part, mine.ask_all(part), other.ask_all(part))
                    wrong += [differ(step, said, right) for step, said, right in answers if said != right]
    check(not wrong, f"{len(wrong)} answers differ:\n" + "\n".join(wrong[:20]))


# ---- Through redis-cli ----

def quoted(word):
    """As redis-cli reads it."""
    return '"' + "".join(f"\\x{byte:02x}" if byte < 33 or byte > 126 or byte in b'"\\' else chr(byte)
                         for byte in octets(word)) + '"'


def through_cli(server, steps):
    """What redis-cli prints for each command; an echo of its number stands between two."""
    lines = []
    for number, step in enumerate(steps):
        lines += [" ".join(map(quoted, step)), f"ECHO the-end-of-{number}"]
    done = subprocess.run(["redis-cli", "--no-raw", *server.cli_place()], input="\n".join(lines) + "\n",
                          capture_output=True, check=False, timeout=120 * PATIENCE, encoding="latin-1")
    check(done.returncode == 0, "redis-cli:", done.returncode, done.stderr)
    rest, said = re.sub(r"(?m)^\(\d+\.\d\ds\)\n", "", done.stdout), []  # told of what takes half a second
    for number in range(len(steps)):
        one, mark, rest = rest.partition(f'"the-end-of-{number}"\n')
        check(mark, "no answer to", f"{steps[number]!r:.{SHOWN}}", "through redis-cli, but", rest[-SHOWN:])
        said.append(one)
    return said


def as_redis_cli(ours, theirs):
    wrong = []
    for story in STORIES:
        steps = [("FLUSHALL",), *(step for step in story() if not isinstance(step, Left))]
        answers = zip(steps, through_cli(ours, steps), through_cli(theirs, steps))
        wrong += [differ(step, said, right) for step, said, right in answers if said != right]
    check(not wrong, f"{len(wrong)} answers differ through redis-cli:\n" + "\n".join(wrong[:20]))


# ---- Bytes ----

INLINE = (
    b"PING\r\n", b"PING\n", b"  PING  hello  \r\n", b"\r\n\r\n\n  \r\nPING\r\n", b"SET k v\r\nGET k\r\n",
    b'SET k "two words"\r\nGET k\r\n', b"SET k 'one \\' quote'\r\nGET k\r\n", b'SET k "\\x00\\xff\\r\\n\\t\\a\\b\\"\\q"\r\nGET k\r\n',
    b'SET k ""\r\nGET k\r\n', b"SET k ''\r\nGET k\r\n", b"SET k '\\x41'\r\nGET k\r\n", b"NONSENSE a b\r\n", b"GET\r\n",
    b"\tPING\r\n", b"ECHO " + b"x" * 900 + b"\r\n", b"SET k v EX\r\n", b"PING\r\n*1\r\n$4\r\nPING\r\nPING\r\n",
    b"ECHO a\rb\r\n", b"SET k \xc3\xa9\r\nGET k\r\n", b'ECHO "a" "b"\r\n', b'ECHO "\\x4"\r\n',
)

BROKEN = (
    b'SET k "open\r\n', b"SET k 'open\r\n", b'ECHO "a"b\r\n', b"ECHO 'a'b\r\n", b"x" * 70000, b"*x\r\n", b"*\r\n",
    b"*1.5\r\n", b"* 1\r\n", b"*9999999999\r\n", b"*2147483648\r\n", b"*99999999999999999999999\r\n", b"*1\r\nPING\r\n",
    b"*1\r\n:4\r\nPING\r\n", b"*1\r\n*4\r\nPING\r\n", b"*1\r\n\r\n", b"*1\r\n$x\r\n", b"*1\r\n$\r\n", b"*1\r\n$-1\r\n", b"*1\r\n$-5\r\n",
    b"*1\r\n$99999999999\r\n", b"*1\r\n$ 4\r\nPING\r\n", b"*2\r\n$4\r\nECHO\r\n$x\r\n", b"*" + b"1" * 70000, b"*1\r\n$" + b"1" * 70000,
    b"*1\r\n$4\r\nPING\r\n*1\r\nbad\r\n", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$-1\r\n", b"*+1\r\n$4\r\nPING\r\n", b"*1\r\n$+4\r\nPING\r\n",
    b"*01\r\n$4\r\nPING\r\n", b"*1\r\n$04\r\nPING\r\n", b"*1\r\n\xff\r\n", b"*1\r\n'\r\n",
)

HARMLESS = (b"*0\r\n", b"*-1\r\n", b"*-10\r\n", b"*0\r\n*0\r\n\r\n", b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n",
            b"*2\r\n$4\r\nECHO\r\n$2\r\nabxx*1\r\n$4\r\nPING\r\n")


def exchange(server, data, and_end):
    """All that comes back until the end, which the client makes, or waits for."""
    with Talk(server) as talk:
        talk.send(data)
        if and_end:
            talk.send(request("QUIT"))
        return talk.rest()


def lines_and_frames(ours, theirs):
    wrong = []
    for cases, and_end in ((INLINE, True), (HARMLESS, True), (BROKEN, False)):
        for data in cases:
            said, right = exchange(ours, data, and_end), exchange(theirs, data, and_end)
            if said != right:
                wrong.append(differ(data, said, right))
    check(not wrong, f"{len(wrong)} differ:\n" + "\n".join(wrong))


def quit_ends(ours, theirs):
    """What stands behind it is not done."""
    for quit_words in (("QUIT",), ("quit",), ("QUIT", "now")):
        data = request("SET", "k", "before") + request(*quit_words) + request("SET", "k", "behind")
        check(exchange(ours, data, False) == exchange(theirs, data, False), quit_words)
        with Talk(ours) as talk:
            check(talk.ask("GET", "k") == b"before", "what stands behind QUIT was done")


def mixed(count, seed):
    """Commands of all kinds on few keys, so that each depends on those before."""
    draw = random.Random(seed)
    for _ in range(count):
        key, other = (f"key:{draw.randrange(40)}" for _ in range(2))
        yield draw.choice((
            ("SET", key, draw.randrange(10**6)), ("SET", key, "x" * draw.randrange(300)), ("GET", key), ("GET", other),
            ("DEL", key), ("DEL", key, other), ("EXISTS", key, other), ("INCR", key), ("DECR", key), ("INCRBY", key, 7),
            ("MGET", key, other, "missing"), ("MSET", key, 1, other, 2), ("SET", key, 5, "NX"), ("SET", key, 6, "XX"),
            ("SET", key, 7, "EX", 1000), ("EXPIRE", key, -1), ("PING",), ("ECHO", key), ("GET",), ("DBSIZE",),
            ("NONSENSE", key)))


def all_answers(server, pieces, count):
    """Sends the pieces while it reads; the bytes of each answer."""
    with Talk(server) as talk:
        talk.ask("FLUSHALL")
        return talk.exchange(pieces, count)


def same_answers(ours, theirs, commands, cut):
    """cut: makes pieces of all bytes, each of which is sent by itself."""
    data = b"".join(request(*command) for command in commands)
    said, right = (all_answers(server, cut(data), len(commands)) for server in (ours, theirs))
    for number, command in enumerate(commands):
        check(said[number] == right[number], f"answer {number}:", differ(command, said[number], right[number]))


def ten_thousand_at_once(ours, theirs):
    for seed in range(3):
        same_answers(ours, theirs, list(mixed(10000, seed)), lambda data: [data])


def a_byte_at_a_time(ours, theirs):
    same_answers(ours, theirs, list(mixed(150, 4)), lambda data: [data[i:i + 1] for i in range(len(data))])


def in_pieces_of_any_size(ours, theirs):
    draw = random.Random(5)
    commands = list(mixed(300, 6))
    for size in (300, 5000, 40000, VALUE_LIMIT):
        commands += [("SET", "large", LARGE[:size]), ("GET", "large"), ("MGET", "large", "key:1")]

    def cut(data):
        place = 0
        while place < len(data):
            size = draw.choice((1, 2, 3, 10, 100, 1000, 20000, 100000))
            yield data[place:place + size]
            place += size

    same_answers(ours, theirs, commands, cut)


def of_all_sizes(count, seed):
    """Commands of one key and of several, with values from nothing to what takes many pieces: answers that fit into
    one send beside such that do not."""
    draw = random.Random(seed)

    def key():
        return f"key:{draw.randrange(30)}"

    def value():
        return LARGE[:draw.choice((3, 30, 300, 3000, 6000, 11000, 11264, 11265, 16384, 20000, 100000))]

    makers = (
        lambda: ("GET", key()), lambda: ("GET", key()), lambda: ("INCR", f"n:{draw.randrange(6)}"),
        lambda: ("INCR", f"n:{draw.randrange(6)}"), lambda: ("SET", key(), value()), lambda: ("SET", key(), LARGE[:40]),
        lambda: ("SET", key(), value(), "GET"), lambda: ("DEL", key()), lambda: ("DEL", key(), key(), key()),
        lambda: ("EXISTS", key(), key()), lambda: ("MGET", key(), "n:1", key(), key()),
        lambda: ("MSET", key(), 1, key(), value(), key(), 2), lambda: ("MSET", key(), 3), lambda: ("STRLEN", key()),
        lambda: ("PING",), lambda: ("ECHO", LARGE[:draw.choice((5, 500, 15000))]), lambda: ("NONSENSE", key()),
        lambda: ("INCR", key()), lambda: ("GET",), lambda: ("DBSIZE",))
    for number in range(count):
        yield ("FLUSHALL",) if number % 400 == 399 else draw.choice(makers)()


def all_sizes_at_once(ours, theirs):
    for seed in range(7, 10):
        same_answers(ours, theirs, list(of_all_sizes(1200, seed)), lambda data: [data])


def pipelines_of_many(ours, theirs):
    """Several clients at once, each with keys of its own, which it counts: nothing is done twice, or in another order."""
    count, keys = 300, 12
    commands = [[("INCR", f"{client}:{i % keys}") for i in range(count)] for client in range(8)]
    for talks in ([Talk(ours) for _ in commands], [Talk(theirs) for _ in commands]):
        talks[0].ask("FLUSHALL")
        for talk, asked in zip(talks, commands):
            talk.send(b"".join(request(*command) for command in asked))
        for talk in talks:
            with talk:
                said = [talk.answer() for _ in range(count)]
                check(said == [1 + i // keys for i in range(count)], "a client counts", said)


def long_echoes(ours, _theirs):
    """What is too long to be said back is an error, and the connection goes on."""
    with Talk(ours) as talk:
        for size in (*range(ECHO_LIMIT - 1, ECHO_LIMIT + 2), *range(16300, 16400, 3), 20000, VALUE_LIMIT):
            talk.send(request("SET", "k", "v") + request("ECHO", LARGE[:size]) + request("GET", "k"))
            said = [talk.answer() for _ in range(3)]
            right = LARGE[:size] if size <= ECHO_LIMIT else Error("ERR an argument is too long")
            check(said == [b"OK", right, b"v"], "an echo of", size, "bytes:", f"{said!r:.{SHOWN}}")


# ---- Time ----

def what_expires_is_gone(ours, theirs):
    for server in (ours, theirs):
        with Talk(server) as talk:
            talk.ask("FLUSHALL")
            for i in range(50):
                check(talk.ask("SET", f"short{i}", i, "PX", 50 + i) == b"OK", "SET")
            check(talk.ask("SET", "long", 1, "EX", 1000) == b"OK", "SET")
            wait_until(lambda: talk.ask("DBSIZE") == 1, "expired keys are cleared, though nobody asks for them")
            check(talk.ask("MGET", *(f"short{i}" for i in range(50)), "long") == [None] * 50 + [b"1"], "MGET")
            check(talk.ask("EXISTS", "short1", "long") == 1 and talk.ask("TTL", "short2") == -2, "EXISTS, TTL")
            check(talk.ask("SET", "n", 5, "PX", 20) == b"OK", "SET")
            wait_until(lambda: talk.ask("GET", "n") is None, "the key expires")
            check(talk.ask("INCR", "n") == 1 and talk.ask("TTL", "n") == -1, "a new life begins where one expired")


# ---- Where kv differs ----

LISTED = words("ping echo get set del exists incr decr incrby mget mset expire ttl pttl dbsize flushall info command client "
               "hello quit")


def hello(ours, theirs):
    """The same fields; the version and the connection's number are one's own. RESP3 is not spoken."""
    with Talk(ours) as mine, Talk(theirs) as other:
        for options in ((), ("2",), ("2", "SETNAME", "me"), ("2", "setname", "you")):
            said, right = mine.ask("HELLO", *options), other.ask("HELLO", *options)
            check(said[::2] == right[::2], "HELLO", options, "fields", said[::2])
            for field in (b"proto", b"mode", b"role", b"modules"):
                place = said.index(field) + 1
                check(said[place] == right[place], "HELLO", field, said[place])
            check(mine.ask("CLIENT", "GETNAME") == other.ask("CLIENT", "GETNAME"), "the name that HELLO sets")
        mine.send(request("HELLO", "3"))
        said = mine.answer()
        check(said == Error("NOPROTO unsupported protocol version"), "HELLO 3:", said)
        check(mine.ask("PING") == b"PONG", "the connection goes on")


def command_list(ours, theirs):
    """Fewer commands; of each, the same arity."""
    with Talk(ours) as mine, Talk(theirs) as other:
        said = {entry[0].decode(): entry for entry in mine.ask("COMMAND")}
        check(set(LISTED) <= set(said), "COMMAND lacks", set(LISTED) - set(said))
        check(mine.ask("COMMAND", "COUNT") == len(said), "COMMAND COUNT")
        right = {entry[0].decode(): entry for entry in other.ask("COMMAND")}
        for name, entry in said.items():
            check(entry[1] == right[name][1], name, entry, "in redis-server", right[name][:6])
        mine.ask("COMMAND", "DOCS")  # which redis-cli asks for when it starts
        check(mine.ask_raw("COMMAND", "NONSENSE") == other.ask_raw("COMMAND", "NONSENSE"), "COMMAND NONSENSE")


def info(ours, _theirs):
    """Lines NAME:VALUE under headings, of what runs here."""
    with Talk(ours) as talk:
        talk.ask("FLUSHALL")
        talk.ask("MSET", "a", 1, "b", 2)
        said = talk.ask("INFO").decode()
        fields = {}
        for line in said.split("\r\n"):
            if line and not line.startswith("# "):
                name, colon, value = line.partition(":")
                check(colon, "INFO has the line", line)
                fields[name] = value
        for name in ("redis_version", "uptime_in_seconds", "tcp_port", "used_memory", "maxmemory"):
            check(name in fields, "INFO has no", name, "but", sorted(fields))
        check(fields["db0"].startswith("keys=2,"), "INFO:", fields.get("db0"))
        check(0 < int(fields["used_memory"]) < int(fields["maxmemory"]), "INFO: used_memory", fields["used_memory"])


def too_large(ours, theirs):
    """A value over the limit is refused in redis-server's words for one over its own, and nothing of it is done."""
    with Talk(theirs) as other:
        other.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (2 << 20))
        words_of_redis = other.answer()
    for size in (VALUE_LIMIT + 1, 5_000_000, 1 << 40):
        with Talk(ours) as talk:
            talk.ask("SET", "k", "before")
            talk.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % size)
            said = talk.answer()
            check(said == words_of_redis, size, "bytes:", said, "redis:", words_of_redis)
            check(talk.rest() == b"", "the connection goes on")
        with Talk(ours) as talk:
            check(talk.ask("GET", "k") == b"before", "the value that was there")


TESTS = (as_a_library, as_redis_cli, lines_and_frames, quit_ends, ten_thousand_at_once, a_byte_at_a_time,
         in_pieces_of_any_size, all_sizes_at_once, pipelines_of_many, long_echoes, what_expires_is_gone, hello, command_list, info, too_large)
PIPELINES = (ten_thousand_at_once, in_pieces_of_any_size, all_sizes_at_once, pipelines_of_many, long_echoes)
SHARDS = ((1, TESTS[:1] + TESTS[2:]), (2, TESTS))  # redis-cli begins anew for each command: once is enough
MORE_SHARDS = ((3, PIPELINES), (11, PIPELINES[2:]))  # on one backend: what they differ in is who is asked


def run():
    for number, backend in enumerate(backends()):
        for shards, tests in (*SHARDS, *(MORE_SHARDS if number == 0 or IS_SOAK else ())):
            with Redis() as theirs, folder() as place, \
                    Kv(place, "--shards", shards, "--backend", backend, "--fsync", "never") as ours:
                for test in tests:
                    print(f"{test.__name__}, {shards} shards, {backend}", flush=True)
                    test(ours, theirs)
                check(ours.stop() == 0, "exit status", ours.process.returncode)


if __name__ == "__main__":
    if has_redis():
        run()
