"""What needs operators, driven through the STAND-IN: sends, receives, events, crashes."""

from __future__ import annotations

import json
import tempfile
import threading
import time
import unittest
from pathlib import Path
from typing import Any

from tests.client import OTHER_WORDS, WORDS, Client, Process, Refused
from tests.stand_in.operators import Operators
from tests.stand_in.sdk import identity


class StandInCase(unittest.TestCase):
    """One process over fresh operators, with 100,000 sats."""

    def setUp(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="spark-")
        self.addCleanup(self._folder.cleanup)
        self.root = Path(self._folder.name)
        self.operators = Operators(self.root / "operators.db")
        self.addCleanup(self.operators.close)
        self.me = identity(WORDS)
        self.operators.fund(self.me, 100_000)
        self.process = self.start()

    def start(self) -> Process:
        """The process, again where it ended."""
        self.process = Process(self.root / "wallet", self.operators.path)
        self.addCleanup(self.process.end)
        self.process.until("ready")
        return self.process

    def pay(self, key: str, request: str, sats: int, fee_sats: int = 1_000) -> Any:
        """Pays with the usual limits."""
        return self.process.call(
            "pay", key=key, request=request, amount_msat=sats * 1_000, max_fee_msat=fee_sats * 1_000
        )

    def refused(self, code: str, method: str, **params: Any) -> dict[str, Any]:
        """The call is refused with this code."""
        with self.assertRaises(Refused) as caught:
            self.process.call(method, **params)
        self.assertEqual(caught.exception.code, code, caught.exception.body)
        return caught.exception.body

    def sent(self) -> list[dict[str, Any]]:
        """What left the wallet, as the operators know."""
        return [row for row in self.operators.payments(self.me) if row["type"] == "send"]

    def outside(self, sats: int | None, memo: str = "m", expiry: int = 600) -> str:
        """A Lightning invoice of somebody else."""
        return self.operators.invoice("outside", sats, memo, expiry)


