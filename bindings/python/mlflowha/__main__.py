"""`python -m mlflowha replay DIRECTORY`: delivers what processes left behind that ended in an outage.

The servers are those of MLFLOWHA_ENDPOINTS or MLFLOW_TRACKING_URI. What was done is printed as JSON. Exit codes as
of `mlflowha replay`: 0 all delivered, 1 failed, 2 usage, 3 something is left, 5 no server could be reached.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

from . import Client, MlflowhaError, errors, replay


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mlflowha", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("replay", help="deliver the spools of dead processes")
    command.add_argument("directory")
    command.add_argument("--dry-run", action="store_true", help="only say what there is")
    command.add_argument("--patience", type=float, default=120.0, help="seconds without a delivery until it gives up")
    options = parser.parse_args()
    if not os.path.isdir(options.directory):  # a mistyped name isn't a directory without spools
        parser.error(f"directory: value is {options.directory!r}, expected a directory that exists")
    try:
        report = replay(options.directory, Client(), dry_run=options.dry_run, patience=options.patience)
    except errors.InvalidArgumentError as error:
        print(error, file=sys.stderr)
        return 2
    except MlflowhaError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(report, indent=2))
    if options.dry_run or report["complete"]:
        return 0
    return 5 if "unreachable" in report and report["delivered"] == 0 else 3


if __name__ == "__main__":
    sys.exit(main())
