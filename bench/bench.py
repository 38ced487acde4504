"""Measures libtina beside the floors and the peers, and writes what came out. README.md beside this file has the words.

All programs of a workload run one after the other, and the next round does so again, begun by another of them: what
else the machine does strikes them all alike.
"""

import argparse
import json
import pathlib
import sys
import tempfile
import time

import plots
import programs
import report
import workloads
from measure import Failed, Meter, NotThere

RESULTS = programs.ROOT / "bench/results"
README = programs.ROOT / "README.md"
PATIENCE = 180  # seconds that a program may take besides its own: a million timers are much to some
QUICK_SECONDS, QUICK_PATIENCE = 0.1, 20
OPEN_DEPTH = 64  # requests that may be under way on a connection of an open loop
FIRST_GUESS = {"program": 0.4, "echo": 0.8, "accept": 0.8, "open": 0.8, "held": 2.0, "grown": 1.5, "kv": 2.0}  # seconds, besides


def tell(text):
    print(text, file=sys.stderr, flush=True)


class Progress:
    """Where the run stands, in one line on a terminal, and how long the rest may take by what the same took before."""

    def __init__(self, total_of, seconds):
        self.taken, self.guess_of, self.left = {}, total_of, 0.0
        self.is_terminal = sys.stderr.isatty()
        self.seconds = seconds

    def show(self, place, steps):
        left = sum(self.taken.get(key, self.guess_of[key]) for key in steps)
        text = f"{place}; {describe(left)} left"
        if self.is_terminal:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        return text

    def clear(self):
        if self.is_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def describe(seconds):
    return f"{round(seconds)} s" if seconds < 90 else f"{round(seconds / 60)} min"


def rotated(things, turns):
    turns = turns % len(things) if things else 0
    return things[turns:] + things[:turns]


def changed(values, quick):
    return {name: quick.get(name, value) for name, value in values.items()}


class Suite:
    """Which programs there are, what was measured so far, and how one is measured."""

    def __init__(self, table, folder, options):
        self.table, self.folder, self.options = table, folder, options
        self.meter = Meter(folder / "load" / "load", options.seconds, QUICK_PATIENCE if options.quick else PATIENCE)
        self.scrub = ((str(folder), "build"), (str(programs.ROOT), "."), (tempfile.gettempdir(), "tmp"))
        self.skipped, self.broken, self.entries = {}, {}, {}
        self.closed_rates = {}

    def takes_part(self, run):
        folder, _, name = run.program.partition("/")
        return folder != "peers" or not (self.options.quick or name in self.skipped or name in self.broken)

    def runs(self, workload):
        """Those that take part, and have not failed before."""
        entries = self.entries.get(workload.id, {})
        return [run for run in workload.runs if self.takes_part(run) and not
                {"failed", "not_there"} & entries.get(run.name, {}).keys()]

    def arguments(self, workload, run):
        quick = workload.quick if self.options.quick else {}
        return changed({**workload.arguments, **run.arguments}, quick), changed(workload.load, quick)

    def once(self, workload, run):
        """The figures of one run."""
        program = self.folder / run.program
        if not program.exists():
            raise Failed(f"{run.program} was not built")
        arguments, load = self.arguments(workload, run)
        if workload.way == "open":
            load = {**load, "rate": round(load["share"] * self.closed_rate(workload)), "depth": OPEN_DEPTH}
        command = [str(program), run.word or workload.word]
        if workload.way == "program":
            figures = self.meter.program(command, arguments, workload.cores)
        else:
            figures = getattr(self.meter, workload.way)(command, arguments, workload.cores, load)
        missing = [figure.name for figure in workload.figures if figure.name not in figures]
        if missing:
            raise Failed(f"the program reports no {', '.join(missing)}")
        empty = [figure.name for figure in workload.figures if figure.more_is_better and figures[figure.name] <= 0]
        if empty:
            raise Failed(f"nothing was done: {', '.join(empty)}")
        return figures

    def closed_rate(self, workload):
        """The rate of the slowest server in a closed loop, for the open loops of the same kind; taken once."""
        key = (workload.load["connections"], workload.load["size"])
        if key not in self.closed_rates:
            rates = []
            for run in self.runs(workload):
                try:
                    arguments, load = self.arguments(workload, run)
                    command = [str(self.folder / run.program), run.word or workload.word]
                    load = {"connections": load["connections"], "size": load["size"], "depth": 1}
                    rates.append(self.meter.echo(command, arguments, workload.cores, load)["rate"])
                except (Failed, NotThere, OSError):
                    pass  # whoever can't do this says so in its own turn
            if not rates:
                raise Failed("no server answers in a closed loop")
            self.closed_rates[key] = min(rates)
        return self.closed_rates[key]

    def take(self, workload, run, number):
        """Measures, and keeps the figures or what was wrong. number: of the round, from 0."""
        entry = self.entries.setdefault(workload.id, {}).setdefault(run.name, {
            "program": run.program, "arguments": {**workload.arguments, **run.arguments}, "rounds": []})
        entry["rounds"] += [None] * (number - len(entry["rounds"]))
        try:
            entry["rounds"].append(self.once(workload, run))
        except NotThere as why:
            entry["not_there"] = self.scrubbed(why)
        except (Failed, OSError) as why:
            entry["failed"] = self.scrubbed(why)
            tell(f"\n{workload.id}: {run.name} failed:\n{why}")

    def scrubbed(self, why):
        """Without the folders of this machine."""
        text = str(why)
        for path, name in self.scrub:
            text = text.replace(path, name)
        return text

    def steps(self, number):
        """What a round runs, in order."""
        return [(workload, run) for workload in self.table for run in rotated(self.runs(workload), number)]

    def guess(self):
        return {(workload.id, run.name): self.meter.seconds + FIRST_GUESS[workload.way]
                for workload in self.table for run in workload.runs}

    def measure(self):
        progress = Progress(self.guess(), self.meter.seconds)
        for number in range(self.options.rounds):
            steps = self.steps(number)
            keys = [(workload.id, run.name) for workload, run in steps]
            before = None
            for index, (workload, run) in enumerate(steps):
                rest = keys[index:] + keys * (self.options.rounds - number - 1)
                text = progress.show(f"round {number + 1} of {self.options.rounds}, {index + 1} of {len(steps)}: "
                                     f"{workload.id}, {run.name}", rest)
                if not progress.is_terminal and workload is not before:
                    tell(text)
                before = workload
                begin = time.monotonic()
                self.take(workload, run, number)
                progress.taken[workload.id, run.name] = time.monotonic() - begin
        progress.clear()

    def results(self):
        about = {**programs.about(self.folder.parent), "date": time.strftime("%Y-%m-%d", time.gmtime())}
        return {"about": about, "rounds": self.options.rounds, "seconds": self.meter.seconds, "skipped": self.skipped,
                "broken": {name: self.scrubbed(why) for name, why in self.broken.items()},
                "workloads": {name: {"runs": entries} for name, entries in self.entries.items()}}

    def has_failed(self):
        return bool(self.broken) or any("failed" in entry for runs in self.entries.values() for entry in runs.values())


