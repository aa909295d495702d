"""The figures of durable logging."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from pathlib import Path
from typing import Any, Dict, List

from figures import MIB, Bench, Figure, Side, missing, mlflow_stack

OUTAGE_RATE = 10_000  # points a second, with all servers down


def group_logging(bench: Bench) -> List[Figure]:
    return [*local_figures(bench), outage_figure(bench), *server_figures(bench)]


def local_figures(bench: Bench) -> List[Figure]:
    with tempfile.TemporaryDirectory() as directory:
        r = bench.run("logging", directory)
    one, four = r["one_thread"], r["threads_4"]
    return [
        Figure("log_call_p50_ns", "RunLogger::log_metric, 1 thread, with two looks at the clock", one["p50_ns"], "ns", 100,
               runs=one["calls"], detail={"p99": round(one["p99_ns"])}),
        Figure("log_call_4_p50_ns", "the same, 4 threads", four["p50_ns"], "ns", 250, runs=four["calls"],
               detail={"p99": round(four["p99_ns"])}),
        Figure("log_call_p999_us", "the same, the slowest of a thousand (worse of 1 and 4 threads)",
               max(one["p999_ns"], four["p999_ns"]) / 1000, "us", 20, runs=one["calls"] + four["calls"]),
        Figure("spool_interval_rate", "points a second into the spool, durability interval", r["interval"]["value"], "1/s",
               500_000, ">=", runs=r["interval"]["runs"]),
        Figure("spool_each_rate", "points a second into the spool, every commit of 1,000 fsynced", r["each"]["value"], "1/s",
               100_000, ">=", runs=r["each"]["runs"]),
    ]  # fmt: skip


def outage_figure(bench: Bench) -> Figure:
    """The bar is the cap of what isn't in the spool yet (RunLoggerOptions::max_buffer_bytes)."""
    seconds = max(10, round(60 * bench.outage_minutes))
    with tempfile.TemporaryDirectory() as directory:
        r = bench.run("outage", directory, seconds, OUTAGE_RATE, timeout=seconds + 120)
    growth = r["growth_bytes"] / MIB
    return Figure(
        "outage_memory_mib", 
        f"memory of a RunLogger while all servers are down for {seconds} s, 10,000 points/s: peak over the start",
        r["peak_bytes"] / MIB, "MiB", 64, runs=1, holds=r["peak_bytes"] <= 64 * MIB and growth <= 1,
        detail={"seconds": r["seconds"], "points": r["points"], "growth_second_half": round(growth, 2),
                "resident": round(r["resident"] / MIB, 1)},
    )  # fmt: skip


def server_figures(bench: Bench) -> List[Figure]:
    what = {
        "logged_rate_ratio": ("points a second stored on a real MLflow 3: RunLogger / bare log_batch of 1,000", 0.95, ">="),
        "logged_rate_sync_ratio": ("the same / the official client's log_metric", 55, ">="),
        "logged_rate_async_ratio": ("the same / its log_metric with synchronous=False", 65, ">="),
        "close_over_batch_ms": ("close() with everything delivered, beyond one batch of 1,000", 10, "<="),
    }
    units = {"close_over_batch_ms": "ms"}
    if not (bench.venv / "bin" / "python").exists():
        note = f"no MLflow in {bench.venv}: `make bench` makes it"
        return [missing(id, text, units.get(id, "ratio"), bar, op, note) for id, (text, bar, op) in what.items()]
    rounds, points = 5, 20_000
    turns = {"ours": ("ours", points), "bare": ("bare", points), "sync": ("sync", 240), "async": ("async", 240)}
    rates: Dict[str, List[float]] = {name: [] for name in turns}
    closes: List[Dict[str, Any]] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(mlflow_stack.ending_on_signals())
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        url = stack.enter_context(mlflow_stack.Stack(1, version="3", venv=bench.venv)).urls[0]
        script = str(Path(__file__).with_name("official_rate.py"))
        sides = {"ours": Side([str(bench.program("logging")), directory, url]),
                 "official": Side([str(bench.venv / "bin" / "python"), script, url])}  # fmt: skip
        for side in sides.values():
            stack.callback(side.close)
        sides["official"].read()
        for turn in range(rounds + 1):
            for name in list(turns)[:: 1 if turn % 2 == 0 else -1]:
                side = sides["official" if name in ("sync", "async") else "ours"]
                rate = side.block(*turns[name])["rate"]
                if turn > 0:  # the first is the warm-up
                    rates[name].append(rate)
        closes = [sides["ours"].block("close") for _ in range(rounds + 1)][1:]

    def ratio(id: str, other: str) -> Figure:
        text, bar, op = what[id]
        pairs = [a / b for a, b in zip(rates["ours"], rates[other])]
        return Figure(id, text, statistics.median(pairs), "ratio", bar, op, runs=rounds,
                      detail={"min": round(min(pairs), 3), "max": round(max(pairs), 3),
                              "ours": round(statistics.median(rates["ours"])),
                              other: round(statistics.median(rates[other]), 1)})  # fmt: skip

    text, bar, op = what["close_over_batch_ms"]
    over = statistics.median(c["close_ms"] - c["batch_ms"] for c in closes)
    return [
        ratio("logged_rate_ratio", "bare"),
        ratio("logged_rate_sync_ratio", "sync"),
        ratio("logged_rate_async_ratio", "async"),
        Figure("close_over_batch_ms", text, over, "ms", bar, op, runs=rounds,
               detail={key: round(statistics.median(c[key] for c in closes), 1) for key in ("close_ms", "batch_ms")}),
    ]  # fmt: skip
