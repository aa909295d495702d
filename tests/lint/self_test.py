#!/usr/bin/env python3
"""The linters, linted: each rule is given a violation and must see it, and something clean and must stay quiet."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from typing import Callable

import cxx
import format as clang_format
import layering
import manners
import manual
import tree


class Cxx(unittest.TestCase):
    def test_comments_and_literals_are_blanked_and_lines_stay(self) -> None:
        source = 'int a; // abort()\n/* exit()\n */ f("puts(\\")", \'"\', R"x(abort())x"); g(1\'000\'000);\n'
        code = cxx.code_only(source)
        self.assertEqual(code.count("\n"), source.count("\n"))
        for word in ("abort", "exit", "puts"):
            self.assertNotIn(word, code)
        self.assertIn("g(1'000'000)", code)

    def test_includes_are_found_unless_commented_out(self) -> None:
        found = cxx.includes('#include <a.hpp>\n// #include <b.hpp>\n  #  include "c.hpp"\n/*\n#include <d>\n*/\n')
        self.assertEqual(found, [(1, "<", "a.hpp"), (3, '"', "c.hpp")])


class Layering(unittest.TestCase):
    def run_on(self, files: dict[str, str], check: Callable[[Path], list[str]] = layering.check) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = Path(folder) / "mlflowha" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            return check(Path(folder))

    def assert_fault(self, files: dict[str, str], text: str) -> None:
        faults = self.run_on(files)
        self.assertEqual(len(faults), 1, faults)
        self.assertIn(text, faults[0])

    def test_a_room_may_include_the_rooms_below_it(self) -> None:
        files = {
            "config.hpp": "",
            "core/error.hpp": "#include <mlflowha/config.hpp>\n#include <string>\n",
            "http/message.hpp": "#include <mlflowha/core/error.hpp>\n",
            "http/impl/message.ipp": "#include <mlflowha/http/message.hpp>\n#include <curl/curl.h>\n#include <poll.h>\n",
        }
        self.assertEqual(self.run_on(files), [])

    def test_the_rooms_have_no_cycle(self) -> None:
        for room, below in layering.ROOMS.items():
            for other in below:
                self.assertNotIn(room, layering.ROOMS[other], f"{room} and {other} include each other")

    def test_a_lower_room_must_not_include_a_higher_one(self) -> None:
        self.assert_fault(
            {"core/error.hpp": "#include <mlflowha/http/message.hpp>\n", "http/message.hpp": ""}, "room core may include"
        )
        self.assert_fault(
            {"core/impl/error.ipp": "#include <mlflowha/client/client.hpp>\n", "client/client.hpp": ""},
            "room core may include",
        )

    def test_resilience_stays_without_io(self) -> None:
        self.assert_fault(
            {"resilience/plan.hpp": "#include <mlflowha/http/message.hpp>\n", "http/message.hpp": ""},
            "room resilience may include core, observe",
        )

    def test_public_headers_include_the_standard_library_only(self) -> None:
        for header in ("nlohmann/json.hpp", "fmt/format.h", "curl/curl.h", "unistd.h", "boost/asio.hpp"):
            self.assert_fault({"client/client.hpp": f"#include <{header}>\n"}, "standard library only")
        self.assert_fault({"core/error.hpp": "#include <regex>\n"}, "too heavy")

    def test_third_parties_have_their_rooms(self) -> None:
        self.assert_fault({"core/impl/error.ipp": "#include <nlohmann/json.hpp>\n"}, "not among the libraries")
        self.assertEqual(self.run_on({"api/impl/codec.ipp": "#include <nlohmann/json.hpp>\n"}), [])

    def test_the_umbrella_and_the_adapters_are_ends(self) -> None:
        self.assert_fault(
            {"client/client.hpp": "#include <mlflowha/mlflowha.hpp>\n", "mlflowha.hpp": ""}, "never included"
        )
        self.assert_fault({"client/client.hpp": "#include <mlflowha/json.hpp>\n", "json.hpp": ""}, "by nobody")

    def test_definitions_that_a_target_would_miss_are_seen(self) -> None:
        files = {
            "core/a.hpp": "#include <mlflowha/core/impl/a.ipp>\n",
            "core/impl/a.ipp": "#include <mlflowha/core/impl/b.hpp>\n",
            "core/impl/b.hpp": "#include <mlflowha/core/impl/b.ipp>\n",
            "core/impl/b.ipp": "",
            "impl/src.hpp": "#include <mlflowha/core/impl/a.ipp>\n#include <mlflowha/core/impl/b.ipp>\n",
        }
        self.assertEqual(self.run_on(files, layering.check_complete), [])
        faults = self.run_on({**files, "core/impl/b.hpp": ""}, layering.check_complete)
        self.assertEqual(faults, ["mlflowha/core/impl/b.ipp:1: no public header leads to it: missing in mlflowha::header_only"])
        faults = self.run_on({**files, "core/impl/c.ipp": "", "core/c.hpp": "#include <mlflowha/core/impl/c.ipp>\n"}, layering.check_complete)
        self.assertEqual(faults, ["mlflowha/core/impl/c.ipp:1: no impl/src.hpp leads to it: missing in the compiled library"])

    def test_unknown_places_and_spellings_are_refused(self) -> None:
        self.assert_fault({"attic/old.hpp": "#include <mlflowha/core/a.hpp>\n", "core/a.hpp": ""}, "is not a room")
        self.assert_fault({"stray.hpp": ""}, "outside of the rooms")
        self.assert_fault({"core/a.hpp": '#include "b.hpp"\n', "core/b.hpp": ""}, "quotes")
        self.assert_fault({"core/a.hpp": "#include <mlflowha/core/gone.hpp>\n"}, "no such file")
        self.assert_fault(
            {"http/a.hpp": "#include <mlflowha/core/impl/b.ipp>\n", "core/impl/b.ipp": ""}, "their own room only"
        )
        self.assertEqual(len(layering.check(Path("/nonexistent"))), 1)


class Manners(unittest.TestCase):
    def test_each_rule_sees_its_violation(self) -> None:
        for bad in (
            "std::cerr << 1;",
            "std::printf(x);",
            "fprintf(stderr, x);",
            "fmt::print(x);",
            "std::abort();",
            "exit(1);",
            "::signal(SIGPIPE, SIG_IGN);",
            "system(x);",
            "setenv(a, b, 1);",
            "curl_global_cleanup();",
            "thread.detach();",
            "worker->detach();",
            "rand();",
            "std::stable_sort(v.begin(), v.end());",
            "std::stable_partition(v.begin(), v.end(), odd);",
        ):
            self.assertTrue(manners.check_text("x.ipp", f"void f() {{ {bad} }}\n"), bad)

    def test_lookalikes_are_left_alone(self) -> None:
        good = 'plan.abort(); on_exit(); // std::abort()\nsnprintf(b, n, "exit(%d)", 1); token.exit(); my::exit(2);\n'
        self.assertEqual(manners.check_text("x.ipp", good), [])


class Tree(unittest.TestCase):
    def fault(self, name: str, text: str) -> str:
        faults = tree.check_text(name, text)
        self.assertEqual(len(faults), 1, faults)
        return faults[0]

    def test_machine_paths_hosts_and_markers_are_seen(self) -> None:
        self.assertIn("absolute path", self.fault("a.md", "see /ro" + "ot/notes\n"))
        self.assertIn("absolute path", self.fault("a.md", "cd /wor" + "k/x\n"))
        self.assertIn("host", self.fault("a.txt", "http://10.1" + ".2.3:8080/simple\n"))
        self.assertIn("left-over", self.fault("a.cpp", "// TO" + "DO: later\n"))
        self.assertEqual(tree.check_text("a.md", "`build/work/x`, /tmp/demo, ~/.mlflow, http://127.0.0.1:5000/\n"), [])

    def test_large_files_are_seen_unless_generated(self) -> None:
        self.assertIn("600 lines", self.fault("src/a.cpp", "x\n" * 601))
        self.assertEqual(tree.check_text("src/a.cpp", "// Generated by src/codegen\n" + "x\n" * 700), [])

    def test_test_cases_that_nobody_runs_are_seen(self) -> None:
        text = 'TEST_CASE("a") {}\n'
        self.assertIn("never run", self.fault("tests/unit/core/uri.cpp", text))
        self.assertEqual(tree.check_text("tests/unit/core/uri_test.cpp", text), [])
        self.assertEqual(tree.check_text("tests/contract/server.cpp", "int start();\n"), [])

    def test_headers_open_with_guard_and_paragraph(self) -> None:
        name, guard = "include/mlflowha/core/a.hpp", "MLFLOWHA_CORE_A_HPP"
        good = f"#ifndef {guard}\n#define {guard}\n\n// What this is.\n\n#endif\n"
        self.assertEqual(tree.check_text(name, good), [])
        self.assertIn("#ifndef", self.fault(name, good.replace("CORE", "KORE")))
        self.assertIn("paragraph", self.fault(name, good.replace("// What this is.", "struct A;")))


class Format(unittest.TestCase):
    def test_a_badly_laid_out_file_is_seen(self) -> None:
        tool = clang_format.find_tool()
        if tool is None:
            self.skipTest("no clang-format of the pinned version")
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / ".clang-format").write_text((cxx.ROOT / ".clang-format").read_text())
            good, bad = root / "good.cpp", root / "bad.cpp"
            good.write_text("int f(int* a) { return *a; }\n")
            bad.write_text("int  f(int *a)\n{ return *a; }\n")
            faults = clang_format.check(root, tool, [good, bad])
            self.assertEqual(len(faults), 1, faults)
            self.assertIn("bad.cpp:1", faults[0])


class Manual(unittest.TestCase):
    PAGE = "text\n<!-- snippet: a.cpp -->\n```cpp\nint a;\n\nint b;\n```\n"

    def check(self, page: str, program: str) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "a.cpp").write_text(program, encoding="utf-8")
            return manual.check_page("page.md", page, Path(folder))

    def test_code_that_stands_in_a_program_is_fine(self) -> None:
        self.assertEqual(self.check(self.PAGE, "#include <x>\n  int a;\n  int b;\n"), [])
        self.assertEqual(self.check("```sh\nanything\n```\n", ""), [])

    def test_code_that_drifted_is_seen(self) -> None:
        self.assertIn("page.md:2: not found", self.check(self.PAGE, "int a;\nint c;\n")[0])

    def test_code_without_a_program_is_seen(self) -> None:
        self.assertIn("without", self.check("```cpp\nint a;\n```\n", "int a;\n")[0])
        self.assertIn("does not exist", self.check(self.PAGE.replace("a.cpp", "b.cpp"), "")[0])

    def test_an_unexplained_error_code_is_seen(self) -> None:
        header = "enum class Errc : int {\n  gone = 100,\n  lost = 101,  ///< x\n};\n"
        self.assertEqual(len(manual.check_errors(header, "| 100 | `gone` | x |")), 1)
        self.assertEqual(len(manual.check_errors("enum class Errc {\n};", "")), 1)

    def test_an_unlisted_variable_is_seen(self) -> None:
        source = 'in.text("MLFLOW_A"); in.text("MLFLOWHA_B");'
        self.assertEqual(manual.check_variables(source, "`MLFLOW_A`"), ["docs/options.md: MLFLOWHA_B is read but not listed"])


if __name__ == "__main__":
    unittest.main()
