#!/usr/bin/env python3
"""Runs the benchmarks, prints a table and writes report.json. `make bench` calls it; see tests/bench/CMakeLists.txt.

    run.py --build build/bench --report build/bench/report.json [--only GROUP ...] [--with-demo] [--minutes M] [--strict]

report.json: {"figures": [{"id", "what", "value", "unit", "bar", "op", "holds", "runs", "detail", "note"}], "broken": [...],
"machine": {...}}, written again after each group. `holds` is value op bar, or null where nothing was measured (`note` says
why). `runs` is how many runs the median is of. `broken` names the groups that failed.

Everything that is compared runs in turns within one session, and ratios are taken pair by pair, because machines are
noisy; absolute figures (ns, ms) are this machine's. Exits 0 when a bar doesn't hold, 1 with --strict; 1 when a
benchmark itself failed.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2] / "tools")]
import python_package  # noqa: E402
import python_plugin  # noqa: E402
import source_state  # noqa: E402
from figures import MIB, REPOSITORY, Bench, BenchError, Figure, Side, fast_server, missing, mlflow_stack  # noqa: E402
from logging_figures import group_logging  # noqa: E402

# ---- the groups: each returns entries of the report -----------------------------------------------------------------


def group_calls(bench: Bench) -> List[Figure]:
    result = bench.run("calls", bench.url("answer"))
    one, many = result["one_thread"], result["threads_16"]

    def of(spread: Dict[str, Any]) -> Dict[str, Any]:
        return {"min": round(spread["min"], 3), "max": round(spread["max"], 3)}

    return [
        Figure(
            "log_metric_p50_ratio",
            "p50 of a sync log_metric / bare libcurl kept-alive handle, fast local server",
            one["p50_ratio"]["value"], "ratio", 1.10, runs=one["p50_ratio"]["runs"],
            detail={**of(one["p50_ratio"]), "us": round(one["p50_us"], 2), "us_bare": round(one["p50_us_bare"], 2),
                    "p99_us": round(one["p99_us"], 1), "p99_us_bare": round(one["p99_us_bare"], 1)},
        ),
        Figure(
            "log_metric_cpu_ratio",
            "client CPU per log_metric / the same bare handle",
            one["cpu_ratio"]["value"], "ratio", 1.25, runs=one["cpu_ratio"]["runs"],
            detail={**of(one["cpu_ratio"]), "us": round(one["cpu_us"], 2), "us_bare": round(one["cpu_us_bare"], 2)},
        ),
        Figure(
            "threads_16_ratio",
            "calls/s of 16 threads on one Client / 16 threads with a bare handle each",
            many["ratio"]["value"], "ratio", 0.90, ">=", runs=many["ratio"]["runs"],
            detail={**of(many["ratio"]), "calls_per_s": round(many["calls_per_s"]),
                    "calls_per_s_bare": round(many["calls_per_s_bare"]), "cpu_ratio": round(many["cpu_ratio"], 3)},
        ),
    ]  # fmt: skip


def group_machines(bench: Bench) -> List[Figure]:
    m = bench.run("machines")

    def ns(name: str) -> float:
        return float(m[name]["value"])

    def worst(names: List[str]) -> float:
        return max(ns(name) for name in names)

    def each(names: List[str]) -> Dict[str, float]:
        return {name: round(ns(name), 1) for name in names}

    runs = m["plan"]["runs"]
    reject = ["reject_tripped", "reject_forced"]
    allocations = {name: figure["allocations"] for name, figure in m.items() if "allocations" in figure}
    figures = [
        Figure("plan_ns", "plan + breaker + budget + pick, two clock reads, no fault, no I/O", ns("plan"), "ns", 300,
               runs=runs, detail=each(["plan_without_clock", "clock"])),
        Figure("breaker_ns", "breaker acquire + report, 1 thread", ns("breaker"), "ns", 60, runs=runs),
        Figure("breaker_two_threads_ns", "breaker acquire + report, 2 threads on one breaker", ns("breaker_two_threads"),
               "ns", 120, runs=runs),
        Figure("breaker_allocations", "allocations in all breaker, pick and plan operations of this run",
               float(sum(allocations.values())), "", 0, "==", runs=runs,
               detail={"operations": sum(figure["operations"] for name, figure in m.items() if name in allocations)}),
        Figure("open_breaker_reject_ns", "rejection by an open breaker", worst(reject), "ns", 10, runs=runs,
               detail=each(reject)),
    ]  # fmt: skip
    for count, bar in ((3, 100), (100, 1000)):
        names = [f"pick_{kind}_{count}" for kind in ("primary_first", "p2c", "last_of_broken")]
        figures.append(
            Figure(f"pick_{count}_ns", f"endpoint pick with {count} endpoints, worst of three situations", worst(names), "ns",
                   bar, runs=runs, detail=each(names))
        )  # fmt: skip
    return figures


def group_cancel(bench: Bench) -> List[Figure]:
    spread = bench.run("cancel", bench.url("mute"))["cancel_ms"]
    return [
        Figure("cancel_ms", "cancel of a call in flight from another thread", spread["value"], "ms", 5, runs=spread["runs"],
               detail={"max": round(spread["max"], 3)})
    ]  # fmt: skip


def group_refused(bench: Bench) -> List[Figure]:
    r = bench.run("refused")
    start, dies, later = r["down_from_the_start_ms"], r["goes_down_ms"], r["later_us"]
    # A difference of two medians is never exactly 0: what counts as 0 is what two equal clients differ by, or 2 %.
    tolerance = max(r["later_noise_us"], 0.02 * r["single_p50_us"])
    attempts = r["later_attempts_on_it"]
    return [
        Figure("refused_first_call_ms", "extra time of the call that meets a refused endpoint (worse of: down from the start, "
               "goes down later)", max(start["value"], dies["value"]), "ms", 5, runs=start["runs"],
               detail={"down_from_the_start": round(start["value"], 3), "goes_down": round(dies["value"], 3)}),
        Figure("refused_later_calls_us", "extra time of later calls, p50", later["value"], "us", 0, runs=later["runs"],
               holds=bool(later["value"] <= tolerance and attempts == 0),
               detail={"attempts_on_the_refused_endpoint": attempts, "counts_as_0_us": round(tolerance, 2),
                       "p50_us_of_a_single_healthy_endpoint": round(r["single_p50_us"], 2)}),
    ]  # fmt: skip


def group_memory(bench: Bench) -> List[Figure]:
    extra, anonymous, ours, bare = [], [], [], []
    for _ in range(11):
        a, b = bench.run("idle_sdk", bench.url("answer")), bench.run("idle_bare", bench.url("answer"))
        extra.append((a["resident"] - b["resident"]) / MIB)
        anonymous.append((a["anonymous"] - b["anonymous"]) / MIB)
        ours.append(a["resident"] / MIB)
        bare.append(b["resident"] / MIB)
    growth = bench.run("growth", bench.url("faulty"), bench.url("faulty2"))
    return [
        Figure("idle_memory_mib", "resident memory of an idle Client's program over a bare libcurl program's, after one call",
               statistics.median(extra), "MiB", 2, runs=len(extra),
               detail={"resident": round(statistics.median(ours), 2), "resident_bare": round(statistics.median(bare), 2),
                       "extra_not_from_files": round(statistics.median(anonymous), 2)}),
        Figure("growth_mib", "growth of resident memory over 1 M calls with faults, 4 threads", growth["growth_bytes"] / MIB,
               "MiB", 1, runs=1,
               detail={key: growth[key] for key in ("calls", "failed_calls", "seconds")}
               | {"resident": round(growth["resident"] / MIB, 2)}),
    ]  # fmt: skip


def group_real(bench: Bench) -> List[Figure]:
    what = "client CPU per log_metric on a real MLflow 3 server / official Python client"
    if not (bench.venv / "bin" / "python").exists():
        return [missing("real_server_cpu_ratio", what, "ratio", 0.05, "<=", f"no MLflow in {bench.venv}: `make bench` makes it")]
    pairs, block = 9, 60
    blocks: Dict[str, List[Dict[str, Any]]] = {"ours": [], "official": [], "bare": []}
    with contextlib.ExitStack() as stack:
        stack.enter_context(mlflow_stack.ending_on_signals())
        servers = stack.enter_context(mlflow_stack.Stack(1, version="3", venv=bench.venv))
        url = servers.urls[0]
        official = [str(bench.venv / "bin" / "python"), str(Path(__file__).with_name("official_client.py")), url]
        ours = str(bench.program("real_server"))
        sides = {"official": Side(official), "ours": Side([ours, url]), "bare": Side([ours, url, bench.url("answer")])}
        for side in sides.values():
            stack.callback(side.close)
        run_id = sides["official"].read()["run_id"]
        step = 0
        for pair in range(pairs + 1):
            for name in list(blocks)[:: 1 if pair % 2 == 0 else -1]:
                result = sides[name].block(run_id, step, block)
                step += block
                if pair > 0:  # the first is the warm-up
                    blocks[name].append(result)

    def median(name: str, key: str, digits: int) -> float:
        return round(statistics.median(result[key] for result in blocks[name]), digits)

    ratios = [a["cpu_ms"] / b["cpu_ms"] for a, b in zip(blocks["ours"], blocks["official"])]
    return [
        Figure("real_server_cpu_ratio", what, statistics.median(ratios), "ratio", 0.05, runs=pairs,
               detail={"min": round(min(ratios), 4), "max": round(max(ratios), 4), "cpu_ms": median("ours", "cpu_ms", 4),
                       "cpu_ms_official": median("official", "cpu_ms", 3), "cpu_ms_bare_libcurl": median("bare", "cpu_ms", 4),
                       "p50_ms": median("ours", "p50_ms", 2), "p50_ms_official": median("official", "p50_ms", 2)})
    ]  # fmt: skip


def fill_with_runs(url: str, runs: int, metrics: int) -> str:
    """An experiment with so many runs of so many metrics; its id."""
    connection = http.client.HTTPConnection(url.split("//")[1], timeout=60)

    def post(path: str, body: Dict[str, Any]) -> Dict[str, Any]:
        connection.request("POST", f"/api/2.0/mlflow/{path}", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise BenchError(f"{path} was answered with {answer.status}: {text[:200]!r}")
        return json.loads(text)

    experiment = post("experiments/create", {"name": "search"})["experiment_id"]
    start = 1700000000000
    for i in range(runs):
        info = post("runs/create", {"experiment_id": experiment, "run_name": f"run-{i}", "start_time": start + i})["run"]["info"]
        points = [{"key": f"metric_{k}", "value": (i + 1) / (k + 3), "timestamp": start + i, "step": k} for k in range(metrics)]
        post("runs/log-batch", {"run_id": info["run_id"], "metrics": points})
    return str(experiment)


def group_search(bench: Bench) -> List[Figure]:
    what = "client CPU of search_runs, 1,000 runs of 50 metrics, real MLflow 3 server / official Python client"
    what_python = "the same through mlflowha.Client, from Python / official Python client"
    what_wall = "time of the same search / a bare libcurl handle that sends the same bytes, the shortest of each"
    if not (bench.venv / "bin" / "python").exists():
        note = f"no MLflow in {bench.venv}: `make bench` makes it"
        return [missing("search_runs_cpu_ratio", what, "ratio", 0.125, "<=", note),
                missing("python_search_runs_cpu_ratio", what_python, "ratio", 0.25, "<=", note),
                missing("search_runs_wall_ratio", what_wall, "ratio", 1.05, "<=", note)]  # fmt: skip
    rounds, runs = 7, 1000
    took: Dict[str, List[Dict[str, Any]]] = {"ours": [], "bare": [], "official": []}
    python = python_package.python_of(bench.build)
    with contextlib.ExitStack() as stack:
        stack.enter_context(mlflow_stack.ending_on_signals())
        url = stack.enter_context(mlflow_stack.Stack(1, version="3", venv=bench.venv)).urls[0]
        experiment = fill_with_runs(url, runs, 50)
        ours = [str(bench.program("search")), url]
        official = [str(bench.venv / "bin" / "python"), str(Path(__file__).with_name("official_search.py")), url]
        sides = {"ours": Side(ours), "bare": Side([*ours, "bare"]), "official": Side(official)}
        if python is not None:
            took["python"] = []
            sides["python"] = Side([str(python), str(Path(__file__).with_name("python_search.py")), url])
        for side in sides.values():
            stack.callback(side.close)
        for turn in range(rounds + 1):
            for name in list(took)[:: 1 if turn % 2 == 0 else -1]:
                result = sides[name].block(experiment, runs)
                if turn > 0:  # the first is the warm-up
                    took[name].append(result)

    def all_of(name: str, key: str) -> List[float]:
        return [result[key] for result in took[name]]

    ratios = [a / b for a, b in zip(all_of("ours", "cpu_s"), all_of("official", "cpu_s"))]
    from_python = [a / b for a, b in zip(all_of("python", "cpu_s"), all_of("official", "cpu_s"))] if python else []
    shortest = {name: min(all_of(name, "wall_s")) for name in took}
    return [
        Figure("search_runs_cpu_ratio", what, statistics.median(ratios), "ratio", 0.125, runs=rounds,
               detail={"min": round(min(ratios), 4), "max": round(max(ratios), 4)}
               | {f"cpu_s_{name}": round(statistics.median(all_of(name, "cpu_s")), 4) for name in took}),
        Figure("python_search_runs_cpu_ratio", what_python, statistics.median(from_python) if from_python else None, "ratio",
               0.25, runs=len(from_python), note="" if from_python else "no wheel: `make bench` makes it"),
        Figure("search_runs_wall_ratio", what_wall, shortest["ours"] / shortest["bare"], "ratio", 1.05, runs=rounds,
               detail={f"s_{name}": round(shortest[name], 3) for name in took}
               | {f"median_s_{name}": round(statistics.median(all_of(name, "wall_s")), 3) for name in took}),
    ]  # fmt: skip


def group_compile(bench: Bench) -> List[Figure]:
    cpu, wall, standard = [], [], []
    headers = ("array", "chrono", "compare", "cstdint", "exception", "iterator", "memory", "optional", "string",
               "string_view", "utility", "vector")  # fmt: skip
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "user.cpp"
        source.write_text("#include <mlflowha/mlflowha.hpp>\n")
        floor = Path(directory) / "floor.cpp"  # the standard headers that it includes: what this machine makes of those
        floor.write_text("".join(f"#include <{header}>\n" for header in headers))

        def compile_once(source: Path) -> Tuple[float, float]:
            command = [bench.cxx, "-std=c++20", "-O2", f"-I{REPOSITORY / 'include'}", "-c", str(source), "-o", f"{source}.o"]
            before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            done = subprocess.run(command, env={**os.environ, "CCACHE_DISABLE": "1"}, stderr=subprocess.PIPE, text=True)
            if done.returncode != 0:
                raise BenchError(f"{bench.cxx} can't compile {source.name}: {done.stderr[-500:]}")
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.monotonic() - start

        for run in range(8):
            used, took = compile_once(source)
            alone, _ = compile_once(floor)
            if run > 0:  # the first fills the file cache
                cpu.append(used)
                wall.append(took)
                standard.append(alone)
    return [
        Figure("compile_time_s", f"compile time (CPU) of #include <mlflowha/mlflowha.hpp>, {Path(bench.cxx).name} -O2",
               statistics.median(cpu), "s", 0.7, runs=len(cpu), detail={"wall": round(statistics.median(wall), 3),
                                               "standard_headers_alone": round(statistics.median(standard), 3)})
    ]  # fmt: skip


def group_library(bench: Bench) -> List[Figure]:
    """The whole library from nothing, as a user's build has it, on two cores."""
    with tempfile.TemporaryDirectory() as directory:
        configure = ["cmake", "-S", str(REPOSITORY), "-B", directory, "-G", "Ninja", f"-DCMAKE_CXX_COMPILER={bench.cxx}",
                     "-DCMAKE_BUILD_TYPE=None", "-DCMAKE_CXX_FLAGS=-O2", "-DMLFLOWHA_BUILD_TESTS=OFF",
                     "-DMLFLOWHA_BUILD_EXAMPLES=OFF", "-DMLFLOWHA_BUILD_FUZZ=OFF", "-DMLFLOWHA_BUILD_CLI=OFF",
                     "-DMLFLOWHA_BUILD_LOGGING=OFF"]  # fmt: skip
        build = ["cmake", "--build", directory, "--target", "mlflowha", "-j2"]
        for command in (configure, build):
            before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            done = subprocess.run(command, env={**os.environ, "CCACHE_DISABLE": "1"}, capture_output=True, text=True)
            if done.returncode != 0:
                raise BenchError(f"{' '.join(command)} failed: {done.stdout[-500:]}{done.stderr[-500:]}")
        wall = time.monotonic() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [
        Figure("library_build_s", f"target mlflowha from clean, {Path(bench.cxx).name} -O2, -j2", wall, "s", 240, runs=1,
               detail={"cpu": round(cpu)})
    ]  # fmt: skip


