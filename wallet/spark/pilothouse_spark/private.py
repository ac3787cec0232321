"""The wallet's folder: rights for its owner alone, whole writes, and one process at a time."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import IO

from .errors import refused

# The longest path that a unix socket can have everywhere.
_LONGEST_SOCKET = 100


def open_folder(path: Path) -> Path:
    """Opens or makes a folder of mode 0700."""
    path = path.absolute()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def lock(folder: Path, name: str) -> IO[bytes]:
    """The single-instance lock `<folder>/<name>.lock`, held while the file is open."""
    file = open(folder / f"{name}.lock", "ab")  # noqa: SIM115 - held for the process's life
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise refused(
            "in_use",
            f"Another Spark process uses {folder} already. Nothing was started.",
            "One process owns a wallet: stop the other one first.",
        ) from None
    return file


def write_private(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all, readable by its owner alone."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def socket_path(folder: Path, name: str) -> Path:
    """`<folder>/<name>.sock`, or a short path of a private folder where that is too long."""
    path = folder / f"{name}.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / f"pilothouse-spark-{digest}"
    short.mkdir(mode=0o700, exist_ok=True)
    found = short.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise refused(
            "folder_taken",
            f"{short} belongs to somebody else. Nothing was started.",
            "Remove it, or choose a shorter home.",
        )
    short.chmod(0o700)
    return short / f"{name}.sock"
