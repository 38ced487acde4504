"""Runs one program, or one server with the load generator, on the cores that it is given, and returns its figures."""

import ctypes
import math
import os
import pathlib
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import time

NOT_THERE = 77  # the exit status of a program that this machine, or the program itself, has no place for
ENDED_BY_TERM = (0, -signal.SIGTERM, 128 + signal.SIGTERM)
HOLD_SPARE = 200  # descriptors that a process needs besides its connections
LOAD_SECONDS = 0.7  # the least for the load generator: a busy machine may stop a server for a third of a second
KV_LEAST = 2000  # requests of one run
KV_FILL = 8  # times as many sets of random keys as there are keys: one of 3,000 is not there then


class Failed(Exception):
    """A program failed: the text says how."""


class NotThere(Exception):
    """The program says that it can't do this here: the text says why."""


class Place:
    """The cores of this machine, and where each kind of workload runs on them."""

    def __init__(self):
        cores = sorted(os.sched_getaffinity(0))
        self.count = len(cores)
        self.first, self.last, self.all = [cores[0]], [cores[-1]], cores

    def program(self, kind):
        return self.last if kind == "one" else self.all

    def server(self, kind):
        return self.first if kind == "apart" else self.all

    def load(self, kind):
        return self.last if kind == "apart" else self.all


def raise_descriptor_limit():
    """As many descriptors as this process may have, for it and its children. Returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def words(arguments):
    return [f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}" for name, value in arguments.items()]


def pinned(cores, command):
    return ["taskset", "-c", ",".join(str(core) for core in cores), *map(str, command)]


def figures_of(text):
    """The lines NAME VALUE as a dictionary. Anything else is a failure: a figure must not be lost in silence."""
    figures = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        try:
            figures[name] = float(value)
        except ValueError:
            raise Failed(f"this is no line NAME VALUE: {line!r}") from None
        if not math.isfinite(figures[name]):
            raise Failed(f"{name} is no number: {value}")
    return figures


def judge(status, stderr):
    """Raises what an exit status other than 0 means."""
    said = stderr.strip()
    if status == NOT_THERE:
        raise NotThere(said.splitlines()[-1] if said else "not there")
    if status < 0:
        raise Failed(f"{said}\nended by {signal.Signals(-status).name}".strip())
    if status != 0:
        raise Failed(f"{said}\nexit status {status}".strip())


class Child:
    """A process with a group of its own, which is gone, with all that it started, at the end of the with block."""

    def __init__(self, command, cores, **pipes):
        self.stderr = tempfile.TemporaryFile(mode="w+", errors="replace")
        self.process = subprocess.Popen(pinned(cores, command), text=True, stdout=subprocess.PIPE, stderr=self.stderr,
                                        start_new_session=True, **pipes)
        self.pid = self.process.pid  # taskset becomes the program: it is the program's own

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process.stdout.close()
        if self.process.stdin:
            self.process.stdin.close()
        self.stderr.close()

    def complaint(self):
        self.stderr.seek(0)
        return self.stderr.read()

    def first_line(self, word, timeout):
        """The number in the line "WORD NUMBER" that the program says first."""
        ready, _, _ = select.select([self.process.stdout], [], [], timeout)
        line = self.process.stdout.readline() if ready else ""
        said, _, number = line.strip().partition(" ")
        if said == word and number.isdigit():
            return int(number)
        if ready and line == "":
            judge(self.process.wait(), self.complaint())
        raise Failed(f"{self.complaint()}\nno line '{word} NUMBER' within {timeout:g} s, but {line!r}".strip())


def run(command, cores, timeout):
    """The figures of a program that runs and ends."""
    with Child(command, cores, stdin=subprocess.DEVNULL) as child:
        try:
            said, _ = child.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise Failed(f"{child.complaint()}\nnot over within {timeout:g} s".strip()) from None
        judge(child.process.returncode, child.complaint())
    return figures_of(said)


class Server(Child):
    """A server; port is where it listens."""

    def __init__(self, command, cores, timeout):
        super().__init__(command, cores, stdin=subprocess.DEVNULL)
        try:
            self.port = self.first_line("port", timeout)
        except BaseException:
            self.__exit__()
            raise

    def end(self, timeout):
        """Asks it to end, as it must be able to."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.complaint()}\nthe server did not end within {timeout:g} s of SIGTERM".strip()) from None
        if status not in ENDED_BY_TERM:
            judge(status, "the server: " + self.complaint())

    def cpu_ns(self):
        """CPU time of the process, the kernel's for it included."""
        clock = ctypes.c_int()
        if ctypes.CDLL(None).clock_getcpuclockid(self.pid, ctypes.byref(clock)) != 0:
            raise Failed(f"{self.complaint()}\nthe server is gone".strip())
        return time.clock_gettime_ns(clock.value)

    def resident(self):
        """Bytes of memory that the process has now."""
        statm = pathlib.Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii")
        return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")