def write_pages(results, table, folder, with_readme):
    """The page and the plots of results, and the table in the project's README. Returns whether all went well."""
    page = report.page(results, table, plots.draw(results, table, folder, tell))
    (folder / "README.md").write_text(page, encoding="utf-8")
    if with_readme and (trouble := report.write_summary(README, results, table)):
        tell(trouble)
        return False
    return True


def read_options(arguments):
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures libtina beside plain C and its peers.")
    parser.add_argument("--quick", action="store_true",
                        help="libtina and the floors alone, the smallest numbers, one round; nothing is written")
    parser.add_argument("--only", nargs="+", metavar="WORD", default=[],
                        help="workloads whose id contains one of the words; nothing is written without --results")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often everything runs (5)")
    parser.add_argument("--seconds", type=float, metavar="S", help="how long each program runs (1)")
    parser.add_argument("--build", type=pathlib.Path, metavar="DIR", help="a build that is there, instead of making one")
    parser.add_argument("--results", type=pathlib.Path, metavar="DIR", help="where to write (bench/results)")
    parser.add_argument("--no-peers", action="store_true",
                        help="libtina and the floors alone; nothing is written without --results")
    parser.add_argument("--list", action="store_true", help="the workloads: id and title")
    parser.add_argument("--readme", action="store_true", help="only make the tables and plots anew, from results.json")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (QUICK_SECONDS if options.quick else 1.0)
    if options.rounds < 1 or not 0 < options.seconds <= 3600:
        parser.error("at least one round, and more than no seconds")
    return options


def selected(table, options):
    return [workload for workload in table if (not options.only or any(word in workload.id for word in options.only))
            and not (options.quick and workload.quick is None)]


def write_again(options):
    """--readme"""
    folder = options.results or RESULTS
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    table = workloads.table(results["about"]["cores"])
    return 0 if write_pages(results, table, folder, folder.resolve() == RESULTS) else 1


def prepare(suite, build, options):
    """Builds what is to be built."""
    if not options.build:
        tell(f"building in {build.name}/")
        programs.build(build)
    if not (options.quick or options.no_peers):
        tell("building the peers")
        suite.skipped, suite.broken = programs.build_peers(build / "bench" / "peers", tell)
    elif options.no_peers:
        suite.skipped = {name: "--no-peers" for name in workloads.PEER_NAMES}


def write_results(suite, options):
    """Writes what was asked for. A run of a part replaces no page of a whole one."""
    results = suite.results()
    whole = workloads.table(suite.meter.place.count)
    print(report.short_table(results, whole))
    if report.rows(results, whole, "reserved"):
        print("\n" + report.reserved_table(results, whole))
    print("\n" + "\n".join(report.troubles(results)), end="")
    folder = options.results or (None if options.quick or options.only or options.no_peers else RESULTS)
    if folder is None:
        return True
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return write_pages(results, whole, folder, folder.resolve() == RESULTS)


def main(arguments):
    options = read_options(arguments)
    if options.readme:
        return write_again(options)
    build = (options.build or programs.ROOT / "build-bench").resolve()
    table = selected(workloads.table(len(programs.os.sched_getaffinity(0))), options)
    if options.list:
        print("\n".join(f"{workload.id:20} {workload.title}" for workload in table))
        return 0
    if not table:
        tell(f"no workload has an id that contains {' or '.join(options.only)}: scripts/bench --list")
        return 2
    suite = Suite(table, build / "bench", options)
    try:
        prepare(suite, build, options)
        suite.measure()
    except programs.Broken as error:
        tell(f"{error}\nthe programs could not be built")
        return 1
    except KeyboardInterrupt:
        tell("\nstopped; nothing is written")
        return 130
    return 1 if not write_results(suite, options) or suite.has_failed() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
