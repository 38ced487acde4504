#!/usr/bin/env python3
"""The check of the documentation rings on every planted violation, and on nothing else."""

import pathlib
import tempfile
import unittest

import check

SOURCE = "static int twice(int a)\n{\n    int b = a;\n\n    return 2 * b;\n}\n"
HEADER = "/* Does it. */\nTINA_API int tina_do(int a);\nTINA_API int tina_undo(int a);\n"


class Alarm(unittest.TestCase):
    def problems(self, page="", header=HEADER):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for path, text in (("README.md", page), ("docs/other.md", "# One thing: `two`\n"), ("examples/a.c", SOURCE),
                               ("include/tina/a.h", header)):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text, encoding="utf-8")
            problems, count = check.check(root)
        self.assertEqual(count, 3)
        return problems

    def rings(self, **tree):
        self.assertEqual(len(self.problems(**tree)), 1, tree)

    def silent(self, **tree):
        self.assertEqual(self.problems(**tree), [], tree)

    def test_code_that_is_cut_is_silent(self):
        self.silent(page=f"```c\n{SOURCE}```\n")
        self.silent(page="```c\nint b = a;\n\nreturn 2 * b;\n```\n")
        self.silent(page="  ```c\n  int b = a;\n  ```\n")

    def test_code_that_is_not_cut_rings(self):
        self.rings(page="```c\nint c = a;\n```\n")
        self.rings(page="```c\nint b = a;\nreturn 2 * b;\n```\n")
        self.rings(page="```c\nint b = a;\n\n    return 2 * b;\n```\n")

    def test_other_blocks_are_silent(self):
        self.silent(page="```sh\n./scripts/test `tina_no` [a](b)\n```\n\n```\nanything\n```\n")

    def test_link_that_leads_somewhere_is_silent(self):
        self.silent(page="[a](docs/other.md) [b](docs) [c](https://example.org/x) [d](docs/other.md#one-thing-two)\n")

    def test_link_that_leads_nowhere_rings(self):
        self.rings(page="[a](docs/none.md)\n")
        self.rings(page="[a](../outside.md)\n")
        self.rings(page="[a](docs/other.md#another)\n")
        self.rings(page="# Here\n\n[a](#there)\n")

    def test_name_that_exists_is_silent(self):
        self.silent(page="`tina_do(a)` and `tina_undo`, `twice()` of `tina/a.h` and `docs/other.md`; tina_never is plain\n")

    def test_name_that_does_not_exist_rings(self):
        self.rings(page="`tina_redo(a)`\n")
        self.rings(page="`TINA_REDO`\n")
        self.rings(page="`thrice()`\n")
        self.rings(page="`tina/b.h`\n")

    def test_function_without_comment_rings(self):
        self.rings(header="TINA_API int tina_do(int a);\n")
        self.rings(header="/* ---- A heading ---- */\nTINA_API int tina_do(int a);\n")
        self.rings(header="/* Of something else. */\n\nTINA_API int tina_do(int a);\n")
        self.rings(header="static inline int tina_do(int a) { return a; }\n")

    def test_function_that_hides_its_statuses_rings(self):
        self.rings(header="/* Does it. */\nTINA_API tina_status tina_do(int a);\nint tina_undo;\n")
        self.silent(header="/* Does it. TINA_OK. */\nTINA_API tina_status tina_do(int a);\nint tina_undo;\n")

    def test_function_with_comment_is_silent(self):
        self.silent(header="TINA_API int tina_do(int a); /* does it */\n")
        self.silent(header="/*\n * Does it.\n */\nTINA_API TINA_MUST_USE int tina_do(int a,\n    int b);\n")


if __name__ == "__main__":
    unittest.main()