def group_python(bench: Bench) -> List[Figure]:
    if python_package.wheel_of(bench.build) is None:
        what = "mlflowha.RunLogger.log_metric from Python, 1 thread"
        return [missing("python_log_call_p50_us", what, "us", 1, "<=", "no wheel: `make bench` makes it")]
    with tempfile.TemporaryDirectory() as directory:
        return python_package.figures(Figure, bench.build, directory)


def group_plugin(bench: Bench) -> List[Figure]:
    return python_plugin.figures(Figure, Side, bench.build, bench.venv)


def demo_report(path: Path, just_made: bool = False) -> Tuple[Optional[Dict[str, Any]], str]:
    """What `make demo` has left there, or None and why not. One of another state of the source says nothing of this one;
    nor does one of a state that isn't committed, unless it was made just now."""
    try:
        report = dict(json.loads(path.read_text()))
    except OSError:
        return None, f"no {path}"
    except ValueError as error:
        return None, f"{path} can't be read ({error})"
    of, here = report.get("commit"), source_state.commit()
    if of != here:
        return None, f"{path} is of {of or 'an unknown commit'}, not of {here or 'this one'}"
    if not just_made and (not here or here.endswith(source_state.DIRTY)):
        return None, f"{path} is of {of or 'an unknown commit'}, which may have been anything"
    return report, ""


