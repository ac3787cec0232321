"""Whether this environment can hold the wallet: read by `doctor`, touches nothing."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import platform
from typing import Any

from . import PACKAGE, PACKAGE_VERSION, PROTOCOL


def findings() -> dict[str, Any]:
    """The environment in facts; `ok` is true only where nothing is missing."""
    found: dict[str, Any] = {
        "ok": False,
        "python": platform.python_version(),
        "package": PACKAGE,
        "version": None,
        "expected": PACKAGE_VERSION,
        "imports": False,
        "protocol": PROTOCOL,
        "detail": None,
    }
    try:
        found["version"] = importlib.metadata.version(PACKAGE)
        importlib.import_module("breez_sdk_spark")
        found["imports"] = True
    except importlib.metadata.PackageNotFoundError:
        found["detail"] = f"{PACKAGE} is not installed here. Run wallet/spark/setup."
    except (ImportError, OSError, RuntimeError) as error:
        found["detail"] = f"{PACKAGE} does not load here ({error}). Run wallet/spark/setup."
    else:
        if found["version"] != PACKAGE_VERSION:
            found["detail"] = f"{PACKAGE} {PACKAGE_VERSION} is expected. Run wallet/spark/setup."
    found["ok"] = found["detail"] is None
    return found


def run() -> int:
    """Prints one line of JSON; the exit code says the same."""
    found = findings()
    print(json.dumps(found, sort_keys=True))
    return 0 if found["ok"] else 1
