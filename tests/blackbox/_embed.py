"""The programs that embed a system, from outside: what embed_poll.c and embed_libuv.c both do."""

import pathlib
import subprocess
import time

from _echo import PATIENCE, Program, at_once, check, dial, soak_count


class Embedding(Program):
    """One of the two, on any port. Its standard input is ours."""

    def __init__(self, name, backend, preexec=None):
        super().__init__(name, "--backend", backend, stdin=subprocess.PIPE, preexec=preexec)
        self.port = int(self.wait_for(r"listening on [^ ]*:(\d+)")[1])

    def __exit__(self, kind, value, trace):
        super().__exit__(kind, value, trace)
        self.process.stdin.close()

    def say(self, *lines):
        for line in lines:
            self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ask(self, index=0):
        with dial(self.port, index) as peer, peer.makefile() as answer:
            return answer.readline().rstrip("\n")

    def wakes(self):
        """How often its first thread, the loop's, has gone to sleep."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.split("\n") if line.startswith("voluntary")).split()[1])

    def finish(self, lines):
        self.process.stdin.close()
        self.check_end(self.wait())
        self.wait_for(rf"^{lines} lines in all")


def lines_are_counted_and_told(name, backend):
    with Embedding(name, backend) as program:
        check(program.ask() == "0 lines of 0 bytes", "before the first")
        program.say("hello", "world")
        program.wait_for("^2 lines of 10 bytes")
        check(program.ask() == "2 lines of 10 bytes", "after two")
        program.say("x" * 500)  # of which a message holds 96
        program.wait_for("^3 lines of 106 bytes")
        program.say("last")
        program.finish(4)


def crash_costs_the_tally_alone(name, backend):
    with Embedding(name, backend) as program:
        program.say("one", "two")
        program.wait_for("^2 lines")
        program.say("crash")
        program.wait_for("the tally crashed and begins again")
        program.say("three")
        program.wait_for("^1 lines of 5 bytes")
        check(program.ask() == "1 lines of 5 bytes", "the port is served all the while")
        program.finish(1)


def more_lines_than_there_is_room_for(name, backend):
    """The program stops reading until the system has taken them: none is lost."""
    count = soak_count(1000000, 50000)
    with Embedding(name, backend) as program:
        asks = [lambda index=index: program.ask(index) for index in range(20)]
        at_once(lambda: program.say(*("line" for _ in range(count))), *asks)
        program.finish(count)


def idle_costs_nothing(name, backend):
    with Embedding(name, backend) as program:
        program.say("hello")
        program.wait_for("^1 lines")
        program.ask()
        time.sleep(0.2 * PATIENCE)
        before = program.wakes()
        time.sleep(2)
        check(program.wakes() - before <= 4, program.wakes() - before, "wakes in two idle seconds")
        check(program.ask() == "1 lines of 5 bytes", "and it wakes up")
        program.finish(1)


def signal_ends_it(name, backend):
    with Embedding(name, backend) as program:
        program.say("hello")
        program.wait_for("^1 lines")
        program.stop_clean()
        program.wait_for("^1 lines in all")


TESTS = (lines_are_counted_and_told, crash_costs_the_tally_alone, more_lines_than_there_is_room_for, idle_costs_nothing,
         signal_ends_it)


def run_all(name, run_each):
    def of(test):
        def run(backend):
            test(name, backend)
        run.__name__ = test.__name__
        return run

    run_each(*(of(test) for test in TESTS))
