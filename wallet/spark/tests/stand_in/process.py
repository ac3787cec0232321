"""The wallet's process over the stand-in: `process.py OPERATORS_FILE FOLDER`. For tests only."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

from pilothouse_spark.sdk import Waits  # noqa: E402
from pilothouse_spark.serve import run  # noqa: E402
from tests.stand_in.operators import Operators  # noqa: E402
from tests.stand_in.sdk import connector  # noqa: E402

QUICK = Waits(
    connect=5, local=2, remote=2, sync=2, send=1.5, stop=1, between_looks=5, after_trouble=0.3
)

if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[2]), connector(Operators(Path(sys.argv[1]))), QUICK))
