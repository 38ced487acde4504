#!/usr/bin/env python3
"""The transcripts of docs/guides/writing_simulation_tests.md are what its commands print: the same seeds make the same
runs. A line of three dots stands for any lines; speeds are not compared.

transcripts.py NAIVE MENDED: the page's two programs
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/guides/writing_simulation_tests.md"
TRANSCRIPT = re.compile(r"^```text\n\$ \./counter_sim (.*)\n((?:.*\n)*?)```$", re.MULTILINE)


def pattern_of(expected):
    """What the output must look like, as a regular expression."""
    lines = [r"(?:.*\n)*" if line == "..." else re.escape(line) + r"\n" for line in expected.rstrip("\n").split("\n")]
    return re.sub(r"\d+\\ a\\ second", r"\\d+\\ a\\ second", "".join(lines))


def said(program, arguments):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(program, os.path.join(folder, "counter_sim"))
        done = subprocess.run(["./counter_sim", *arguments.split()], cwd=folder, text=True, capture_output=True, check=False)
    return done.stdout


def main():
    naive, mended = sys.argv[1:3]
    found = TRANSCRIPT.findall(PAGE.read_text(encoding="utf-8"))
    wrong = 0
    for arguments, expected in found:
        output = said(naive if " failed: " in expected else mended, arguments)
        if not re.fullmatch(pattern_of(expected), output):
            print(f"counter_sim {arguments} printed:\n{output}instead of:\n{expected}")
            wrong += 1
    print(f"{len(found)} transcripts, {wrong} problems")
    return 1 if wrong or len(found) < 3 else 0


if __name__ == "__main__":
    sys.exit(main())
