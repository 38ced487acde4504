"""How costs grow, as SVG files: each plot is a few lines through points of the table of workloads, drawn by gnuplot."""

import shutil
import subprocess
from typing import NamedTuple

import workloads
from report import Row

COLOURS = ("#0b6e4f", "#c8553d", "#2f5d9b", "#e0a030", "#7a4f9a", "#5b8c8a", "#a03060", "#666666", "#3a9a3a")


class Plot(NamedTuple):
    file: str
    title: str
    x: str  # what the axis says
    y: str
    points: tuple  # (x, id of a workload, name of a run; None: each run is a line)
    figure: str
    unit: float = 1  # of y, in the figure's; of a rate: what one costs, in ns
    x_scale: str = "log"
    y_scale: str = "linear"


def ns_per(title, file, x, points):
    return Plot(file, title, x, "ns each", points, "rate")


def echo_ids(counts, main):
    return tuple((count, f"echo_{count}" if count in main else f"shape_echo_{count}", None) for count in counts)


def reserved_points(what):
    return tuple((count, f"shape_{what}", str(count)) for count in workloads.SHAPE_RESERVED[what])


RESERVED_NAMES = {"slots": "slots", "fds": "descriptors", "timers": "timers", "types": "types"}


def all_plots(cores):
    loads = sorted((*workloads.SHAPE_LOADS, 0.5))
    open_ids = {share: "echo_open" if share == 0.5 else f"shape_open_{share:g}" for share in loads}
    ring_ids = {1000: "ring_1k", 1000000: "ring_1m"}
    spawn_ids = {1: "spawn", 4096: "spawn_4096"}  # on a log axis, none stands at 1
    yield ns_per("A message in a ring, by the isolates in it (a token for each ten)", "ring.svg", "isolates",
                 tuple((count, ring_ids.get(count, f"shape_ring_{count}"), None)
                       for count in sorted((*workloads.SHAPE_ISOLATES, *ring_ids))))
    yield Plot("echo_connections.svg", "TCP echo of 64 bytes: the server's CPU time, by connections", "connections",
               "µs per request", echo_ids(sorted((*workloads.SHAPE_CONNECTIONS, 50, 500, 1000)), (50, 500, 1000)), "cpu_ns",
               1000)
    yield Plot("echo_shards.svg", "TCP echo over 50 connections: the servers' CPU time, by shards", "shards",
               "µs per request", tuple((count, "shape_shards", str(count)) for count in workloads.shape_shards(cores)),
               "cpu_ns", 1000, "linear")
    for what, name in RESERVED_NAMES.items():
        yield ns_per(f"A message between two isolates, by {name} that are reserved and not used", f"reserved_{what}.svg",
                     f"{name} reserved", reserved_points(what))
    yield ns_per("An isolate's life, by the descriptors that are open (1: none)", "spawn.svg", "open descriptors",
                 tuple((count, spawn_ids.get(count, f"shape_spawn_{count}"), None)
                       for count in sorted((*workloads.SHAPE_DESCRIPTORS, *spawn_ids))))
    for figure, name in (("p50_ns", "median"), ("p99_ns", "p99")):
        yield Plot(f"echo_load_{name}.svg", f"TCP echo over 50 connections: {name} latency, by load",
                   "load, % of the rate that the slowest server reaches", "µs", tuple((round(share * 100), identity, None)
                   for share, identity in open_ids.items()), figure, 1000, "linear", "log")


def y_of(plot, value):
    return 1e9 / value if plot.figure == "rate" else value / plot.unit


def lines_of(plot, results, table):
    """{name: [(x, y, low, high)]}"""
    by_id = {workload.id: workload for workload in table}
    found = {}
    for x, identity, run_name in plot.points:
        workload = by_id.get(identity)
        figure = next((figure for figure in workload.figures if figure.name == plot.figure), None) if workload else None
        if figure is None or identity not in results["workloads"]:
            continue
        row = Row(results, workload, figure)
        for run in workload.runs:
            value = row.value(run.name)
            if value is None or (run_name is not None and run.name != run_name):
                continue
            low, high = sorted((y_of(plot, value.low), y_of(plot, value.high)))
            found.setdefault("libtina" if run_name else run.name, []).append((x, y_of(plot, value.median), low, high))
    return {name: points for name, points in found.items() if len(points) > 1}


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def axis(plot, lines):
    """The horizontal axis: as far as there are points."""
    values = sorted({point[0] for points in lines.values() for point in points})
    if plot.x_scale == "log":
        return ["set logscale x", f"set xrange [{values[0] * 0.7:g}:{values[-1] * 1.4:g}]", "set format x '%.0s%c'"]
    margin = (values[-1] - values[0]) * 0.05
    return [f"set xrange [{values[0] - margin:g}:{values[-1] + margin:g}]",
            "set xtics (" + ", ".join(str(value) for value in values) + ")"]


def script(plot, lines, path):
    """What gnuplot is told. White background, so that it reads the same on a dark page."""
    most = max(high for points in lines.values() for _, _, _, high in points)
    parts = [
        "set terminal svg size 860,440 dynamic background '#ffffff' font 'sans-serif,13'",
        f"set output {quoted(str(path))}",
        f"set title {quoted(plot.title)} noenhanced",
        f"set xlabel {quoted(plot.x)} noenhanced",
        f"set ylabel {quoted(plot.y)} noenhanced",
        "set border 3 lc rgb '#888888'", "set tics nomirror textcolor rgb '#222222'",
        "set grid ytics lt 1 lw 1 lc rgb '#dddddd'", "set key outside right top noenhanced", "set bars 0.4",
        "set logscale y" if plot.y_scale == "log" else f"set yrange [0:{most * 1.08:g}]",
        *axis(plot, lines),
    ]
    for index, points in enumerate(lines.values()):
        rows = "\n".join(f"{x} {y:g} {low:g} {high:g}" for x, y, low, high in points)
        parts.append(f"$line{index} << END\n{rows}\nEND")
    drawn = [f"$line{index} using 1:2:3:4 with yerrorlines lw {3 if name == 'libtina' else 1.5} pt 7 ps 0.5 "
             f"lc rgb '{COLOURS[index % len(COLOURS)]}' title {quoted(name)}" for index, name in enumerate(lines)]
    parts.append("plot " + ", ".join(drawn))
    return "\n".join(parts) + "\n"


def draw(results, table, folder, tell):
    """Writes the plots that there are points for. Returns [(file, title)]."""
    if not shutil.which("gnuplot"):
        tell("no plots: gnuplot is missing (scripts/setup bench)")
        return []
    drawn = []
    for plot in all_plots(results["about"]["cores"]):
        lines = lines_of(plot, results, table)
        if not lines:
            continue
        done = subprocess.run(["gnuplot"], input=script(plot, lines, folder / plot.file), text=True, capture_output=True,
                              check=False)
        if done.returncode != 0:
            tell(f"{plot.file} was not drawn: {done.stderr.strip()}")
            continue
        drawn.append((plot.file, plot.title))
    return drawn
