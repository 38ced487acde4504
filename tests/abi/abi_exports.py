#!/usr/bin/env python3
"""The shared library exports the functions that the headers mark TINA_API, and nothing else.
The archive, whose names all reach the program that links it, keeps to the library's prefix.

abi_exports.py LIBRARY ARCHIVE
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
DECLARATION = re.compile(r"\bTINA_API\b[^;{]*?\b(\w+)\s*\(")


def declared(text):
    """The functions that a header's text marks TINA_API."""
    text = DIRECTIVE.sub("", COMMENT.sub(" ", text))
    names = DECLARATION.findall(text)
    assert len(names) == len(re.findall(r"\bTINA_API\b", text)), "a TINA_API that is no function"
    return set(names)


def declared_by_headers():
    return set().union(*(declared(header.read_text(encoding="utf-8")) for header in (ROOT / "include/tina").glob("*.h")))


def defined(file, *options):
    """The global names that nm finds defined there."""
    command = ["nm", *options, "--extern-only", "--defined-only", "--format=posix", file]
    listing = subprocess.run(command, text=True, capture_output=True, check=True).stdout
    symbols = [line.split() for line in listing.splitlines() if not line.endswith(":")]
    return {symbol[0].split("@")[0] for symbol in symbols if symbol}


def problems(wanted, library, archive):
    exported = defined(library, "--dynamic") - {"TINA_0"}  # the version's own absolute symbol
    yield from (f"declared, not exported: {name}" for name in sorted(wanted - exported))
    yield from (f"exported, not declared: {name}" for name in sorted(exported - wanted))
    strangers = {name for name in defined(archive) if not name.startswith("tina_")} - {"_.stapsdt.base"}  # of sys/sdt.h: hidden
    yield from (f"in the archive without our prefix: {name}" for name in sorted(strangers))


def main():
    wanted = declared_by_headers()
    found = list(problems(wanted, *sys.argv[1:3]))
    print(*found, f"{len(wanted)} functions, {len(found)} problems", sep="\n")
    return 1 if found or not wanted else 0


if __name__ == "__main__":
    sys.exit(main())