class Paying(StandInCase):
    """`quote`, `pay`, `payment`."""

    def test_bolt11_is_quoted_paid_and_proved(self) -> None:
        invoice = self.outside(2_000, "two thousand")
        quote = self.process.call("quote", request=invoice)
        self.assertEqual(
            (quote["rail"], quote["amount_msat"], quote["max_fee_msat"], quote["memo"]),
            ("bolt11", 2_000_000, 11_000, "two thousand"),
        )
        self.assertIsNone(quote["waits_for"])
        self.assertIsNone(quote["refused"])
        paid = self.pay("a", invoice, 2_000)
        self.assertEqual((paid["state"], paid["fee_msat"]), ("settled", 11_000))
        self.assertEqual(paid["preimage"], self.operators.known(invoice)["preimage"])
        self.assertEqual(paid["payment_hash"], quote["payment_hash"])
        self.assertEqual(self.sent()[0]["id"], paid["reference"])
        for by in ({"payment_hash": paid["payment_hash"]}, {"reference": paid["reference"]}):
            found = self.process.call("look_up", key="none", direction="out", **by)
            self.assertEqual((found["key"], found["state"]), ("a", "settled"))
            self.refused("no_such_payment", "look_up", key="none", direction="in", **by)
        self.refused("no_such_payment", "look_up", key="none", direction="out")
        self.process.call("refresh")
        balance = self.process.call("info")["balance"]
        self.assertEqual(balance["spendable_msat"], 100_000_000 - 2_011_000)

    def test_spark_address_invoice_and_onchain(self) -> None:
        other = identity(OTHER_WORDS)
        paid = self.pay("address", f"sparkrt1p{other}", 700)
        self.assertEqual((paid["rail"], paid["state"], paid["fee_msat"]), ("spark", "settled", 0))
        again = self.pay("address-2", f"sparkrt1p{other}", 700)
        self.assertEqual(again["state"], "settled")
        invoice = self.operators.spark_invoice(other, 900, "memo", int(time.time()) + 600)
        self.assertEqual(self.pay("invoice", invoice, 900)["state"], "settled")
        with self.assertRaises(Refused) as caught:
            self.pay("invoice-2", invoice, 900)
        self.assertEqual(caught.exception.code, "already_paid")
        address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
        fast = self.pay("fast", address, 5_000, fee_sats=1_000)
        self.assertEqual((fast["rail"], fast["fee_msat"]), ("onchain", 1_000_000))
        slow = self.pay("slow", address, 5_000, fee_sats=250)
        self.assertEqual(slow["fee_msat"], 200_000)
        with self.assertRaises(Refused) as caught:
            self.pay("none", address, 5_000, fee_sats=199)
        self.assertEqual(caught.exception.code, "fee_exceeds")
        self.assertEqual(self.operators.balance(other), 700 + 700 + 900)

    def test_the_same_call_again_is_the_same_payment(self) -> None:
        invoice = self.outside(2_000)
        first = self.pay("a", invoice, 2_000)
        self.assertEqual(self.pay("a", invoice, 2_000), first)
        for params in (
            {"request": invoice, "amount_msat": 1_000_000, "max_fee_msat": 1_000_000},
            {"request": self.outside(2_000), "amount_msat": 2_000_000, "max_fee_msat": 1_000_000},
        ):
            self.refused("key_reused", "pay", key="a", **params)
        with self.assertRaises(Refused) as caught:
            self.pay("b", invoice, 2_000)
        self.assertEqual(caught.exception.code, "already_paid")
        self.assertEqual(len(self.sent()), 1)

    def test_many_at_once_under_one_key_send_once(self) -> None:
        invoice, answers = self.outside(2_000), []

        def ask() -> None:
            client = self.process.connect()
            answers.append(
                client.call(
                    "pay", key="a", request=invoice, amount_msat=2_000_000, max_fee_msat=1_000_000
                )
            )
            client.close()

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual({answer["state"] for answer in answers}, {"settled"})
        self.assertEqual((len(answers), len(self.sent())), (12, 1))
        self.assertEqual(self.operators.count("sends"), 1)

    def test_amounts_are_never_rounded(self) -> None:
        amountless = self.outside(None)
        body = self.refused(
            "msat_fraction", "pay", key="a", request=amountless, amount_msat=1_500, max_fee_msat=0
        )
        self.assertIn("1500 msat", body["message"])
        invoice = self.outside(2)
        self.refused(
            "amount_mismatch", "pay", key="b", request=invoice, amount_msat=2_001, max_fee_msat=0
        )
        self.assertEqual(self.sent(), [])
        paid = self.pay("c", amountless, 3)
        self.assertEqual((paid["state"], paid["amount_msat"]), ("settled", 3_000))

    def test_what_can_not_be_paid_is_named(self) -> None:
        fee = self.outside(2_000)
        asked = {"amount_msat": 2_000_000, "max_fee_msat": 10_999}
        self.refused("fee_exceeds", "pay", key="fee", request=fee, **asked)
        self.assertEqual(self.process.call("payment", key="fee")["state"], "failed")
        self.assertEqual(self.pay("fee-2", fee, 2_000)["state"], "settled")
        much = self.outside(100_001)
        asked = {"amount_msat": 100_001_000, "max_fee_msat": 10_000_000}
        self.refused("insufficient_balance", "pay", key="much", request=much, **asked)
        self.assertEqual(
            self.process.call("quote", request=much)["refused"]["code"], "insufficient_balance"
        )
        own = self.process.call(
            "receive", key="own", rail="bolt11", amount_msat=1_000, memo="", expiry_secs=60
        )
        asked = {"amount_msat": 1_000, "max_fee_msat": 1_000}
        self.refused("own_invoice", "pay", key="self", request=own["text"], **asked)
        mainnet = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
        self.refused("wrong_network", "pay", key="net", request=mainnet, **asked)
        self.refused("bad_request", "pay", key="bad", request="rubbish", **asked)
        self.refused("not_reachable", "pay", key="la", request="a@example.com", **asked)
        self.refused("not_reachable", "quote", request="lnurl1dp68gurn8ghj7um9wfmx")
        self.refused("no_such_payment", "payment", key="net")
        old = self.outside(5, expiry=1)
        time.sleep(1.1)
        self.refused(
            "expired", "pay", key="old", request=old, amount_msat=5_000, max_fee_msat=5_000
        )

    def test_a_try_that_left_nothing_can_be_repeated(self) -> None:
        self.operators.mood("refused")
        invoice = self.outside(2_000)
        asked = {"request": invoice, "amount_msat": 2_000_000, "max_fee_msat": 1_000_000}
        self.refused("insufficient_balance", "pay", key="a", **asked)
        self.assertEqual(self.process.call("payment", key="a")["state"], "failed")
        self.assertEqual(self.pay("a", invoice, 2_000)["state"], "settled")
        self.assertEqual(len(self.sent()), 1)

    def test_pending_ends_by_event_and_failed_is_no_money(self) -> None:
        for key, status, state in (("a", "completed", "settled"), ("b", "failed", "failed")):
            self.operators.mood("pending")
            invoice = self.outside(2_000)
            paid = self.pay(key, invoice, 2_000)
            self.assertEqual((paid["state"], paid["preimage"]), ("pending", None))
            preimage = self.operators.known(invoice)["preimage"]
            self.operators.end(paid["reference"], status, preimage)
            self.process.until(state, key)
        self.process.call("refresh")
        spendable = self.process.call("info")["balance"]["spendable_msat"]
        self.assertEqual(spendable, 100_000_000 - 2_011_000)

    def test_a_wrong_preimage_is_no_proof(self) -> None:
        self.operators.mood("pending")
        paid = self.pay("a", self.outside(2_000), 2_000)
        self.operators.end(paid["reference"], "completed", "00" * 32)
        self.assertIsNone(self.process.until("settled", "a")["preimage"])


