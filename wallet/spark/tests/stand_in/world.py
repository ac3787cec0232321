"""What a test in another language does with the stand-in's operators, one command a call."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

from tests.stand_in.operators import Operators  # noqa: E402


def main(file: str, command: str, *args: str) -> None:
    """Prints the answer, where there is one."""
    operators = Operators(Path(file))
    if command == "fund":
        operators.fund(args[0], int(args[1]))
    elif command == "invoice":
        print(operators.invoice("outside", int(args[0]), "of a test", 600))
    elif command == "pay":
        operators.pay_from_outside(args[0])
    elif command == "mood":
        operators.mood(args[0])
    elif command == "offline":
        operators.set_offline(args[0] == "yes")
    elif command == "deposit":
        print(operators.deposit(args[0], int(args[1])))
    elif command == "sent":
        print(sum(row["type"] == "send" for row in operators.payments(args[0])))
    else:
        raise SystemExit(f"there is no command {command}")


if __name__ == "__main__":
    main(*sys.argv[1:])
