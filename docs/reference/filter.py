#!/usr/bin/env python3
"""Makes of a public header what doxygen reads: the comment above a declaration documents it and those that follow without
a blank line, the comment behind one documents that, and a heading begins a group of members.

filter.py HEADER: writes to standard output.
"""

import pathlib
import re
import sys

HEADING = re.compile(r"/\* ---- (.*?) -{3,}(?: \*/)?$")
GUARD = re.compile(r"#(?:ifndef|define) TINA_\w+_H$")
INSIDE = re.compile(r"extern const char __")  # what no program names
FUNCTION = re.compile(r"(?:TINA_API|TINA_MUST_USE|static inline)\b.*?\b(tina_\w+)\(")
SEVERAL = re.compile(r"( *)((?:const |struct )?\w+) (\*?\w+(?:, \*?\w+)+);$")
NAME = re.compile(r"(?<![\w</.])(?:tina_[a-z]\w*|TINA_[A-Z]\w*)\b(?![/.*])")
SPECIAL = re.compile(r"[\\@<>&\"%#$]")


def known_names(folder):
    """What doxygen can link: functions and enumerators."""
    names = set()
    for header in folder.glob("*.h"):
        text = re.sub(r"/\*.*?\*/", "", header.read_text(encoding="utf-8"), flags=re.DOTALL)
        names.update(re.findall(r"\b(tina_[a-z0-9_]+)\(", text))
        names.update(re.findall(r"^ *(TINA_[A-Z0-9_]+)(?: = [^,]*)?,", text, re.MULTILINE))
    return names


def escaped(text, names):
    """The text as doxygen shows it unchanged, with links to what it names."""
    text = SPECIAL.sub(lambda sign: "\\" + sign.group(0), text)
    return NAME.sub(lambda name: f"#{name.group(0)}" if name.group(0) in names else name.group(0), text)


def without_signs(lines):
    """The lines of a comment without the signs of one."""
    text = re.sub(r"\s*\*/$", "", re.sub(r"^\s*/\*+ ?", "", "\n".join(lines), count=1))
    return [re.sub(r"^\s*\* ?", "", line) if number else line for number, line in enumerate(text.split("\n"))]


def documentation(lines, names):
    """Paragraphs, and as it is what stands further in."""
    done, is_as_it_is = [], False
    for line in lines:
        is_further_in = line.startswith("  ") or (is_as_it_is and line.strip() == "")
        if is_further_in != is_as_it_is:
            done.append("\\verbatim" if is_further_in else "\\endverbatim")
        done.append(line if is_further_in else escaped(line, names))
        is_as_it_is = is_further_in
    return done + (["\\endverbatim"] if is_as_it_is else [])


def comment_at(lines, start):
    """The lines of the comment that begins there, and the number of the line behind it."""
    end = start
    while "*/" not in lines[end]:
        end += 1
    return lines[start:end + 1], end + 1


def with_trailing(code, text, names):
    """A declaration with the comment that stood behind it; of several declarators, each with the whole of it."""
    said = " ".join(escaped(line.strip(), names) for line in text)
    several = SEVERAL.match(code)
    if several is None:
        return [f"{code} /**< {said} */"]
    depth, kind, declarators = several.groups()
    return [f"{depth}{kind} {declarator}; /**< {said} */" for declarator in declarators.split(", ")]


class Filter:
    def __init__(self, lines, names):
        self.lines, self.names = lines, names
        self.done = []
        self.has_group = self.has_file = False
        self.documented = None  # the function above, whose comment goes on; "": the next one has it

    def say(self, command, text):
        self.done += ["/** " + command, *documentation(text, self.names), "*/"]

    def end_group(self):
        if self.has_group:
            self.done.append("/** @} */")
        self.has_group = False

    def heading(self, name, text):
        self.end_group()
        self.say(f"@name {name}", text)
        self.done.append("/** @{ */")
        self.has_group = True

    def block_comment(self, start):
        comment, after = comment_at(self.lines, start)
        name = HEADING.match(comment[0])
        is_above = after < len(self.lines) and self.lines[after].strip() != ""
        if name:
            self.heading(name.group(1), without_signs(comment)[1:])
        elif not self.has_file:
            self.say("@file", without_signs(comment))
            self.has_file = True
        elif is_above:
            self.say("", without_signs(comment))
            self.documented = ""
        return after

    def code(self, start):
        line = self.lines[start]
        function = FUNCTION.match(line)
        if "/*" in line:
            code, _, _ = line.partition("/*")
            comment, after = comment_at([line[len(code):], *self.lines[start + 1:]], 0)
            self.done += with_trailing(code.rstrip(), without_signs(comment), self.names)
            return start + after
        if function and self.documented:
            self.done.append(f"/** @copydoc {self.documented} */")
        elif function and self.documented == "":
            self.documented = function.group(1)
        self.done.append(line)
        return start + 1

    def run(self):
        number = 0
        while number < len(self.lines):
            line = self.lines[number]
            if line.strip() == "":
                self.documented = None
            if GUARD.match(line):
                self.done += ["#if 1"] if "ifndef" in line else []
                number += 1
            elif INSIDE.match(line):
                number += 1
            elif line.lstrip().startswith("/*"):
                number = self.block_comment(number)
            else:
                if line == "TINA_END_DECLS":
                    self.end_group()
                number = self.code(number)
        return self.done


def main():
    header = pathlib.Path(sys.argv[1])
    lines = header.read_text(encoding="utf-8").split("\n")
    print(*Filter(lines, known_names(header.parent)).run(), sep="\n")


if __name__ == "__main__":
    main()
