"""Medians, spreads and ratios of what was measured, and the tables made of them.

The results are a dictionary, as results.json holds it:

    {"about": {...}, "rounds": 5, "seconds": 1, "skipped": {peer: why}, "broken": {peer: why},
     "workloads": {id: {"runs": {name: {"program": ..., "arguments": ..., "rounds": [{figure: value} or null, ...],
                                        "failed": why, "not_there": why}}}}}
"""

import pathlib
import statistics
from typing import NamedTuple, Optional

import workloads

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


class Value(NamedTuple):
    """A median, and the quartiles: half of the rounds lie between them."""
    median: float
    low: float
    high: float


def summary(values):
    if not values:
        return None
    if len(values) == 1:
        return Value(values[0], values[0], values[0])
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Value(middle, low, high)


class Row:
    """One figure of a workload: of all its programs."""

    def __init__(self, results, workload, figure):
        self.workload, self.figure = workload, figure
        self.results = results
        self.entries = results["workloads"].get(workload.id, {"runs": {}})["runs"]
        self.runs = {run.name: run for run in workload.runs}

    def title(self):
        return f"{self.workload.title}: {self.figure.title}" if self.figure.title else self.workload.title

    def rounds(self, name):
        """The figure, round for round; None where there is none. Of a program that failed, nothing is believed."""
        entry = self.entries.get(name)
        if entry is None or entry.get("failed"):
            return []
        return [figures.get(self.figure.name) if figures else None for figures in entry["rounds"]]

    def value(self, name):
        return summary([value for value in self.rounds(name) if value is not None])

    def word(self, name):
        """Why there is no value."""
        entry, peer = self.entries.get(name), self.runs[name].program.removeprefix("peers/")
        if peer in self.results["broken"]:
            return "could not be built"
        if peer in self.results["skipped"]:
            return "skipped"
        if entry is None:
            return "not run"
        return "failed" if entry.get("failed") else "not there" if entry.get("not_there") else "not run"

    def libtina(self):
        return next(run.name for run in self.workload.runs if run.family == workloads.LIBTINA)

    def best(self, family, names=()):
        """The name of the best program of a family, by its median; None where none has one."""
        values = {run.name: self.value(run.name) for run in self.workload.runs
                  if run.family == family and (not names or run.name in names)}
        values = {name: value.median for name, value in values.items() if value}
        if not values:
            return None
        return (max if self.figure.more_is_better else min)(values, key=values.get)

    def share(self, name, of=None):
        """libtina's figure as a share of another's: within each round, so that noise strikes both."""
        pairs = zip(self.rounds(of or self.libtina()), self.rounds(name))
        return summary([mine / other for mine, other in pairs if mine is not None and other is not None and other > 0])

    def factor(self, name):
        """How many times better libtina is than another."""
        rounds = zip(self.rounds(self.libtina()), self.rounds(name))
        pairs = [(mine, other) for mine, other in rounds if min(mine or 0, other or 0) > 0]
        return summary([mine / other if self.figure.more_is_better else other / mine for mine, other in pairs])

    # ---- Aims: None where there is none, or nothing to judge by ----

    def meets_floor(self):
        name = self.best(workloads.FLOOR)
        share = self.share(name) if name else None
        if self.figure.floor is None or share is None:
            return None
        return share.median >= self.figure.floor if self.figure.more_is_better else share.median <= self.figure.floor

    def meets_peer(self):
        name = self.best(workloads.PEER, self.figure.peers)
        factor = self.factor(name) if name else None
        if self.figure.peer is None or factor is None:
            return None
        return factor.high >= 1 if self.figure.peer == workloads.LEVEL else factor.median >= self.figure.peer

    def meets_limit(self):
        value = self.value(self.libtina())
        if self.figure.limit is None or value is None:
            return None
        return value.median >= self.figure.limit if self.figure.more_is_better else value.median <= self.figure.limit


def rows(results, table, part, short_only=False):
    """Of the workloads that were run."""
    return [Row(results, workload, figure) for workload in table if workload.part == part and
            workload.id in results["workloads"] for figure in workload.figures if figure.is_short or not short_only]


# ---- Numbers as words ------------------------------------------------------------------------

SCALES = {
    workloads.RATE: ((1e6, " M/s"), (1e3, " k/s"), (1, " /s")),
    workloads.NS: ((1e9, " s"), (1e6, " ms"), (1e3, " µs"), (1, " ns")),
    workloads.BYTES: ((1, " B"),),
    workloads.SHARE: ((0.01, " %"),),
}


