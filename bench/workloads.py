"""The table of all workloads, as data: what runs, with which arguments, where, which figures count, and what is aimed at.

A workload is one definition that libtina, the floors and the peers all run. Where one of them can't do it, it is not
listed here; where it is listed and can't, that shows in the table.
"""

from typing import NamedTuple, Optional

LIBTINA, FLOOR, PEER, OTHER = "libtina", "floor", "peer", "other"  # other: one of them in another way; no ratio
RATE, NS, BYTES, SHARE = "/s", "ns", "B", ""
LEVEL = "level"  # the aim beside a peer: as good, within what the rounds differ


class Figure(NamedTuple):
    """One row of the table: a number that each program's run comes to."""
    name: str  # as the program, or the way of measuring, calls it
    title: str  # how the row is called, behind the workload's title
    unit: str
    more_is_better: bool
    floor: Optional[float] = None  # aim: at least this share of the floor's rate, at most this many times its cost
    peer: object = None  # aim: at least so many times better than the best peer; or LEVEL
    peers: tuple = ()  # the peers that this aim speaks of; (): all
    limit: Optional[float] = None  # aim: at least (of a rate), or at most (of a cost), this
    is_short: bool = True  # in the short table


class Run(NamedTuple):
    """One program in a workload."""
    name: str  # in tables
    family: str
    program: str  # its path, without the build's folder: tina/messages, floors/ring, peers/go
    arguments: dict = {}
    word: str = ""  # where the program has another word for the workload


class Workload(NamedTuple):
    id: str
    title: str
    runs: tuple
    figures: tuple
    word: str  # the first argument of all programs
    arguments: dict = {}
    cores: str = "one"  # one, all: a program; apart, all: a server and the load generator
    way: str = "program"  # of measuring: a method of measure.Meter
    load: dict = {}  # arguments of the load generator, or of the way
    quick: Optional[dict] = {}  # arguments (and load) instead of those, in a quick run; None: not in a quick run
    part: str = "table"  # table, reserved, shape


def libtina(program, **arguments):
    return Run("libtina", LIBTINA, f"tina/{program}", arguments)


def floor(name, program, word="", **arguments):
    return Run(name, FLOOR, f"floors/{program}", arguments, word)


def peer(program, name="", **arguments):
    return Run(name or PEER_NAMES[program], PEER, f"peers/{program}", arguments)


PEER_NAMES = {"go": "Go", "tokio": "Tokio", "erlang": "Erlang", "caf": "CAF", "libuv": "libuv", "libevent": "libevent",
              "nng": "nng"}

GO, TOKIO, ERLANG, CAF = peer("go"), peer("tokio"), peer("erlang"), peer("caf")
LIBUV, LIBEVENT, NNG = peer("libuv"), peer("libevent"), peer("nng")
# For what goes between two threads: each side on one of its own. Left to their schedulers, both sides often share one.
GO_TWO, TOKIO_TWO = peer("go", place="two"), peer("tokio", place="two")
GO_ANY = Run("Go, where its scheduler likes", OTHER, "peers/go", {"place": "any"})
TOKIO_ANY = Run("Tokio, where its scheduler likes", OTHER, "peers/tokio", {"place": "any"})
BETWEEN_TWO = (GO_TWO, TOKIO_TWO, GO_ANY, TOKIO_ANY, ERLANG, CAF)
ACTORS = (GO, TOKIO, ERLANG, CAF)
SERVERS = (GO, TOKIO, ERLANG, LIBUV, LIBEVENT)
LIBEVENT_RAW = Run("libevent, events without its buffers", OTHER, "peers/libevent", {"form": "raw"})

ENVELOPE = floor("envelopes", "envelope")
ECHO_FLOORS = (floor("epoll", "echo_epoll"), floor("io_uring", "echo_uring", form="single"),
               floor("io_uring, multishot", "echo_uring", form="multishot"))
SPINNING_FLOORS = tuple(run._replace(arguments={**run.arguments, "spin": 1}) for run in ECHO_FLOORS)


def rate(title, **aims):
    return Figure("rate", title, RATE, True, **aims)


def cost(name, title, unit=NS, **aims):
    return Figure(name, title, unit, False, **aims)


