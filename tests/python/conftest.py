"""The tests run against an installed wheel: never against the source tree."""

from __future__ import annotations

from pathlib import Path

import mlflowha

pytest_plugins = ["pytester"]

assert "site-packages" in Path(mlflowha.__file__).parts, f"not an installed wheel: {mlflowha.__file__}"
