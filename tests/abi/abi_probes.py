#!/usr/bin/env python3
"""The library tells of its static probes, each with its arguments, where the build has them; and of none where it has not.

abi_probes.py LIBRARY yes|no
"""

import re
import subprocess
import sys

# What docs/guides/operating.md promises: the probes of provider tina, and how many arguments each has.
PROBES = {"dispatch": 3, "send": 3, "refused": 3, "fault": 4, "restart": 3}


def told(library):
    """{name: the numbers of arguments of its places}, as readelf reads the notes."""
    notes = subprocess.run(["readelf", "--notes", "--wide", library], text=True, capture_output=True, check=True).stdout
    places = {}
    for name, arguments in re.findall(r"Provider: tina\s+Name: (\w+)\s+Location: [^\n]*\n\s*Arguments:([^\n]*)", notes):
        places.setdefault(name, set()).add(len(re.findall(r"-?[1248]@", arguments)))
    return places


def main():
    library, has_probes = sys.argv[1], sys.argv[2] == "yes"
    wanted = {name: {count} for name, count in PROBES.items()} if has_probes else {}
    found = told(library)
    print("probes:", ", ".join(sorted(found)) or "none")
    if found != wanted:
        print("wanted:", wanted, "found:", found)
    return found != wanted


if __name__ == "__main__":
    sys.exit(main())