def digits(value):
    """Three digits that count."""
    if value == 0:
        return "0"
    places = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2 if abs(value) >= 0.9995 else 3
    return f"{value:,.{places}f}"


def said(value, unit):
    size, name = next(((size, name) for size, name in SCALES[unit] if abs(value) >= size), SCALES[unit][-1])
    return digits(value / size) + name


def spread(value, unit):
    return f"{said(value.low, unit)} to {said(value.high, unit)}"


def judged(text, aim, meets):
    """With the aim behind it, and bold where it is missed."""
    if meets is None:
        return text
    return f"{text} (aim {aim})" if meets else f"**{text}** (aim {aim})"


# ---- Tables ------------------------------------------------------------------------------------

def floor_cells(row):
    name = row.best(workloads.FLOOR)
    if name is None:
        return [word_of(row, workloads.FLOOR), ""]
    sign = "≥" if row.figure.more_is_better else "≤"
    aim = f"{sign} {digits(row.figure.floor)}" if row.figure.floor else ""
    share = row.share(name)
    return [f"{said(row.value(name).median, row.figure.unit)} {name}",
            judged(digits(share.median), aim, row.meets_floor()) if share else ""]


def peer_aim(figure):
    if figure.peer is None:
        return ""
    aim = figure.peer if figure.peer == workloads.LEVEL else f"≥ {digits(figure.peer)}x"
    return f"{aim} beside {listed(figure.peers)}" if figure.peers else aim


def peer_cells(row):
    name = row.best(workloads.PEER)
    if name is None:
        return [word_of(row, workloads.PEER), ""]
    factor, meets, aim = row.factor(name), row.meets_peer(), peer_aim(row.figure)
    text = f"{digits(factor.median)}x" if factor else ""
    if factor and meets is None and factor.median < 1:
        text = f"**{text}**"
    return [f"{said(row.value(name).median, row.figure.unit)} {name}", judged(text, aim, meets)]


def listed(names):
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def word_of(row, family):
    """What to say where no program of a family has a value: none is listed, or all are missing."""
    words = sorted({row.word(run.name) for run in row.workload.runs if run.family == family})
    return ", ".join(words)


def own_cell(row):
    value = row.value(row.libtina())
    if value is None:
        return f"**{row.word(row.libtina())}**"
    text = said(value.median, row.figure.unit)
    if row.figure.limit is None:
        return text
    sign = "≥" if row.figure.more_is_better else "≤"
    return judged(text, f"{sign} {said(row.figure.limit, row.figure.unit)}", row.meets_limit())


def line(cells):
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def table_of(headings, lines):
    return "\n".join([line(headings), "|" + "---|" * len(headings), *map(line, lines)])


def short_table(results, table):
    """Each workload in a line: libtina, the best floor and the best peer."""
    lines = [[row.title(), own_cell(row), *floor_cells(row), *peer_cells(row)]
             for row in rows(results, table, "table", short_only=True)]
    return table_of(["workload", "libtina", "best floor", "share of it", "best peer", "times better"], lines)


def full_table(row):
    """Each program of a workload in a line."""
    lines = []
    for run in row.workload.runs:
        value = row.value(run.name)
        if value is None:
            lines.append([run.name, row.word(run.name), "", ""])
            continue
        beside = ""
        if run.family == workloads.FLOOR and (share := row.share(run.name)):
            beside = f"{digits(share.median)} of it ({digits(share.low)} to {digits(share.high)})"
        if run.family == workloads.PEER and (factor := row.factor(run.name)):
            beside = f"{digits(factor.median)}x better ({digits(factor.low)}x to {digits(factor.high)}x)"
        lines.append([run.name, said(value.median, row.figure.unit), spread(value, row.figure.unit), beside])
    return table_of(["", "median", "half of the rounds", "libtina beside it"], lines)


def noise(row):
    """How far the same, run twice, differed from itself in any round; None where it was not measured."""
    pairs = zip(row.rounds(workloads.AGAIN), row.rounds(row.libtina()))
    differences = [abs(again / once - 1) for again, once in pairs if again and once]
    return max(differences, default=None)


