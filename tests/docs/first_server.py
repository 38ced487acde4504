#!/usr/bin/env python3
"""Walks the path of docs/guides/first_server.md as a stranger would: in an empty folder, with the packages alone, every
file is written as the page has it, every command is run in the page's order, and what it prints is what the page says.

first_server.py PACKAGES: a folder with the packages. They are unpacked into a folder, not installed.
"""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/guides/first_server.md"
BLOCK = re.compile(r"^([^\n]*)\n+```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NAMED = re.compile(r"\b(?:in|([Aa]ppend(?: this)? to)) `([\w.]+)`:$")
PORTS = ("7000", "9464")
PATIENCE = 120  # seconds for all of it

# What "sudo apt install" does here: unpacks the packages that lie in this folder, and looks for what else is named.
SUDO = """#!/bin/sh
set -e
[ "$1 $2" = "apt install" ]
shift 2
for package; do
    case $package in
    ./*) dpkg-deb -x "$package" "$STRANGER_ROOT" ;;
    *) dpkg-query -W "$package" >/dev/null ;;
    esac
done
"""


def free_ports(count):
    """Ports that nobody has. They are all held until all are found, so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(held.getsockname()[1]) for held in sockets]
    for held in sockets:
        held.close()
    return ports


def steps(text):
    """The page's steps in order: ("file", name, text, goes_on), ("run", commands, what they print or None)."""
    found = []
    for before, language, body in BLOCK.findall(text):
        named = NAMED.search(before)
        if named:
            found.append(("file", named.group(2), body, named.group(1) is not None))
        elif language == "sh":
            found.append(("run", body, None))
        elif language == "text" and found and found[-1][0] == "run":
            found[-1] = ("run", found[-1][1], body)
        else:
            raise SystemExit(f"what is this block of {language} for? {before}")
    return found


def script_of(found, folder):
    """All of it as one script of the shell, so that jobs live on from block to block; what each prints goes to a file."""
    lines = ["set -eu"]
    for number, step in enumerate(found):
        if step[0] == "file":
            _, name, body, goes_on = step
            source = folder / f"step{number}"
            source.write_text(("\n" if goes_on else "") + body, encoding="utf-8")
            lines.append(f"cat {source} {'>>' if goes_on else '>'}{name}")
        else:
            lines.append(f"echo '---- step {number}' >&2\n{{\n{step[1]}}} >{folder}/printed{number}")
    return "\n".join(lines) + "\n"


def environment(folder):
    root, tools = folder / "root", folder / "tools"
    tools.mkdir()
    (tools / "sudo").write_text(SUDO, encoding="utf-8")
    (tools / "sudo").chmod(0o755)
    machine = subprocess.run(["dpkg-architecture", "-qDEB_HOST_MULTIARCH"], text=True, capture_output=True, check=True)
    libraries = root / "usr/lib" / machine.stdout.strip()
    kept = {name: value for name, value in os.environ.items() if name not in ("CFLAGS", "LDFLAGS", "MAKEFLAGS")}
    return {**kept, "PATH": f"{tools}:{kept['PATH']}", "STRANGER_ROOT": str(root),
            "PKG_CONFIG_PATH": str(libraries / "pkgconfig"), "LD_LIBRARY_PATH": str(libraries)}


def walk(packages, folder):
    """What was wrong on the way."""
    text = PAGE.read_text(encoding="utf-8")
    for port, free in zip(PORTS, free_ports(len(PORTS))):
        text = re.sub(rf"\b{port}\b", free, text)
    found = steps(text)
    empty = folder / "empty"
    empty.mkdir()
    for package in pathlib.Path(packages).glob("*.deb"):
        shutil.copy(package, empty)
    process = subprocess.Popen(["bash", "-c", script_of(found, folder)], cwd=empty, env=environment(folder),
                               stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        status = process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        status = "not in time"
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)  # what is left of it, such as the server
        except ProcessLookupError:
            pass
    if status != 0:
        yield f"the commands ended with {status}"
    for number, step in enumerate(found):
        printed = folder / f"printed{number}"
        said = printed.read_text(encoding="utf-8") if printed.exists() else ""
        if step[0] == "run" and step[2] is not None and said != step[2]:
            yield f"step {number}: {step[1]}printed:\n{said}instead of:\n{step[2]}"
    log = empty / "greeter.log"
    if status != 0 and log.exists():
        yield log.read_text(encoding="utf-8")


def main():
    with tempfile.TemporaryDirectory() as folder:
        problems = list(walk(sys.argv[1], pathlib.Path(folder)))
    print(*problems, f"{len(problems)} problems", sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
