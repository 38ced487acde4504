#!/usr/bin/env python3
"""Makes manual pages of what doxygen has read from the public headers: one for each function, or for the functions that
share a comment, one for each struct and enumeration, one for each header.

manual.py XML FOLDER VERSION: from doxygen's folder xml; writes FOLDER/man3/*.3
"""

import pathlib
import re
import sys
import textwrap
import xml.etree.ElementTree as ElementTree

WIDTH = 78
INSIDE = re.compile(r"_sized$|_with_points$|^tina__|^TINA__")  # what the wrappers in the headers call


# ---- Text ----

def text_of(element):
    return re.sub(r"\s+", " ", "".join(element.itertext())).strip() if element is not None else ""


def roff(text):
    """Plain text, as roff shows it unchanged."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return "\\&" + escaped if escaped.startswith(".") else escaped


def filled(text):
    """A paragraph, in lines; none of them looks like a request."""
    return "\n".join(roff(line) for line in textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False))


def verbatim(text):
    return "\n".join([".RS 4", ".EX", *(roff(line) for line in text.strip("\n").split("\n")), ".EE", ".RE"])


def paragraphs(*descriptions):
    """The paragraphs of some descriptions in roff. What stands further in comes as it is."""
    found = []
    for description in descriptions:
        for para in description.findall("para") if description is not None else []:
            words = [para.text or ""]
            for child in para:
                if child.tag == "verbatim":
                    found += [filled(re.sub(r"\s+", " ", "".join(words)).strip()), verbatim(child.text)]
                    words = [child.tail or ""]
                else:
                    words += ["".join(child.itertext()), child.tail or ""]
            found.append(filled(re.sub(r"\s+", " ", "".join(words)).strip()))
    return [paragraph for paragraph in found if paragraph]


def about(element):
    """What is said of a thing. Its first sentence, which doxygen sets apart, begins the first paragraph again."""
    first, rest = (paragraphs(element.find(name)) for name in ("briefdescription", "detaileddescription"))
    if first and rest and not rest[0].startswith(".RS"):
        return ["\n".join([*first, rest[0]]), *rest[1:]]
    return first + rest


def summary(element, names):
    """For the line of names: the first sentence, or what kind of thing it is."""
    said = text_of(element.find("briefdescription")) or text_of(element.find("detaileddescription"))
    said = re.split(r"(?<=[.:;])\s", said)[0].rstrip(".:; ")
    return said[:1].lower() + said[1:] if said and not said.startswith("TINA_") else said or names[0]


# ---- Declarations ----

def page_of(header):
    return header if header == "tina.h" else f"tina_{header}"


def in_order(compound):
    """A header's members as they stand in it."""
    return sorted(compound.iter("memberdef"), key=lambda member: int(member.find("location").get("line")))


def prototype(function):
    arguments = re.sub(r"\s+", " ", text_of(function.find("argsstring")))
    kind = text_of(function.find("type")).replace("static ", "").replace("inline ", "")
    if function.get("kind") == "typedef":
        return wrapped(f"typedef {kind}{'' if kind.endswith('*') else ' '}{text_of(function.find('name'))}{arguments};")
    return wrapped(f"{kind}{'' if kind.endswith('*') else ' '}{text_of(function.find('name'))}{arguments};")


def wrapped(declaration):
    """Broken behind commas, the arguments below each other."""
    depth = declaration.find("(") + 1
    return "\n".join(textwrap.wrap(declaration, WIDTH, subsequent_indent=" " * (depth if depth < 40 else 4)))


def declaration_of(variable):
    kind = text_of(variable.find("type"))
    return f"{kind}{'' if kind.endswith('*') else ' '}{text_of(variable.find('name'))}{text_of(variable.find('argsstring'))};"


def items(named):
    """Names with what is said of each, as a list."""
    lines = []
    for name, said in named:
        lines += [".TP", f".B {roff(name)}", "\n.IP\n".join(said) if said else "\\&"]
    return lines


# ---- Pages ----

class Page:
    def __init__(self, names, header, version, source):
        self.names, self.header, self.version, self.source = names, header, version, source
        self.lines = []

    def section(self, title, lines):
        if lines:
            self.lines += [f".SH {title}", *lines]

    def synopsis(self, lines):
        self.section("SYNOPSIS", [".nf", f".B #include <tina/{self.header}>", *([".PP"] if lines else []),
                                  *(f'.B "{roff(line)}"' for line in lines), ".fi"])

    def see_also(self, names):
        others = sorted({name for name in names if name not in self.names})
        lines = [f".BR {roff(name)} (3)," for name in others] + [".BR tina (7)"]
        self.section("SEE ALSO", lines)

    def text(self):
        heading = [f'.\\" Made from tina/{self.header} by docs/reference/manual.py.',
                   f'.TH {self.names[0]} 3 "" "libtina {self.version}" "libtina"',
                   ".SH NAME", f"{roff(', '.join(self.names))} \\- {roff(summary(self.source, self.names))}"]
        return "\n".join(heading + self.lines) + "\n"


