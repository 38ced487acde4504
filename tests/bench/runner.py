#!/usr/bin/env python3
# ctest: timeout 240
# ctest: alone
"""The runner of the benchmark suite, with small scripts in place of the programs."""

import contextlib
import io
import json
import os
import pathlib
import signal
import sys
import tempfile
import time
import unittest
from unittest import mock

SOURCE = pathlib.Path(os.environ.get("TINA_SOURCE") or pathlib.Path(__file__).resolve().parent.parent.parent)
sys.path.insert(0, str(SOURCE / "bench"))

import bench
import measure
import plots
import programs
import report
import workloads
from workloads import FLOOR, LIBTINA, PEER, Figure, Run, Workload

SERVER = "echo port 1; trap 'exit 0' TERM; while :; do sleep 0.01; done"
LOAD = """case $1 in
hold) for word; do case $word in connections=*) echo held ${word#*=} ;; esac; done; cat >/dev/null ;;
*) echo "rate 1000"; echo "errors 0"; echo "cpu_ns 640"; echo "arguments $#" ;;
esac"""


class Fakes(unittest.TestCase):
    """A folder with scripts in place of the suite's programs."""

    def setUp(self):
        keeper = tempfile.TemporaryDirectory()
        self.addCleanup(keeper.cleanup)
        self.folder = pathlib.Path(keeper.name)
        self.script("load/load", LOAD)

    def script(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
        path.chmod(0o755)
        return path

    def meter(self, patience=5):
        return measure.Meter(self.folder / "load/load", 0.01, patience)

    def program(self, text, **arguments):
        return self.meter(0.5).program([str(self.script("tina/a", text)), "word"], arguments, "one")


class Measuring(Fakes):
    def test_figures_are_read(self):
        self.assertEqual(self.program("echo rate 2.5e6; echo p50_ns 17"), {"rate": 2.5e6, "p50_ns": 17})

    def test_the_program_gets_word_and_arguments(self):
        told = self.folder / "told"
        self.program(f"echo $@ >{told}; echo rate 1", isolates=7, share=0.5)
        self.assertEqual(told.read_text(encoding="ascii"), "word seconds=0.01 isolates=7 share=0.5\n")

    def test_the_program_is_pinned(self):
        place = measure.Place()
        said = self.program("taskset -cp $$ | sed 's/.*: /core /; s/,.*//; s/-.*//'")
        self.assertEqual(said, {"core": place.last[0]})

    def test_what_is_no_figure_is_a_failure(self):
        for text in ("echo hello", "echo rate", "echo rate fast", "echo rate nan", "echo rate inf"):
            with self.assertRaises(measure.Failed, msg=text):
                self.program(text)

    def test_a_failure_tells_stderr_and_status(self):
        with self.assertRaisesRegex(measure.Failed, "(?s)lost a message.*exit status 1"):
            self.program("echo rate 1; echo lost a message >&2; exit 1")

    def test_a_fault_tells_its_signal(self):
        with self.assertRaisesRegex(measure.Failed, "SIGSEGV"):
            self.program("kill -SEGV $$")

    def test_77_is_not_there(self):
        with self.assertRaisesRegex(measure.NotThere, "no such workload"):
            self.program("echo no such workload >&2; exit 77")

    def test_a_program_that_hangs_is_ended_with_its_children(self):
        pid_file = self.folder / "pid"
        with self.assertRaisesRegex(measure.Failed, "not over within"):
            self.program(f"sleep 1000 & echo $! >{pid_file}; wait")
        pid = int(pid_file.read_text(encoding="ascii"))
        self.assertTrue(eventually(lambda: has_ended(pid)), "its child is still there")

    def test_an_echo_server_is_loaded_and_ended(self):
        server = self.script("tina/server", SERVER)
        load = {"connections": 3, "size": 64, "depth": 2}
        figures = self.meter().echo([str(server), "echo"], {}, "apart", load)
        self.assertEqual(figures, {"rate": 1000, "errors": 0, "cpu_ns": 640, "cpu_per_byte_ns": 10, "arguments": 7})

    def test_errors_of_the_load_are_a_failure(self):
        self.script("load/load", "echo rate 1; echo errors 1")
        with self.assertRaisesRegex(measure.Failed, "1 errors"):
            self.meter().accept([str(self.script("tina/server", SERVER)), "echo"], {}, "all", {})

    def test_a_server_without_a_port_is_a_failure(self):
        for text in ("echo port", "echo hello", "sleep 1000", "exit 3", "exit 0"):
            with self.assertRaises(measure.Failed, msg=text):
                self.meter(0.5).accept([str(self.script("tina/server", text)), "echo"], {}, "apart", {})

    def test_a_server_that_fails_at_its_end_is_a_failure(self):
        server = self.script("tina/server", SERVER.replace("exit 0", "echo leaked >&2; exit 1"))
        with self.assertRaisesRegex(measure.Failed, "leaked"):
            self.meter().accept([str(server), "echo"], {}, "apart", {})

    def test_a_server_may_end_by_the_signal(self):
        server = self.script("tina/server", "echo port 1; exec sleep 1000")
        self.assertEqual(self.meter().accept([str(server), "echo"], {}, "apart", {})["rate"], 1000)

    def key_value(self, benchmark):
        """The figures of a key-value server whose load generator is that script."""
        self.script("path/redis-benchmark", benchmark)
        load = {"test": "get", "connections": 5, "depth": 2, "size": 64, "keys": 100}
        busy = self.script("tina/server", SERVER.replace("sleep 0.01", ":"))
        with mock.patch.dict(os.environ, {"PATH": f"{self.folder / 'path'}:{os.environ['PATH']}"}):
            return self.meter().kv([str(busy), "kv"], {"log": "none"}, "apart", load)

    def test_a_key_value_server_is_filled_loaded_and_ended(self):
        told = self.folder / "told"
        figures = self.key_value(f"echo $@ >>{told}; echo '\"test\",\"rps\",\"p50_latency_ms\",\"p99_latency_ms\"'; "
                                 "echo '\"GET\",\"1000.00\",\"0.5\",\"2.0\"'")
        self.assertEqual((figures["requests"], figures["p50_ns"], figures["p99_ns"]), (1000, 500000, 2000000))
        self.assertAlmostEqual(figures["per_cpu_second"] * figures["cpu_ns"], 1e9)
        runs = told.read_text(encoding="ascii").splitlines()
        self.assertIn("-P 16 -d 64 -r 100 -n 800 -t set", runs[0])
        self.assertTrue(all("-c 5 -P 2 -d 64 -r 100 -n 2000 -t get" in run for run in runs[1:]), runs)

    def test_an_answer_that_is_an_error_is_a_failure(self):
        with self.assertRaisesRegex(measure.Failed, "(?s)OOM.*exit status 1"):
            self.key_value("echo Error from server: OOM >&2; exit 1")

    def test_idle_connections_are_weighed(self):
        server = self.script("tina/server", SERVER)
        self.assertIn("bytes", self.meter().held([str(server), "echo"], {}, "apart", {"connections": 10}))

    def test_more_connections_than_descriptors_is_not_there(self):
        with self.assertRaisesRegex(measure.NotThere, "open descriptors"):
            self.meter().held(["none"], {}, "apart", {"connections": 10**9})

    def test_idle_isolates_are_weighed_beside_fewer(self):
        script = self.script("tina/idle", 'for word; do case $word in isolates=*) n=${word#*=} ;; esac; done\n'
                                          'echo rss_bytes $((5000 + 96 * n))')
        self.assertEqual(self.meter().grown([str(script), "idle"], {}, "one", {"many": 1000, "few": 10}), {"bytes": 96})


def has_ended(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2][0]
    except FileNotFoundError:
        return True
    return state == "Z"


def eventually(condition):
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.01)
    return False


