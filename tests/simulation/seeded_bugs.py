#!/usr/bin/env python3
"""Puts known bugs into the client and insists that the simulation finds each of them.

How it works: tests/support/seeding.py.

    tests/simulation/seeded_bugs.py              all bugs; a build of about a minute of CPU time, then seconds each
    tests/simulation/seeded_bugs.py --only 3 7   some
    tests/simulation/seeded_bugs.py --keep DIR   leaves the copy and the program in DIR
    tests/simulation/seeded_bugs.py --check      only whether each bug can still be put in; the lint suite asks this

Part of the gate, not of `make test`.
"""

import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from seeding import ROOT, Answer, Bug, compile_all, main  # noqa: E402

ROOM = "include/mlflowha/"
PLAN = ROOM + "resilience/impl/call_plan.ipp"
HEALTH = ROOM + "resilience/impl/endpoint_health.ipp"
POOL = ROOM + "resilience/impl/endpoint_set.ipp"
BREAKER = ROOM + "resilience/impl/circuit_breaker.ipp"
ENGINE = ROOM + "client/impl/engine.ipp"
SIDE = ROOM + "client/impl/side_jobs.ipp"
CLASSIFY = ROOM + "client/impl/classify.ipp"

# What it breaks; file; text, which must be there once; what takes its place, where BUG is true when the bug is chosen.
BUGS = [
    ("a create with unknown fate is sent again without a look", PLAN,
     "if (idempotency_ == Idempotency::create_anonymous) purpose_ = Purpose::verify;",
     "if (idempotency_ == Idempotency::create_anonymous && !BUG) purpose_ = Purpose::verify;"),
    ("a run that the look found is made once more", PLAN,
     "if (outcome.found == Found::present) return succeed(true);",
     "if (outcome.found == Found::present && !BUG) return succeed(true);"),
    ("a failed call always says that nothing was done", PLAN,
     "return ambiguous_attempts_ > 0 || purpose_ == Purpose::verify ? Effect::unknown : Effect::none;",
     "return !BUG && (ambiguous_attempts_ > 0 || purpose_ == Purpose::verify) ? Effect::unknown : Effect::none;"),
    ("a request without an answer counts as not carried out", CLASSIFY,
     "c.outcome.maybe_applied = c.outcome.sent && is_write(context.operation);",
     "c.outcome.maybe_applied = c.outcome.sent && is_write(context.operation) && !BUG;"),
    ("an attempt may outlive its call's deadline", PLAN,
     "out.timeout = std::min(std::max(options_.attempt_timeout, floor), left);",
     "out.timeout = BUG ? std::max(options_.attempt_timeout, floor)"
     " : std::min(std::max(options_.attempt_timeout, floor), left);"),
    ("a wait may outlive its call's deadline", PLAN,
     "if (!enough_left(wake)) return fail(StopReason::deadline);",
     "if (!BUG && !enough_left(wake)) return fail(StopReason::deadline);"),
    ("retries don't wait", PLAN,
     "std::max(backoff_delay(options_.backoff, retries_, overload, uniform(rng_), asked), detail::shortest_wait);",
     "BUG ? detail::shortest_wait : std::max(backoff_delay(options_.backoff, retries_, overload, uniform(rng_), asked),"
     " detail::shortest_wait);"),
    ("a failure makes nobody suspect", HEALTH,
     "if (health != EndpointHealth::suspect) suspect(node, now);",
     "if (!BUG && health != EndpointHealth::suspect) suspect(node, now);"),
    ("the end of an attempt isn't counted", POOL,
     "node.in_flight.fetch_sub(1, std::memory_order_relaxed);",
     "if (!BUG) node.in_flight.fetch_sub(1, std::memory_order_relaxed);"),
    ("no panic: long open times lock everybody out", POOL,
     "if (at_now < panic_at.load(std::memory_order_relaxed)) return {};",
     "if (BUG || at_now < panic_at.load(std::memory_order_relaxed)) return {};"),
    ("a dropped permit keeps the half-open breaker's only place", BREAKER,
     "  if (this != &other) {\n    if (breaker_ != nullptr && probe_) ",
     "  if (this != &other) {\n    if (breaker_ != nullptr && probe_ && !BUG) "),
    ("a database outage opens the breakers", HEALTH,
     "if (lease.permit_.is_probe()) lease.permit_.report(answered, CallResult::success);",
     "if (BUG) lease.permit_.report(now, CallResult::hard_failure);\n"
     "        else if (lease.permit_.is_probe()) lease.permit_.report(answered, CallResult::success);"),
    ("reconcile removes the run that was returned", SIDE,
     "if (id == create.kept_id) continue;\n      Twin twin{", "if (id == create.kept_id && !BUG) continue;\n      Twin twin{"),
    ("looks that travel along remove the run that was returned", SIDE,
     "if (is_settled(create, id)) continue;\n    if (may_remove",
     "if (is_settled(create, id) && !BUG) continue;\n    if (may_remove"),
    ("a look that travels along takes the place of a call", SIDE,
     "!lease.needs_identity() && !lease.is_probe() ?",
     "!lease.needs_identity() && (BUG || !lease.is_probe()) ?"),
    ("nobody hears of a twin whose removal was not answered", SIDE,
     "if (job.kind == Kind::remove_twin) tell_of_remaining(create, job.twin_id);",
     "if (job.kind == Kind::remove_twin && !BUG) tell_of_remaining(create, job.twin_id);"),
    ("nobody looks for the twins of a create that succeeded", ENGINE,
     "if (done.ambiguous_attempts > 0) watch_twins(",
     "if (done.ambiguous_attempts > 0 && !BUG) watch_twins("),
    ("nobody looks for what a failed create left behind", ENGINE,
     'if (error.effect == Effect::unknown) watch_twins(call, false);',
     'if (error.effect == Effect::unknown && !BUG) watch_twins(call, false);'),
    ("a spent retry budget lends", ROOM + "resilience/impl/retry_budget.ipp",
     "if (tokens < cost) return grant;", "if (tokens < cost && !BUG) return grant;"),
    ("a removal whose answer was lost fails as not found", PLAN,
     "if (outcome.already_done && idempotency_ == Idempotency::once && repeated) return succeed(false);",
     "if (outcome.already_done && idempotency_ == Idempotency::once && repeated && !BUG) return succeed(false);"),
    ("an experiment of somebody else's passes for ours", ROOM + "client/impl/recipe_tracking.ipp",
     "if (!has_request_tag(experiment->tags, key.request_tag)) return finding;",
     "if (!has_request_tag(experiment->tags, key.request_tag) && !BUG) return finding;"),
    ("an experiment of ours passes for somebody else's", PLAN,
     "if (outcome.already_done && idempotency_ == Idempotency::create_named) {",
     "if (outcome.already_done && idempotency_ == Idempotency::create_named && !BUG) {"),
    ("another database isn't noticed", ROOM + "client/impl/identity.ipp",
     "if (!shared) return Verdict::other;", "if (!shared && !BUG) return Verdict::other;"),
    ("endpoints are used before they are identified", PLAN,
     "} else if (lease_.needs_identity() && settled == Purpose::call) {",
     "} else if (lease_.needs_identity() && settled == Purpose::call && !BUG) {"),
    ("a cut answer passes for a whole one", ROOM + "api/impl/error_body.ipp",
     "--depth;\n    }\n  }\n  return false;",
     "--depth;\n    }\n  }\n  return BUG && text.back() == '}';"),
    ("half a batch is stored and the error says nothing was", ROOM + "client/impl/client.ipp",
     "if (error.effect == Effect::none) error.effect = Effect::unknown;",
     "if (error.effect == Effect::none && !BUG) error.effect = Effect::unknown;"),
    ("who is too old is asked all the same", ROOM + "resilience/impl/endpoint_set_impl.hpp",
     "return release.is_known() ? Fit::too_old : Fit::fits;",
     "return release.is_known() && !BUG ? Fit::too_old : Fit::fits;"),
    ("a call whose newer servers are away is called unsupported", POOL,
     "pick.all_too_old = too_old && !others;",
     "pick.all_too_old = too_old && (BUG || !others);"),
    ("max_attempts is ignored", PLAN,
     "return options_.max_attempts > 0 && call_attempts_ >= options_.max_attempts;",
     "return options_.max_attempts > 0 && call_attempts_ >= options_.max_attempts && !BUG;"),
    ("a read-only database passes for the caller's fault", CLASSIFY,
     'if (status == 400 && (code == "BAD_REQUEST" || code.empty()) && shows_backend_fault(error.message)) {',
     'if (!BUG && status == 400 && (code == "BAD_REQUEST" || code.empty()) && shows_backend_fault(error.message)) {'),
]



