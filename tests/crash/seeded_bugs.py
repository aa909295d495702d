#!/usr/bin/env python3
"""Puts known bugs into durable logging and insists that the test case that is there for each finds it.

How it works: tests/support/seeding.py. Each bug names one test case of the unit tests of the logging room or of the crash
suite; that case alone is run with it.

    tests/crash/seeded_bugs.py              all bugs; a build of some minutes of CPU time, then seconds each
    tests/crash/seeded_bugs.py --only 3 7   some
    tests/crash/seeded_bugs.py --build build/dev   with the libraries of that build tree, which halves the time
    tests/crash/seeded_bugs.py --keep DIR   leaves the copy and the program in DIR
    tests/crash/seeded_bugs.py --check      only whether each bug can still be put in; the lint suite asks this

Part of the gate, not of `make test`.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from seeding import ROOT, Answer, Bug, compile_all, main  # noqa: E402

ROOM = "include/mlflowha/logging/impl/"
HUB = ROOM + "log_hub.ipp"
LOGGER = ROOM + "run_logger.ipp"
BUFFER = ROOM + "run_buffer.ipp"
DELIVER = ROOM + "deliver.ipp"
SPOOL = ROOM + "spool.ipp"
FILE = ROOM + "spool_file.ipp"
REPLAY = ROOM + "replayer.ipp"
TURNS = ROOM + "turns.ipp"

# The test cases.
KILLED = "nothing acknowledged is lost and nothing happens twice, wherever a process is killed"
LIMITS = "what many small rows hold goes out within the limits of a request"
FULL_DISK = "a full disk refuses, loses nothing, and is used again when it has grown"
READ_ONLY = "a read-only spool is left as it is until it can be written"
OTHERS_FILL = "when others fill the disk, a logger goes on as soon as there is room"
READ_ONLY_PLACE = "a logger says that its directory is read-only"
LOST_ANSWERS = "the same with answers lost on the way"
COME_AND_GO = "servers that come and go lose nothing and double nothing"
FILES = "no acknowledged file is lost, wherever a process is killed"
CROWD = "processes that share a directory don't meet"
FLIPPED = "flipped bytes invent nothing and are never passed over in silence"

BUGS = [
    # what was acknowledged is lost
    Bug("a log call of Durability::each doesn't wait for its commit", LOGGER,
        "if (options_.durability == Durability::each) return write_now(core, when_full, put);",
        "if (options_.durability == Durability::each && !BUG) return write_now(core, when_full, put);", KILLED),
    Bug("what Durability::each refused is written later", HUB,
        "if (!written) group[i]->error = written.error();",
        "if (!written) group[i]->error = written.error();\n"
        "    if (!written && BUG) unwritten_.insert(unwritten_.end(), group[i]->rows.begin(), group[i]->rows.end());",
        "with each, what was refused is never delivered"),
    Bug("nobody misses the log of a spool that was moved without it", FILE,
        "if (existing && !has_log) {", "if (existing && !has_log && !BUG) {",
        "a killed process's spool without its log is told of, not called delivered"),
    Bug("commit() returns before anything is written", HUB,
        "if (committed_ >= ticket) return {};", "if (BUG || committed_ >= ticket) return {};", KILLED),
    Bug("an append is acknowledged and rolled back", SPOOL,
        'MLFLOWHA_FAULT_POINT("append: before commit");\n  if (Result<void> done = transaction->commit(); !done)',
        'MLFLOWHA_FAULT_POINT("append: before commit");\n'
        "  if (Result<void> done = BUG ? Result<void>() : transaction->commit(); !done)", KILLED),
    Bug("rows are settled that no server has confirmed", DELIVER,
        "if (sent.stop) return not_now(std::move(*sent.stop));",
        "if (sent.stop && !BUG) return not_now(std::move(*sent.stop));",
        "flush() waits for servers to come back"),
    Bug("one row more is settled than was sent", DELIVER,
        "spool.settle(run.id, through, sent.refused)", "spool.settle(run.id, through + (BUG ? 1 : 0), sent.refused)", KILLED),
    Bug("one run's confirmation settles all runs", FILE,
        '"DELETE FROM records WHERE run = ? AND seq <= ?"',
        'BUG ? "DELETE FROM records WHERE ?1 = ?1 AND seq <= ?2" : "DELETE FROM records WHERE run = ? AND seq <= ?"',
        "rows of a run come out in the order in which they went in"),
    Bug("a spool is removed with what is in it", FILE,
        'if (*left != "0") return false;', 'if (*left != "0" && !BUG) return false;',
        "a logger that is dropped without close() leaves everything in the spool"),
    Bug("what the disk refused is forgotten", HUB,
        "last_error_ = written.error();\n      return written;",
        "last_error_ = written.error();\n      if (BUG) unwritten_.clear();\n      return written;",
        "a spool that has failed for a while is written as soon as it can be"),
    Bug("a logger that is dropped leaves its last entries in memory", HUB,
        "buffer->shut();\n  static_cast<void>(commit());", "buffer->shut();\n  if (!BUG) static_cast<void>(commit());",
        "a logger that is dropped writes what it has, whoever else uses the spool"),
    Bug("nothing is ever fsynced with Durability::interval", HUB,
        "if (!unsynced_ || (!now && ", "if (BUG || !unsynced_ || (!now && ",
        "what a crash of the machine may take is younger than the sync interval"),
    # twice
    Bug("a create with unknown fate is sent again without a look", DELIVER,
        "if (run.attempted || look_first_) {", "if ((run.attempted || look_first_) && !BUG) {", KILLED),
    Bug("each create of a run carries another request tag", DELIVER,
        "tagged.request_tag = run.start.request_tag;",
        'tagged.request_tag = BUG ? make_uuid(*process_rng()) : run.start.request_tag;', KILLED),
    Bug("a spool whose owner lives is replayed", FILE,
        "if (::flock(fd, how | LOCK_NB) != 0) {", "if (::flock(fd, how | LOCK_NB) != 0 && !BUG) {", CROWD),
    Bug("the kept run passes for its own twin", DELIVER,
        "if (twin.info.run_id == run.server_id) continue;", "if (twin.info.run_id == run.server_id && !BUG) continue;",
        "a twin that woke up after its process had died is removed"),
    Bug("a NaN is sent twice in a request", DELIVER,
        "return std::isnan(m.value) && !seen.emplace(", "return !BUG && std::isnan(m.value) && !seen.emplace(",
        "NaN is stored once, whatever was lost"),
    Bug("a point's time is that of its sending", DELIVER,
        "batch.metrics = values.metrics;",
        "batch.metrics = values.metrics;\n"
        "  for (Metric& m : batch.metrics) m.timestamp = BUG ? clock_->wall_now().time_since_epoch().count() : m.timestamp;",
        LOST_ANSWERS),
    # servers that come and go
    Bug("a request settles what came in while it was on its way", DELIVER,
        "through = row.seq;", "through = row.seq + (BUG ? 1 : 0);", COME_AND_GO),
    Bug("an answer of another kind counts as one more refusal", DELIVER,
        "if (!unasked) doubts_.erase({spool.path(), seq});", "if (!unasked && !BUG) doubts_.erase({spool.path(), seq});",
        "a doubtful refusal counts only in a row"),
    # out of order
    Bug("the newest rows are sent first", FILE,
        '"SELECT seq, kind, entries, created_ms, data FROM records WHERE run = ? ORDER BY seq LIMIT ?"',
        'BUG ? "SELECT seq, kind, entries, created_ms, data FROM records WHERE run = ? ORDER BY seq DESC LIMIT ?"\n'
        '           : "SELECT seq, kind, entries, created_ms, data FROM records WHERE run = ? ORDER BY seq LIMIT ?"',
        "metrics of a thread are sent in the order of the calls"),
    # memory
    Bug("a log call believes a group that memory ran out over", HUB,
        "if (std::find(group.begin(), group.end(), &mine) == group.end()) group.push_back(&mine);",
        "if (!BUG && std::find(group.begin(), group.end(), &mine) == group.end()) group.push_back(&mine);",
        "who was in a group that ran out of memory isn't told that all is written"),
    Bug("what was taken out when memory ran out is forgotten", BUFFER,
        "if (taken_) {", "if (BUG) {\n    taken_list_.clear();\n    for (Bytes& bytes : taken_bytes_) bytes.size = 0;\n"
        "  } else if (taken_) {", "what was logged stays where memory runs out over it"),
    # disks
    Bug("a spool is looked for in the working directory", LOGGER,
        "options.directory = std::move(*directory);", "if (!BUG) options.directory = std::move(*directory);",
        "a spool stays where it was begun, wherever its program goes"),
    Bug("the start of a run is never fsynced", HUB,
        "unsynced_ = true;  // its start", "unsynced_ = unsynced_ || !BUG;  // its start",
        "the start of a run that logs nothing is fsynced in its time, too"),
    Bug("who looks at a spool passes for its owner", FILE,
        "if (!look) return std::move(lock).error();", "if (!look || BUG) return std::move(lock).error();",
        "a look neither hides a spool from a replay nor disturbs another look"),
    Bug("a full disk is called a broken one", ROOM + "sqlite.ipp",
        "if (primary == SQLITE_FULL) error.code = Errc::storage_full;",
        "if (primary == SQLITE_FULL && !BUG) error.code = Errc::storage_full;", FULL_DISK),
    Bug("a flush gives up on a full spool, which delivering would empty", HUB,
        "if (!written && written.error().code != Errc::storage_full) return",
        "if (!written && (BUG || written.error().code != Errc::storage_full)) return",
        "a spool that has failed for a while is written as soon as it can be"),
    Bug("a read-only file isn't noticed", ROOM + "sqlite.ipp",
        'if (sqlite3_db_readonly(handle, "main") == 1) {', 'if (sqlite3_db_readonly(handle, "main") == 1 && !BUG) {',
        READ_ONLY),
    Bug("a spool that can't be opened passes for a damaged one", FILE,
        "if (opened.error().code != Errc::storage_corrupt) return",
        "if (opened.error().code != Errc::storage_corrupt && !BUG) return", READ_ONLY),
    Bug("the cap on a spool's bytes is ignored", SPOOL,
        "if (bytes > options_.max_bytes || ", "if (BUG ? false : bytes > options_.max_bytes || ",
        "a spool at its cap refuses new rows and keeps the old ones"),
    Bug("what a full disk refused is forgotten", HUB,
        "append(unwritten_.data(), size);\n", "append(unwritten_.data(), size);\n"
        "    if (!written && BUG) {\n      unwritten_.clear();\n      return written;\n    }\n", OTHERS_FILL),
    Bug("an error of the disk doesn't say where", FILE,
        'error.message = fmt::format("{}: {}: {}", path, what,',
        'error.message = fmt::format("{}: {}: {}", BUG ? std::string() : path, what,', READ_ONLY_PLACE),
    Bug("a logger whose spool can't be made logs into memory", HUB,
        "made = Spool::create(spool, hub->clock, *hub->rng);",
        "made = Spool::create(spool, hub->clock, *hub->rng);\n"
        "  if (BUG && !made) {\n    spool.durability = Durability::none;\n"
        "    made = Spool::create(spool, hub->clock, *hub->rng);\n  }", READ_ONLY_PLACE),
    # files
    Bug("a file is removed before its row is", SPOOL,
        'MLFLOWHA_FAULT_POINT("settle: before commit");',
        'if (BUG) remove_artifacts(files);\n  MLFLOWHA_FAULT_POINT("settle: before commit");', FILES),
    Bug("who adopts a spool removes its files", ROOM + "spool_artifacts.ipp",
        "known.insert(std::move(artifact.file));", "if (!BUG) known.insert(std::move(artifact.file));", FILES),
    Bug("a file is shared with its owner where a copy was asked for", ROOM + "spool_artifacts.ipp",
        "if (keep == ArtifactKeep::link && ", "if ((BUG || keep == ArtifactKeep::link) && ", FILES),
    # damage
    Bug("a spool isn't checked when it is adopted", FILE,
        'if (*check != "ok") {', 'if (*check != "ok" && !BUG) {',
        "a damaged page is noticed before anything is delivered"),
    Bug("rows that can't be removed pass for removed", SPOOL,
        "if (taken == 0 || database_->changes() != taken) {", "if (!BUG && (taken == 0 || database_->changes() != taken)) {",
        "a replay ends where delivered rows can't be removed",
        hangs=True),  # the replay; without the bug the test takes a second
    Bug("a record's checksum isn't looked at", ROOM + "record.ipp",
        "if (crc32c(payload, crc32c(bytes.substr(0, detail::record_header - 4))) != crc) {",
        "if (!BUG && crc32c(payload, crc32c(bytes.substr(0, detail::record_header - 4))) != crc) {", FLIPPED),
    Bug("a damaged row is dropped in silence", DELIVER,
        "sent.refused.push_back({id, first.kind, first.entries, first.data, reason_of(record.error())});",
        "if (!BUG) sent.refused.push_back({id, first.kind, first.entries, first.data, reason_of(record.error())});",
        FLIPPED),
    # clocks
    Bug("a clock that was put back makes the lag negative", SPOOL,
        "std::max<Duration>(Duration::zero(), clock_->wall_now() - *stats_.oldest);",
        "std::max<Duration>(BUG ? Duration::min() : Duration::zero(), clock_->wall_now() - *stats_.oldest);",
        "a clock that steps back loses and reorders nothing"),
    Bug("a row that seems to come from the future counts as too old", SPOOL,
        "if (age() > options_.max_age) {",
        "if (age() > options_.max_age || (BUG && stats_.oldest && *stats_.oldest > clock_->wall_now())) {",
        "a clock that steps back loses and reorders nothing"),
    Bug("a calendar that jumps ahead makes rows old", SPOOL,
        "waiting_since_ = clock_->now();", "if (!BUG) waiting_since_ = clock_->now();",
        "a calendar that jumps ahead makes no row too old"),
    Bug("a file that can't be read now is set aside as damaged", FILE,
        "if (!detail::tells_of_damage(*check)) error", "if (!BUG && !detail::tells_of_damage(*check)) error",
        "a spool that can't be read now is whole when the disk is"),
    Bug("a run waits for itself as its parent", DELIVER,
        "if (parent.id >= run.id) continue;", "if (!BUG && parent.id >= run.id) continue;",
        "runs that name each other as parents wait for none"),
    # limits
    Bug("small rows are put together beyond a hundred metric keys", DELIVER,
        "metric_keys > BatchEncoder::most_keys) return false;",
        "(metric_keys > BatchEncoder::most_keys && !BUG)) return false;", LIMITS),
    Bug("small rows are put together though both name a param", DELIVER,
        "good = fresh.insert('p' + p.key).second && good;", "good = (fresh.insert('p' + p.key).second || BUG) && good;",
        LIMITS),
    Bug("a tag's older value takes the place of a newer one", DELIVER,
        "superseded.push_back(std::move(*older));\n        values->tags.erase(older);",
        "if (BUG) continue;\n        superseded.push_back(std::move(*older));\n        values->tags.erase(older);", LIMITS),
    Bug("a tag whose newest value was refused is lost", DELIVER,
        "return !sent.refused_tags.contains(tag.key); });", "return BUG || !sent.refused_tags.contains(tag.key); });",
        "where a tag's newest value is refused, the one before it holds"),
    Bug("small rows are put together beyond a thousand entries", DELIVER,
        "values->size() + row.entries > BatchEncoder::most_entries) break;",
        "(values->size() + row.entries > BatchEncoder::most_entries && !BUG)) break;", LIMITS),
    Bug("a lane takes more than its share of the memory", BUFFER,
        "if (bytes.size + size > lane_bytes_) return Put::full;",
        "if (bytes.size + size > lane_bytes_ && !BUG) return Put::full;", "a full buffer does what was asked for"),
    Bug("params and tags have no limit in memory", BUFFER,
        "if (list_bytes_ != 0 && list_bytes_ + size > lane_bytes_) return Put::full;",
        "if (list_bytes_ != 0 && list_bytes_ + size > lane_bytes_ && !BUG) return Put::full;",
        "a buffer's limit holds for what isn't a metric, too"),
    Bug("an entry above the limit is refused for ever", BUFFER,
        "if (list_bytes_ != 0 && list_bytes_", "if ((list_bytes_ != 0 || BUG) && list_bytes_",
        "a buffer's limit holds for what isn't a metric, too"),
    # ends and refusals
    Bug("close() doesn't end the run", LOGGER,
        "if (!core.ended.load()) {", "if (!core.ended.load() && !BUG) {",
        "what is logged arrives, and nothing is left behind"),
    Bug("an outage in a refusal's clothes is believed at once", DELIVER,
        "(verdict == Verdict::doubtful && !believe_doubts && !clash)",
        "(verdict == Verdict::doubtful && !believe_doubts && !clash && !BUG)",
        "a refusal that a failing database may have made is believed only when it lasts"),
    Bug("a proxy's page is believed like a refusal", DELIVER,
        "if (error.http_status >= 500 && error.error_code.empty()) return Verdict::later;",
        "if (error.http_status >= 500 && error.error_code.empty() && !BUG) return Verdict::later;",
        "an outage that answers with pages of proxies and frameworks refuses nothing"),
    Bug("a look that fails refuses the run", DELIVER,
        "verdict == Verdict::doubtful && sent_create && believe(", "verdict == Verdict::doubtful && (sent_create || BUG) && believe(",
        "a look for an experiment that fails refuses no run"),
    Bug("a batch is refused for one entry's sake", DELIVER,
        "if (values.size() == 1) {", "if (values.size() == 1 || BUG) {", "what a server refuses is kept apart, alone"),
    Bug("a NaN that is there already is called refused", DELIVER,
        "if (clash) return;", "if (clash && !BUG) return;", "a NaN that is there already is delivered"),
    Bug("a dry run delivers", REPLAY,
        "if (!options_.dry_run) deliver();", "if (!options_.dry_run || BUG) deliver();",
        "a dry run changes nothing and asks nobody"),
    Bug("one spool's trouble ends the replay", REPLAY,
        "if (code != Errc::conflict) entry.error = std::move(spool).error();\n      return;",
        "if (code != Errc::conflict) entry.error = std::move(spool).error();\n"
        "      if (BUG && code != Errc::conflict) {\n        jobs_.clear();\n        files_.resize(next_file_ + 1);\n      }\n"
        "      return;",
        "one bad spool doesn't hold up the others"),
    # who waits for whom
    Bug("in an outage each run asks in each round", TURNS,
        "over_ = in_a_row_ >= 2 || is_nobody_there(error.code);",
        "over_ = !BUG && (in_a_row_ >= 2 || is_nobody_there(error.code));", "an outage is no request a run and round"),
    Bug("runs that fail take what time they like", TURNS,
        "if (!kept_quiet_) due.insert", "if (!kept_quiet_ || BUG) due.insert",
        "runs that fail take at most every other second of the sender"),
    Bug("a run that fails is tried again at once", TURNS,
        "waiting.until = now + backoff(waiting.failures);",
        "waiting.until = now + backoff(waiting.failures);\n  if (BUG) waiting.until = now;",
        "a run that fails at once has a backoff of its own"),
    Bug("a replay opens as many spools as it may", REPLAY,
        "beyond ? most_open_ :", "beyond || BUG ? most_open_ :",
        "a replay has a few spools open at once, whatever it may have"),
    Bug("a spool that can't be opened just now isn't tried again", REPLAY,
        "report_.spools.back().error->code == Errc::out_of_resources) {",
        "report_.spools.back().error->code == Errc::out_of_resources && !BUG) {",
        "a replay goes on with the spools that it could open"),
    Bug("a child that waits for its parent counts as failed", DELIVER,
        "if (step.error->code == Errc::conflict) step.what", "if (step.error->code == Errc::conflict && !BUG) step.what",
        "children that were started offline don't hold up their parent"),
    Bug("an observer waits for room that its thread would make", LOGGER,
        "if (core.hub->is_sender()) return false;", "if (core.hub->is_sender() && !BUG) return false;",
        "who is told of a failure never waits for room that its thread would make", hangs=True),
    Bug("a flush waits for what is logged after it", HUB,
        "mark = *last;", "mark = BUG ? INT64_MAX : *last;",
        "a flush waits for what was logged before it, not for what comes after"),
    Bug("a hub that is about to stop takes one more logger", HUB,
        "if (last) stopping_ = true;", "if (last && !BUG) stopping_ = true;",
        "a logger that starts while the last one goes loses nothing"),
    Bug("a look writes into a spool", FILE,
        "if (database_ && !looking_) {", "if (database_ && (!looking_ || BUG)) {",
        "a look at a spool whose process died before it logged changes nothing"),
]


def build(copy: pathlib.Path, tree: pathlib.Path | None) -> pathlib.Path:
    archives = [tree / f"lib{name}.a" for name in ("mlflowha_testing", "mlflowha")] if tree is not None else []
    sources = [ROOT / "src/logging.cpp"]
    sources += [] if archives else [ROOT / "src/testing.cpp", *sorted((ROOT / "src").glob("mlflowha*.cpp"))]
    sources += [ROOT / "tests/support/main.cpp", *sorted((ROOT / "tests/unit/logging").glob("*.cpp"))]
    sources += [*sorted((ROOT / "tests/crash").glob("*.cpp")), ROOT / "tests/unit/resilience/allocation_test.cpp"]
    flags = ["-include", str(ROOT / "tests/crash/fault_points.hpp")]
    return compile_all(copy, sources, flags, "logging", archives)


def run(program: pathlib.Path, number: int) -> Answer:
    if number:
        return ask(program, BUGS[number - 1].test, number, 120)
    for test in dict.fromkeys(bug.test for bug in BUGS):  # must be green without any bug
        answer = ask(program, test, 0, 600)
        if not answer.green:
            return answer._replace(said=f"{test}: {answer.said}")
    return Answer(True, "")


def ask(program: pathlib.Path, test: str, number: int, limit: float) -> Answer:
    """Runs one test case with one bug, for `limit` seconds at most."""
    # A bug may let a child run for ever: the whole session is ended then. A file takes what is said, since a pipe would
    # be open for as long as such a child lives, and the test program long gone.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said_file:
        process = subprocess.Popen([str(program), test.replace(",", "\\,"), "--abort"], stdout=said_file,
                                   stderr=subprocess.STDOUT, start_new_session=True,
                                   env=dict(os.environ, SEEDED_BUG=str(number)))
        try:
            process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            return Answer(False, "never ends", ended=False)
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        said_file.seek(0)
        output = said_file.read()
    failed = re.search(r"FAILED:\s+(.*)", output)
    said = failed.group(1) if failed else " ".join(output.split())[-160:]
    skipped = re.search(r": warning:\s+skipped: (.*)", output)
    return Answer(process.returncode == 0, said, skipped=skipped.group(1) if skipped else "")


if __name__ == "__main__":
    sys.exit(main(BUGS, build, run))