def one_workload(**changes):
    fields = {"id": "ring", "title": "a ring", "word": "ring", "runs": (
        Run("libtina", LIBTINA, "tina/a"), Run("plain", FLOOR, "floors/b"), Run("Go", PEER, "peers/go")),
              "figures": (Figure("rate", "", workloads.RATE, True),), **changes}
    return Workload(**fields)


def made_results(rounds, **entry_changes):
    """rounds: {name of a run: its rates}"""
    runs = {name: {"program": name, "arguments": {}, "rounds": [rate and {"rate": rate, "cpu_ns": rate} for rate in rates]}
            for name, rates in rounds.items()}
    for name, change in entry_changes.items():
        runs[name].update(change)
    about = {"commit": "0123456789", "date": "2000-01-01", "processor": "a processor", "cores": 2, "kernel": "6.1",
             "compiler": "a compiler", "versions": {"Go": "1.19"}}
    return {"about": about, "rounds": 3, "seconds": 1, "skipped": {}, "broken": {}, "workloads": {"ring": {"runs": runs}}}


def row_of(rounds, figure=None, **entry_changes):
    workload = one_workload(figures=(figure,)) if figure else one_workload()
    return report.Row(made_results(rounds, **entry_changes), workload, workload.figures[0])


class Reporting(unittest.TestCase):
    def test_medians_and_quartiles(self):
        self.assertEqual(report.summary([5, 1, 3, 2, 4]), (3, 2, 4))
        self.assertEqual(report.summary([7]), (7, 7, 7))
        self.assertIsNone(report.summary([]))

    def test_ratios_are_of_the_same_round(self):
        # The machine was twice as fast in the second round, ten times in the third.
        row = row_of({"libtina": [100, 200, 1000], "plain": [400, 800, 4000], "Go": [50, 100, 500]})
        self.assertEqual(row.share("plain"), (0.25, 0.25, 0.25))
        self.assertEqual(row.factor("Go"), (2, 2, 2))

    def test_rounds_without_a_partner_do_not_count(self):
        row = row_of({"libtina": [100, None, 300], "plain": [400, 1, 600], "Go": [50]})
        self.assertEqual(row.share("plain").median, 0.375)
        self.assertEqual(row.factor("Go").median, 2)

    def test_of_a_cost_less_is_better(self):
        row = row_of({"libtina": [10], "plain": [8], "Go": [20]}, Figure("cpu_ns", "", workloads.NS, False))
        self.assertEqual((row.share("plain").median, row.factor("Go").median), (1.25, 2))

    def judge(self, figure, **rounds):
        row = row_of({"libtina": [100], "plain": [200], "Go": [50], **rounds}, figure)
        return row.meets_floor(), row.meets_peer(), row.meets_limit()

    def test_aims(self):
        def more(**aims):
            return Figure("rate", "", workloads.RATE, True, **aims)

        def less(**aims):
            return Figure("cpu_ns", "", workloads.NS, False, **aims)

        self.assertEqual(self.judge(more()), (None, None, None))
        self.assertEqual(self.judge(more(floor=0.5, peer=2, limit=100)), (True, True, True))
        self.assertEqual(self.judge(more(floor=0.51, peer=2.1, limit=101)), (False, False, False))
        self.assertEqual(self.judge(less(floor=0.5, peer=0.5, limit=100)), (True, True, True))
        self.assertEqual(self.judge(less(floor=0.49, peer=0.6, limit=99)), (False, False, False))

    def test_level_is_within_what_the_rounds_differ(self):
        level = Figure("rate", "", workloads.RATE, True, peer=workloads.LEVEL)
        self.assertTrue(self.judge(level, libtina=[90, 100, 110], Go=[100, 100, 100])[1])
        self.assertTrue(self.judge(level, libtina=[85, 95, 105], Go=[100, 100, 100])[1])
        self.assertFalse(self.judge(level, libtina=[80, 85, 90], Go=[100, 100, 100])[1])

    def test_an_aim_may_name_its_peers(self):
        figure = Figure("rate", "", workloads.RATE, True, peer=2, peers=("CAF",))
        self.assertIsNone(self.judge(figure)[1])

    def test_what_failed_is_not_believed(self):
        row = row_of({"libtina": [100, 100], "plain": [200, 200], "Go": [50]}, Go={"failed": "lost a message"})
        self.assertIsNone(row.value("Go"))
        self.assertEqual(row.word("Go"), "failed")
        self.assertIn("| failed |", report.short_table(row.results, [row.workload]))

    def test_nothing_is_missing_in_silence(self):
        results = made_results({"libtina": [100], "plain": [200]}, plain={"failed": "no\nlost a message\nexit status 1"})
        results["skipped"], results["broken"] = {"go": "no go"}, {"caf": "no compiler"}
        page = report.page(results, [one_workload()], [])
        for words in ("Go is skipped: no go", "CAF could not be built: no compiler", "ring, plain: failed: lost a message",
                      "| failed | skipped |"):
            self.assertIn(words.replace("| failed | skipped |", "| failed |  | skipped |"), page)

    def test_losses_are_bold(self):
        row = row_of({"libtina": [100], "plain": [400], "Go": [200]}, Figure("rate", "", workloads.RATE, True, floor=0.3))
        table = report.short_table(row.results, [row.workload])
        self.assertIn("| **0.250** (aim ≥ 0.300) |", table)
        self.assertIn("| **0.500x** |", table)

    def test_numbers_as_words(self):
        said = [report.said(value, unit) for value, unit in (
            (54321000, workloads.RATE), (950, workloads.RATE), (7210, workloads.NS), (0.123, workloads.NS),
            (96, workloads.BYTES), (0.0004, workloads.SHARE), (0, workloads.SHARE))]
        self.assertEqual(said, ["54.3 M/s", "950 /s", "7.21 µs", "0.123 ns", "96.0 B", "0.040 %", "0 %"])

    def test_what_is_reserved_stays_within_the_noise(self):
        workload = one_workload(part="reserved", runs=(
            Run("libtina", LIBTINA, "tina/a"), Run(workloads.AGAIN, workloads.OTHER, "tina/a"),
            Run("more slots", workloads.OTHER, "tina/a"), Run("more types", workloads.OTHER, "tina/a")))
        results = made_results({"libtina": [100, 100], workloads.AGAIN: [103, 99], "more slots": [98, 98],
                                "more types": [90, 90]})
        table = report.reserved_table(results, [workload])
        self.assertIn("| more slots | -2.0 % | 3.0 % | within it |", table)
        self.assertIn("| more types | -10.0 % | 3.0 % | **more** |", table)

    def test_the_part_between_the_markers_is_replaced(self):
        text = f"a\n{report.BEGIN}\nold\n{report.END}\nb\n"
        self.assertEqual(report.between_markers(text, "new"), f"a\n{report.BEGIN}\n\nnew\n\n{report.END}\nb\n")
        self.assertIsNone(report.between_markers("a\nb\n", "new"))


