#!/usr/bin/env python3
"""docs/guides/metrics.md says of each family what is served, and Prometheus takes its configuration and its alerts."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from _echo import Server, check, run_once
from metrics_scrape import address_of, samples, scrape

ROOT = pathlib.Path(os.environ.get("TINA_SOURCE", pathlib.Path(__file__).parents[2]))
PAGE = (ROOT / "docs/guides/metrics.md").read_text(encoding="utf-8")


def labels_of(row):
    """The labels that a row of the table names, but for those that every family of its sort has."""
    return set(re.findall(r"`(\w+)`", row)) - {"type"}


def page_lists_what_is_served():
    with Server("--metrics", "127.0.0.1:0") as server:
        text = scrape(address_of(server))
        server.stop_clean()
    served = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    rows = re.findall(r"^\| `(tina_\w+)` \| (\w+) \| ([^|]*)\|", PAGE, re.MULTILINE)
    listed = {name: kind for name, kind, _ in rows}
    check(listed == served, "the page and the answer differ in", set(listed.items()) ^ set(served.items()))
    check(list(listed) == list(served), "the page has another order")
    found = samples(text)
    for name, kind, labels in rows:
        first = next(iter(found[name + "_count" if kind == "histogram" else name]))
        own = set(re.findall(r'(\w+)="', first)) - {"shard", "type"}
        check(own == labels_of(labels), name, "has", own, "and the page says", labels_of(labels))
        for values in re.findall(r"`(\w+)`: ([\w, ]+)", labels):
            told = set(re.findall(rf'^{name}{{.*{values[0]}="(\w+)"', text, re.MULTILINE))
            check(told == set(values[1].strip().split(", ")), name, told, values)


def prometheus_takes_its_yaml():
    if shutil.which("promtool") is None:
        print("skipped: promtool, which is not installed")
        return
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    check(len(blocks) == 2, len(blocks), "blocks")
    for what, block in zip(("config", "rules"), blocks):
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            file.write(block)
            file.flush()
            done = subprocess.run(["promtool", "check", what, file.name], text=True, capture_output=True, check=False)
            check(done.returncode == 0, what, done.stdout, done.stderr)
    rules = blocks[1]
    known = set(re.findall(r"`(tina_\w+)`", PAGE))
    check(set(re.findall(r"\btina_\w+", rules)) <= known, "an alert asks for", set(re.findall(r"\btina_\w+", rules)) - known)


if __name__ == "__main__":
    run_once(page_lists_what_is_served, prometheus_takes_its_yaml)
