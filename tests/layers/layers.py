#!/usr/bin/env python3
"""Each folder includes only what the table grants it, and only os, io and run know a platform.

layers.py [ROOT]: checks the tree, prints what is wrong, exits 1 if anything is.
"""

import pathlib
import re
import sys

# Headers of the C standard that bring no clock, no allocation, no input and no output.
PURE = {"assert.h", "errno.h", "inttypes.h", "limits.h", "stdalign.h", "stdarg.h", "stdatomic.h", "stdbool.h",
        "stddef.h", "stdint.h", "stdnoreturn.h", "string.h"}
PUBLIC = {"stdbool.h", "stddef.h", "stdint.h"}
ANY = None

# folder: (the folders below it, or single headers of them; the headers in <> besides <tina/...>)
LAYERS = {
    "include/tina": ((), PUBLIC),
    "src/base": (("base",), PURE | {"stdio.h", "stdlib.h", "sys/sdt.h"}),  # assert: reports and aborts; sdt: a macro, a nop
    "src/mem": (("base", "mem"), PURE),
    "src/os": (("base", "mem", "os"), ANY),
    "src/io": (("base", "mem", "os", "io"), ANY),
    "src/core": (("base", "mem", "io/backend.h", "os/trap.h", "core"), PURE | {"stdio.h"}),  # stdio: formats, never prints
    "src/spec": (("base", "mem", "os/os.h", "io/backend.h", "core", "spec"), PURE | {"stdio.h", "stdlib.h"}),
    "src/run": (("base", "mem", "os", "io", "core", "spec", "run"), ANY),
    "src/sim": (("base", "mem", "os", "io", "core", "spec", "sim"), PURE | {"stdio.h", "stdlib.h"}),
    "src/api": (("base", "mem", "os", "io", "core", "spec", "run", "sim", "api"), PURE | {"stdio.h", "stdlib.h"}),
    "src/metrics": (("metrics",), PURE | {"stdio.h"}),  # isolates as a program would write them: the public headers alone
    "src/swarm": (("base", "swarm"), ANY),  # a program's own use of the library: the public headers alone
    "tools/tinatop": (("base/page.h", "snapshot.h", "terminal.h", "view.h"), ANY),  # a reader of the page, no more
    "examples": (("common.h", "http_answer.h", "http_request.h", "sim_tripwire.h", "tally.h"), ANY),
}

# Where a conditional may ask for the platform.
PLATFORM = {"src/os", "src/io", "src/run"}
# What a conditional may ask for anywhere: the language, the compiler, how the library is built.
ASKABLE = re.compile(r"^(defined|__cplusplus|__GNUC__|__clang__|__has_(feature|attribute|builtin)|__SANITIZE_\w+__|"
                     r"(address|thread|memory)_sanitizer|TINA_\w+|NDEBUG|EXAMPLES_\w+_H)$")

INCLUDE = re.compile(r"^\s*#\s*include\s*([<\"])([^>\"]+)[>\"]")
CONDITIONAL = re.compile(r"^\s*#\s*(?:if|ifdef|ifndef|elif)\b(.*)")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


def code_lines(path):
    """The lines without comments, continuations joined to the line that they continue."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    return COMMENT.sub(lambda match: "\n" * match.group().count("\n") or " ", text).split("\n")


def wrong_include(folder, form, name):
    below, system = LAYERS[folder]
    if form == '"':
        granted = any(name == entry or name.startswith(entry + "/") for entry in below)
        return None if granted else f'{folder} does not know "{name}"'
    if name.startswith("tina/"):
        return None
    if system is ANY or name in system:
        return None
    return f"{folder} does not know <{name}>"


def wrong_conditional(folder, condition):
    if folder in PLATFORM:
        return None
    asked = [word for word in re.findall(r"[A-Za-z_]\w*", condition) if not ASKABLE.match(word)]
    return f"{folder} has no business with {', '.join(asked)}" if asked else None


def check_file(root, folder, path):
    for number, line in enumerate(code_lines(path), 1):
        problem = None
        if match := INCLUDE.match(line):
            problem = wrong_include(folder, *match.groups())
        elif match := CONDITIONAL.match(line):
            problem = wrong_conditional(folder, match.group(1))
        if problem:
            yield f"{path.relative_to(root)}:{number}: {problem}"


def check(root):
    """Every problem of the tree, and how many files were looked at."""
    problems = []
    count = 0
    for path in sorted([*root.glob("src/**/*.[ch]"), *root.glob("include/**/*.h"), *root.glob("examples/*.[ch]"),
                        *root.glob("tools/**/*.[ch]")]):
        folder = path.parent.relative_to(root).as_posix()
        count += 1
        if folder not in LAYERS:
            problems.append(f"{path.relative_to(root)}: {folder} is no layer")
        else:
            problems.extend(check_file(root, folder, path))
    return problems, count


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]).resolve()
    problems, count = check(root)
    print(*problems, f"{count} files, {len(problems)} problems", sep="\n")
    return 1 if problems or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