class Table(unittest.TestCase):
    def setUp(self):
        self.table = workloads.table(2)

    def test_ids_and_names_are_unique(self):
        self.assertEqual(len({workload.id for workload in self.table}), len(self.table))
        for workload in self.table:
            names = [run.name for run in workload.runs]
            self.assertEqual(len(set(names)), len(names), workload.id)

    def test_libtina_is_in_each_workload_once(self):
        for workload in self.table:
            self.assertEqual([run.family for run in workload.runs].count(LIBTINA), 1, workload.id)

    def test_peers_have_names(self):
        for run in (run for workload in self.table for run in workload.runs if run.family == PEER):
            self.assertIn(run.program.removeprefix("peers/"), workloads.PEER_NAMES)

    def test_aims_name_peers_that_take_part(self):
        for workload in self.table:
            for name in (name for figure in workload.figures for name in figure.peers):
                self.assertIn(name, [run.name for run in workload.runs], workload.id)

    def test_quick_arguments_are_arguments(self):
        for workload in self.table:
            known = {*workload.arguments, *workload.load}
            self.assertLessEqual((workload.quick or {}).keys(), known, workload.id)

    def test_ways_are_the_meter_s(self):
        for workload in self.table:
            self.assertTrue(callable(getattr(measure.Meter, workload.way)), workload.id)
            self.assertIn(workload.way, bench.FIRST_GUESS)

    def test_plots_have_points_in_the_table(self):
        known = {workload.id: workload for workload in self.table}
        for plot in plots.all_plots(2):
            for _, identity, name in plot.points:
                self.assertIn(identity, known, plot.file)
                self.assertIn(plot.figure, [figure.name for figure in known[identity].figures], plot.file)
                self.assertTrue(name is None or name in [run.name for run in known[identity].runs], plot.file)

    def test_shards_are_doubled_up_to_the_cores(self):
        self.assertEqual([workloads.shape_shards(cores) for cores in (1, 2, 5, 8)],
                         [[1, 2], [1, 2], [1, 2, 4], [1, 2, 4, 8]])


