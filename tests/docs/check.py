#!/usr/bin/env python3
"""The documentation agrees with the tree: code in pages is compiled somewhere, links lead somewhere, each public
function has its comment, and the functions, macros and files that are named in `code` exist.

check.py [ROOT]: checks the tree, prints what is wrong, exits 1 if anything is.
"""

import pathlib
import re
import sys

SOURCES = ("examples/*.[ch]", "examples/kv/*.[ch]", "include/**/*.h", "src/**/*.[ch]", "tests/docs/*.c", "tests/consumer/*")
FENCE = re.compile(r"^( *)```(\w*)$")
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
NAME = re.compile(r"\b(?:tina_{1,2}[a-z]\w*|TINA_{1,2}[A-Z]\w*|[a-z]\w*(?=\())(?!\.)\b")
FILE = re.compile(r"(?<![\w/<>*-])[\w.-]+/[\w/.-]+\.(?:c|h|py|sh|md|pml|txt|json)(?![\w/])")
SAYS_STATUS = re.compile(r"TINA_OK|[Ss]tatuses|with (?:its|their) statuses")
FOLDERS = ("", "src", "include", "tests", "docs")  # which the path of a file may leave out
PLACEHOLDERS = {"tina_noun_verb", "tina__name"}  # in what is said of names
WALKED = {"docs/guides/first_server.md"}  # whose code another test compiles: first_server.py
COMPILED = {"c", "cmake"}  # what is cut from a file; sh and text are not


def pages(root):
    return sorted([*root.glob("*.md"), *root.glob("docs/**/*.md")])


def blocks(text):
    """The fenced blocks of a page: (line number, language, lines); and the page's text without them."""
    found, rest, open_block = [], [], None
    for number, line in enumerate(text.split("\n"), 1):
        fence = FENCE.match(line)
        if open_block is None and fence:
            open_block = (number, fence.group(2), [])
            rest.append("")
        elif open_block is not None and line.strip() == "```":
            found.append(open_block)
            open_block = None
            rest.append("")
        elif open_block is not None:
            open_block[2].append(line)
            rest.append("")
        else:
            rest.append(line)
    return found, "\n".join(rest)


def unindented(lines):
    """The lines, moved to the left as far as all of them can be; blank ones are empty."""
    depth = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return [line[depth:].rstrip() for line in lines]


def is_cut_from(lines, source):
    """Do the lines stand in the source, one behind the other, all moved by the same depth?"""
    wanted = unindented(lines)
    for start in range(len(source) - len(wanted) + 1):
        if source[start].strip() == wanted[0].strip() and unindented(source[start:start + len(wanted)]) == wanted:
            return True
    return False


def headings(text):
    """The anchors of a page, as the usual renderers make them."""
    return {re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-")
            for line in text.split("\n") if line.startswith("#")}


def wrong_link(root, page, target, text):
    if re.match(r"[a-z]+:", target):
        return None
    path, _, anchor = target.partition("#")
    file = page if path == "" else (page.parent / path).resolve()
    if not file.exists() or root not in (file, *file.parents):
        return f"no {target}"
    if anchor and anchor not in headings(text if file == page else file.read_text(encoding="utf-8")):
        return f"no heading {target}"
    return None


def check_page(root, page, sources, words):
    text = page.read_text(encoding="utf-8")
    found, rest = blocks(text)
    is_walked = str(page.relative_to(root)) in WALKED
    for number, language, lines in found:
        if language in COMPILED and not is_walked and lines and not any(is_cut_from(lines, source) for source in sources):
            yield number, "this code is in no file that is compiled"
    for number, line in enumerate(rest.split("\n"), 1):
        for target in LINK.findall(line):
            if problem := wrong_link(root, page, target, text):
                yield number, problem
        for code in CODE.findall(line):
            for name in NAME.findall(code):
                is_family = name.endswith("_")  # such as `TINA_IO_` and what follows
                if name not in words and not (is_family and any(word.startswith(name) for word in words)):
                    yield number, f"no {name} in the tree"
            for name in FILE.findall(code):
                if not any((root / folder / name).exists() for folder in FOLDERS):
                    yield number, f"no file {name}"


def public_functions(lines):
    """The functions of a header: (line number, name). A declaration may go on; its first line is what counts."""
    for number, line in enumerate(lines, 1):
        if re.match(r"(TINA_API|TINA_MUST_USE|static inline)\b", line):
            if name := re.search(r"\b(tina_[a-z0-9_]+)\(", line):
                yield number, name.group(1)


def has_comment(lines, number):
    """On its own line, or above it with nothing but code between: a group may share one. A heading is none."""
    if "/*" in lines[number - 1]:
        return True
    for line in reversed(lines[:number - 1]):
        if line.strip() == "":
            return False
        if line.rstrip().endswith("*/") and not re.match(r"/\* ----|}", line):
            return True
    return False


def comment_of(lines, number):
    """The text of the comment that has_comment has found."""
    if "/*" in lines[number - 1]:
        return lines[number - 1].partition("/*")[2]
    end = max(index for index in range(number - 1) if lines[index].rstrip().endswith("*/"))
    start = max(index for index in range(end + 1) if lines[index].lstrip().startswith("/*"))
    return "\n".join(lines[start:end + 1])


def check_header(header):
    lines = header.read_text(encoding="utf-8").split("\n")
    for number, name in public_functions(lines):
        if not has_comment(lines, number):
            yield number, f"{name} has no comment"
        elif re.search(rf"\btina_status {name}\(", lines[number - 1]) and not SAYS_STATUS.search(comment_of(lines, number)):
            yield number, f"{name} does not say which statuses it returns"


def check(root):
    """Every problem of the tree, and how many files were looked at."""
    root = root.resolve()
    files = [file for pattern in SOURCES for file in sorted(root.glob(pattern)) if file.is_file()]
    texts = [file.read_text(encoding="utf-8") for file in files]
    sources = [text.split("\n") for text in texts]
    # What builds and tests may be named too: options, targets, variables.
    others = [file for pattern in ("CMakeLists.txt", "tests/CMakeLists.txt", "tests/**/*.[ch]", "scripts/*")
              for file in root.glob(pattern) if file.is_file()]
    words = {name for text in [*texts, *(file.read_text(encoding="utf-8") for file in others)]
             for name in re.findall(r"\w+", text)} | PLACEHOLDERS
    headers = sorted(root.glob("include/tina/*.h"))
    problems = []
    for file in [*pages(root), *headers]:
        found = check_header(file) if file in headers else check_page(root, file, sources, words)
        problems.extend(f"{file.relative_to(root)}:{number}: {problem}" for number, problem in found)
    return problems, len(pages(root)) + len(headers)


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2])
    problems, count = check(root)
    print(*problems, f"{count} files, {len(problems)} problems", sep="\n")
    return 1 if problems or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