# Of the library's 64 and a red zone of 16; a struct of 16 or less; and what a page is rounded up by.
IDLE_ISOLATE = 64 + 16 + 16 + 1
# Of the library's 600, and a struct of 16 or less. For a server of many connections that nobody sends messages to.
IDLE_CONNECTION = 600 + 16
SIZED = {"messages": 1024, "timers": 1024, "watches": 64, "ops": 10064, "buffers": 64}

# ---- Messages, lives, timers -------------------------------------------------------------

MESSAGES = (
    Workload("bounce", "two isolates bounce a message", (libtina("messages"), ENVELOPE, *ACTORS),
             (rate("", floor=0.35, peer=6),), "bounce"),
    Workload("bounce_types", "two isolates of two types bounce a message", (libtina("messages"), ENVELOPE, CAF),
             (rate("", floor=0.35, peer=6),), "bounce_types"),
    Workload("ring_1k", "ring of 1,000, 100 tokens", (libtina("messages"), ENVELOPE, *ACTORS),
             (rate("", floor=0.30, peer=3.5),), "ring", {"isolates": 1000, "tokens": 100}),
    Workload("ring_1m", "ring of 1,000,000, 100,000 tokens", (libtina("messages"), ENVELOPE, *ACTORS),
             (rate("", floor=0.40, peer=3),), "ring", {"isolates": 1000000, "tokens": 100000},
             quick={"isolates": 20000, "tokens": 2000}),
    Workload("call", "call and reply", (libtina("messages"), ENVELOPE, *ACTORS), (rate(""),), "call"),
    Workload("stream", "one-way stream between two shards",
             (libtina("shards"), floor("ring, published every 64", "ring", publish=64),
              floor("ring, published every 1", "ring", publish=1), *BETWEEN_TWO, NNG),
             (rate("", floor=0.15, peer=4),), "stream", cores="all"),
    Workload("round_trip_spin", "round trip between two shards, awake",
             (libtina("shards"), floor("ring", "ring"), *BETWEEN_TWO, NNG, LIBUV),
             (cost("p50_ns", "p50", floor=2.5, peer=3), cost("p99_ns", "p99", is_short=False)),
             "round_trip", {"mode": "spin"}, cores="all"),
    Workload("round_trip_sleep", "round trip between two shards, asleep",
             (libtina("shards"), floor("eventfd", "wake", by="eventfd"), floor("io_uring", "wake", by="uring"),
              *BETWEEN_TWO, NNG, LIBUV, LIBEVENT),
             (cost("p50_ns", "p50", floor=1.3, peer=LEVEL), cost("p99_ns", "p99", is_short=False)),
             "round_trip", {"mode": "sleep"}, cores="all"),
    Workload("spawn", "spawn and end", (libtina("lives"), ENVELOPE, *ACTORS), (rate("", peer=2),),
             "spawn", {"descriptors": 0}),
    Workload("spawn_4096", "spawn and end, 4,096 open descriptors", (libtina("lives"), *ACTORS),
             (rate("", peer=2),), "spawn", {"descriptors": 4096}),
    Workload("restart_effect", "crash by effect and restart, 100 victims",
             (libtina("lives"), *ACTORS, peer("erlang", "Erlang, OTP's supervisor", kind="otp")),
             (rate("", peer=6),), "restart", {"kind": "effect", "victims": 100}),
    Workload("restart_segfault", "segmentation fault and restart, 100 victims",
             (libtina("lives"), floor("trap", "trap"), GO),
             (rate("", floor=0.5, peer=LEVEL),), "restart", {"kind": "segfault", "victims": 100}),
    Workload("timers", "a million timers", (libtina("timers"), floor("wheel", "timers"), LIBUV, LIBEVENT, GO, TOKIO),
             (Figure("start_cancel_rate", "start and cancel", RATE, True, peer=3, peers=("libuv",)),
              cost("fire_cpu_ns", "start and fire, CPU time")),
             "timers", {"count": 1000000}, quick={"count": 10000}),
    Workload("wait", "a local message's wait under 50 % load", (libtina("messages"),),
             (cost("p999_ns", "p99.9", limit=20000), cost("p50_ns", "p50", is_short=False),
              cost("p99_ns", "p99", is_short=False)), "wait", {"load": 50}),
    Workload("idle_memory", "memory of an idle isolate", (libtina("idle"), *ACTORS),
             (cost("bytes", "", BYTES, limit=IDLE_ISOLATE),), "idle",
             {"seconds": 0.1}, way="grown", load={"many": 1000000, "few": 1000}, quick={"many": 20000, "few": 1000}),
    Workload("idle_cpu", "CPU share of 1,000 idle isolates", (libtina("idle"), *ACTORS),
             (cost("cpu_share", "", SHARE, limit=0.002),), "idle", {"isolates": 1000}),
)

