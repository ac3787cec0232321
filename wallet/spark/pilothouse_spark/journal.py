"""The process's own journal: payments and notices, on disk before anybody hears of them."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from .errors import Refusal
from .records import OVER, REQUESTED, UNKNOWN, Record

# Notices that were acknowledged are kept up to this many.
_NOTICES_KEPT = 10_000
_COLUMNS = tuple(field.name for field in fields(Record))
_SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
    key TEXT PRIMARY KEY, account TEXT NOT NULL, direction TEXT NOT NULL, rail TEXT NOT NULL,
    state TEXT NOT NULL, terms TEXT NOT NULL, amount_msat INTEGER, request TEXT,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, max_fee_msat INTEGER,
    fee_msat INTEGER, payment_hash TEXT, preimage TEXT, reference TEXT, uuid TEXT,
    handed INTEGER NOT NULL, standing INTEGER NOT NULL, payee TEXT, memo TEXT NOT NULL,
    expires_at INTEGER, detail TEXT
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS by_reference ON payments (direction, reference);
CREATE INDEX IF NOT EXISTS by_hash ON payments (payment_hash);
CREATE INDEX IF NOT EXISTS by_request ON payments (request);
CREATE INDEX IF NOT EXISTS by_time ON payments (created_at);
CREATE INDEX IF NOT EXISTS by_state ON payments (state);
CREATE TABLE IF NOT EXISTS notices (
    cursor INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, what TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""


def now_ms() -> int:
    """Now, in ms since 1970."""
    return time.time_ns() // 1_000_000


class Journal:
    """One SQLite file; every change is one transaction that is flushed before it returns."""

    def __init__(self, path: Path) -> None:
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            path.chmod(0o600)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise Refusal("journal", f"The journal cannot be opened ({error}).") from None

    def close(self) -> None:
        """Nothing works after that."""
        self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # Payments

    def save(self, record: Record, *, notice: bool = True) -> None:
        """Writes a payment and, in the same transaction, the notice of its new state."""
        record.updated_at = max(now_ms(), record.updated_at)
        values = asdict(record)
        marks = ", ".join(f":{name}" for name in _COLUMNS)
        sets = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name != "key")
        with self._transaction():
            self._db.execute(
                f"INSERT INTO payments ({', '.join(_COLUMNS)}) VALUES ({marks}) "
                f"ON CONFLICT (key) DO UPDATE SET {sets}",
                values,
            )
            if notice and not record.standing:
                self._notice({"notice": "payment", **record.shown()})

    def payment(self, key: str) -> Record | None:
        """The payment of this key."""
        return self._one("key = ?", key)

    def out_by_id(self, id_: str) -> Record | None:
        """Our own payment that the SDK knows by this id."""
        return self._one("direction = 'out' AND (reference = ? OR uuid = ?)", id_, id_)

    def in_by_hash(self, payment_hash: str) -> Record | None:
        """Our invoice of this payment hash."""
        return self._one("direction = 'in' AND payment_hash = ?", payment_hash)

    def in_by_request(self, request: str) -> Record | None:
        """Our Spark invoice, by its exact text; a standing address is none."""
        return self._one("direction = 'in' AND standing = 0 AND request = ?", request)

    def by_hash(self, direction: str, payment_hash: str) -> Record | None:
        """The payment of this hash: what arrived before what did not."""
        where = (
            "direction = ? AND payment_hash = ? "
            "ORDER BY state = 'settled' DESC, handed DESC, updated_at DESC"
        )
        return self._one(where, direction, payment_hash)

    def by_reference(self, direction: str, reference: str) -> Record | None:
        """The payment that the SDK knows by this id."""
        return self._one("direction = ? AND reference = ?", direction, reference)

    def out_by_target(self, payment_hash: str | None, request: str) -> Record | None:
        """A payment of ours to the same single-use request that has or may have arrived."""
        live = "direction = 'out' AND handed = 1 AND state != 'failed'"
        if payment_hash is not None:
            return self._one(f"{live} AND payment_hash = ?", payment_hash)
        return self._one(f"{live} AND request = ?", request)

    def unfinished(self, count: int) -> list[Record]:
        """Payments whose end is not known yet: ours first, then the oldest."""
        marks = ", ".join("?" for _ in OVER)
        order = "ORDER BY direction DESC, created_at LIMIT ?"
        where = f"standing = 0 AND state NOT IN ({marks}) {order}"
        return self._many(where, *OVER, count)

    def history(self, before: int | None, count: int) -> list[Record]:
        """Newest first, those made before a time; all of the last one's millisecond come too."""
        bound = before if before is not None else 1 << 62
        where = "standing = 0 AND created_at < ? ORDER BY created_at DESC, key LIMIT ?"
        page = self._many(where, bound, count)
        if len(page) < count or not page:
            return page
        last = page[-1].created_at
        whole = [record for record in page if record.created_at > last]
        same = self._many("standing = 0 AND created_at = ? ORDER BY key LIMIT 10000", last)
        return whole + same

    def never_handed(self) -> list[Record]:
        """Payments of a process that ended before the SDK was given them."""
        where = "direction = 'out' AND handed = 0 AND state = ? ORDER BY created_at"
        return self._many(where, REQUESTED)

    def pending_msat(self) -> tuple[int, int]:
        """What may come in, and what may still go out with its highest fee."""
        incoming = self._db.execute(
            "SELECT COALESCE(SUM(amount_msat), 0) FROM payments "
            "WHERE direction = 'in' AND standing = 0 AND state = 'pending' "
            "AND reference IS NOT NULL"
        ).fetchone()[0]
        outgoing = self._db.execute(
            "SELECT COALESCE(SUM(amount_msat + COALESCE(fee_msat, max_fee_msat, 0)), 0) "
            "FROM payments WHERE direction = 'out' AND handed = 1 AND state IN (?, ?)",
            ("pending", UNKNOWN),
        ).fetchone()[0]
        return incoming, outgoing

    def _one(self, where: str, *values: Any) -> Record | None:
        found = self._many(f"{where} LIMIT 1", *values)
        return found[0] if found else None

    def _many(self, where: str, *values: Any) -> list[Record]:
        query = f"SELECT {', '.join(_COLUMNS)} FROM payments WHERE {where}"
        return [Record(*row) for row in self._db.execute(query, values)]

    # Notices

    def tell(self, what: dict[str, Any]) -> None:
        """Adds a notice that belongs to no payment."""
        with self._transaction():
            self._notice(what)

    def _notice(self, what: dict[str, Any]) -> None:
        text = json.dumps(what)
        self._db.execute("INSERT INTO notices (at, what) VALUES (?, ?)", (now_ms(), text))

    def cursor(self) -> int:
        """Position of the newest notice, also where old ones were dropped."""
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'notices'").fetchone()
        return row[0] if row else 0

    def notices(self, after: int, count: int) -> list[dict[str, Any]]:
        """Notices after a cursor, oldest first."""
        rows = self._db.execute(
            "SELECT cursor, at, what FROM notices WHERE cursor > ? ORDER BY cursor LIMIT ?",
            (after, count),
        )
        return [{"cursor": c, "at": at, "what": json.loads(what)} for c, at, what in rows]

    def acknowledge(self, cursor: int) -> None:
        """What lies at and before this cursor was committed by who reads the notices."""
        with self._transaction():
            self._set("acknowledged", cursor)
            self._db.execute(
                "DELETE FROM notices WHERE cursor <= MIN(?, ?)",
                (cursor, self.cursor() - _NOTICES_KEPT),
            )

    # Facts of the wallet itself

    def fact(self, name: str) -> Any:
        """A remembered fact, or none."""
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def remember(self, name: str, value: Any) -> None:
        """Keeps a fact in place of the one before."""
        with self._transaction():
            self._set(name, value)

    def _set(self, name: str, value: Any) -> None:
        self._db.execute(
            "INSERT INTO facts (name, value) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, json.dumps(value)),
        )

    def copy_to(self, path: Path) -> None:
        """A whole copy of the journal as it is now."""
        with contextlib.closing(sqlite3.connect(path)) as copy:
            self._db.backup(copy)
        path.chmod(0o600)