def children_seconds():
    """CPU time of all children that ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Meter:
    """Measures what the table of workloads names. Each way takes a command, without its arguments, and returns figures."""

    def __init__(self, load, seconds, patience):
        """load: the load generator. patience: seconds that a program may take besides its own."""
        self.load, self.seconds, self.place = load, float(seconds), Place()
        self.descriptors = raise_descriptor_limit()
        self.timeout = patience + 20 * seconds
        if not shutil.which("taskset"):
            raise SystemExit("bench: taskset is missing; scripts/setup bench installs it")

    def program(self, command, arguments, cores):
        arguments = {"seconds": self.seconds, **arguments}
        return run([*command, *words(arguments)], self.place.program(cores), self.timeout)

    def loaded(self, command, arguments, cores, mode, load):
        """A server, and the load generator in that mode."""
        with Server([*command, *words(arguments)], self.place.server(cores), self.timeout) as server:
            load = {"port": server.port, "seconds": max(self.seconds, LOAD_SECONDS), "pid": server.pid, **load}
            figures = run([self.load, mode, *words(load)], self.place.load(cores), self.timeout)
            server.end(self.timeout)
        if figures.get("errors", 0) != 0:
            raise Failed(f"the load generator met {figures['errors']:g} errors")
        return figures

    def echo(self, command, arguments, cores, load):
        """load: connections, size, depth; with rate, an open loop."""
        figures = self.loaded(command, arguments, cores, "echo", load)
        if "cpu_ns" in figures:
            figures["cpu_per_byte_ns"] = figures["cpu_ns"] / load["size"]
        return figures

    def open(self, command, arguments, cores, load):
        """load has a rate: the runner makes it of the share that the table states."""
        return self.echo(command, arguments, cores, load)

    def accept(self, command, arguments, cores, load):
        return self.loaded(command, arguments, cores, "accept", load)

    def kv(self, command, arguments, cores, load):
        """A key-value server and redis-benchmark. load: test (get or set), connections, depth, size, keys."""
        if not shutil.which("redis-benchmark"):
            raise NotThere("redis-benchmark is missing; scripts/setup installs it")
        with tempfile.TemporaryDirectory() as folder, \
                Server([*command, *words({"dir": folder, **arguments})], self.place.server(cores), self.timeout) as server:
            place = self.place.load(cores)
            self.benchmark(server, {**load, "test": "set", "depth": 16}, place, load["keys"] * KV_FILL)
            count = KV_LEAST
            for seconds in (self.seconds / 8, self.seconds):  # so the first two are the warm-up, and tell how much is a second
                rate = self.benchmark(server, load, place, count)["requests"]
                count = max(KV_LEAST, round(rate * seconds))
            begin_ns, begin = server.cpu_ns(), children_seconds()
            figures = self.benchmark(server, load, place, count)
            cpu_ns = (server.cpu_ns() - begin_ns) / count
            figures["load_share"] = (children_seconds() - begin) * figures["requests"] / count
            server.end(self.timeout)
        if cpu_ns <= 0:
            raise Failed("the server answered without any CPU time")
        return {**figures, "cpu_ns": cpu_ns, "per_cpu_second": 1e9 / cpu_ns}

    def benchmark(self, server, load, cores, count):
        """One run of redis-benchmark, which fails at the first answer that is an error."""
        command = ["redis-benchmark", "-p", server.port, "-c", load["connections"], "-P", load["depth"], "-d", load["size"],
                   "-r", load["keys"], "-n", count, "-t", load["test"], "--csv"]
        with Child(command, cores, stdin=subprocess.DEVNULL) as child:
            try:
                said, _ = child.process.communicate(timeout=self.timeout)
            except subprocess.TimeoutExpired:
                raise Failed(f"redis-benchmark is not over within {self.timeout:g} s") from None
            judge(child.process.returncode, child.complaint())
        heads, values = (line.replace('"', "").split(",") for line in said.strip().splitlines()[-2:])
        told = dict(zip(heads, values))
        return {"requests": float(told["rps"]), "p50_ns": float(told["p50_latency_ms"]) * 1e6,
                "p99_ns": float(told["p99_latency_ms"]) * 1e6}

    def held(self, command, arguments, cores, load):
        """What so many idle connections cost the server in memory, each."""
        count = load["connections"]
        if self.descriptors < count + HOLD_SPARE:
            raise NotThere(f"{count} connections need a limit of {count + HOLD_SPARE} open descriptors; "
                           f"it is {self.descriptors}")
        empty = self.resident([*command, *words({**arguments, "connections": 16})], cores)
        full = self.resident([*command, *words({**arguments, "connections": count})], cores, count)
        return {"bytes": (full - empty) / count}

    def resident(self, command, cores, count=0):
        """Bytes of a server's memory with so many connections held."""
        with Server(command, self.place.server(cores), self.timeout) as server:
            if count:
                hold = [self.load, "hold", *words({"port": server.port, "connections": count, "pid": server.pid})]
                with Child(hold, self.place.load(cores), stdin=subprocess.PIPE) as load:
                    held = load.first_line("held", self.timeout)
                    if held != count:
                        raise Failed(f"{held} connections are held, not {count}")
                    time.sleep(0.2)  # for what the last of them made the server do
                    size = server.resident()
            else:
                time.sleep(0.2)
                size = server.resident()
            server.end(self.timeout)
        return size

    def grown(self, command, arguments, cores, load):
        """What so many idle isolates cost in memory, each: the difference between many and few."""
        many, few = load["many"], load["few"]
        sizes = [self.program(command, {**arguments, "isolates": count}, cores).get("rss_bytes", 0) for count in (few, many)]
        return {"bytes": (sizes[1] - sizes[0]) / (many - few)}
