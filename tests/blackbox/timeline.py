#!/usr/bin/env python3
"""A simulation's timeline is what viewers of Chrome trace events take, and tells the story of the run."""

import collections
import json
import os
import pathlib
import subprocess
import tempfile

BUILD = pathlib.Path(os.environ.get("TINA_BUILD", pathlib.Path(__file__).parents[2] / "build"))


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(word) for word in what))


def ns_of(number):
    """From microseconds with three digits behind the point, exactly."""
    whole, fraction = str(number).split(".")
    check(len(fraction) == 3, number)
    return int(whole + fraction)


class Timeline:
    """A file of them, sorted by what they are."""

    def __init__(self, run):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, "timeline.json")
            subprocess.run([BUILD / "tests/sim_timeline_run", run, path], check=True)
            content = json.loads(path.read_text(encoding="utf-8"), parse_float=ns_of)
        check(content.keys() == {"displayTimeUnit", "traceEvents"}, content.keys())
        check(content["displayTimeUnit"] == "ns")
        self.events = content["traceEvents"]
        self.by_phase = collections.defaultdict(list)
        for event in self.events:
            self.by_phase[event["ph"]].append(event)
        self.processes, self.threads = {}, {}
        for event in self.by_phase["M"]:
            key = event["pid"] if event["name"] == "process_name" else event["tid"]
            names = self.processes if event["name"] == "process_name" else self.threads
            check(key not in names, "named twice:", event)
            names[key] = (event["pid"], event["args"]["name"])
        self.slices = collections.defaultdict(list)
        for event in self.by_phase["X"]:
            self.slices[event["tid"]].append(event)

    def thread(self, name, shard):
        (found,) = (tid for tid, (pid, its_name) in self.threads.items() if (pid, its_name) == (shard + 1, name))
        return found

    def instants(self, category):
        return [event["name"] for event in self.by_phase["i"] if event["cat"] == category]

    def slice_at(self, tid, ns):
        """The innermost one."""
        around = [event for event in self.slices[tid] if event["ts"] <= ns < event["ts"] + event["dur"]]
        check(around, "no slice of thread", tid, "at", ns)
        return around[-1]


def check_names(timeline):
    """All that is there has a name; ids of threads are unique in the whole file, for Perfetto goes by them alone."""
    check(set(timeline.by_phase) <= set("MXsfiC"), "unknown phases:", set(timeline.by_phase))
    for pid, (_, name) in timeline.processes.items():
        check(name == f"shard {pid - 1}", pid, "is", name)
        check(timeline.threads[pid] == (pid, "the shard"), "the main thread of", pid, "is", timeline.threads[pid])
    seen = set(timeline.processes)
    for event in timeline.events:
        pid, tid = event["pid"], event["tid"]
        if event["ph"] == "M":
            seen.add(tid)
            continue
        check(pid in timeline.processes and tid in seen, "nobody has introduced", event)
        check(timeline.threads[tid][0] == pid, "a thread of two processes:", event)
        check(event["name"], "has no name:", event)


def check_times(timeline):
    """In order, but for where arrows begin; slices have a length, and are in one another or apart."""
    times = [event["ts"] for event in timeline.events if event["ph"] in "XfiC"]
    check(times == sorted(times), "not in order")
    for slices in timeline.slices.values():
        open_until = []
        for event in slices:
            check(event["dur"] > 0, "no length:", event)
            while open_until and open_until[-1] <= event["ts"]:
                open_until.pop()
            end = event["ts"] + event["dur"]
            check(not open_until or end <= open_until[-1], "overlaps:", event)
            open_until.append(end)


def check_arrows(timeline):
    """Both ends, in slices, forward; an end is a handler call for that message."""
    begins = {event["id"]: event for event in timeline.by_phase["s"]}
    ends = {event["id"]: event for event in timeline.by_phase["f"]}
    check(len(begins) == len(timeline.by_phase["s"]) and len(ends) == len(timeline.by_phase["f"]), "an id twice")
    check(begins.keys() == ends.keys(), "an arrow without an end")
    for number, begin in begins.items():
        end = ends[number]
        check((begin["cat"], begin["name"]) == (end["cat"], end["name"]), "no pair:", begin, end)
        check(begin["ts"] < end["ts"], "backwards:", begin, end)
        check(end["bp"] == "e", end)
        timeline.slice_at(begin["tid"], begin["ts"])
        handler = timeline.slice_at(end["tid"], end["ts"])
        check(handler["ts"] == end["ts"] and handler["name"] == end["name"] and handler["cat"] == "handler", handler, end)


def check_instants(timeline):
    for event in timeline.by_phase["i"]:
        check(event["s"] in ("t", "p"), event)
        check(event["s"] == "t" or event["tid"] == event["pid"], event)


def check_form(timeline):
    for look in (check_names, check_times, check_arrows, check_instants):
        look(timeline)


def pair():
    """As tests/support/pair.h has it: five pings, of which the third is one too many."""
    timeline = Timeline("pair")
    check_form(timeline)
    check(len(timeline.processes) == 2)
    server, client = timeline.thread("server/0", 0), timeline.thread("client/0", 1)
    check(len(timeline.threads) == 4, timeline.threads)

    calls = [event["name"] for event in timeline.slices[server]]
    check(calls == ["init", *["tag 0x100"] * 3, "init", *["tag 0x100"] * 2, "TINA_TAG_SHUTDOWN"], calls)
    pings = [event["args"] for event in timeline.slices[server] if event["name"] == "tag 0x100"]
    check(all((ping["from"], ping["size"]) == ("shard 1 client/0", 8) for ping in pings), pings)
    calls = collections.Counter(event["name"] for event in timeline.slices[client])
    check(calls == {"init": 1, "TINA_TAG_TIMER": 5, "tag 0x101": 4, "TINA_TAG_SHUTDOWN": 1}, calls)

    arrows = [(begin["tid"], end["tid"]) for begin, end in zip(timeline.by_phase["s"], timeline.by_phase["f"])]
    there, back = (client, server), (server, client)
    check(arrows == [there, back, there, back, there, there, back, there, back], arrows)
    for begin, end in zip(timeline.by_phase["s"], timeline.by_phase["f"]):
        check(end["ts"] - begin["ts"] < 2_000_000, "no neighbours:", begin, end)

    ended = ["server/0 ends: TINA_END_CRASH, reason 7", "server/0 ends: TINA_END_DONE", "client/0 ends: TINA_END_DONE"]
    check(timeline.instants("end") == ended, timeline.instants("end"))
    check(timeline.instants("supervision") == ["server/0 is to start again"], timeline.instants("supervision"))
    live = [event["args"]["live"] for event in timeline.by_phase["C"] if event["pid"] == 1]
    check(live == [1, 0], live)


def town():
    """Every fault there is, and it still has its form; faults are told."""
    timeline = Timeline("town")
    check_form(timeline)
    check(len(timeline.processes) == 3)
    check(len(timeline.by_phase["s"]) > 1000, "only", len(timeline.by_phase["s"]), "arrows")
    for category in ("fault", "end", "supervision", "refused", "lost", "shard", "world"):
        check(timeline.instants(category), "no", category)
    check("the shard stalls" in timeline.instants("world"), set(timeline.instants("world")))
    check(not any("pc 0x" in name for name in timeline.instants("fault")), "a number of the host's")


if __name__ == "__main__":
    pair()
    town()