def group_demo(bench: Bench) -> List[Figure]:
    rows = (
        ("demo_lost", "demo: acknowledged points that are not stored"),
        ("demo_duplicated", "demo: points or runs stored twice"),
        ("demo_failed_calls", "demo: calls that failed"),
        ("demo_runs_missing", "demo: runs asked for minus runs stored"),
        ("demo_longest_call_over_ms", "demo: longest call with a healthy server, beyond its attempt timeout"),
        ("demo_spool_lost", "demo, second act: entries acknowledged by a RunLogger that are not stored"),
        ("demo_spool_wrong", "demo, second act: entries stored twice, out of order, or never logged"),
        ("demo_spool_runs_missing", "demo, second act: runs started minus runs stored"),
    )  # fmt: skip
    bars = {"demo_longest_call_over_ms": (200, "<=", "ms")}
    report, why = demo_report(bench.demo_report)
    if report is None and bench.with_demo:
        subprocess.run(["make", "demo"], cwd=REPOSITORY, check=True)
        report, why = demo_report(bench.demo_report, just_made=True)
    figures = []
    for id, what in rows:
        bar, op, unit = bars.get(id, (0, "==", ""))
        if report is None:
            figures.append(missing(id, what, unit, bar, op, f"{why}: run `make demo`, or `run.py --with-demo`"))
            continue
        values = {
            "demo_lost": lambda: report["lost"],
            "demo_duplicated": lambda: report["duplicated"],
            "demo_failed_calls": lambda: report["failed_calls"],
            "demo_runs_missing": lambda: abs(report["runs_asked"] - report["runs_stored"]),
            "demo_longest_call_over_ms": lambda: max(
                0, report["longest_call_ms_with_a_healthy_server"] - report["attempt_timeout_ms"]
            ),
            "demo_spool_lost": lambda: report["second_act"]["lost"],
            "demo_spool_wrong": lambda: sum(report["second_act"][key] for key in ("duplicated", "out_of_order", "invented")),
            "demo_spool_runs_missing": lambda: abs(
                report["second_act"]["runs_asked"] - report["second_act"]["runs_stored"]
            ),
        }
        try:
            detail = {"backend": report["backend"], "date": report["date"]}
            figures.append(Figure(id, what, values[id](), unit, bar, op, runs=1, detail=detail))
        except KeyError as key:
            figures.append(missing(id, what, unit, bar, op, f"{bench.demo_report} has no {key}"))
    return figures


