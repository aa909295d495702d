#!/usr/bin/env python3
"""The fake server answers the recorded sessions (cases/) as the real servers did that they were recorded of, but for the
answers in fake_differs.txt, which says why. An answer there that is no longer different is a fault, too.

With --show the differences are printed and nothing is judged.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import session  # noqa: E402
from fake_routes import left_out  # noqa: E402

VERSIONS = ("3.17.2", "2.22.5")
MASKS = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"[0-9a-f]{32}"), "HEX"),
    (re.compile(r"20\d\d-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"\b1[4-9]\d{11}\b"), "MILLISECONDS"),
    (re.compile(r"^[a-z]+-[a-z]+-\d+$"), "RUN NAME"),
    (re.compile(r"(mlflow-artifacts:/|No such artifact: '|experiment )\d+\b"), r"\1N"),
)


def masked(value: object) -> object:
    """A value without what is another one each time."""
    if isinstance(value, str):
        for pattern, word in MASKS:
            value = pattern.sub(word, value)
    elif isinstance(value, int) and not isinstance(value, bool) and value > 1.4e12:
        return "MILLISECONDS"
    elif isinstance(value, float):
        return repr(value)  # NaN is itself here
    return value


def differences(real: object, fake: object, path: str = "") -> list:
    if isinstance(real, dict) and isinstance(fake, dict):
        found = []
        for key in sorted(real.keys() | fake.keys()):
            if key not in real or key not in fake:
                found.append(f"{path}.{key} is {'missing' if key in real else 'too many'}")
            elif key not in ("experiment_id", "digest"):  # counted on by other sessions; a hash of a time
                found += differences(real[key], fake[key], f"{path}.{key}")
        return found
    if isinstance(real, list) and isinstance(fake, list):
        if len(real) != len(fake):
            return [f"{path} has {len(fake)} entries, not {len(real)}"]
        return [one for i, pair in enumerate(zip(real, fake)) for one in differences(*pair, f"{path}[{i}]")]
    return [] if type(real) is type(fake) and masked(real) == masked(fake) else [f"{path} is {fake!r}, not {real!r}"]


def body(data: bytes) -> object:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace").strip()


def known() -> dict:
    """Name of a recording of which the fake's answer is another one -> whether it may be the same, too."""
    found: dict = {}
    for line in (HERE / "fake_differs.txt").read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):  # the reason
            continue
        for name in line.split():
            assert name.rstrip("?") not in found, f"{name} is there twice"
            found[name.rstrip("?")] = name.endswith("?")
    return found


class Fake:
    def __init__(self, version: str) -> None:
        program = Path(os.environ["MLFLOWHA_BUILD_DIR"]) / "mlflowha-fake-server"
        self.process = subprocess.Popen([str(program), "--mlflow", version[0]], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = json.loads(self.process.stdout.readline())["port"]

    def close(self) -> None:
        self.process.terminate()
        self.process.communicate()

    def ask(self, method: str, target: str, data: "bytes | str", headers: dict) -> tuple:
        kind = "application/octet-stream" if isinstance(data, bytes) else "application/json"
        raw = data.encode() if isinstance(data, str) else data
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, target, raw or None, {**({"Content-Type": kind} if raw else {}), **headers})
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found


def play(version: str) -> tuple:
    """(name -> what differs, names that were compared)"""
    table = session.the_table()
    missing = left_out(table)
    different: dict = {}
    compared: set = set()
    fake = Fake(version)
    try:
        for played in session.sessions(table).values():
            if played.extras:
                continue
            variables: dict = {}
            for case in played.cases:
                text = session.replaced(case.text, variables)
                operation = table.operations[case.operation] if case.operation else None
                if operation:
                    method, target, data = session.request(table, operation, json.loads(text))
                    headers: dict = {}
                    if operation.raw_body is not None:
                        data = data.encode()
                else:
                    method, target, headers, data = session.raw(text)
                status, answer = fake.ask(method, target, data, headers)
                for variable, path in case.keep:
                    try:
                        variables[variable] = session.pick(json.loads(answer), path)
                    except (ValueError, LookupError, TypeError):
                        variables[variable] = "none"
                if not case.name or case.operation in missing:
                    continue
                (recording,) = (HERE / version).glob(f"{case.name}.*.json")
                expected = int(recording.name.split(".")[-2])
                compared.add(case.name)
                if status != expected:
                    different[case.name] = [f"status is {status}, not {expected}"]
                elif found := differences(body(recording.read_bytes()), body(answer)):
                    different[case.name] = found
    finally:
        fake.close()
    return different, compared


class FakeAnswersAsRecorded(unittest.TestCase):
    maxDiff = None

    def test_all_answers_are_those_of_real_servers(self) -> None:
        listed = known()
        seen: set = set()
        compared: set = set()
        for version in VERSIONS:
            different, names = play(version)
            compared |= names
            seen |= different.keys()
            for name, found in different.items():
                with self.subTest(version=version, name=name):
                    self.assertIn(name, listed, "\n".join(found))
        self.assertGreater(len(compared), 300)
        self.assertEqual([name for name in listed if not listed[name] and name not in seen], [], "listed in fake_differs.txt, but the same")


def main() -> None:
    if "--show" not in sys.argv:
        unittest.main()
    for version in VERSIONS:
        different, names = play(version)
        print(f"{version}: {len(different)} of {len(names)} differ")
        for name, found in different.items():
            print(f"  {name}:", *[f"    {one}" for one in found], sep="\n")


if __name__ == "__main__":
    main()
