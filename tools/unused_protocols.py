#!/usr/bin/env python3
"""Stand-ins for what a distribution's libcurl needs for protocols that mlflowha never speaks.

    PYTHON unused_protocols.py MODULE OUT     PYTHON: one with pyelftools; MODULE: an extension linked to libcurl

Debian's libcurl speaks RTMP, LDAP and SFTP; the libraries for that, and theirs, would be a quarter of a wheel. For each
of them a library of the same name with the same symbols is made in OUT, whose functions do nothing: auditwheel takes
them when OUT is first in LD_LIBRARY_PATH. Our transport allows http and https only, so nothing ever calls them but
libcurl's own start and its version text, which both take what they get. Prints what it made; where libcurl needs none
of them, nothing.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from elftools.elf.elffile import ELFFile

#: soname -> what its functions return: libssh2_init() must succeed for libcurl to start, ldap_get_option() must fail.
UNUSED = {"librtmp": -1, "libldap": -1, "liblber": -1, "libssh2": 0}


def needed_libraries(module: Path) -> dict[str, Path]:
    """soname -> path of all libraries that a module pulls in."""
    text = subprocess.run(["ldd", str(module)], capture_output=True, text=True, check=True).stdout
    return {name: Path(path) for name, path in re.findall(r"(\S+) => (\S+)", text) if path.startswith("/")}


def undefined(library: Path) -> set[str]:
    """Symbols that a library takes from others."""
    with library.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".dynsym")
        return {symbol.name for symbol in table.iter_symbols() if symbol["st_shndx"] == "SHN_UNDEF" and symbol.name}


def exported(library: Path) -> dict[str, tuple[str, str]]:
    """symbol -> (its kind, the version that it is bound to or "")."""
    with library.open("rb") as stream:
        elf = ELFFile(stream)
        table = elf.get_section_by_name(".dynsym")
        chosen = elf.get_section_by_name(".gnu.version")
        defined = elf.get_section_by_name(".gnu.version_d")
        names = {}
        if defined is not None:
            for entry, auxiliary in defined.iter_versions():
                names[entry["vd_ndx"]] = next(iter(auxiliary)).name
        found = {}
        for at, symbol in enumerate(table.iter_symbols()):
            if symbol["st_shndx"] == "SHN_UNDEF" or not symbol.name:
                continue
            index = chosen.get_symbol(at)["ndx"] if chosen is not None else 1
            version = names.get(index & 0x7FFF, "") if isinstance(index, int) and index & 0x7FFF > 1 else ""
            found[symbol.name] = (symbol["st_info"]["type"], version)
        return found


def make(soname: str, path: Path, wanted: set[str], value: int, out: Path) -> bool:
    """One stand-in; False when the library has data that somebody reads, which can't be stood in for."""
    there = exported(path)
    symbols = sorted(wanted & set(there))
    if any(there[name][0] != "STT_FUNC" for name in symbols):
        return False
    source = out / f"{soname}.c"
    source.write_text("".join(f"long {name}(void) {{ return {value}; }}\n" for name in symbols), encoding="utf-8")
    script = out / f"{soname}.map"
    versions = sorted({there[name][1] for name in symbols} - {""})
    text = ""
    for version in versions:
        text += f"{version} {{ global: {' '.join(n + ';' for n in symbols if there[n][1] == version)} }};\n"
    script.write_text(text, encoding="utf-8")
    command = ["cc", "-shared", "-fPIC", "-O1", "-w", "-fno-builtin", "-nostdlib", f"-Wl,-soname,{soname}"]
    if versions:
        command.append(f"-Wl,--version-script,{script}")
    subprocess.run([*command, "-o", str(out / soname), str(source)], check=True)
    source.unlink()
    script.unlink()
    return True


def main() -> int:
    module, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    libraries = needed_libraries(module)
    curl = next((path for name, path in libraries.items() if name.startswith("libcurl")), None)
    if curl is None:
        return 0
    wanted = undefined(curl)
    for soname, path in sorted(libraries.items()):
        value = UNUSED.get(re.split(r"[-.]", soname)[0])
        if value is not None and make(soname, path, wanted, value, out):
            print(soname)
    return 0


if __name__ == "__main__":
    sys.exit(main())
