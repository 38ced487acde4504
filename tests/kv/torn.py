#!/usr/bin/env python3
# ctest: timeout 300
"""What a crash or a disk may leave of kv's file.

A tail that was torn, at any byte, is cut, and a line says so; everything before it is served. Damage in the middle is
no torn tail: it is reported, and nothing is dropped in silence.
"""

import contextlib
import random
import re
import shutil

from _kv import (Ended, Kv, Program, Talk, check, dial, folder, is_loaded, pattern, soak_count,
                 wait_until)

RECORDS, KEYS = 30, 11
AFTERWARDS = b"afterwards"
LAST = 3  # records that are cut at every byte
CUT = r"(?i)\b(torn|cut|truncated)\b"
DAMAGE = r"(?i)\b(damaged?|corrupt(ed)?|broken|no log|not a log|unknown)\b"


OPTIONS = ("--shards", 1)


class Place:
    """Where a server listens."""

    def __init__(self, port):
        self.port = port

    def dial(self, index=0):
        return dial(self.port, index)


class Story:
    """A file, record after record: how long it was, and what the server held, behind each."""

    def __init__(self, place):
        self.place = place
        self.ends, self.states = [], []
        held = {}
        with Kv(place, *OPTIONS, "--fsync", "always") as server, Talk(server) as talk:
            for number in range(RECORDS):
                key = f"key{number % KEYS}".encode()
                if number % 7 == 6 and key in held:
                    check(talk.ask("DEL", key) == 1, "DEL")
                    held.pop(key)
                elif number % 5 == 4:
                    talk.ask("INCR", f"n{number}")
                    held[f"n{number}".encode()] = b"1"
                else:
                    held[key] = b"%d:" % number + pattern(number, 20 + number)
                    check(talk.ask("SET", key, held[key]) == b"OK", "SET")
                self.ends.append(self.file().stat().st_size)
                self.states.append(dict(held))
            check(server.stop() == 0, "exit status", server.process.returncode)
        check(sorted(set(self.ends)) == self.ends, "the file does not grow with each write:", self.ends)
        self.name = self.file().relative_to(self.place)
        self.data = self.file().read_bytes()
        check(len(self.data) == self.ends[-1], "the file grew when the server ended")

    def file(self):
        """The one that grows."""
        files = [path for path in self.place.rglob("*") if path.is_file()]
        return max(files, key=lambda path: path.stat().st_size)


def started(program):
    """Where it listens, once it has read its file; None if it refuses to."""
    with contextlib.suppress(AssertionError, ConnectionError, Ended):
        place = Place(int(program.wait_for(r"listening on [^ ]*:(\d+)")[1]))
        wait_until(lambda: is_loaded(place), "it has read its file")
        return place
    check(program.wait() == 1, "exit status", program.process.returncode)
    return None


def served(place):
    """All that a server started on the folder holds, and what it said. None and that if it refuses to start."""
    with Program("kv", "--port", 0, "--dir", place, *OPTIONS) as program:
        address = started(program)
        if not address:
            return None, program.lines
        with Talk(address) as talk:
            keys = [f"key{i}".encode() for i in range(KEYS)] + [f"n{i}".encode() for i in range(RECORDS)] + [AFTERWARDS]
            held = {key: value for key, value in zip(keys, talk.ask("MGET", *keys)) if value is not None}
            check(talk.ask("DBSIZE") == len(held), "keys:", talk.ask("DBSIZE"), "though these were written:", held)
            check(talk.ask("SET", AFTERWARDS, 1) == b"OK", "it goes on writing")
        check(program.stop() == 0, "exit status", program.process.returncode)
        return held, program.lines


def those(pattern_of_line, lines):
    return [line for line in lines if re.search(pattern_of_line, line)]


def with_file(story, data, twice=True):
    """A folder like the story's, with that in its file: what is served from it, and what is said.

    twice: starts once more, and looks whether the first start left it as it said.
    """
    with folder() as place:
        shutil.copytree(story.place, place, dirs_exist_ok=True)
        (place / story.name).write_bytes(data)
        held, lines = served(place)
        if held is not None and twice:
            again, more = served(place)
            check(again == {**held, AFTERWARDS: b"1"}, "at the next start there is", again, "instead of", held)
            check(not those(CUT, more), "the tail is cut once more:", more)
        return held, lines


def is_cut_to(story, data, state, what, twice=True):
    held, lines = with_file(story, data, twice)
    check(held == state, what, "held:", held, "instead of", state, "and said:", lines[-5:])
    told = those(CUT, lines)
    check(len(told) == 1, what, "said:", lines)
    return told[0]


