#!/usr/bin/env python3
"""Each public header stands alone, in C11 and in C++17, pedantically, with every compiler that is here."""

import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"]
C = ["-std=c11", "-xc"]
CPP = ["-std=c++17", "-xc++"]
COMPILERS = {"gcc": C, "clang": C, "g++": CPP, "clang++": CPP}


def complaint(compiler, header):
    """What the compiler says of a header, <tina/...> in its folder's parent; "": nothing."""
    # Twice: the guard is tried too.
    source = f"#include <tina/{header.name}>\n#include <tina/{header.name}>\nint main(void) {{ return 0; }}\n"
    command = [compiler, *COMPILERS[compiler], *WARNINGS, f"-I{header.parents[1]}", "-fsyntax-only", "-"]
    done = subprocess.run(command, input=source, text=True, capture_output=True, check=False)
    return "" if done.returncode == 0 else f"tina/{header.name} with {compiler}:\n{done.stderr}"


def main():
    headers = sorted((ROOT / "include/tina").glob("*.h"))
    compilers = [compiler for compiler in COMPILERS if shutil.which(compiler)]
    complaints = [text for compiler in compilers for header in headers if (text := complaint(compiler, header))]
    print(*complaints, f"{len(headers)} headers, {', '.join(compilers)}: {len(complaints)} complaints", sep="\n")
    is_complete = headers and {"gcc", "g++"} <= set(compilers)
    return 0 if is_complete and not complaints else 1


if __name__ == "__main__":
    sys.exit(main())