GROUPS: Dict[str, Callable[[Bench], List[Figure]]] = {
    "calls": group_calls,
    "real": group_real,
    "search": group_search,
    "machines": group_machines,
    "cancel": group_cancel,
    "refused": group_refused,
    "memory": group_memory,
    "demo": group_demo,
    "logging": group_logging,
    "compile": group_compile,
    "library": group_library,
    "python": group_python,
    "plugin": group_plugin,
}


# ---- the frame ------------------------------------------------------------------------------------------------------


def first_line(*command: str) -> str:
    try:
        output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=REPOSITORY).stdout
    except OSError:
        return ""
    return output.splitlines()[0] if output else ""


def machine(bench: Bench) -> Dict[str, Any]:
    cpu = ""
    with contextlib.suppress(OSError):
        models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        cpu = models[0].split(":", 1)[1].strip() if models else ""
    return {
        "date": source_state.now(),
        "cpu": cpu,
        "cpus": len(os.sched_getaffinity(0)),
        "load_at_start": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "compiler": first_line(bench.cxx, "--version"),
        "libcurl": first_line("pkg-config", "--modversion", "libcurl"),
        "commit": source_state.commit(),
    }


def reason(error: BaseException) -> str:
    """One line, with what a program said at its end."""
    said = getattr(error, "stderr", None) or ""
    said = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    name = "" if isinstance(error, (BenchError, mlflow_stack.ProcessError)) else f"{type(error).__name__}: "
    return name + " ".join(f"{error} {said[-500:]}".split())