# ---- The tail ----

def cut_at_every_byte(story):
    first = story.ends[-1 - LAST]
    for size in range(first, story.ends[-1] + 1):
        whole = sum(end <= size for end in story.ends)
        if size in story.ends:
            held, lines = with_file(story, story.data[:size])
            check(held == story.states[whole - 1] and not those(CUT, lines), "whole, to byte", size, held, lines)
        else:
            line = is_cut_to(story, story.data[:size], story.states[whole - 1], f"cut at byte {size}:", size % 10 == 0)
    print(f"for example: {line}")


def with_garbage_behind(story):
    draw = random.Random(1)
    tails = [draw.randbytes(size) for size in (1, 2, 3, 4, 8, 16, 17, 100, 5000, 100_000)]
    tails += [bytes(size) for size in (1, 4, 8, 16, 512, 4096, 70_000)] + [b"\xff" * size for size in (1, 8, 64, 4096)]
    for tail in tails:
        is_cut_to(story, story.data + tail, story.states[-1], f"{len(tail)} bytes {tail[:8]!r}... behind:")


def the_last_record_damaged(story):
    """A bit of it is wrong, as when its write was torn: it is not served as something else."""
    begin, end = story.ends[-2], story.ends[-1]
    for place in range(begin, end):
        data = bytearray(story.data)
        data[place] ^= 1 << place % 8
        is_cut_to(story, data, story.states[-2], f"byte {place} of the last record, {begin} to {end}:", False)


# ---- The middle ----

def is_reported(story, data, what):
    """It does not start, and says why and where; or it serves all the rest, and says what it lacks."""
    held, lines = with_file(story, data, False)
    told = those(DAMAGE, lines)
    check(told, what, "nothing is said of it:", lines, "held is", held)
    check(held is None, what, "is served all the same, with", held and len(held), "keys of", len(story.states[-1]), told)
    check(story.file().name in " ".join(told), what, "the file is not named:", told)
    return told[0]


def the_middle_damaged(story):
    begin, end = story.ends[9], story.ends[10]
    for place in (*range(begin, end), *range(soak_count(story.ends[9], 0))):
        data = bytearray(story.data)
        data[place] ^= 1 << place % 8
        line = is_reported(story, data, f"byte {place} of a record from {begin} to {end}:")
    print(f"for example: {line}")
    for size in (1, 3, 64):
        is_reported(story, story.data[:begin] + story.data[begin + size:], f"{size} bytes lost in the middle:")
        is_reported(story, story.data[:begin] + bytes(size) + story.data[begin:], f"{size} bytes more in the middle:")
        is_reported(story, story.data[:begin] + bytes(size) + story.data[begin + size:], f"{size} bytes wiped:")


def another_file(story):
    """Something else than kv's file in its place is not wiped."""
    for data in (b"hello\n" * 100, b"\x7fELF" + bytes(1000), b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"):
        is_reported(story, data, f"a file that begins with {data[:10]!r}:")


def no_file(story):
    """An empty file is a server that was never written to."""
    held, lines = with_file(story, b"")
    check(held == {}, "an empty file:", held, lines)


# ---- Other shards ----

def with_other_shards():
    """A folder of so many shards is refused to more or fewer, in words, and is as it was."""
    with folder() as place:
        with Kv(place, "--shards", 2) as server, Talk(server) as talk:
            talk.ask("MSET", *(word for i in range(100) for word in (f"k{i}", i)))
            check(server.stop() == 0, "exit status", server.process.returncode)
        for shards in (1, 3):
            with Program("kv", "--port", 0, "--dir", place, "--shards", shards) as program:
                check(program.wait() == 1, "exit status", program.process.returncode)
                check(those(r"--shards 2\b", program.lines), "it said", program.lines)
        with Kv(place, "--shards", 2) as server, Talk(server) as talk:
            check(talk.ask("MGET", *(f"k{i}" for i in range(100))) == [b"%d" % i for i in range(100)], "the values")
            check(server.stop() == 0, "exit status", server.process.returncode)


if __name__ == "__main__":
    with_other_shards()
    with folder() as story_place:
        the_story = Story(story_place)
        for test in (cut_at_every_byte, with_garbage_behind, the_last_record_damaged, the_middle_damaged, another_file,
                     no_file):
            print(test.__name__, flush=True)
            test(the_story)