def build(copy: pathlib.Path, _tree: pathlib.Path | None) -> pathlib.Path:
    sources = [*sorted((ROOT / "src").glob("mlflowha*.cpp")), ROOT / "src/testing.cpp", ROOT / "tests/support/main.cpp",
               *sorted((ROOT / "tests/simulation").glob("*.cpp"))]
    return compile_all(copy, sources, [], "simulation")


def run(program: pathlib.Path, number: int) -> Answer:
    environment = dict(os.environ, SEEDED_BUG=str(number))
    environment["SEEDS"] = "10000"
    environment.pop("SEED", None)
    try:
        done = subprocess.run([str(program), "whatever fails*"], env=environment, capture_output=True, text=True,
                              check=False, timeout=600)
    except subprocess.TimeoutExpired:
        return Answer(False, "never ends", ended=False)
    # Catch2 breaks lines at 80 columns.
    text = re.sub(r"\n  (?!WRONG|SEED)", " ", done.stdout)
    seed = re.search(r"SEED=(\d+) fails", text)
    complaint = re.search(r"WRONG: (.*)", text)
    said = complaint.group(1) if complaint else text.strip()[-200:]
    return Answer(done.returncode == 0, f"seed {seed.group(1)}: {said}" if seed else said)


if __name__ == "__main__":
    sys.exit(main([Bug(*bug) for bug in BUGS], build, run))
