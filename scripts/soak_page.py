#!/usr/bin/env python3
"""Makes docs/soak.md from what ctest reported.

soak_page.py REPORT PAGE. A test says what it counted in lines that begin with "soak: ", and a swarm of simulations how
often each kind of fault struck in lines that begin with "fault: ".
"""

import platform
import re
import subprocess
import sys
import xml.etree.ElementTree

PAGE = """# The last full soak

`./scripts/soak` runs the stress, system, swarm and black-box tests with their large counts and writes this page.

| | |
|---|---|
| command | `./scripts/soak` |
| commit | `{commit}` |
| machine | {machine} |
| outcome | {outcome} |

| test | outcome | seconds | counts |
|---|---|---|---|
{rows}
{faults}"""

FAULTS = """
## Faults in the swarms

How often each kind has struck in the first of each seed's two runs. The events that are counted above are messages
delivered and operations completed, in both.

| fault | {names} |
|---|{lines}
{rows}
"""


def told(command):
    return subprocess.run(command, text=True, capture_output=True, check=False).stdout.strip()


def commit():
    name = told(["git", "rev-parse", "HEAD"]) or "none"
    return name + " and changes" if told(["git", "status", "--porcelain", "--", ":!docs/soak.md"]) else name


def cores():
    return told(["nproc"]) + " cores"


def output_of(case):
    return case.findtext("system-out") or ""


def row(case):
    counts = "; ".join(re.findall(r"^soak: (.*)$", output_of(case), re.MULTILINE)).replace("|", "\\|")
    outcome = "passed" if case.get("status") == "run" else case.get("status")
    return f"| {case.get('name')} | {outcome} | {float(case.get('time')):.0f} | {counts} |"


def faults(cases):
    """A row for each kind of fault, a column for each swarm; nothing where there was none."""
    struck = {case.get("name"): dict(re.findall(r"^fault: (\w+) (\d+)$", output_of(case), re.MULTILINE)) for case in cases}
    struck = {name: counts for name, counts in struck.items() if counts}
    kinds = sorted({kind for counts in struck.values() for kind in counts})
    if not struck:
        return ""
    rows = [f"| `{kind}` | " + " | ".join(counts.get(kind, "0") for counts in struck.values()) + " |" for kind in kinds]
    return FAULTS.format(names=" | ".join(struck), lines="---|" * len(struck), rows="\n".join(rows))


def main():
    report, page = sys.argv[1:]
    suite = xml.etree.ElementTree.parse(report).getroot()
    cases = sorted(suite.iter("testcase"), key=lambda case: case.get("name"))
    text = PAGE.format(
        commit=commit(),
        machine=f"Linux {platform.release()}, {platform.machine()}, {cores()}",
        outcome=f"{suite.get('tests')} tests, {suite.get('failures')} failed",
        rows="\n".join(row(case) for case in cases),
        faults=faults(cases),
    )
    with open(page, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
