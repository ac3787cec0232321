"""The stand-in's operators: one SQLite file that outlives the wallet processes that use it."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
import time
import uuid
from pathlib import Path
from typing import Any

from . import bolt11

_SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
    id TEXT, wallet TEXT, type TEXT, status TEXT, amount INTEGER, fees INTEGER, at INTEGER,
    method TEXT, details TEXT, version INTEGER, stored INTEGER, PRIMARY KEY (id, type)
);
CREATE TABLE IF NOT EXISTS invoices (
    text TEXT PRIMARY KEY, wallet TEXT, kind TEXT, amount INTEGER, hash TEXT, preimage TEXT,
    memo TEXT, expires_at INTEGER
);
CREATE TABLE IF NOT EXISTS deposits (
    wallet TEXT, txid TEXT, vout INTEGER, amount INTEGER, mature INTEGER, PRIMARY KEY (txid, vout)
);
CREATE TABLE IF NOT EXISTS moods (at INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT);
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, value INTEGER);
"""


class Operators:
    """What the operators of a test know, and what a test does with them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Lets go of the file."""
        self._db.close()

    def _all(self, query: str, *values: Any) -> list[Any]:
        return list(self._db.execute(query, values))

    # What a test sets

    def count(self, name: str, add: int = 0) -> int:
        """A counter, raised by so many."""
        if add:
            self._db.execute(
                "INSERT INTO counts VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
                (name, add),
            )
        found = self._all("SELECT value FROM counts WHERE name = ?", name)
        return found[0][0] if found else 0

    def set_offline(self, offline: bool) -> None:
        """Whether nothing of the operators answers."""
        self.count("offline", int(offline) - self.count("offline"))

    def offline(self) -> bool:
        """Whether nothing of the operators answers."""
        return self.count("offline") == 1

    def mood(self, what: str) -> None:
        """How the next send goes: `hang`, `lost`, `dropped`, `pending`, `refused`."""
        self._db.execute("INSERT INTO moods (what) VALUES (?)", (what,))

    def next_mood(self) -> str:
        """Takes the oldest mood."""
        taken = self._all("DELETE FROM moods WHERE at = (SELECT MIN(at) FROM moods) RETURNING what")
        return taken[0][0] if taken else ""

    # Money

    def fund(self, wallet: str, amount: int) -> None:
        """A Spark transfer from somebody else."""
        details = {"invoice": None, "memo": ""}
        self.add(str(uuid.uuid4()), wallet, "receive", "completed", amount, 0, "spark", details)

    def balance(self, wallet: str) -> int:
        """Received less sent, as far as it did not fail."""
        inward = self._all(
            "SELECT COALESCE(SUM(amount), 0) FROM payments "
            "WHERE wallet = ? AND type = 'receive' AND status = 'completed'",
            wallet,
        )[0][0]
        outward = self._all(
            "SELECT COALESCE(SUM(amount + fees), 0) FROM payments "
            "WHERE wallet = ? AND type = 'send' AND status != 'failed'",
            wallet,
        )[0][0]
        return inward - outward

    def add(
        self,
        id_: str,
        wallet: str,
        type_: str,
        status: str,
        amount: int,
        fees: int,
        method: str,
        details: dict[str, Any],
    ) -> None:
        """A new payment; the same id twice is an error, as it is there."""
        self._db.execute(
            "INSERT INTO payments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
            (
                id_,
                wallet,
                type_,
                status,
                amount,
                fees,
                int(time.time()),
                method,
                json.dumps(details),
                self.count("version", 1),
            ),
        )

    def end(self, id_: str, status: str, preimage: str | None = None) -> None:
        """A pending payment ends."""
        for type_, details in self._all("SELECT type, details FROM payments WHERE id = ?", id_):
            changed = json.loads(details) | ({"preimage": preimage} if preimage else {})
            self._db.execute(
                "UPDATE payments SET status = ?, details = ?, version = ? "
                "WHERE id = ? AND type = ?",
                (status, json.dumps(changed), self.count("version", 1), id_, type_),
            )

    def payments(self, wallet: str) -> list[dict[str, Any]]:
        """All payments of a wallet, oldest first."""
        self._db.row_factory = sqlite3.Row
        rows = self._all("SELECT * FROM payments WHERE wallet = ? ORDER BY at, version", wallet)
        self._db.row_factory = None
        return [dict(row) | {"details": json.loads(row["details"])} for row in rows]

    def store(self, wallet: str, id_: str | None = None) -> None:
        """The wallet's own storage hears of a payment, or of all."""
        self._db.execute(
            "UPDATE payments SET stored = 1 WHERE wallet = ? AND (? IS NULL OR id = ?)",
            (wallet, id_, id_),
        )

    # Requests

    def invoice(self, wallet: str, amount: int | None, memo: str, expiry: int) -> str:
        """A Lightning invoice of a wallet, or of somebody outside."""
        preimage = secrets.token_bytes(32)
        payment_hash = hashlib.sha256(preimage).hexdigest()
        now = int(time.time())
        text = bolt11.encode(payment_hash, amount, memo, now, expiry)
        self._db.execute(
            "INSERT INTO invoices VALUES (?, ?, 'bolt11', ?, ?, ?, ?, ?)",
            (text, wallet, amount, payment_hash, preimage.hex(), memo, now + expiry),
        )
        return text

    def spark_invoice(self, wallet: str, amount: int, memo: str | None, ends: int) -> str:
        """A Spark invoice; its text is the stand-in's own."""
        text = f"sparkrt1{os.urandom(24).hex()}"
        self._db.execute(
            "INSERT INTO invoices VALUES (?, ?, 'spark', ?, NULL, NULL, ?, ?)",
            (text, wallet, amount, memo, ends),
        )
        return text

    def known(self, text: str) -> dict[str, Any] | None:
        """The invoice of this text."""
        names = ("text", "wallet", "kind", "amount", "hash", "preimage", "memo", "expires_at")
        rows = self._all("SELECT * FROM invoices WHERE text = ?", text)
        return dict(zip(names, rows[0], strict=True)) if rows else None

    def pay_from_outside(self, text: str, amount: int | None = None) -> str:
        """Somebody pays an invoice of a wallet."""
        invoice = self.known(text)
        if invoice is None:
            raise ValueError("no such invoice")
        id_ = str(uuid.uuid4())
        method = "lightning" if invoice["kind"] == "bolt11" else "spark"
        details = {name: invoice[name] for name in ("hash", "preimage", "memo")}
        details["invoice"] = text
        got = amount if amount is not None else invoice["amount"]
        self.add(id_, invoice["wallet"], "receive", "completed", got, 0, method, details)
        return id_

    def deposit(self, wallet: str, amount: int) -> str:
        """Coins that arrived on chain."""
        txid = os.urandom(32).hex()
        self._db.execute("INSERT INTO deposits VALUES (?, ?, 0, ?, 1)", (wallet, txid, amount))
        self.count("version", 1)
        return txid

    def deposits(self, wallet: str) -> list[tuple[str, int, int, int]]:
        """Deposits that were not claimed."""
        query = "SELECT txid, vout, amount, mature FROM deposits WHERE wallet = ?"
        return self._all(query, wallet)

    def take_deposit(self, wallet: str, txid: str, vout: int) -> int | None:
        """Claims a deposit; its amount."""
        taken = self._all(
            "DELETE FROM deposits WHERE wallet = ? AND txid = ? AND vout = ? RETURNING amount",
            wallet,
            txid,
            vout,
        )
        return taken[0][0] if taken else None