class Unknown(StandInCase):
    """Answers that never came, and processes that ended in the middle."""

    def test_a_lost_answer_is_looked_up_and_never_sent_twice(self) -> None:
        self.operators.mood("lost")
        invoice = self.outside(2_000)
        paid = self.pay("a", invoice, 2_000)
        self.assertEqual(paid["state"], "unknown")
        self.assertIn("looked up", paid["detail"])
        self.assertEqual(self.process.call("info")["balance"]["pending_out_msat"], 3_000_000)
        self.process.call("refresh")
        settled = self.process.call("payment", key="a")
        self.assertEqual((settled["state"], settled["fee_msat"]), ("settled", 11_000))
        self.assertEqual(len(self.sent()), 1)
        self.assertEqual(self.operators.count("sends"), 1)

    def test_a_send_that_hangs_is_unknown_and_goes_on(self) -> None:
        self.operators.mood("hang")
        invoice = self.outside(2_000)
        began = time.monotonic()
        self.assertEqual(self.pay("a", invoice, 2_000)["state"], "unknown")
        self.assertLess(time.monotonic() - began, 5)
        self.assertIn(self.pay("a", invoice, 2_000)["state"], ("unknown", "settled"))
        self.process.call("refresh")
        self.assertEqual(self.process.call("payment", key="a")["state"], "settled")
        self.assertEqual((len(self.sent()), self.operators.count("sends")), (1, 1))

    def test_what_was_dropped_is_sent_again_only_under_the_same_uuid(self) -> None:
        self.operators.mood("dropped")
        invoice = self.outside(2_000)
        self.assertEqual(self.pay("a", invoice, 2_000)["state"], "unknown")
        # Not before the operators were heard again.
        self.operators.set_offline(True)
        self.process.call("refresh")
        self.assertEqual(self.pay("a", invoice, 2_000)["state"], "unknown")
        self.operators.set_offline(False)
        self.assertEqual(self.operators.count("sends"), 1)
        self.assertFalse(self.process.call("payment", key="a")["heard"])
        self.process.call("refresh")
        found = self.process.call("payment", key="a")
        self.assertEqual((found["state"], found["heard"]), ("unknown", True))
        self.assertEqual(self.pay("a", invoice, 2_000)["state"], "settled")
        self.assertEqual((len(self.sent()), self.operators.count("sends")), (1, 2))

    def test_killed_between_send_and_record(self) -> None:
        self.operators.mood("hang")
        invoice = self.outside(2_000)
        thread = threading.Thread(target=self._pay_and_lose, args=("a", invoice))
        thread.start()
        until = time.monotonic() + 5
        while not self.sent() and time.monotonic() < until:
            time.sleep(0.01)
        self.process.kill()
        thread.join()
        uuid = self.sent()[0]["id"]
        # Nobody knows while the operators are away.
        self.operators.set_offline(True)
        self.process = Process(self.root / "wallet", self.operators.path)
        self.addCleanup(self.process.end)
        self.assertEqual(self.process.until("unknown", "a")["reference"], None)
        self.assertEqual(self.pay("a", invoice, 2_000)["state"], "unknown")
        self.operators.set_offline(False)
        self.process.until("ready")
        self.assertEqual(self.pay("a", invoice, 2_000)["state"], "settled")
        self.assertEqual([row["id"] for row in self.sent()], [uuid])
        self.assertEqual(self.process.call("payment", key="a")["reference"], uuid)

    def test_killed_at_any_moment(self) -> None:
        requests = {}
        for at, wait_ms in enumerate((0, 2, 5, 8, 12, 20, 40)):
            key, invoice = f"k{at}", self.outside(100 + at)
            requests[key] = invoice
            thread = threading.Thread(target=self._pay_and_lose, args=(key, invoice))
            thread.start()
            time.sleep(wait_ms / 1_000)
            self.process.kill()
            thread.join()
            self.start()
            self.process.call("refresh")
            self.assertEqual(self.pay(key, invoice, 100 + at)["state"], "settled", wait_ms)
        self.assertEqual(len(self.sent()), len(requests))
        spent = sum(row["amount"] + row["fees"] for row in self.sent())
        self.process.call("refresh")
        spendable = self.process.call("info")["balance"]["spendable_msat"]
        self.assertEqual(spendable, (100_000 - spent) * 1_000)

    def _pay_and_lose(self, key: str, invoice: str) -> None:
        sats = self.operators.known(invoice)["amount"]
        try:
            client = Client(self.process.folder)
            client.call(
                "pay", key=key, request=invoice, amount_msat=sats * 1_000, max_fee_msat=1_000_000
            )
        except (OSError, ValueError):
            pass


