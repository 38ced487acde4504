"""Builds the suite's programs, and the peers that this machine has the packages for."""

import os
import pathlib
import re
import shutil
import subprocess

import workloads
from measure import NOT_THERE

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Broken(Exception):
    """What had to be built was not: the text says why."""


def build(folder):
    """The library as it is installed, and the suite's own programs, in that build folder."""
    configure = ["cmake", "-S", str(ROOT), "-B", str(folder), "-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DTINA_BUILD_BENCH=ON",
                 "-DTINA_BUILD_TESTS=OFF", "-DTINA_BUILD_EXAMPLES=OFF"]
    if shutil.which("ninja") and not (folder / "CMakeCache.txt").exists():
        configure += ["-G", "Ninja"]
    for command in (configure, ["cmake", "--build", str(folder), "--parallel", str(os.cpu_count())]):
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            raise Broken(done.stdout)


def is_built(source, program):
    """Is the program there, and newer than everything that it is made of?"""
    if not program.exists():
        return False
    made = program.stat().st_mtime
    return all(path.stat().st_mtime < made for path in source.rglob("*"))


def build_peer(name, folder):
    """Returns None, or why the peer is skipped."""
    source, program = ROOT / "bench/peers" / name, folder / name
    if not (source / "build.sh").exists():
        return f"there is no bench/peers/{name}/build.sh"
    if is_built(source, program):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([str(source / "build.sh"), str(folder.resolve())], text=True, capture_output=True, check=False)
    if done.returncode == NOT_THERE:
        said = (done.stdout.strip() or done.stderr.strip() or "a package is missing").splitlines()
        return said[-1]
    if done.returncode != 0 or not program.exists():
        raise Broken(f"{done.stdout}{done.stderr}\nbench/peers/{name}/build.sh: exit status {done.returncode}".strip())
    return None


def build_peers(folder, tell):
    """Returns those that are not there: {name: why}, and those that could not be built, in the same way."""
    skipped, broken = {}, {}
    for name in workloads.PEER_NAMES:
        try:
            why = build_peer(name, folder)
        except Broken as error:
            broken[name] = str(error)
            tell(f"{workloads.PEER_NAMES[name]} could not be built:\n{error}")
            continue
        if why:
            skipped[name] = why
            tell(f"{workloads.PEER_NAMES[name]} is skipped: {why} (scripts/setup bench)")
    return skipped, broken


def told(command):
    """The first line that a command says; "" where it can't be run."""
    try:
        said = subprocess.run(command, text=True, capture_output=True, check=False, cwd=ROOT).stdout.strip()
    except FileNotFoundError:
        return ""
    return said.splitlines()[0] if said else ""


def commit():
    name = told(["git", "rev-parse", "--short=10", "HEAD"])
    changed = told(["git", "status", "--porcelain", "--", ":!bench/results", ":!README.md"])
    return f"{name} and changes" if name and changed else name


def cached(folder, name):
    """A value of the build's CMake cache."""
    cache = folder / "CMakeCache.txt"
    lines = cache.read_text(encoding="utf-8").splitlines() if cache.exists() else []
    return next((line.partition("=")[2] for line in lines if line.startswith(f"{name}:")), "")


# What says its version, and the packages that don't.
COMMANDS = {"Go": ["go", "version"], "rustc": ["rustc", "--version"]}
PACKAGES = {"liburing": "liburing-dev", "Tokio": "librust-tokio-dev", "Erlang": "erlang-base", "CAF": "libcaf-dev",
            "libuv": "libuv1-dev", "libevent": "libevent-dev", "nng": "libnng-dev", "Redis": "redis-tools", "libc": "libc6-dev"}


def versions():
    """Of what was measured with, where it is there."""
    found = {}
    for name, command in COMMANDS.items():
        number = re.search(r"\d+(\.\d+)+", told(command))
        found[name] = number[0] if number else ""
    for name, package in PACKAGES.items():
        found[name] = told(["dpkg-query", "-W", "-f", "${Version}\n", package])
    return {name: version for name, version in found.items() if version}


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def about(folder):
    """What the figures depend on, and no word of where or by whom they were taken."""
    compiler = cached(folder, "CMAKE_C_COMPILER")
    return {"commit": commit(), "processor": processor(), "cores": len(os.sched_getaffinity(0)),
            "kernel": re.match(r"[0-9.]*", os.uname().release)[0],
            "compiler": told([compiler, "--version"]) if compiler else "", "versions": versions()}
