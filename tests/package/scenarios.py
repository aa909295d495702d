#!/usr/bin/env python3
"""The package as users meet it. Each scenario is one ctest entry; see CMakeLists.txt beside this file."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


class Failure(Exception):
    """What went wrong, for the user to read."""


class Scenarios:
    """`build`: a configured and built tree of the project. `work`: where prefixes and consumers go."""

    def __init__(self, build: Path, work: Path, compiler: str, launcher: str) -> None:
        self.build, self.work, self.compiler, self.launcher = build, work, compiler, launcher
        self.prefix = work / "moved"

    # -- helpers

    def run(self, *command: str | Path, env: dict[str, str] | None = None, fails: bool = False) -> str:
        """Runs a command, which must succeed (or fail when `fails`), and returns all that it printed."""
        done = subprocess.run(
            [str(c) for c in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(env or {})},
            check=False,
        )
        if (done.returncode != 0) != fails:
            shown = " ".join(str(c) for c in command)
            wanted = "should have failed" if fails else f"failed with {done.returncode}"
            raise Failure(f"{shown}\n{wanted}:\n{done.stdout}")
        return done.stdout

    def fresh(self, name: str) -> Path:
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        return folder

    def cmake_arguments(self) -> list[str]:
        arguments = ["-G", "Ninja", f"-DCMAKE_CXX_COMPILER={self.compiler}"]
        if self.launcher:
            arguments.append(f"-DCMAKE_CXX_COMPILER_LAUNCHER={self.launcher}")
        return arguments

    def configure_consumer(self, name: str, fails: bool = False, prefix: Path | None = None, **options: str) -> Path:
        tree = self.fresh(name)
        defined = [f"-D{key}={value}" for key, value in options.items()]
        self.output = self.run(
            *("cmake", "-S", HERE / "consumer", "-B", tree, f"-DCMAKE_PREFIX_PATH={prefix or self.prefix}"),
            *self.cmake_arguments(),
            *defined,
            fails=fails,
        )
        return tree

    def consume(self, name: str, prefix: Path | None = None, **options: str) -> Path:
        """Configures, builds and runs the consumer; returns its program."""
        tree = self.configure_consumer(name, prefix=prefix, **options)
        self.run("cmake", "--build", tree)
        program = tree / "consumer"
        self.expect("mlflowha ", self.run(program))
        return program

    @staticmethod
    def expect(text: str, output: str) -> None:
        if text not in output:
            raise Failure(f"expected '{text}' in:\n{output}")

    # -- scenarios

    def install(self) -> None:
        """Installs into one place and moves the tree to another: nothing in it may name the first place."""
        first = self.fresh("prefix")
        shutil.rmtree(self.prefix, ignore_errors=True)
        self.run("cmake", "--install", self.build, "--prefix", first)
        first.rename(self.prefix)
        for path in self.prefix.rglob("*"):
            if path.suffix in {".cmake", ".pc", ".hpp", ".ipp"}:
                text = path.read_text(encoding="utf-8")
                for place in (str(first), str(self.build), str(ROOT)):
                    if place in text:
                        raise Failure(f"{path.relative_to(self.prefix)} names {place}")

    def find_package(self) -> None:
        self.consume("find_package", SUBJECT="mlflowha::mlflowha")

    def header_only(self) -> None:
        program = self.consume("header_only", COMPONENTS="header_only", SUBJECT="mlflowha::header_only")
        if "v0_header_only" not in self.run("nm", "-C", program):
            raise Failure("the program does not hold the header-only definitions")

    def logging(self) -> None:
        self.consume("logging", COMPONENTS="logging", SUBJECT="mlflowha::logging", PROGRAM="logging")

    def logging_header_only(self) -> None:
        options = {"COMPONENTS": "logging_header_only", "SUBJECT": "mlflowha::logging_header_only"}
        self.consume("logging_header_only", PROGRAM="logging", **options)

    def testing(self) -> None:
        self.consume("testing", COMPONENTS="testing", SUBJECT="mlflowha::testing", PROGRAM="testing")

    def testing_header_only(self) -> None:
        options = {"COMPONENTS": "testing_header_only", "SUBJECT": "mlflowha::testing_header_only"}
        self.consume("testing_header_only", PROGRAM="testing", **options)

    def pkg_config(self) -> None:
        folders = list(self.prefix.rglob("pkgconfig"))
        if len(folders) != 1:
            raise Failure(f"expected one pkgconfig folder, found {folders}")
        env = {"PKG_CONFIG_PATH": str(folders[0])}
        self.run("pkg-config", "--exists", "--print-errors", "mlflowha", env=env)
        flags = self.run("pkg-config", "--cflags", "--libs", "mlflowha", env=env).split()
        tree = self.fresh("pkg_config")
        tree.mkdir(parents=True)
        sources = [HERE / "consumer" / "plain.cpp", HERE / "consumer" / "second_unit.cpp"]
        self.run(self.compiler, "-std=c++20", *sources, *flags, "-o", tree / "consumer")
        self.expect("mlflowha ", self.run(tree / "consumer"))

    def mixed_modes(self) -> None:
        """A program half of which is header-only fails at link, and the message shows the two modes."""
        tree = self.configure_consumer("mixed_modes", COMPONENTS="header_only", PROGRAM="mixed")
        output = self.run("cmake", "--build", tree, fails=True)
        if not re.search(r"undefined (reference|symbol).*first_endpoint\(mlflowha::v0::Uri", output):
            raise Failure(f"failed, but not at link for the missing symbol of the other mode:\n{output}")

    def versions(self) -> None:
        """Only a compatible version is found; an unknown component is refused."""
        text = (ROOT / "include/mlflowha/version.hpp").read_text(encoding="utf-8")
        major, minor = (int(re.search(rf"VERSION_{part} (\d+)", text)[1]) for part in ("MAJOR", "MINOR"))
        self.configure_consumer("versions", VERSION=f"{major}.{minor}")
        for wrong in (f"{major}.{minor + 1}", f"{major + 1}.0"):
            self.configure_consumer("versions", fails=True, VERSION=wrong)
            self.expect("compatible with", re.sub(r"\s+", " ", self.output))
        self.configure_consumer("versions", fails=True, COMPONENTS="nonsense")
        self.expect("nonsense", self.output)

    def missing_needs(self) -> None:
        """A component that is there, but not what it needs: the message names that."""
        disabled = {"CMAKE_DISABLE_FIND_PACKAGE_nlohmann_json": "ON"}
        self.configure_consumer("missing_needs", **disabled)  # the compiled library doesn't need it
        for component in ("header_only", "logging_header_only", "testing_header_only"):
            self.configure_consumer("missing_needs", fails=True, COMPONENTS=component, **disabled)
            self.expect(f"component {component} needs: nlohmann_json", re.sub(r"\s+", " ", self.output))

    def subdirectory(self) -> None:
        options = {"MODE": "subdirectory", "MLFLOWHA_SOURCE_DIR": str(ROOT)}
        self.consume("subdirectory", SUBJECT="mlflowha::mlflowha", **options)

    def shared(self) -> None:
        """The shared library: all that is public is exported, nothing of its dependencies is."""
        tree, prefix = self.fresh("shared_build"), self.fresh("shared_prefix")
        self.run(
            # -O1: what is exported doesn't depend on more, and the library takes half as long to build.
            *("cmake", "-S", ROOT, "-B", tree, "-DBUILD_SHARED_LIBS=ON", "-DCMAKE_BUILD_TYPE=None", "-DCMAKE_CXX_FLAGS=-O1"),
            *("-DMLFLOWHA_BUILD_TESTS=OFF", "-DMLFLOWHA_BUILD_EXAMPLES=OFF", "-DMLFLOWHA_BUILD_FUZZ=OFF"),
            *self.cmake_arguments(),
        )
        self.run("cmake", "--build", tree)
        self.run("cmake", "--install", tree, "--prefix", prefix)
        program = self.consume("shared", prefix=prefix, SUBJECT="mlflowha::mlflowha")
        self.expect("libmlflowha.so", self.run("ldd", program))
        for library in prefix.rglob("libmlflowha*.so"):
            exported = self.run("nm", "-DC", "--defined-only", library).splitlines()
            strangers = [line for line in exported if re.search(r" [TDBR] ", line) and "mlflowha::" not in line]
            if strangers or not exported:
                raise Failure(f"exported by {library.name}, but not ours:\n" + "\n".join(strangers[:20]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--launcher", default="")
    parser.add_argument("scenario")
    arguments = parser.parse_args()
    scenarios = Scenarios(arguments.build, arguments.work, arguments.compiler, arguments.launcher)
    scenario: Callable[[], None] = getattr(scenarios, arguments.scenario)
    try:
        scenario()
    except Failure as failure:
        print(failure)
        return 1
    print(f"{arguments.scenario}: good")
    return 0


if __name__ == "__main__":
    sys.exit(main())
