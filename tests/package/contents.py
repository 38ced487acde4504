#!/usr/bin/env python3
"""The packages have the files that the lists beside this say, no more and no fewer, say what they need, and do not tell
where they were built; the tarball has every file that git tracks.

contents.py BUILD, in which scripts/package has made the packages. --renew: write the lists.
"""

import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NEEDS = {
    "libtina0": {"libc6", "liburing2"},
    "libtina-dev": {"libtina0", "libc6-dev", "liburing-dev", "pkg-config"},
    "tina-tools": {"libc6"},
}


def said(*command):
    return subprocess.run(command, text=True, capture_output=True, check=True).stdout


def field(package, name):
    return said("dpkg-deb", "-f", str(package), name).strip()


def unpacked_files(package, folder):
    """The files of a package as the lists name them: without what differs from machine to machine and version to version."""
    subprocess.run(["dpkg-deb", "-x", str(package), folder], check=True)
    version = field(package, "Version").split("-")[0]
    files = [file for file in pathlib.Path(folder).rglob("*") if file.is_symlink() or file.is_file()]
    for file in sorted(files):
        name = str(file.relative_to(folder)).replace(version, "VERSION")
        yield file, re.sub(r"^usr/lib/[^/]+-linux-[^/]+/", "usr/lib/ARCHITECTURE/", name)


def compared(name, found):
    wanted = (HERE / f"{name}.files").read_text(encoding="utf-8").split()
    yield from (f"{name}: has {file}, which its list has not" for file in sorted(set(found) - set(wanted)))
    yield from (f"{name}: lacks {file}, which its list has" for file in sorted(set(wanted) - set(found)))


def wrong_control(name, package):
    if field(package, "Maintainer") == "" or field(package, "Description") == "":
        yield f"{name}: no maintainer or no description"
    needs = {re.split(r"[ (]", need.strip())[0] for need in field(package, "Depends").split(",")}
    if lacking := NEEDS[name] - needs:
        yield f"{name}: does not depend on {', '.join(sorted(lacking))}"


def tells_where(name, files, folders):
    for file, listed in files:
        if not file.is_symlink() and any(folder in file.read_bytes() for folder in folders):
            yield f"{name}: {listed} tells where it was built"


def check_package(package, build, renew):
    name = package.name.split("_")[0]
    with tempfile.TemporaryDirectory() as folder:
        files = list(unpacked_files(package, folder))
        found = [listed for _, listed in files]
        if renew:
            (HERE / f"{name}.files").write_text("\n".join(found) + "\n", encoding="utf-8")
        yield from compared(name, found)
        yield from wrong_control(name, package)
        yield from tells_where(name, files, {str(ROOT).encode(), str(build).encode()})


def check_tarball(tarball):
    with tarfile.open(tarball) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = subprocess.run(["git", "-C", str(ROOT), "ls-files"], text=True, capture_output=True, check=False)
    if tracked.returncode == 0:
        yield from (f"{tarball.name}: lacks {name}" for name in tracked.stdout.split("\n")
                    if name not in names and (ROOT / name).exists())
    yield from (f"{tarball.name}: has {name}" for name in sorted(names) if re.match(r"(\.git|build[^/]*)(/|$)", name))


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    packages = sorted((build / "packages").glob("*.deb"))
    tarballs = list((build / "packages").glob("*.tar.xz"))
    problems = [problem for package in packages for problem in check_package(package, build, "--renew" in sys.argv)]
    problems += [problem for tarball in tarballs for problem in check_tarball(tarball)]
    print(*problems, f"{len(packages)} packages, {len(tarballs)} tarball, {len(problems)} problems", sep="\n")
    return 1 if problems or len(packages) < 2 or len(tarballs) != 1 else 0


if __name__ == "__main__":
    sys.exit(main())
