"""The socket's door: tokens, broken lines, floods. The process never ends of it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

from tests.client import Client, Process
from tests.stand_in.operators import Operators

METHODS = (
    "info refresh receive quote pay payment look_up history events acknowledge deposits claim_deposit "
    "authenticate nothing"
).split()
FIELDS = (
    "key account rail amount_msat max_fee_msat memo expiry_secs request before count after "
    "wait_ms cursor txid vout token direction payment_hash reference"
).split()


class Socket(unittest.TestCase):
    """One process, many bad clients."""

    @classmethod
    def setUpClass(cls) -> None:
        cls._folder = tempfile.TemporaryDirectory(prefix="spark-")
        cls.addClassCleanup(cls._folder.cleanup)
        root = Path(cls._folder.name)
        operators = Operators(root / "operators.db")
        cls.addClassCleanup(operators.close)
        cls.process = Process(root / "wallet", operators.path)
        cls.addClassCleanup(cls.process.end)
        cls.process.until("ready")

    def tearDown(self) -> None:
        self.assertIsNone(self.process.child.poll())
        self.assertEqual(self.process.call("info")["state"], "ready")

    def raw(self) -> socket.socket:
        """A connection that has shown nothing yet."""
        path = json.loads((self.process.folder / "spark.json").read_text())["socket"]
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(10)
        one.connect(path)
        self.addCleanup(one.close)
        return one

    def opened(self) -> Client:
        """An authenticated connection."""
        client = Client(self.process.folder)
        self.addCleanup(client.close)
        return client

    def test_only_the_token_opens(self) -> None:
        for first in (
            b'{"jsonrpc":"2.0","id":1,"method":"info","params":{}}',
            b'{"jsonrpc":"2.0","id":1,"method":"authenticate","params":{"token":"00"}}',
            b'{"jsonrpc":"2.0","id":1,"method":"authenticate","params":{"token":7}}',
            b'{"jsonrpc":"2.0","id":1,"method":"authenticate","params":["token"]}',
            b'{"jsonrpc":"2.0","id":1,"method":"authenticate","params":{"token":"\\ud800"}}',
            b"rubbish",
            b"\xff\xfe\x00",
        ):
            one = self.raw()
            one.sendall(first + b"\n" + b'{"jsonrpc":"2.0","id":2,"method":"info"}\n')
            said = b""
            while chunk := one.recv(65_536):
                said += chunk
            lines = said.splitlines()
            self.assertEqual(len(lines), 1, first)
            code = json.loads(lines[0])["error"]["data"]["code"]
            self.assertIn(code, ("wrong_token", "parse_error", "invalid_request"))
        one = self.raw()
        one.sendall(b"x" * 8_192)
        self.assertEqual(one.recv(10), b"")

    def test_bad_lines_get_errors(self) -> None:
        client = self.opened()
        for line, code, id_ in (
            (b"", "parse_error", None),
            (b"{", "parse_error", None),
            (b"[" * 100_000, "parse_error", None),
            (b'{"id":NaN}', "parse_error", None),
            (b"1" * 10_000, "parse_error", None),
            (b"[]", "invalid_request", None),
            (b'{"jsonrpc":"2.0","method":"info"}', "invalid_request", None),
            (b'{"jsonrpc":"2.0","id":-1,"method":"info"}', "invalid_request", None),
            (b'{"jsonrpc":"2.0","id":true,"method":"info"}', "invalid_request", None),
            (b'{"jsonrpc":"1.0","id":5,"method":"info"}', "invalid_request", 5),
            (b'{"jsonrpc":"2.0","id":6,"method":7}', "invalid_request", 6),
            (b'{"jsonrpc":"2.0","id":7,"method":"nothing"}', "unknown_method", 7),
            (b'{"jsonrpc":"2.0","id":8,"method":"payment","params":[]}', "invalid_params", 8),
            (
                b'{"jsonrpc":"2.0","id":9,"method":"payment","params":{"key":"a b"}}',
                "invalid_params",
                9,
            ),
            (
                b'{"jsonrpc":"2.0","id":10,"method":"pay","params":{"key":"a","request":"x","amount_msat":1.0,"max_fee_msat":1}}',
                "invalid_params",
                10,
            ),
            (
                b'{"jsonrpc":"2.0","id":11,"method":"pay","params":{"key":"a","request":"x","amount_msat":9007199254740992,"max_fee_msat":1}}',
                "invalid_params",
                11,
            ),
            (
                b'{"jsonrpc":"2.0","id":12,"method":"payment","params":{"key":"\\ud800"}}',
                "invalid_params",
                12,
            ),
        ):
            client.socket.sendall(line + b"\n")
            answer = json.loads(client.line())
            self.assertEqual(
                (answer["error"]["data"]["code"], answer["id"]), (code, id_), line[:80]
            )

    def test_a_line_without_end_ends_the_connection(self) -> None:
        client = self.opened()
        with self.assertRaises(OSError):
            for _ in range(200):
                client.socket.sendall(b"x" * 65_536)

    def test_random_bytes_and_random_calls(self) -> None:
        seed = int.from_bytes(os.urandom(4), "big")
        chance = random.Random(seed)
        ends = time.monotonic() + 6
        rounds = 0
        while time.monotonic() < ends or rounds < 200:
            rounds += 1
            client = Client(self.process.folder)
            lines = [self._line(chance) for _ in range(chance.randrange(1, 12))]
            with self.subTest(seed=seed, round=rounds):
                client.socket.sendall(b"".join(lines))
                client.socket.shutdown(socket.SHUT_WR)
                while line := client.line():
                    answer = json.loads(line)
                    self.assertEqual(answer["jsonrpc"], "2.0")
                    if "error" in answer:
                        self.assertNotEqual(answer["error"]["data"]["code"], "internal", answer)
                client.close()
        self.assertIsNone(self.process.child.poll())

    def _line(self, chance: random.Random) -> bytes:
        if chance.random() < 0.3:
            return chance.randbytes(chance.randrange(1, 300)).replace(b"\n", b" ") + b"\n"
        call = {
            "jsonrpc": "2.0",
            "id": chance.randrange(1 << 32),
            "method": chance.choice(METHODS),
            "params": {
                name: self._value(chance, 0)
                for name in chance.sample(FIELDS, chance.randrange(0, 8))
            },
        }
        line = json.dumps(call).encode()
        if chance.random() < 0.3:
            at = chance.randrange(len(line))
            line = line[:at] + chance.randbytes(1).replace(b"\n", b"x") + line[at + 1 :]
        return line + b"\n"

    def _value(self, chance: random.Random, depth: int) -> Any:
        kind = chance.randrange(9 if depth < 3 else 7)
        if kind < 2:
            return chance.choice([None, True, False, 0, -1, 1, 1_000, 1 << 53, 1 << 63, 1 << 70])
        if kind == 2:
            return chance.uniform(-1e9, 1e9)
        if kind < 5:
            return "".join(
                chance.choice("a1:@é\u0000\ud800 \t~") for _ in range(chance.randrange(30))
            )
        if kind == 5:
            return chance.choice(
                ["bolt11", "spark", "onchain", "lnbcrt1", "sparkrt1p", "bc1q", "x@y.z"]
            )
        if kind == 6:
            return "k" * chance.randrange(10_000)
        if kind == 7:
            return [self._value(chance, depth + 1) for _ in range(3)]
        return {"a": self._value(chance, depth + 1)}

    def test_a_client_that_reads_nothing_holds_up_nobody(self) -> None:
        silent = self.opened()
        line = b'{"jsonrpc":"2.0","id":1,"method":"info","params":{}}\n'
        silent.socket.settimeout(0.5)
        try:
            for _ in range(20_000):
                silent.socket.sendall(line)
        except OSError:
            pass
        began = time.monotonic()
        self.process.call("info")
        self.assertLess(time.monotonic() - began, 3)

    def test_more_connections_than_places_wait_their_turn(self) -> None:
        held = [self.raw() for _ in range(80)]
        for one in held:
            one.close()
        self.opened()

    def test_a_second_process_is_kept_out(self) -> None:
        second = Process(
            self.process.folder, self.process.folder.parent / "operators.db", wait=False
        )
        self.assertEqual(second.child.wait(10), 3)
        assert second.child.stdin is not None
        second.child.stdin.close()
        self.assertIn("in_use", second.log.read_text())

    def test_without_words_nothing_starts(self) -> None:
        root = self.process.folder.parent
        for at, hello in enumerate(
            (
                b"\n",
                b"rubbish\n",
                b"[]\n",
                b'{"words":"a"}\n',
                b'{"network":"regtest","words":7}\n',
                b"x" * 20_000 + b"\n",
            )
        ):
            one = Process(root / f"mute{at}", root / "operators.db", hello=hello, wait=False)
            self.assertEqual(one.child.wait(10), 1, hello[:40])
            assert one.child.stdin is not None
            with contextlib.suppress(OSError):
                one.child.stdin.close()
            self.assertIn("no_words", one.log.read_text())

    def test_a_long_home_gets_a_short_socket(self) -> None:
        root = self.process.folder.parent / ("long" * 25)
        one = Process(root, self.process.folder.parent / "operators.db")
        path = Path(json.loads((root / "spark.json").read_text())["socket"])
        self.assertLess(len(str(path)), 100)
        self.assertEqual(path.parent.stat().st_mode & 0o777, 0o700)
        self.assertEqual((root / "spark.json").stat().st_mode & 0o777, 0o600)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        one.end()
        self.assertFalse(path.parent.exists())

    def test_it_ends_with_its_parent(self) -> None:
        root = self.process.folder.parent
        one = Process(root / "orphan", root / "operators.db")
        self.assertEqual(one.end(), 0)
        self.assertFalse((root / "orphan/spark.json").exists())


class Scripts(unittest.TestCase):
    """`setup` and `check` say what is missing."""

    def test_a_missing_environment_is_named(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            command = [str(Path(__file__).resolve().parents[1] / "check"), f"{folder}/none"]
            done = subprocess.run(command, capture_output=True, text=True)
            self.assertEqual(done.returncode, 1)
            found = json.loads(done.stdout)
            self.assertEqual((found["ok"], found["imports"]), (False, False))
            self.assertIn("setup", found["detail"])

    def test_a_missing_python_is_named(self) -> None:
        script = str(Path(__file__).resolve().parents[1] / "setup")
        with tempfile.TemporaryDirectory() as folder:
            env = {"PATH": os.environ["PATH"], "PILOTHOUSE_PYTHON": f"{folder}/python9"}
            done = subprocess.run(
                [script, f"{folder}/env"], capture_output=True, text=True, env=env
            )
            self.assertEqual(done.returncode, 1)
            self.assertIn("Python 3.11 or newer is needed", done.stderr)


if __name__ == "__main__":
    unittest.main()