def measure(
    bench: Bench, groups: Dict[str, Callable[[Bench], List[Figure]]], report: Path, info: Dict[str, Any]
) -> Tuple[List[Figure], List[str]]:
    """The figures, and which groups failed and why: whatever happens in one, the others' figures are kept."""
    figures: List[Figure] = []
    broken: List[str] = []
    for name, group in groups.items():
        print(f"== {name}", flush=True)
        try:
            figures += group(bench)
        except (Exception, SystemExit) as error:
            broken.append(f"{name}: {reason(error)}")
            print(f"BROKEN {broken[-1]}", flush=True)
        content = {"figures": [asdict(f) for f in figures], "broken": broken, "machine": info}
        report.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return figures, broken


def show(number: Optional[float], unit: str) -> str:
    return "-" if number is None else f"{number:g} {unit}".replace(" ratio", "").strip()


def print_table(figures: List[Figure]) -> None:
    verdicts = {True: "holds", False: "MISSED", None: "not measured"}
    signs = {"<=": "≤", ">=": "≥", "==": "="}
    rows = [(f.id, show(f.value, f.unit), f"{signs[f.op]} {show(f.bar, f.unit)}", verdicts[f.holds], f) for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for *cells, figure in rows:
        detail = figure.note or ", ".join(f"{key} {value}" for key, value in figure.detail.items())
        print("  ".join(str(cell).ljust(width) for cell, width in zip(cells, widths)) + "  " + detail)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True, help="build tree of the `bench` preset")
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=sorted(GROUPS), help="these groups of figures only")
    parser.add_argument(
        "--with-demo", action="store_true", help="`make demo` (3 minutes) where there is no report of this commit's demo"
    )
    parser.add_argument("--minutes", type=float, default=0.75, help="of the outage under which memory is watched")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a bar doesn't hold")
    parser.add_argument("--venv", type=Path, default=mlflow_stack.venv_for("3"), help="venv with MLflow 3")
    parser.add_argument("--demo-report", type=Path, default=REPOSITORY / "build" / "demo" / "report.json")
    parser.add_argument("--cxx", default=shutil.which("g++-12") or os.environ.get("CXX") or "g++")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    bench = Bench(
        arguments.build.resolve(), arguments.venv, arguments.cxx, arguments.demo_report, outage_minutes=arguments.minutes,
        with_demo=arguments.with_demo,
    )  # fmt: skip
    info = machine(bench)
    print(f"{info['cpu']}, {info['cpus']} cpus, libcurl {info['libcurl']}, {info['compiler']}, commit {info['commit']}")
    if info["load_at_start"] > 0.5 * info["cpus"]:
        print(f"NOTE: the machine is busy (load {info['load_at_start']}): absolute figures will be too high")
    arguments.report.parent.mkdir(parents=True, exist_ok=True)
    arguments.report.unlink(missing_ok=True)  # an older one's figures must not pass for these
    with fast_server(bench):
        figures, broken = measure(bench, {name: GROUPS[name] for name in arguments.only or GROUPS}, arguments.report, info)
    print()
    if figures:
        print_table(figures)
    missed = [f.id for f in figures if f.holds is False]
    print(f"\n{sum(f.holds is True for f in figures)} hold, {len(missed)} missed, "
          f"{sum(f.holds is None for f in figures)} not measured; {arguments.report}")  # fmt: skip
    if missed:
        print(f"BARS MISSED: {', '.join(missed)}")
    for line in broken:
        print(f"BROKEN: {line}")
    return 1 if broken or (missed and arguments.strict) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        sys.exit(f"run.py: {error}")