class Manual:
    def __init__(self, folder, version):
        self.folder, self.version = folder, version
        self.pages = []
        self.names_of_ids = {}

    def read(self, name):
        return ElementTree.parse(self.folder / f"{name}.xml").getroot().find("compounddef")

    def page(self, names, header, source):
        page = Page(names, header, self.version, source)
        self.pages.append(page)
        return page

    def mentioned(self, *elements):
        refs = [ref.get("refid") for element in elements for ref in element.iter("ref")]
        return {self.names_of_ids[ref] for ref in refs if ref in self.names_of_ids}

    def functions(self, group, header, notes):
        names = [text_of(function.find("name")) for function in group]
        page = self.page(names, header, group[0])
        page.synopsis("\n".join(prototype(function) for function in group).split("\n"))
        page.section("DESCRIPTION", "\n.PP\n".join(about(group[0])).split("\n"))
        page.section("NOTES", notes)
        page.see_also(self.mentioned(*group) | {page_of(header)})

    def struct(self, compound, header):
        name = text_of(compound.find("compoundname"))
        fields = compound.findall(".//memberdef[@kind='variable']")
        named = [(declaration_of(field), about(field)) for field in fields if text_of(field.find("name"))]
        page = self.page([name], header, compound)
        page.synopsis(f"typedef struct {name} {{ ... }} {name};".split("\n"))
        page.section("DESCRIPTION", "\n.PP\n".join(about(compound)).split("\n"))
        page.section("FIELDS", items(named))
        page.see_also(self.mentioned(compound) | {page_of(header)})

    def enumeration(self, member, header):
        name = text_of(member.find("name"))
        page = self.page([name], header, member)
        page.synopsis([f"typedef enum {name} {{ ... }} {name};"])
        page.section("DESCRIPTION", "\n.PP\n".join(about(member)).split("\n"))
        page.section("VALUES", items(self.values(member)))
        page.see_also(self.mentioned(member) | {page_of(header)})

    @staticmethod
    def values(member):
        for value in member.findall("enumvalue"):
            number = text_of(value.find("initializer"))
            yield f"{text_of(value.find('name'))} {number}".strip(), about(value)

    def header(self, compound, header, structs):
        members = [member for member in in_order(compound) if not INSIDE.search(text_of(member.find("name")))]
        page = self.page([page_of(header)], header, compound)
        page.synopsis([])
        page.section("DESCRIPTION", "\n.PP\n".join(about(compound)).split("\n"))
        functions = [(text_of(member.find("name")) + "(3)", [filled(summary(member, [""]))]) for member in members
                     if member.get("kind") in ("function", "typedef") and self.has_page(member)]
        page.section("FUNCTIONS", items(functions))
        kinds = [(name + "(3)", [filled(summary(struct, [name]))]) for name, struct in structs]
        kinds += [(text_of(member.find("name")) + "(3)", [filled(summary(member, [""]))]) for member in members
                  if member.get("kind") == "enum" and self.has_page(member)]
        page.section("TYPES", items(kinds))
        constants = [(f"{text_of(member.find('name'))} {text_of(member.find('initializer'))}".strip(), about(member))
                     for member in members if member.get("kind") == "define"]
        for member in members:
            if member.get("kind") == "enum" and not self.has_page(member):
                constants += list(self.values(member))
        page.section("CONSTANTS", items(constants))
        page.see_also(set())

    @staticmethod
    def has_page(member):
        """Plain aliases and enumerations without a name are on their header's page."""
        name = text_of(member.find("name"))
        if member.get("kind") == "typedef":
            return text_of(member.find("argsstring")) != ""
        return name.startswith("tina_") and not INSIDE.search(name)

    def make(self):
        headers = sorted(self.folder.glob("*_8h.xml"))
        compounds = [(self.read(file.stem), file.stem) for file in headers]
        structs = {}
        for compound, _ in compounds:
            for ref in compound.findall("innerclass"):
                struct = self.read(ref.get("refid"))
                structs.setdefault(text_of(compound.find("compoundname")), []).append((ref.text, struct))
                self.names_of_ids[ref.get("refid")] = ref.text
            for member in compound.iter("memberdef"):
                if member.get("kind") in ("function", "enum", "typedef") and self.has_page(member):
                    self.names_of_ids[member.get("id")] = text_of(member.find("name"))
        for compound, _ in compounds:
            header = text_of(compound.find("compoundname"))
            self.members(compound, header)
            for _, struct in structs.get(header, []):
                if "::" not in text_of(struct.find("compoundname")) and "@" not in text_of(struct.find("compoundname")):
                    self.struct(struct, header)
            self.header(compound, header, [(name, struct) for name, struct in structs.get(header, [])
                                           if "@" not in name])

    def members(self, compound, header):
        group, said = [], None
        members = [member for member in in_order(compound) if self.has_page(member)]
        notes = "\n.PP\n".join(about(compound)).split("\n") if text_of(compound.find("detaileddescription")) else []
        for member in members:
            if member.get("kind") == "enum":
                self.enumeration(member, header)
            elif member.get("kind") in ("function", "typedef"):
                if about(member) != said and group:
                    self.functions(group, header, notes)
                    group = []
                group.append(member)
                said = about(member)
        if group:
            self.functions(group, header, notes)

    def write(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        for page in self.pages:
            (folder / f"{page.names[0]}.3").write_text(page.text(), encoding="utf-8")
            for name in page.names[1:]:
                (folder / f"{name}.3").write_text(f".so man3/{page.names[0]}.3\n", encoding="utf-8")


def main():
    manual = Manual(pathlib.Path(sys.argv[1]), sys.argv[3])
    manual.make()
    manual.write(pathlib.Path(sys.argv[2]) / "man3")


if __name__ == "__main__":
    main()
