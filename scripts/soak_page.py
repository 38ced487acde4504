#!/usr/bin/env python3
"""Makes docs/soak.md from what ctest reported.

soak_page.py REPORT PAGE. A test says what it counted in lines that begin with "soak: ", and a swarm of simulations how
often each kind of fault struck in lines that begin with "fault: ". Rows of tests that were not run this time stay on
the page, with the commit that they were run at.
"""

import pathlib
import platform
import re
import subprocess
import sys
import xml.etree.ElementTree

PAGE = """# The latest soak

`./scripts/soak` runs the stress, system, swarm and black-box tests with their large counts and writes this page; with
arguments for ctest, such as `-L swarm`, only some of them, whose rows are then written anew.

Machine: {machine}.

| test | outcome | seconds | commit | counts |
|---|---|---|---|---|
{rows}

## Faults in the swarms

How often each kind has struck in the first of each seed's two runs. The events that are counted above are messages
delivered and operations completed, in both.

| swarm | faults |
|---|---|
{faults}
"""

ROW = re.compile(r"^\| (\S+/\S+) \|.*$", re.MULTILINE)


def told(command):
    return subprocess.run(command, text=True, capture_output=True, check=False).stdout.strip()


def commit():
    name = told(["git", "rev-parse", "--short=10", "HEAD"]) or "none"
    return name + " and changes" if told(["git", "status", "--porcelain", "--", ":!docs/soak.md"]) else name


def output_of(case):
    return case.findtext("system-out") or ""


def row(case, at):
    counts = "; ".join(re.findall(r"^soak: (.*)$", output_of(case), re.MULTILINE)).replace("|", "\\|")
    outcome = "passed" if case.get("status") == "run" else case.get("status")
    return f"| {case.get('name')} | {outcome} | {float(case.get('time')):.0f} | `{at}` | {counts} |"


def faults(case):
    struck = re.findall(r"^fault: (\w+ \d+)$", output_of(case), re.MULTILINE)
    return f"| {case.get('name')} | {', '.join(struck)} |"


def kept(page, heading):
    """The rows by test, of what stands behind that heading and before the next."""
    part = page.partition(heading)[2].partition("\n## ")[0]
    return {match[1]: match[0] for match in ROW.finditer(part)}


def main():
    report, path = sys.argv[1], pathlib.Path(sys.argv[2])
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    rows, struck = kept(before, "# The latest soak"), kept(before, "## Faults in the swarms")
    at = commit()
    for case in xml.etree.ElementTree.parse(report).getroot().iter("testcase"):
        rows[case.get("name")] = row(case, at)
        if case.get("name").startswith("swarm/"):
            struck[case.get("name")] = faults(case)
    path.write_text(PAGE.format(
        machine=f"Linux {platform.release()}, {platform.machine()}, {told(['nproc'])} cores",
        rows="\n".join(rows[name] for name in sorted(rows)),
        faults="\n".join(struck[name] for name in sorted(struck)),
    ), encoding="utf-8")


if __name__ == "__main__":
    main()
