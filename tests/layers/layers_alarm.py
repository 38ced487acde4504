#!/usr/bin/env python3
"""The layering check rings on every planted violation, and on nothing else."""

import pathlib
import tempfile
import unittest

import layers


class Alarm(unittest.TestCase):
    def problems(self, path, text):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / path).parent.mkdir(parents=True)
            (root / path).write_text(text, encoding="utf-8")
            problems, count = layers.check(root)
        self.assertEqual(count, 1)
        return problems

    def rings(self, path, text):
        self.assertEqual(len(self.problems(path, text)), 1, text)

    def silent(self, path, text):
        self.assertEqual(self.problems(path, text), [], text)

    def test_upward_include_rings(self):
        self.rings("src/base/a.h", '#include "mem/pool.h"\n')
        self.rings("src/mem/a.h", '#include "core/shard.h"\n')
        self.rings("src/os/a.c", '#include "io/backend.h"\n')
        self.rings("src/io/a.c", '#include "core/shard.h"\n')
        self.rings("src/core/a.c", '#include "run/system.h"\n')
        self.rings("src/run/a.c", '#include "api/api.h"\n')

    def test_downward_include_is_silent(self):
        self.silent("src/api/a.c", '#include "run/system.h"\n#include "base/bits.h"\n#include <tina/tina.h>\n')

    def test_run_and_sim_do_not_know_each_other(self):
        self.rings("src/run/a.c", '#include "sim/world.h"\n')
        self.rings("src/sim/a.c", '#include "run/system.h"\n')

    def test_core_knows_one_header_of_io_and_one_of_os(self):
        self.silent("src/core/a.c", '#include "io/backend.h"\n#include "os/trap.h"\n')
        self.rings("src/core/a.c", '#include "io/uring.h"\n')
        self.rings("src/core/a.c", '#include "os/os.h"\n')

    def test_os_header_outside_rings(self):
        for header in ("unistd.h", "pthread.h", "sys/socket.h", "liburing.h", "time.h"):
            for folder in ("base", "mem", "core", "api", "sim"):
                self.rings(f"src/{folder}/a.c", f"#  include <{header}>\n")
            for folder in ("os", "io", "run"):
                self.silent(f"src/{folder}/a.c", f"#include <{header}>\n")

    def test_allocation_header_in_core_rings(self):
        self.rings("src/core/a.c", "#include <stdlib.h>\n")

    def test_public_header_is_on_its_own(self):
        self.rings("include/tina/a.h", '#include "base/bits.h"\n')
        self.rings("include/tina/a.h", "#include <sys/types.h>\n")
        self.silent("include/tina/a.h", "#include <stdint.h>\n#include <tina/types.h>\n")

    def test_example_includes_no_inside(self):
        self.rings("examples/a.c", '#include "core/shard.h"\n')
        self.silent("examples/a.c", "#include <signal.h>\n#include <tina/tina.h>\n")

    def test_platform_conditional_outside_rings(self):
        for text in ("#ifdef __linux__\n", "#if defined(_WIN32)\n", "#ifndef __APPLE__\n", "# if X\n# elif __unix__\n",
                     "#if defined(TINA_API) && \\\n    defined(__linux__)\n", "#ifdef __x86_64__\n"):
            text = text.replace("# if X\n", "# if 1\n")
            self.rings("src/core/a.c", text + "#endif\n")
            self.rings("include/tina/a.h", text + "#endif\n")
            self.silent("src/os/a.c", text + "#endif\n")

    def test_conditional_on_the_build_is_silent(self):
        self.silent("src/core/a.h", "#ifndef TINA__CORE_A_H\n#ifdef __cplusplus\n#if defined(__GNUC__)\n#ifdef TINA_HOSTILE\n")

    def test_comment_is_silent(self):
        self.silent("src/core/a.c", '/* as in\n#include "run/system.h"\n#ifdef __linux__\n*/\n// #include <unistd.h>\n')

    def test_unknown_folder_rings(self):
        self.rings("src/misc/a.c", "\n")
        self.rings("src/core/deep/a.c", "\n")


if __name__ == "__main__":
    unittest.main()