# ---- TCP echo ------------------------------------------------------------------------------

CPU = "server's CPU time per request"
LESS = {"peer": 1, "peers": ("libuv", "libevent", "Go")}


def echo_figures(**aims):
    return (cost("cpu_ns", CPU, **aims), rate("requests", is_short=False), cost("p50_ns", "p50", is_short=False),
            cost("p99_ns", "p99", is_short=False))


def echo(name, title, figures, connections, size=64, depth=1, **changes):
    """A workload of the echo servers. The server is told the most connections and the largest request."""
    fields = {"runs": (libtina("echo"), *ECHO_FLOORS, *SERVERS, LIBEVENT_RAW), "cores": "apart", "way": "echo",
              "load": {"connections": connections, "size": size, "depth": depth},
              "quick": {"connections": min(connections, 50)}, **changes}
    return Workload(name, title, figures=figures, word="echo", arguments={"connections": connections, "size": size},
                    **fields)


# Everyone receives into buffers of the request's size, which these two have to be told. With buffers four times as large
# what is under way comes and goes at once: that is another program, of libtina's as well.
STREAM_SIZE = 16384
STREAM_SERVERS = (GO, TOKIO, ERLANG, peer("libuv", buffer=STREAM_SIZE), peer("libevent", buffer=STREAM_SIZE),
                  Run("libtina, buffers of 64 KiB", OTHER, "tina/echo", {"size": 4 * STREAM_SIZE}),
                  Run("libuv, buffers of 64 KiB", OTHER, "peers/libuv", {"buffer": 4 * STREAM_SIZE}))

ECHOES = (
    echo("echo_1", "TCP echo, 64 bytes, 1 connection", (cost("p50_ns", "p50", floor=1.2, peer=1),), 1,
         runs=(libtina("echo"), *SPINNING_FLOORS, *SERVERS)),
    *(echo(f"echo_{count}", f"TCP echo, 64 bytes, {count:,} connections", echo_figures(floor=1.08, **LESS), count)
      for count in (50, 500, 1000)),
    echo("echo_pipelined", "TCP echo, 64 bytes, 50 connections, 16 deep", echo_figures(floor=1.15, peer=1), 50, depth=16),
    echo("echo_stream", "TCP echo, 16 KiB, 8 connections, 4 deep",
         (cost("cpu_per_byte_ns", "server's CPU time per byte", floor=1.05, peer=1), rate("requests", is_short=False)),
         8, size=STREAM_SIZE, depth=4, runs=(libtina("echo"), *ECHO_FLOORS, *STREAM_SERVERS)),
    echo("echo_shards", "TCP echo, 64 bytes, 50 connections, two shards", (cost("cpu_ns", CPU, floor=1 / 0.95),), 50,
         runs=(libtina("echo", shards=2), Run("one shard of libtina", FLOOR, "tina/echo")), cores="all"),
    echo("echo_open", "TCP echo, 64 bytes, 50 connections, at a fixed rate",
         (cost("p50_ns", "p50"), cost("p99_ns", "p99"), cost("p999_ns", "p99.9", is_short=False)), 50, way="open",
         load={"connections": 50, "size": 64, "share": 0.5}),
    echo("echo_accept", "TCP: connect, one byte there and back, close",
         (cost("cpu_ns", "server's CPU time per connection"), rate("connections", is_short=False)), 50,
         way="accept", load={}),
    echo("echo_memory", "memory of an idle connection", (cost("bytes", "", BYTES, limit=IDLE_CONNECTION),), 10000,
         way="held", runs=(libtina("echo", **SIZED), *SERVERS),  # of the floors, the memory is the kernel's
         load={"connections": 10000}, quick={"connections": 500}),
)

SIMULATION = (
    Workload("simulation", "simulation, four shards", (Run("libtina", LIBTINA, "simulation/pairs"),),
             (Figure("events_dense_per_second", "dense, events", RATE, True, limit=12e6),
              Figure("events_sparse_per_second", "sparse, events", RATE, True, limit=1.2 * 2.4e6),
              Figure("events_dense_local_per_second", "dense, no message between shards", RATE, True, is_short=False),
              Figure("events_sparse_local_per_second", "sparse, no message between shards", RATE, True, is_short=False),
              cost("idle_year_ns", "an idle year", is_short=False)), "simulation"),
)

