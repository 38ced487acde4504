#!/usr/bin/env python3
"""A chaos client uses up its shard's budget: the shard is quarantined, alone, and SIGUSR2 brings it back, on and on."""

import re
import resource
import signal
from functools import partial

from _echo import Program, at_once, check, run_each

QUARANTINED = r"^\[shard 1\] is quarantined"
BEGUN_ANEW = r"^\[shard \d+\] begins anew"
# By their options' defaults: three lives until a restart too many, three lives of the shard.
LIVES = 3 * 3


class Story(Program):
    """tcp_echo with its clients, which tells its counters at the end."""

    def __init__(self, backend, *options):
        super().__init__("tcp_echo", "--backend", backend, "--crash-after", 1, "--stats", *options)

    def pongs(self, client):
        return [int(found[1]) for found in self.matches(rf"^\[shard 0\] {client}: ping (\d+) came back")]

    def go_on(self, count):
        """So many more pongs for each client of the shard that is well."""
        for client in ("client/0", "client/1"):
            self.wait_for(rf"^\[shard 0\] {client}: ping {len(self.pongs(client)) + count} came back")

    def check_well(self):
        """Nobody on shard 0 has noticed anything: each client has one life, and every ping of it came back."""
        for client in ("client/0", "client/1"):
            pongs = self.pongs(client)
            check(pongs == list(range(1, len(pongs) + 1)), client, "got", pongs)
            check(len(self.matches(rf"^\[shard 0\] {client}: lives")) == 1, client, "had several lives")
        check(not self.matches(r"^\[shard 0\] .*(lost|crashed|faulted|anew|quarantined)"), "shard 0 was hurt")
        check(len(self.matches("listening on")) == 1, "another listener")

    def lines_after(self, pattern):
        with self.news:
            last = max(i for i, line in enumerate(self.lines) if re.search(pattern, line))
            return self.lines[last + 1:]


def quarantine_costs_one_shard(backend):
    with Story(backend) as story:
        story.wait_for(QUARANTINED)
        story.go_on(3)
        stats = story.stop_clean()
        story.check_well()
        check(len(story.matches("chaos client/0: lives")) == LIVES, "not", LIVES, "lives")
        check(len(story.matches(BEGUN_ANEW)) == 2, "not two new beginnings")
        check(stats["crashes"] == [LIVES], "crashes:", stats["crashes"])
        check(stats["restarts"] == [6], "restarts:", stats["restarts"])
        check(stats["shard_restarts"] == [2], "restarts of the shard:", stats["shard_restarts"])
        late = [line for line in story.lines_after(QUARANTINED) if re.match(r"\[shard 1\] (chaos )?client", line)]
        check(not late, "after the quarantine:", late)


def no_budget_at_all(backend):
    """The first death is one too many, of an isolate and of its shard."""
    with Story(backend, "--restart-max", 0, "--shard-restart-max", 0) as story:
        story.wait_for(QUARANTINED)
        story.go_on(1)
        stats = story.stop_clean()
        story.check_well()
        check(stats["crashes"] == [1], "crashes:", stats["crashes"])
        check(stats["restarts"] == stats["shard_restarts"] == [0], "something was restarted")


def revived_again_and_again(backend):
    lives = 2 * 2
    with Story(backend, "--restart-max", 1, "--shard-restart-max", 1) as story:
        for times in (1, 2, 3):
            story.wait_for(QUARANTINED, count=times)
            story.process.send_signal(signal.SIGUSR2)
            story.wait_for(r"^\[shard 1\] comes back from quarantine", count=times)
            story.wait_for(r"^\[shard 1\] chaos client/0: lives", count=times * lives + 1)
        # With its whole budget: just as long as the first time.
        story.wait_for(QUARANTINED, count=4)
        story.go_on(2)
        stats = story.stop_clean()
        story.check_well()
        check(stats["crashes"] == [4 * lives], "crashes:", stats["crashes"])
        check(stats["shard_restarts"] == [4], "restarts of the shard:", stats["shard_restarts"])


def nobody_to_revive(backend):
    """SIGUSR2 leaves those alone that are well."""
    with Story(backend, "--crash-after", 0) as story:
        story.go_on(1)
        story.process.send_signal(signal.SIGUSR2)
        story.go_on(2)
        stats = story.stop_clean()
        story.check_well()
        check(len(story.matches("lives$")) == 5, "somebody was started again")
        check(stats["restarts"] == stats["shard_restarts"] == [0], "something was restarted")


def abort_on_quarantine(backend):
    """The process ends, but not before it has said why."""
    with Story(backend, "--abort-on-quarantine") as story:
        check(story.wait() == -signal.SIGABRT, "exit status", story.process.returncode)
        check(story.matches(QUARANTINED), "it did not say why")
        check(len(story.matches(BEGUN_ANEW)) == 2, "not two new beginnings")


def listener_keeps_its_port(backend):
    """The only shard has the listener as well: all its lives, those after a revival too, are at the same port."""
    with Story(backend, "--shards", 1, "--restart-max", 0) as story:
        for times in (1, 2):
            story.wait_for(r"^\[shard 0\] is quarantined", count=times)
            story.process.send_signal(signal.SIGUSR2)
            story.wait_for("listening on", count=3 * times + 1)
        check(story.stop() == 0, "exit status", story.process.returncode)
        ports = {found[1] for found in story.matches(r"listening on 127\.0\.0\.1:(\d+)")}
        check(len(ports) == 1, "ports:", ports)
        check(not story.matches("cannot listen"), "the port was not free again")


def over_by_itself(backend):
    """--seconds ends a system of which nothing is left but a quarantined shard."""
    with Story(backend, "--shards", 1, "--restart-max", 0, "--shard-restart-max", 0, "--seconds", 6) as story:
        story.check_end(story.wait())
        check(story.matches(r"^\[shard 0\] is quarantined"), "it was not quarantined")


def stories(backend):
    at_once(*(partial(story, backend) for story in (
        quarantine_costs_one_shard, no_budget_at_all, revived_again_and_again, nobody_to_revive, abort_on_quarantine,
        listener_keeps_its_port, over_by_itself)))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    run_each(stories)
