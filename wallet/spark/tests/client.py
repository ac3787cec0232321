"""A client of the process as any other: rendezvous file, token, one JSON object per line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
OTHER_WORDS = "letter advice cage absurd amount doctor acoustic avoid letter advice cage above"


class Refused(Exception):
    """The process answered with an error body."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['data']['code']}: {error['data']['message']}")
        self.code: str = error["data"]["code"]
        self.body: dict[str, Any] = error["data"]


class Client:
    """One authenticated connection."""

    def __init__(self, folder: Path, within: float = 30.0) -> None:
        rendezvous = json.loads((folder / "spark.json").read_text())
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(within)
        self.socket.connect(rendezvous["socket"])
        self._lines = self.socket.makefile("rb")
        self._id = 0
        self.call("authenticate", token=rendezvous["token"])

    def call(self, method: str, **params: Any) -> Any:
        """Calls, and waits for the answer."""
        self._id += 1
        request = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        answer = json.loads(self.line())
        assert answer["id"] == self._id, answer
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    def line(self) -> bytes:
        """One line of answer; none where the connection ended."""
        return self._lines.readline()

    def close(self) -> None:
        """Ends the connection."""
        self._lines.close()
        self.socket.close()


class Process:
    """A running wallet process, over the real package or over the stand-in."""

    def __init__(
        self,
        folder: Path,
        operators: Path | None = None,
        *,
        words: str = WORDS,
        network: str = "regtest",
        hello: bytes | None = None,
        wait: bool = True,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if operators is None:
            command = [
                sys.executable,
                "-I",
                "-m",
                "pilothouse_spark",
                "serve",
                "--dir",
                str(folder),
            ]
        else:
            standing = ROOT / "tests/stand_in/process.py"
            command = [sys.executable, str(standing), str(operators), str(folder)]
        self.log = folder.parent / f"{folder.name}.log"
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"]},
            )
        if hello is None:
            said = {"network": network, "words": words, "passphrase": None, "api_key": None}
            hello = json.dumps(said).encode() + b"\n"
        assert self.child.stdin is not None
        self.child.stdin.write(hello)
        self.child.stdin.flush()
        self.client: Client | None = self.connect() if wait else None

    def connect(self) -> Client:
        """A new connection, once this very process answers."""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                if json.loads((self.folder / "spark.json").read_text())["pid"] == self.child.pid:
                    return Client(self.folder)
            except (OSError, ValueError):
                pass
            if self.child.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"the process does not answer: {self.log.read_text()[-2000:]}")

    def call(self, method: str, **params: Any) -> Any:
        """Calls on the first connection."""
        assert self.client is not None
        return self.client.call(method, **params)

    def until(self, state: str, key: str | None = None, within: float = 10.0) -> dict[str, Any]:
        """Waits for a state of the wallet, or of a payment."""
        ends = time.monotonic() + within
        found: dict[str, Any] = {}
        while time.monotonic() < ends:
            found = self.call("info") if key is None else self.call("payment", key=key)
            if found["state"] == state:
                return found
            time.sleep(0.02)
        raise AssertionError(f"not {state}: {found}")

    def kill(self) -> None:
        """As a crash does."""
        if self.client is not None:
            self.client.close()
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def end(self, within: float = 10.0) -> int:
        """Lets go of its standard input, and waits."""
        if self.client is not None:
            self.client.close()
        assert self.child.stdin is not None
        self.child.stdin.close()
        try:
            return self.child.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            log = self.log.read_text()[-2_000:]
            raise AssertionError(f"the process outlives its parent: {log}") from None
