"""The process: takes the words from standard input, serves, and ends with who started it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import breez_sdk_spark as breez

from . import SERVICE
from .calls import Calls
from .errors import Refusal
from .ipc import Server
from .private import lock, open_folder
from .sdk import Connect, Secrets, Waits
from .wallet import Wallet

_MAX_HELLO_BYTES = 16 * 1024
_log = logging.getLogger(__name__)


def run(folder: Path, connect: Connect = breez.connect, waits: Waits | None = None) -> int:
    """Serves until it is asked to end. Nothing of what it was told is printed."""
    os.umask(0o077)
    # A core would hold the words.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    try:
        folder = open_folder(folder)
        with lock(folder, SERVICE):
            secrets = read_hello()
            asyncio.run(_serve(folder, secrets, connect, waits or Waits()))
        code = 0
    except Refusal as refusal:
        print(json.dumps({"error": refusal.body()}), file=sys.stderr)
        code = 3 if refusal.exit == "refused" else 1
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of the SDK must not keep the process.
    os._exit(code)


def read_hello() -> Secrets:
    """The first line of standard input: `{"network", "words", "passphrase", "api_key"}`."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte or len(line) >= _MAX_HELLO_BYTES:
            break
        line += byte
    try:
        said = json.loads(line.decode())
        texts = {name: said.get(name) for name in ("network", "words", "passphrase", "api_key")}
    except (ValueError, AttributeError, RecursionError):
        raise Refusal("no_words", "Standard input gave no words to start with.") from None
    for name, text in texts.items():
        needed = name in ("network", "words")
        if not isinstance(text, str) and (needed or text is not None):
            raise Refusal("no_words", f"Standard input gave no {name} to start with.")
    return Secrets(
        texts["network"], " ".join(texts["words"].split()), texts["passphrase"], texts["api_key"]
    )


async def _serve(folder: Path, secrets: Secrets, connect: Connect, waits: Waits) -> None:
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    _watch_parent(lambda: loop.call_soon_threadsafe(ending.set))
    wallet = Wallet(folder, secrets, connect, waits)
    calls = Calls(wallet, ending.set)
    server = Server(folder, SERVICE, calls.call)
    await server.start()
    _log.info("the Spark wallet answers")
    running = asyncio.create_task(wallet.run())
    stop = asyncio.create_task(ending.wait())
    await asyncio.wait({running, stop}, return_when=asyncio.FIRST_COMPLETED)
    await server.close()
    await calls.payer.finish(waits.stop)
    await _end(running)
    stop.cancel()
    await wallet.close()


async def _end(task: asyncio.Task[Any]) -> None:
    """Ends a task; one that broke off by itself says so."""
    if task.done() and not task.cancelled() and task.exception() is not None:
        error = task.exception()
        _log.error("the wallet broke off: %s", type(error).__name__, exc_info=error)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task


def _watch_parent(gone: Callable[[], object]) -> None:
    """Standard input ends when its other end is gone."""

    def watch() -> None:
        try:
            while os.read(0, 4_096):
                pass
        except OSError:
            pass
        with contextlib.suppress(RuntimeError):
            gone()

    threading.Thread(target=watch, name="parent", daemon=True).start()