def reserved_table(results, table):
    """What doubling a reservation changes: libtina beside itself."""
    lines = []
    for row in rows(results, table, "reserved"):
        most = noise(row)
        for run in row.workload.runs:
            change = row.share(row.libtina(), of=run.name)
            if run.family != workloads.OTHER or run.name == workloads.AGAIN:
                continue
            if change is None or most is None:
                lines.append([row.title(), run.name, row.word(run.name), "", ""])
                continue
            verdict = "within it" if abs(change.median - 1) <= most else "**more**"
            lines.append([row.title(), run.name, f"{(change.median - 1) * 100:+.1f} %", f"{most * 100:.1f} %", verdict])
    return table_of(["workload", "reserved", "changes the median by", "noise", ""], lines)


# ---- Pages --------------------------------------------------------------------------------------

def many(count, thing):
    return f"{count} {thing}" + ("s" if count != 1 else "")


def machine(results):
    about = results["about"]
    parts = (about["processor"], many(about["cores"], "core"), f"Linux {about['kernel']}", about["compiler"])
    return (f"{', '.join(part for part in parts if part)}. {many(results['rounds'], 'round')} of {results['seconds']:g} s, "
            f"all programs of a workload in turn; medians. Commit {about['commit'] or 'unknown'}, {about['date']}.")


def versions(results):
    return "With " + ", ".join(f"{name} {version}" for name, version in sorted(results["about"]["versions"].items())) + "."


HOW_TO_READ = """A floor is the least that plain C needs for the same on this machine; "share of it" is libtina's rate as a
share of the floor's rate, or its cost as a share of the floor's cost. A peer is what else one would write the program
with; "times better" is how many times libtina's rate is the peer's, or the peer's cost is libtina's. Ratios are medians
of the ratios within each round. What misses its aim, or is worse than a peer, is **bold**."""


def count_aims(results, table):
    verdicts = [verdict for row in rows(results, table, "table")
                for verdict in (row.meets_floor(), row.meets_peer(), row.meets_limit()) if verdict is not None]
    return sum(verdicts), len(verdicts)


def aims(results, table):
    met, count = count_aims(results, table)
    return f"{met} of {count} aims are met." if count else ""


def summary_page(results, table):
    """What the project's README shows."""
    return "\n\n".join(part for part in (short_table(results, table), aims(results, table), machine(results)) if part)


def troubles(results):
    """Lines of what failed, could not be built, is skipped or is not there."""
    for name, why in results["broken"].items():
        yield f"{workloads.PEER_NAMES[name]} could not be built: {last(why)}"
    for name, why in results["skipped"].items():
        yield f"{workloads.PEER_NAMES[name]} is skipped: {why}"
    for identity, entry in results["workloads"].items():
        for name, run in entry["runs"].items():
            if run.get("failed"):
                yield f"{identity}, {name}: failed: {last(run['failed'])}"
            elif run.get("not_there"):
                yield f"{identity}, {name}: not there: {run['not_there']}"


def last(text):
    """The line that most likely says what was wrong: the last one that is no exit status."""
    lines = [text_line for text_line in text.splitlines() if text_line.strip()]
    return lines[-2] if len(lines) > 1 and lines[-1].startswith("exit status") else lines[-1] if lines else ""


def page(results, table, plots):
    """The page beside the results. plots: [(file, title)]."""
    parts = ["# What was measured last", f"{machine(results)} {versions(results)}",
             "`./scripts/bench` writes this page; [how and what is measured](../README.md). Every single figure is in "
             "[results.json](results.json).", HOW_TO_READ, short_table(results, table), aims(results, table)]
    if any(True for _ in troubles(results)):
        parts += ["## Not measured", "\n".join(f"- {trouble}" for trouble in troubles(results))]
    if rows(results, table, "reserved"):
        parts += ["## Reserved and not used", "Doubling what is reserved, and not used, beside the same without. Noise: how "
                  "far the same, run twice, differed in any round.", reserved_table(results, table)]
    if plots:
        parts += ["## Shape", *(f"![{title}]({file})" for file, title in plots)]
    parts.append("## Every program")
    for row in rows(results, table, "table"):
        parts += [f"### {row.title()}", full_table(row)]
    return "\n\n".join(part for part in parts if part) + "\n"


def between_markers(text, part):
    """The text with that part between the two markers, which must be there."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        return None
    return f"{before}{begin}\n\n{part}\n\n{end}{after}"


def write_summary(path: pathlib.Path, results, table) -> Optional[str]:
    """Replaces the table in the project's README. Returns what is wrong, or None."""
    text = between_markers(path.read_text(encoding="utf-8"), summary_page(results, table))
    if text is None:
        return f"README.md has no lines {BEGIN} and {END}: nothing is written there"
    path.write_text(text, encoding="utf-8")
    return None
