"""JSON-RPC 2.0, one object per line, over a local socket that only its owner can open.

The rules are those of `host::ipc`: authenticate first, bounded lines, bounded connections and
calls; a bad line gets an error and nothing else happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from .errors import Refusal
from .private import socket_path, write_private

MAX_LINE_BYTES = 8 * 1024 * 1024
# Before a connection is opened, nothing long is listened to.
_MAX_FIRST_LINE_BYTES = 4 * 1024
_MAX_CONNECTIONS = 64
_MAX_CALLS_PER_CONNECTION = 256
_AUTHENTICATE_WITHIN_SECS = 5.0
_CODES = {
    "parse_error": -32700,
    "invalid_request": -32600,
    "unknown_method": -32601,
    "invalid_params": -32602,
}

Handler = Callable[[str, Any], Awaitable[Any]]
_log = logging.getLogger(__name__)


class Server:
    """A running server; `close` takes its socket and its rendezvous file away."""

    def __init__(self, folder: Path, name: str, handler: Handler) -> None:
        self._handler = handler
        self._token = secrets.token_hex(32)
        self._rendezvous = folder / f"{name}.json"
        self._socket = socket_path(folder, name)
        self._places = asyncio.Semaphore(_MAX_CONNECTIONS)
        self._open: set[asyncio.Task[Any]] = set()
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Listens, and says where. Call under the folder's lock only."""
        self._socket.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._converse, path=str(self._socket))
        self._socket.chmod(0o600)
        rendezvous = {"socket": str(self._socket), "token": self._token, "pid": os.getpid()}
        write_private(self._rendezvous, json.dumps(rendezvous).encode())

    async def close(self) -> None:
        """Ends all connections; what was answered by then is written."""
        if self._server is not None:
            self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        for path in (self._rendezvous, self._socket):
            path.unlink(missing_ok=True)
        if self._socket.parent != self._rendezvous.parent:
            with contextlib.suppress(OSError):
                self._socket.parent.rmdir()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        try:
            async with self._places:
                await self._serve(_Lines(reader), writer)
        except (OSError, ValueError) as error:
            _log.debug("a connection ended: %s", type(error).__name__)
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()

    async def _serve(self, lines: _Lines, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_AUTHENTICATE_WITHIN_SECS):
                line = await lines.next(_MAX_FIRST_LINE_BYTES)
        except TimeoutError:
            return
        if line is None:
            return
        answer, opened = self._authenticate(line)
        writer.write(answer)
        await writer.drain()
        if not opened:
            return
        calls = asyncio.Semaphore(_MAX_CALLS_PER_CONNECTION)
        writing = asyncio.Lock()
        running: set[asyncio.Task[None]] = set()
        try:
            while (line := await lines.next(MAX_LINE_BYTES)) is not None:
                await calls.acquire()
                task = asyncio.create_task(self._answer(line, writer, writing))
                running.add(task)
                task.add_done_callback(running.discard)
                task.add_done_callback(lambda _: calls.release())
        finally:
            for task in running:
                task.cancel()

    async def _answer(
        self, line: bytes, writer: asyncio.StreamWriter, writing: asyncio.Lock
    ) -> None:
        id_: int | None = None
        try:
            id_, method, params = parse(line)
            answer = response(id_, result=await self._handler(method, params))
        except Refusal as refusal:
            answer = response(id_ if id_ is not None else refusal_id(refusal), error=refusal)
        except Exception as error:  # noqa: BLE001 - a bug answers one call and ends nothing else
            _log.error("a call broke off: %s", type(error).__name__, exc_info=True)
            wrong = Refusal("internal", f"A call broke off ({type(error).__name__}).")
            answer = response(id_, error=wrong)
        async with writing:
            writer.write(answer)
            await writer.drain()

    def _authenticate(self, line: bytes) -> tuple[bytes, bool]:
        try:
            id_, method, params = parse(line)
        except Refusal as refusal:
            return response(refusal_id(refusal), error=refusal), False
        given = params.get("token") if isinstance(params, dict) else None
        given = given if isinstance(given, str) else ""
        same = hmac.compare_digest(given.encode(errors="replace"), self._token.encode())
        if method == "authenticate" and same:
            return response(id_, result=True), True
        wrong = Refusal(
            "wrong_token",
            "The token does not open this socket.",
            hint="Run the command as the user who started the wallet.",
            exit="refused",
        )
        return response(id_, error=wrong), False


class _Lines:
    """Lines of a stream, each bounded."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._kept = bytearray()

    async def next(self, most: int) -> bytes | None:
        """The next line without its end, `None` at the end; a longer one is a `ValueError`."""
        searched = 0
        while True:
            end = self._kept.find(b"\n", searched)
            if end > most or (end < 0 and len(self._kept) > most):
                raise ValueError("the line is too long")
            if end >= 0:
                line = bytes(self._kept[:end])
                del self._kept[: end + 1]
                return line
            searched = len(self._kept)
            chunk = await self._reader.read(64 * 1024)
            if not chunk:
                line, self._kept = bytes(self._kept), bytearray()
                return line or None
            self._kept += chunk


def parse(line: bytes) -> tuple[int, str, Any]:
    """Id, method and parameters of a request."""
    try:
        request = json.loads(line.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        why = type(error).__name__
        raise Refusal("parse_error", f"this line is not JSON: {why}") from None
    id_ = request.get("id") if isinstance(request, dict) else None
    if isinstance(id_, bool) or not isinstance(id_, int) or not 0 <= id_ < 1 << 64:
        raise Refusal("invalid_request", "this is not a JSON-RPC 2.0 request")
    method = request.get("method")
    if request.get("jsonrpc") != "2.0" or not isinstance(method, str):
        wrong = Refusal("invalid_request", "only JSON-RPC 2.0 is spoken here")
        wrong.args = (id_,)
        raise wrong
    return id_, method, request.get("params")


def refusal_id(refusal: Refusal) -> int | None:
    """The id of a request that could be read no further than that."""
    id_ = refusal.args[0] if refusal.args else None
    return id_ if isinstance(id_, int) else None


def response(id_: int | None, *, result: Any = None, error: Refusal | None = None) -> bytes:
    """One line of answer."""
    answer: dict[str, Any] = {"jsonrpc": "2.0", "id": id_}
    if error is None:
        answer["result"] = result
    else:
        code = _CODES.get(error.code, -32000)
        answer["error"] = {"code": code, "message": error.message, "data": error.body()}
    return json.dumps(answer).encode() + b"\n"


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")
