"""Against the REAL published package, without a network: what it does offline, through the socket.

Where Spark's operators can be reached from here, the tests that need them away are skipped.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

from pilothouse_spark import PACKAGE_VERSION, check
from tests.client import WORDS, Process, Refused
from tests.stand_in import bolt11

ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


class Package(unittest.TestCase):
    """One process over the real package, on Lightspark's regtest."""

    @classmethod
    def setUpClass(cls) -> None:
        cls._folder = tempfile.TemporaryDirectory(prefix="spark-")
        cls.addClassCleanup(cls._folder.cleanup)
        cls.root = Path(cls._folder.name)
        cls.process = Process(cls.root / "wallet")
        cls.addClassCleanup(cls.process.end)
        began = time.monotonic()
        cls.info: dict[str, Any] = cls.process.call("info")
        while cls.info["state"] in ("starting", "syncing") and time.monotonic() - began < 20:
            time.sleep(0.05)
            cls.info = cls.process.call("info")

    def setUp(self) -> None:
        if self.info["state"] == "ready":
            self.skipTest("Spark's operators answer here")

    def refused(self, code: str, method: str, **params: Any) -> dict[str, Any]:
        """The call is refused with this code."""
        with self.assertRaises(Refused) as caught:
            self.process.call(method, **params)
        self.assertEqual(caught.exception.code, code, caught.exception.body)
        return caught.exception.body

    def test_it_connects_without_the_network_and_claims_to_know_nothing(self) -> None:
        self.assertEqual((self.info["backend"], self.info["network"]), ("spark", "regtest"))
        self.assertRegex(self.info["node_id"], "^0[23][0-9a-f]{64}$")
        self.assertEqual(self.info["state"], "degraded")
        self.assertIn("not reachable", self.info["detail"])
        # The package says zero; nobody knows that.
        self.assertIsNone(self.info["balance"])

    def test_a_refresh_comes_back_and_says_that_nobody_answers(self) -> None:
        for _ in range(2):
            info = self.process.call("refresh")
            self.assertEqual((info["state"], info["balance"]), ("degraded", None))

    def test_what_is_paid_to_is_read(self) -> None:
        payment_hash = hashlib.sha256(b"one").hexdigest()
        invoice = bolt11.encode(payment_hash, 2_500, "coffee", int(time.time()), 600)
        quote = self.process.call("quote", request=invoice)
        self.assertEqual(
            [quote[name] for name in ("rail", "amount_msat", "payment_hash", "payee", "memo")],
            ["bolt11", 2_500_000, payment_hash, bolt11.PAYEE, "coffee"],
        )
        self.assertEqual(quote["waits_for"]["code"], "not_reachable")
        quote = self.process.call("quote", request=ADDRESS, amount_msat=50_000_000)
        self.assertEqual((quote["rail"], quote["payee"]), ("onchain", ADDRESS))
        # Offline the package calls this a lack of funds.
        self.assertEqual(quote["waits_for"]["code"], "not_reachable")
        self.refused("wrong_network", "quote", request="bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4")
        self.refused("resolve_first", "quote", request=f"bitcoin:{ADDRESS}?amount=0.001")
        offer = "lno1pg257enxv4ezqcneype82um50ynhxgrwdajx293pqglnyxw6q0hzngfdusg8umzuxe8kquuz7pjl90ldj8wadwgs0xlmc"
        self.refused("resolve_first", "quote", request=offer)
        for rubbish in ("rubbish", "lnbc1", "lnbcrt1qqqq", "sparkrt1pgss"):
            self.refused("bad_request", "quote", request=rubbish)

    def test_a_name_that_can_not_be_asked_is_no_bad_input(self) -> None:
        lnurl = "lnurl1dp68gurn8ghj7um9wfmxjcm99e3k7mf0v9cxj0m385ekvcenxc6r2c35xvukxefcv5mkvv34x5ekzd3ev56nyd3hxqurzepexejxxepnxscrvwfnv9nxzcn9xq6xyefhvgcxxcmyxymnserxfq5fns"
        for request in (lnurl, "someone@example.com"):
            body = self.refused("not_reachable", "quote", request=request)
            self.assertTrue(body["retryable"])

    def test_receiving_says_that_the_operators_are_away(self) -> None:
        for rail, msat in (("spark", None), ("spark", 5_000), ("onchain", None), ("bolt11", 5_000)):
            body = self.refused(
                "not_reachable",
                "receive",
                key=f"{rail}-{msat}",
                rail=rail,
                amount_msat=msat,
                memo="",
                expiry_secs=600,
            )
            self.assertIn("operators are not reachable", body["message"])
            self.assertEqual(body["exit"], "not_reachable")

    def test_paying_sends_nothing_and_says_so(self) -> None:
        asked = {"request": ADDRESS, "amount_msat": 50_000_000, "max_fee_msat": 1_000_000}
        self.refused("not_reachable", "pay", key="a", **asked)
        payment = self.process.call("payment", key="a")
        self.assertEqual((payment["state"], payment["reference"]), ("failed", None))
        self.refused("not_reachable", "pay", key="a", **asked)

    def test_lists_are_there_and_empty(self) -> None:
        history = self.process.call("history", before=None, count=10)
        self.assertEqual([one for one in history if one["reference"]], [])
        self.assertEqual(self.process.call("deposits"), [])
        self.refused("not_reachable", "claim_deposit", txid="00" * 32, vout=0, max_fee_msat=None)

    def test_a_backup_has_the_exit_state(self) -> None:
        report = self.process.call("backup")
        state = json.loads((Path(report["path"]) / "exit-state.json").read_text())
        self.assertEqual(state["identity_public_key"], self.info["node_id"])

    def test_mainnet_needs_a_key_and_says_so(self) -> None:
        process = Process(self.root / "mainnet", network="mainnet")
        self.addCleanup(process.end)
        info = process.until("degraded")
        self.assertIn("API key", info["detail"])
        with self.assertRaises(Refused) as caught:
            process.call("deposits")
        self.assertEqual(caught.exception.code, "api_key_missing")

    def test_other_networks_and_wrong_words_are_refused_by_name(self) -> None:
        for name, said, words in (
            ("signet", "no signet", WORDS),
            ("regtest", "checksum", "abandon " * 12),
            ("regtest", "not shown, since it names a secret", "Word count must be"),
        ):
            folder = self.root / hashlib.sha256(f"{name}{words}".encode()).hexdigest()[:8]
            process = Process(folder, network=name, words=words)
            self.addCleanup(process.end)
            self.assertIn(said, process.until("degraded")["detail"])

    def test_it_is_the_same_wallet_after_a_restart(self) -> None:
        process = Process(self.root / "again")
        process.until("degraded")
        first = process.call("info")["node_id"]
        process.kill()
        process = Process(self.root / "again")
        self.addCleanup(process.end)
        self.assertEqual(process.until("degraded")["node_id"], first)
        self.assertEqual(first, self.info["node_id"])

    def test_its_files_are_for_the_owner_alone_and_hold_no_words(self) -> None:
        searched = 0
        for path in (self.root / "wallet").rglob("*"):
            mode = path.stat().st_mode & 0o777
            self.assertEqual(mode & 0o077, 0, path)
            if path.is_file():
                searched += 1
                self.assertNotIn(b"sausage", path.read_bytes(), path)
        self.assertGreater(searched, 2)
        self.assertNotIn("sausage", self.process.log.read_text())
        with open(f"/proc/{self.process.child.pid}/cmdline", "rb") as line:
            self.assertNotIn(b"sausage", line.read())
        with open(f"/proc/{self.process.child.pid}/environ", "rb") as line:
            self.assertNotIn(b"sausage", line.read())
        with open(f"/proc/{self.process.child.pid}/limits", encoding="ascii") as limits:
            core = next(line for line in limits if line.startswith("Max core file size"))
        self.assertEqual(core.split()[4:6], ["0", "0"])


class Environment(unittest.TestCase):
    """What `doctor` reads."""

    def test_check_says_what_is_there(self) -> None:
        found = check.findings()
        self.assertEqual((found["ok"], found["version"]), (True, PACKAGE_VERSION), found)
        command = [sys.executable, "-I", "-m", "pilothouse_spark", "check"]
        printed = subprocess.run(
            command, capture_output=True, check=True, env={"PATH": os.environ["PATH"]}
        )
        self.assertEqual(json.loads(printed.stdout), found)


if __name__ == "__main__":
    unittest.main()