class Running(Fakes):
    """Whole runs, over a small table."""

    def setUp(self):
        super().setUp()
        self.build = self.folder
        self.folder = self.folder / "bench"
        self.script("load/load", LOAD)
        self.told = self.build / "told"
        for name, rate in (("tina/a", 300), ("floors/b", 1000), ("peers/go", 100)):
            self.script(name, f"echo {name} >>{self.told}; echo rate {rate}")
        (self.build / "README.md").write_text(f"{report.BEGIN}\n{report.END}\n", encoding="ascii")
        self.table = (one_workload(), one_workload(id="shape_ring", title="a plot", part="shape", quick=None))
        for target, name, value in ((bench.workloads, "table", lambda cores: self.table),
                                    (bench.programs, "build_peers", lambda folder, tell: ({}, {})),
                                    (bench, "RESULTS", self.build / "results"), (bench, "README", self.build / "README.md")):
            patch = mock.patch.object(target, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def run_bench(self, *arguments):
        """Returns the exit status and what was said on stdout."""
        with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(io.StringIO()) as self.progress:
            status = bench.main(["--build", str(self.build), "--seconds", "0.01", *arguments])
        return status, said.getvalue()

    def read(self, name):
        return (self.build / "results" / name).read_text(encoding="utf-8")

    def test_all_take_turns_and_another_begins_each_round(self):
        self.assertEqual(self.run_bench("--rounds", "3", "--only", "shape")[0], 0)
        turns = self.told.read_text(encoding="ascii").split()
        a, b, c = "tina/a", "floors/b", "peers/go"
        self.assertEqual(turns, [a, b, c, b, c, a, c, a, b])

    def test_a_run_writes_everything(self):
        self.assertEqual(self.run_bench("--rounds", "2")[0], 0)
        results = json.loads(self.read("results.json"))
        self.assertEqual(results["workloads"]["ring"]["runs"]["Go"]["rounds"], [{"rate": 100}, {"rate": 100}])
        self.assertIn("| a ring | 300 /s | 1.00 k/s plain | 0.300 | 100 /s Go | 3.00x |", self.read("README.md"))
        self.assertIn("| a ring |", (self.build / "README.md").read_text(encoding="utf-8"))

    def test_the_tables_are_made_anew_from_the_results(self):
        self.run_bench("--rounds", "1")
        before = self.read("README.md")
        (self.build / "results" / "README.md").unlink()
        self.assertEqual(self.run_bench("--readme")[0], 0)
        self.assertEqual(self.read("README.md"), before)

    def test_a_readme_without_markers_is_left_alone_and_told_of(self):
        (self.build / "README.md").write_text("mine\n", encoding="ascii")
        self.assertEqual(self.run_bench("--rounds", "1")[0], 1)
        self.assertEqual((self.build / "README.md").read_text(encoding="ascii"), "mine\n")

    def test_a_quick_run_leaves_out_peers_and_writes_nothing(self):
        status, said = self.run_bench("--quick")
        self.assertEqual(status, 0)
        self.assertEqual(self.told.read_text(encoding="ascii").split(), ["tina/a", "floors/b"])
        self.assertIn("| a ring | 300 /s | 1.00 k/s plain | 0.300 |", said)
        self.assertFalse((self.build / "results").exists())

    def test_a_part_writes_nothing_unless_told_where(self):
        self.assertEqual(self.run_bench("--rounds", "1", "--only", "ring")[0], 0)
        self.assertFalse((self.build / "results").exists())
        self.assertEqual(self.run_bench("--rounds", "1", "--only", "ring", "--results", str(self.build / "mine"))[0], 0)
        self.assertTrue((self.build / "mine/README.md").exists())

    def test_a_failure_is_told_and_shown_and_the_program_is_not_run_again(self):
        self.script("floors/b", f"echo floors/b >>{self.told}; echo lost a message in $0 >&2; exit 1")
        status, said = self.run_bench("--rounds", "3")
        self.assertEqual(status, 1)
        self.assertEqual(self.told.read_text(encoding="ascii").split().count("floors/b"), 2)  # once in each workload
        self.assertIn("| a ring | 300 /s | failed |", said)
        self.assertIn("lost a message", self.progress.getvalue())
        self.assertNotIn(str(self.build), self.read("results.json") + self.read("README.md"))

    def test_a_program_that_reports_nothing_fails(self):
        for text in ("exit 0", "echo p50_ns 1", "echo rate 0"):
            self.script("tina/a", text)
            self.assertEqual(self.run_bench("--quick")[0], 1, text)

    def test_a_program_that_was_not_built_fails(self):
        (self.folder / "floors/b").unlink()
        status, said = self.run_bench("--quick")
        self.assertEqual(status, 1)
        self.assertIn("floors/b was not built", said)

    def test_what_is_not_there_is_no_failure(self):
        self.script("floors/b", "echo io_uring is refused >&2; exit 77")
        status, said = self.run_bench("--quick")
        self.assertEqual(status, 0)
        self.assertIn("ring, plain: not there: io_uring is refused", said)

    def test_a_skipped_peer_is_told_of(self):
        with mock.patch.object(bench.programs, "build_peers", lambda folder, tell: ({"go": "no go"}, {})):
            status, said = self.run_bench("--rounds", "1")
        self.assertEqual(status, 0)
        self.assertIn("| skipped |", said)
        self.assertIn("Go is skipped: no go", said)

    def test_a_peer_that_can_not_be_built_is_a_failure(self):
        with mock.patch.object(bench.programs, "build_peers", lambda folder, tell: ({}, {"go": "error: no"})):
            self.assertEqual(self.run_bench("--rounds", "1")[0], 1)

    def test_an_interrupted_run_writes_nothing(self):
        self.script("floors/b", f"kill -INT {os.getpid()}; sleep 1000")
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        self.assertEqual(self.run_bench("--rounds", "1")[0], 130)
        self.assertFalse((self.build / "results").exists())

    def test_no_such_workload_is_told(self):
        self.assertEqual(self.run_bench("--only", "nothing")[0], 2)

    def test_an_open_loop_has_half_of_the_slowest_rate(self):
        for name in ("tina/a", "floors/b", "peers/go"):
            self.script(name, SERVER)
        self.script("load/load", 'for word; do case $word in rate=*) echo ${word%%=*} ${word#*=}; echo p50_ns 1; exit ;; '
                                 'esac;'
                                 'done; echo rate 1000; echo cpu_ns 1')
        self.table = (one_workload(way="open", cores="apart", load={"connections": 1, "size": 64, "share": 0.5}),)
        self.assertEqual(self.run_bench("--rounds", "1")[0], 0)
        self.assertEqual(json.loads(self.read("results.json"))["workloads"]["ring"]["runs"]["Go"]["rounds"][0]["rate"], 500)


class Building(Fakes):
    def setUp(self):
        super().setUp()
        patch = mock.patch.object(programs, "ROOT", self.folder)
        patch.start()
        self.addCleanup(patch.stop)
        self.out = self.folder / "out"
        self.count = self.folder / "count"

    def build_as(self, text):
        self.script("bench/peers/go/build.sh", f"echo >>{self.count}; {text}")
        return programs.build_peer("go", self.out)

    def builds(self):
        return len(self.count.read_text(encoding="ascii"))

    def test_a_peer_is_built_once(self):
        text = 'echo >"$1/go"'
        self.assertIsNone(self.build_as(text))
        os.utime(self.folder / "bench/peers/go/build.sh", (1, 1))
        self.assertIsNone(programs.build_peer("go", self.out))
        self.assertEqual(self.builds(), 1)

    def test_a_peer_that_changed_is_built_again(self):
        self.build_as('echo >"$1/go"')
        os.utime(self.out / "go", (1, 1))
        programs.build_peer("go", self.out)
        self.assertEqual(self.builds(), 2)

    def test_77_says_what_is_missing(self):
        self.assertEqual(self.build_as("echo golang-go is missing; exit 77"), "golang-go is missing")

    def test_an_error_is_one(self):
        for text in ("echo error: no >&2; exit 1", "exit 0"):
            with self.assertRaisesRegex(programs.Broken, "exit status"):
                self.build_as(text)


@unittest.skipUnless(plots.shutil.which("gnuplot"), "gnuplot is missing")
class Drawing(unittest.TestCase):
    def test_a_plot_is_an_svg_file(self):
        table = workloads.table(2)
        results = made_results({})
        for count in (1000, 10000):
            identity = "ring_1k" if count == 1000 else f"shape_ring_{count}"
            results["workloads"][identity] = {"runs": {"libtina": {"rounds": [{"rate": 1e6}, {"rate": 2e6}]},
                                                       "Go": {"rounds": [{"rate": 1e5}]}}}
        with tempfile.TemporaryDirectory() as folder:
            drawn = plots.draw(results, table, pathlib.Path(folder), self.fail)
            self.assertEqual([file for file, _ in drawn], ["ring.svg"])
            text = (pathlib.Path(folder) / "ring.svg").read_text(encoding="utf-8")
        self.assertIn("<svg", text)
        self.assertIn("libtina", text)


if __name__ == "__main__":
    unittest.main()