# ---- Reserved and not used: each against itself --------------------------------------------

BASE = {"slots": 10000, "fds": 5000, "timers": 10000, "types": 100}
AGAIN = "the same again"  # how far the same differs from itself


def reserved(name, title, program, word, figure, arguments=None, **fields):
    arguments = {**(arguments or {}), **BASE}
    runs = [libtina(program), Run(AGAIN, OTHER, f"tina/{program}")]
    runs += [Run(f"{2 * count:,} {what}, not {count:,}", OTHER, f"tina/{program}", {what: 2 * count})
             for what, count in BASE.items()]
    return Workload(f"reserved_{name}", title, tuple(runs), (figure,), word, arguments, part="reserved",
                    **{"quick": None, **fields})


RESERVED = (
    reserved("bounce", "two isolates bounce a message", "messages", "bounce", rate("")),
    reserved("ring", "ring of 1,000, 100 tokens", "messages", "ring", rate(""), {"isolates": 1000, "tokens": 100}),
    reserved("call", "call and reply", "messages", "call", rate("")),
    reserved("spawn", "spawn and end", "lives", "spawn", rate("")),
    reserved("echo", f"TCP echo, 50 connections, {CPU}", "echo", "echo", cost("cpu_ns", ""),
             {"connections": 50, "size": 64}, cores="apart", way="echo",
             load={"connections": 50, "size": 64, "depth": 1}),
)

# ---- Shape: how a cost grows. The points of the plots that are no row of the table -----------

SHAPE_ISOLATES = (10, 100, 10000, 100000)
SHAPE_CONNECTIONS = (1, 10, 200)
SHAPE_DESCRIPTORS = (16, 128, 1024, 16384)
SHAPE_LOADS = (0.1, 0.25, 0.75, 0.9)
SHAPE_RESERVED = {"slots": (1000, 10000, 100000, 1000000), "fds": (100, 1000, 10000), "timers": (1000, 10000, 100000,
                  1000000), "types": (1, 10, 100, 250)}


def shape_shards(cores):
    """Doubled, up to as many as there are cores; 2 in any case."""
    count, counts = 2, [1, 2]
    while count * 2 <= cores:
        count *= 2
        counts.append(count)
    return counts


def in_shape(workload):
    return workload._replace(part="shape", quick=None)


def shapes(cores):
    yield from (Workload(f"shape_ring_{count}", f"ring of {count:,}", (libtina("messages"), ENVELOPE, GO, TOKIO),
                         (rate(""),), "ring", {"isolates": count, "tokens": count // 10}, part="shape", quick=None)
                for count in SHAPE_ISOLATES)
    yield from (in_shape(echo(f"shape_echo_{count}", f"TCP echo, {count:,} connections", echo_figures(), count))
                for count in SHAPE_CONNECTIONS)
    yield in_shape(echo("shape_shards", "TCP echo, 50 connections, by shards", (cost("cpu_ns", CPU),), 50, cores="all",
                        runs=tuple(Run(str(count), LIBTINA if count == 1 else OTHER, "tina/echo", {"shards": count})
                                   for count in shape_shards(cores))))
    for what, counts in SHAPE_RESERVED.items():
        yield Workload(f"shape_{what}", f"two isolates bounce a message, {what} reserved",
                       tuple(Run(str(count), LIBTINA if count == counts[0] else OTHER, "tina/messages", {what: count})
                             for count in counts), (rate(""),), "bounce", part="shape", quick=None)
    yield from (Workload(f"shape_spawn_{count}", f"spawn and end, {count:,} open descriptors",
                         (libtina("lives"), GO, TOKIO), (rate(""),), "spawn", {"descriptors": count}, part="shape",
                         quick=None)
                for count in SHAPE_DESCRIPTORS)
    yield from (in_shape(echo(f"shape_open_{share:g}", f"TCP echo, 50 connections, at {share:.0%} of the smallest rate",
                              (cost("p50_ns", "p50"), cost("p99_ns", "p99")), 50, way="open",
                              load={"connections": 50, "size": 64, "share": share}))
                for share in SHAPE_LOADS)


def table(cores):
    """All workloads, on a machine with so many cores."""
    return (*MESSAGES, *ECHOES, *SIMULATION, *RESERVED, *shapes(cores))
