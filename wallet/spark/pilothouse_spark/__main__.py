"""`python -m pilothouse_spark serve --dir FOLDER` and `python -m pilothouse_spark check`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main() -> int:
    """Reads the arguments; a secret is never one of them."""
    parser = argparse.ArgumentParser(prog="pilothouse_spark", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="hold the wallet and answer on a local socket")
    serve.add_argument("--dir", type=Path, required=True, help="the wallet's own folder")
    commands.add_parser("check", help="say as JSON whether this environment is complete")
    args = parser.parse_args()
    if args.command == "check":
        from .check import run  # noqa: PLC0415 - works without the package

        return run()
    from .serve import run as run_server  # noqa: PLC0415

    return run_server(args.dir)


if __name__ == "__main__":
    sys.exit(main())
