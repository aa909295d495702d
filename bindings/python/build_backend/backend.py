"""scikit-build-core with one addition: an sdist brings the C++ library along, in vendor/."""

from __future__ import annotations

import shutil
from pathlib import Path

from scikit_build_core import build as _core
from scikit_build_core.build import (  # noqa: F401
    build_editable,
    build_wheel,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
)

HERE = Path(__file__).resolve().parent.parent
VENDOR = HERE / "vendor"
REPOSITORY = HERE.parent.parent
PARTS = ("CMakeLists.txt", "LICENSE", "cmake", "include", "src")


def build_sdist(sdist_directory: str, config_settings: dict[str, list[str] | str] | None = None) -> str:
    if VENDOR.is_dir() and not (REPOSITORY / "include/mlflowha").is_dir():
        return _core.build_sdist(sdist_directory, config_settings)  # from an sdist: it is there
    shutil.rmtree(VENDOR, ignore_errors=True)
    VENDOR.mkdir()
    try:
        for name in PARTS:
            source = REPOSITORY / name
            if source.is_dir():
                shutil.copytree(source, VENDOR / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, VENDOR / name)
        return _core.build_sdist(sdist_directory, config_settings)
    finally:
        shutil.rmtree(VENDOR, ignore_errors=True)