class Receiving(StandInCase):
    """`receive`, events, deposits."""

    def receive(self, key: str, rail: str, msat: int | None) -> Any:
        """Asks for a payment request."""
        return self.process.call(
            "receive", key=key, rail=rail, amount_msat=msat, memo="for tea", expiry_secs=600
        )

    def test_each_rail_once_per_key(self) -> None:
        for rail, msat in (
            ("bolt11", 5_000),
            ("bolt11", None),
            ("spark", 7_000),
            ("spark", None),
            ("onchain", None),
        ):
            key = f"{rail}-{msat}"
            made = self.receive(key, rail, msat)
            self.assertEqual((made["rail"], made["amount_msat"]), (rail, msat))
            self.assertEqual(self.receive(key, rail, msat), made)
            with self.assertRaises(Refused) as caught:
                self.receive(key, rail, 9_000)
            self.assertEqual(caught.exception.code, "key_reused")
        for rail, msat, code in (
            ("bolt11", 5_001, "msat_fraction"),
            ("bolt12", None, "unsupported_rail"),
            ("bolt11", 0, "unsupported_amount"),
            ("cash", 5_000, "invalid_params"),
        ):
            with self.assertRaises(Refused) as caught:
                self.receive("bad", rail, msat)
            self.assertEqual(caught.exception.code, code)
        self.operators.set_offline(True)
        with self.assertRaises(Refused) as caught:
            self.receive("down", "spark", None)
        self.assertEqual(caught.exception.code, "not_reachable")
        self.assertIn("operators are not reachable", caught.exception.body["message"])

    def test_paid_by_exact_hash_or_exact_invoice(self) -> None:
        lightning, spark = self.receive("ln", "bolt11", 5_000), self.receive("sp", "spark", 7_000)
        address = self.receive("ad", "spark", None)
        self.assertIn("sparkrt1p", address["text"])
        first = self.operators.pay_from_outside(lightning["text"])
        self.operators.pay_from_outside(spark["text"])
        got = self.process.until("settled", "ln")
        self.assertEqual((got["amount_msat"], got["reference"]), (5_000, first))
        self.assertIsNotNone(got["preimage"])
        self.assertEqual(self.process.until("settled", "sp")["amount_msat"], 7_000)
        # Money to an address is a payment of its own, and never guessed to be somebody's.
        self.operators.fund(self.me, 7)
        self.process.call("refresh")
        self.assertEqual(self.process.call("payment", key="ad")["state"], "pending")
        history = self.process.call("history", before=None, count=100)
        self.assertEqual(sum(one["amount_msat"] for one in history), 100_000_000 + 5_000 + 14_000)
        # Paid twice: the second one is money of its own, too.
        self.operators.pay_from_outside(spark["text"])
        self.process.call("refresh")
        history = self.process.call("history", before=None, count=100)
        self.assertEqual([one["amount_msat"] for one in history].count(7_000), 3)

    def test_events_wait_resume_and_survive(self) -> None:
        cursor = self.process.call("info")["cursor"]
        lightning = self.receive("ln", "bolt11", 5_000)
        waiter = self.process.connect()
        notices = waiter.call("events", after=cursor, wait_ms=0)
        self.assertEqual([n["what"]["state"] for n in notices], ["pending"])
        cursor = notices[-1]["cursor"]
        began = time.monotonic()
        self.assertEqual(waiter.call("events", after=cursor, wait_ms=200), [])
        self.assertGreater(time.monotonic() - began, 0.15)
        threading.Timer(0.3, self.operators.pay_from_outside, (lightning["text"],)).start()
        notices = waiter.call("events", after=cursor, wait_ms=10_000)
        self.assertEqual(notices[0]["what"]["key"], "ln")
        self.assertEqual(notices[0]["what"]["state"], "settled")
        self.process.call("acknowledge", cursor=notices[0]["cursor"])
        self.process.kill()
        # What happens while nobody listens is told afterwards.
        self.operators.fund(self.me, 4_321)
        self.start()
        self.assertEqual(self.process.call("info")["acknowledged"], notices[0]["cursor"])
        told = self.process.call("events", after=None, wait_ms=0)
        self.assertTrue(all(n["cursor"] > notices[0]["cursor"] for n in told))
        amounts = [n["what"].get("amount_msat") for n in told if n["what"]["notice"] == "payment"]
        self.assertEqual(amounts.count(4_321_000), 1)
        balances = [n["what"] for n in told if n["what"]["notice"] == "balance"]
        self.assertEqual(balances[-1]["spendable_msat"], 100_000_000 + 5_000 + 4_321_000)
        self.refused("unknown_cursor", "events", after=1_000_000, wait_ms=0)

    def test_deposits_are_listed_and_claimed(self) -> None:
        txid = self.operators.deposit(self.me, 50_000)
        until = time.monotonic() + 5
        while not self.process.call("deposits") and time.monotonic() < until:
            time.sleep(0.02)
        listed = self.process.call("deposits")
        self.assertEqual((listed[0]["txid"], listed[0]["amount_msat"]), (txid, 50_000_000))
        self.process.call("refresh")
        self.assertEqual(self.process.call("info")["balance"]["onchain_msat"], 50_000_000)
        self.refused("fee_exceeds", "claim_deposit", txid=txid, vout=0, max_fee_msat=149_000)
        self.refused("msat_fraction", "claim_deposit", txid=txid, vout=0, max_fee_msat=149_001)
        claimed = self.process.call("claim_deposit", txid=txid, vout=0, max_fee_msat=150_000)
        self.assertEqual(claimed["outcome"], "settled")
        self.refused("no_such_deposit", "claim_deposit", txid=txid, vout=0, max_fee_msat=None)
        self.process.call("refresh")
        balance = self.process.call("info")["balance"]
        self.assertEqual((balance["spendable_msat"], balance["onchain_msat"]), (149_850_000, 0))
        history = self.process.call("history", before=None, count=10)
        self.assertEqual({one["rail"] for one in history}, {"onchain", "spark"})

    def test_history_is_paged_newest_first(self) -> None:
        for sats in range(1, 31):
            self.operators.fund(self.me, sats)
        self.process.call("refresh")
        seen: list[str] = []
        before = None
        while page := self.process.call("history", before=before, count=7):
            self.assertEqual(
                [p["created_at"] for p in page],
                sorted((p["created_at"] for p in page), reverse=True),
            )
            seen += [one["key"] for one in page]
            before = page[-1]["created_at"]
        self.assertEqual((len(seen), len(set(seen))), (31, 31))


