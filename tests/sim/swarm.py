#!/usr/bin/env python3
"""A swarm of one simulation: seeds with all their faults drawn, each run twice and healed before its end, and one
more whose seed is the commit's hash. With enough of them, every point of the program is to be reached: one whose work
is never done does not fail, and has proved nothing.

swarm.py PROGRAM. TINA_SOAK=1 in the environment: as many as a soak takes; TINA_SOAK_SEEDS=N: N.
"""

import os
import re
import subprocess
import sys

SEEDS, SEEDS_OF_A_SOAK = 24, 10000
SEEDS_TO_REACH_ALL = 100
TICKS = 20000


def seed_count():
    return int(os.environ.get("TINA_SOAK_SEEDS", SEEDS_OF_A_SOAK if "TINA_SOAK" in os.environ else SEEDS))


def commit():
    """The hash of the tree's commit; None: it is no checkout."""
    told = subprocess.run(["git", "rev-parse", "HEAD"], cwd=os.environ.get("TINA_SOURCE", "."), text=True,
                          capture_output=True, check=False)
    return told.stdout.strip() or None


def run(program, *arguments):
    """Its status and what it said, which is printed too."""
    command = [program, *arguments, "--ticks", str(TICKS), "--swarm", "--heal"]
    print("$", *command, flush=True)
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    print(done.stdout, end="", flush=True)
    return done.returncode, done.stdout


def tell(said, count):
    """What scripts/soak_page.py makes a page of."""
    events = re.search(r"^events: (\d+), (\d+) a second$", said, re.MULTILINE)
    if events:
        print(f"soak: {count} seeds of up to {TICKS} ticks, run twice; {events[1]} events, {events[2]} a second")
    for kind, struck in re.findall(r"(\w+) (\d+)", "".join(re.findall(r"^faults: (.*)$", said, re.MULTILINE))):
        print(f"fault: {kind} {struck}")


def reaches_all(said, count):
    never = re.search(r"^never reached: .*$", said, re.MULTILINE)
    if never is None or count < SEEDS_TO_REACH_ALL:
        return True
    print(f"failed: of {count} seeds, each point must be reached by one. {never[0]}")
    return False


def main():
    program, count = sys.argv[1], seed_count()
    # Beside other tests it has one core; a soak runs alone.
    jobs = [] if "TINA_SOAK" in os.environ else ["--jobs", "1"]
    status, said = run(program, "--seeds", str(count), *jobs)
    if "TINA_SOAK" in os.environ:
        tell(said, count)
    if not reaches_all(said, count):
        status = status or 1
    own = commit()
    if own is not None:
        status = run(program, "--seed", own)[0] or status
    return status


if __name__ == "__main__":
    sys.exit(main())
