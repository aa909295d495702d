"""Adds to a repaired wheel the licences of what is inside, as the distribution states them.

Used by python_wheel.py. Knows dpkg; where there is none the wheel stays as it is, and that is said.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
import zipfile
from pathlib import Path


def _stem(name: str) -> str:
    """libssl-cab3f5b0.so.3 and libssl.so.3 -> libssl"""
    return re.sub(r"(-[0-9a-f]{8})?(-[\d.]+)?(-[0-9a-f]{8})?(\.[\d.]+)?\.so.*", "", name)


def _packages(module: Path, stems: set[str]) -> dict[str, Path]:
    """package -> its copyright file, of the libraries below a module with these names."""
    text = subprocess.run(["ldd", str(module)], capture_output=True, text=True, check=True).stdout
    found = {}
    for name, path in re.findall(r"(\S+) => (/\S+)", text):
        if _stem(name) not in stems:
            continue
        for place in (path, str(Path(path).resolve()), str(Path(path).resolve()).removeprefix("/usr")):
            owner = subprocess.run(["dpkg", "-S", place], capture_output=True, text=True, check=False)
            package = owner.stdout.split(":")[0].strip()
            notice = Path("/usr/share/doc") / package / "copyright"
            if owner.returncode == 0 and notice.is_file():
                found[package] = notice
                break
    return found


def _record_line(name: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"


def add(wheel: Path, module: Path, unused: Path, compiled_in: dict[str, Path]) -> list[str]:
    """The packages whose licences the wheel has now. `module`: the extension as it was before the repair; `unused`:
    where the stand-ins are, which are ours; `compiled_in`: licence files of what is in the extension itself."""
    with zipfile.ZipFile(wheel) as archive:
        entries = [(info, archive.read(info)) for info in archive.infolist()]
    stems = {_stem(Path(info.filename).name) for info, _ in entries if ".libs/" in info.filename}
    if not stems:
        return []
    if shutil.which("dpkg") is None:
        print("wheel: no dpkg here: the licences of the libraries inside are not in the wheel")
        return []
    ours = {_stem(path.name) for path in unused.glob("*.so*")}
    packages = {**_packages(module, stems - ours), **{n: path for n, path in compiled_in.items() if path.is_file()}}
    record = next(info.filename for info, _ in entries if info.filename.endswith(".dist-info/RECORD"))
    folder = record.removesuffix("RECORD") + "licenses/third-party/"
    lines = ""
    fresh = wheel.with_suffix(".new")
    with zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as archive:
        for package, notice in sorted(packages.items()):
            data = notice.read_bytes()
            lines += _record_line(f"{folder}{package}.txt", data)
            archive.writestr(f"{folder}{package}.txt", data)
        for info, data in entries:
            kept = data + lines.encode() if info.filename == record else data
            archive.writestr(info, kept, zipfile.ZIP_DEFLATED)
    fresh.replace(wheel)
    return sorted(packages)