class Standing(StandInCase):
    """The process itself: network, identity, backup."""

    def test_the_last_known_balance_is_served_while_nobody_answers(self) -> None:
        self.operators.set_offline(True)
        info = self.process.call("refresh")
        self.assertEqual(info["state"], "degraded")
        self.assertIn("not reachable", info["detail"])
        self.assertEqual(info["balance"]["spendable_msat"], 100_000_000)
        as_of = info["balance"]["as_of"]
        self.process.kill()
        self.process = Process(self.root / "wallet", self.operators.path)
        self.addCleanup(self.process.end)
        self.process.until("degraded")
        info = self.process.call("info")
        self.assertEqual(info["balance"]["spendable_msat"], 100_000_000)
        self.assertEqual(info["balance"]["as_of"], as_of)
        # Not a lack of funds, not a wrong request: nobody answers.
        invoice = self.outside(2_000)
        asked = {"amount_msat": 2_000_000, "max_fee_msat": 1_000_000}
        self.refused("not_reachable", "pay", key="a", request=invoice, **asked)
        quote = self.process.call("quote", request=invoice)
        self.assertEqual(
            (quote["waits_for"]["code"], quote["max_fee_msat"]), ("not_reachable", None)
        )
        self.operators.set_offline(False)
        self.process.until("ready")
        self.assertEqual(self.pay("a", invoice, 2_000)["state"], "settled")

    def test_other_words_stop_everything(self) -> None:
        self.process.end()
        changed = Process(self.root / "wallet", self.operators.path, words=OTHER_WORDS)
        self.addCleanup(changed.end)
        info = changed.until("degraded")
        self.assertIn("Nothing was started", info["detail"])
        with self.assertRaises(Refused) as caught:
            changed.call("receive", key="a", rail="spark", amount_msat=None, memo="", expiry_secs=9)
        self.assertEqual(caught.exception.code, "wallet_changed")

    def test_a_backup_holds_the_journal_and_no_words(self) -> None:
        report = self.process.call("backup")
        folder = Path(report["path"])
        self.assertEqual(sorted(path.name for path in folder.iterdir()), sorted(report["includes"]))
        self.assertEqual(report["includes"], ["journal.db", "exit-state.json"])
        for path in folder.iterdir():
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)
            self.assertNotIn(b"winner", path.read_bytes())

    def test_no_file_and_no_log_holds_the_words(self) -> None:
        self.pay("a", self.outside(10), 10)
        self.process.end()
        bad = "zebra canary canary"
        broken = Process(self.root / "bad", self.operators.path, words=bad)
        self.addCleanup(broken.end)
        broken.until("degraded")
        self.assertNotIn("canary", json.dumps(broken.call("info")))
        broken.end()
        needles = (WORDS.encode(), b"sausage", b"canary")
        searched = 0
        for path in self.root.rglob("*"):
            if path.is_file():
                searched += 1
                content = path.read_bytes()
                self.assertFalse([n for n in needles if n in content], path)
        self.assertGreater(searched, 5)

    def test_shutdown_ends_it_in_order(self) -> None:
        self.assertIs(self.process.call("shutdown"), True)
        self.assertEqual(self.process.child.wait(10), 0)
        self.assertFalse((self.root / "wallet/spark.json").exists())


if __name__ == "__main__":
    unittest.main()
