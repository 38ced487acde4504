#!/usr/bin/env python3
"""The checks of names and headers ring on planted violations, and on nothing else."""

import os
import pathlib
import subprocess
import tempfile
import unittest

import abi_exports
import abi_headers


class Names(unittest.TestCase):
    def problems(self, source, wanted):
        """What is said of a library with this source, where the headers declare the wanted names."""
        compiler = os.environ.get("CC", "cc")
        with tempfile.TemporaryDirectory() as folder:
            stem = pathlib.Path(folder) / "planted"
            pathlib.Path(f"{stem}.c").write_text(source, encoding="utf-8")
            for command in ([compiler, "-fPIC", "-c", f"{stem}.c", "-o", f"{stem}.o"],
                            [compiler, "-shared", f"{stem}.o", "-o", f"{stem}.so"],
                            ["ar", "rc", f"{stem}.a", f"{stem}.o"]):
                subprocess.run(command, check=True)
            return list(abi_exports.problems(wanted, f"{stem}.so", f"{stem}.a"))

    def test_agreement_is_silent(self):
        self.assertEqual(self.problems("void tina_a(void) {} static void b(void) {} void (*tina_c)(void) = b;",
                                       {"tina_a", "tina_c"}), [])

    def test_leak_rings(self):
        self.assertEqual(self.problems("void tina_a(void) {} void tina__b(void) {}", {"tina_a"}),
                         ["exported, not declared: tina__b"])

    def test_missing_function_rings(self):
        self.assertEqual(self.problems("void tina_a(void) {}", {"tina_a", "tina_b"}), ["declared, not exported: tina_b"])

    def test_hidden_name_without_prefix_rings(self):
        source = 'void tina_a(void) {} __attribute__((visibility("hidden"))) int helper;'
        self.assertEqual(self.problems(source, {"tina_a"}), ["in the archive without our prefix: helper"])

    def test_declarations_are_found(self):
        text = """
            #define TINA_API something
            /* TINA_API void tina_no(void); */
            TINA_API TINA_MUST_USE const char *
            tina_yes(int a, void (*b)(int));
            static inline int tina_inline(void) { return 0; }
        """
        self.assertEqual(abi_exports.declared(text), {"tina_yes"})


class Headers(unittest.TestCase):
    def stands_alone(self, compiler, text):
        with tempfile.TemporaryDirectory() as folder:
            header = pathlib.Path(folder) / "tina" / "planted.h"
            header.parent.mkdir()
            header.write_text(text, encoding="utf-8")
            return abi_headers.complaint(compiler, header) == ""

    def test_guarded_header_is_silent(self):
        for compiler in ("gcc", "g++"):
            self.assertTrue(self.stands_alone(compiler, "#ifndef A\n#define A\nstruct a { int b; };\n#endif\n"))

    def test_missing_include_rings(self):
        for compiler in ("gcc", "g++"):
            self.assertFalse(self.stands_alone(compiler, "#ifndef A\n#define A\nuint32_t f(void);\n#endif\n"))

    def test_missing_guard_rings(self):
        for compiler in ("gcc", "g++"):
            self.assertFalse(self.stands_alone(compiler, "struct a { int b; };\n"))

    def test_extension_rings(self):
        for compiler in ("gcc", "g++"):
            self.assertFalse(self.stands_alone(compiler, "#ifndef A\n#define A\nstruct a { int b[0]; };\n#endif\n"))

    def test_what_only_c_knows_rings_in_cpp(self):
        text = "#ifndef A\n#define A\nstatic inline int *f(void *p) { return p; }\n#endif\n"
        self.assertTrue(self.stands_alone("gcc", text))
        self.assertFalse(self.stands_alone("g++", text))


if __name__ == "__main__":
    unittest.main()
