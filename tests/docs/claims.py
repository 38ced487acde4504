#!/usr/bin/env python3
"""The table of claims is true of the tree: each promise is quoted as it stands on its page, each test that is named is one
that ctest knows, and every promise of the README's table is there.

claims.py BUILD [ROOT]
"""

import pathlib
import re
import subprocess
import sys

ROW = re.compile(r"^\| (?P<promise>.+?) \| \[[^\]]*\]\((?P<page>[^)]+)\) \| (?P<tests>.+) \|$")
PROMISE_ROW = re.compile(r"^\| [\w ]+ \| (?P<promise>.+?) \| `.*\|$")
TEST = re.compile(r"`([a-z]+/[\w@]+)`")


def known_tests(build):
    listing = subprocess.run(["ctest", "--test-dir", build, "-N"], text=True, capture_output=True, check=True).stdout
    return set(re.findall(r"Test +#\d+: (\S+)", listing))


def plain(text):
    """Without links, the signs of comments, and line breaks, so that a quotation may run over them."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"^ \* ?", "", text, flags=re.MULTILINE)
    return re.sub(r"\s+", " ", text)


def rows(text):
    for number, line in enumerate(text.split("\n"), 1):
        if found := ROW.match(line):
            yield number, found["promise"], found["page"], found["tests"]


def promises(readme):
    """The sentences of the README's table of promises."""
    part = readme.partition("## What it promises")[2].partition("\n## ")[0]
    return [found["promise"] for line in part.split("\n") if (found := PROMISE_ROW.match(line))]


def problems(root, known):
    claims = root / "docs/claims.md"
    quoted, count = [], 0
    for number, promise, page, tests in rows(claims.read_text(encoding="utf-8")):
        count += 1
        quoted.append(plain(promise))
        file = (claims.parent / page).resolve()
        if not file.exists() or plain(promise) not in plain(file.read_text(encoding="utf-8")):
            yield f"docs/claims.md:{number}: not on {page}: {promise}"
        named = TEST.findall(tests)
        if not named:
            yield f"docs/claims.md:{number}: no test"
        yield from (f"docs/claims.md:{number}: no test {test}" for test in named if test not in known)
    said = promises((root / "README.md").read_text(encoding="utf-8"))
    for promise in said:
        if not any(quotation in plain(promise) for quotation in quoted):
            yield f"README.md: not in docs/claims.md: {promise}"
    if count == 0 or not said:
        yield "no claims, or no promises"


def main():
    root = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).parents[2]).resolve()
    found = list(problems(root, known_tests(sys.argv[1])))
    print(*found, f"{len(found)} problems", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
