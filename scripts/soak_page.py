#!/usr/bin/env python3
"""Makes docs/soak.md from what ctest reported.

soak_page.py REPORT PAGE. A test says what it counted in lines that begin with "soak: ".
"""

import platform
import re
import subprocess
import sys
import xml.etree.ElementTree

PAGE = """# The last full soak

`./scripts/soak` runs the stress, system and black-box tests with their large counts and writes this page.

| | |
|---|---|
| command | `./scripts/soak` |
| commit | `{commit}` |
| machine | {machine} |
| outcome | {outcome} |

| test | outcome | seconds | counts |
|---|---|---|---|
{rows}
"""


def told(command):
    return subprocess.run(command, text=True, capture_output=True, check=False).stdout.strip()


def commit():
    name = told(["git", "rev-parse", "HEAD"]) or "none"
    return name + " and changes" if told(["git", "status", "--porcelain", "--", ":!docs/soak.md"]) else name


def cores():
    return told(["nproc"]) + " cores"


def row(case):
    output = case.findtext("system-out") or ""
    counts = "; ".join(re.findall(r"^soak: (.*)$", output, re.MULTILINE)).replace("|", "\\|")
    outcome = "passed" if case.get("status") == "run" else case.get("status")
    return f"| {case.get('name')} | {outcome} | {float(case.get('time')):.0f} | {counts} |"


def main():
    report, page = sys.argv[1:]
    suite = xml.etree.ElementTree.parse(report).getroot()
    text = PAGE.format(
        commit=commit(),
        machine=f"Linux {platform.release()}, {platform.machine()}, {cores()}",
        outcome=f"{suite.get('tests')} tests, {suite.get('failures')} failed",
        rows="\n".join(row(case) for case in sorted(suite.iter("testcase"), key=lambda case: case.get("name"))),
    )
    with open(page, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
