"""Reading a call's parameters: exact types, bounded sizes, unknown fields left alone."""

from __future__ import annotations

from typing import Any

from .amounts import MAX_MSAT
from .errors import invalid

MAX_REQUEST_BYTES = 8_192
MAX_MEMO_BYTES = 639
RAILS = ("bolt11", "bolt12", "onchain", "spark", "keysend", "ecash")


class Fields:
    """The parameters of one call."""

    def __init__(self, params: Any) -> None:
        if params is None:
            params = {}
        if not isinstance(params, dict):
            raise invalid("the parameters are no object")
        self._params: dict[str, Any] = params

    def _get(self, name: str) -> Any:
        value = self._params.get(name)
        if value is None:
            raise invalid(f"the field {name} is missing")
        return value

    def text(self, name: str, most_bytes: int) -> str:
        """Text of at most so many bytes in UTF-8."""
        value = self._get(name)
        if not isinstance(value, str):
            raise invalid(f"the field {name} is no text")
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise invalid(f"the field {name} is no proper text") from None
        if size > most_bytes:
            raise invalid(f"the field {name} is longer than {most_bytes} bytes")
        return value

    def optional_text(self, name: str, most_bytes: int) -> str | None:
        """Like `text`; absent and null are none."""
        return None if self._params.get(name) is None else self.text(name, most_bytes)

    def key(self) -> str:
        """1 to 200 visible ASCII characters, as `domain::IdempotencyKey`."""
        value = self.text("key", 200)
        if not value or not all("!" <= letter <= "~" for letter in value):
            raise invalid("a key has 1 to 200 visible ASCII characters and no spaces")
        return value

    def request(self) -> str:
        """What is to be paid: one word of visible ASCII."""
        value = self.text("request", MAX_REQUEST_BYTES).strip()
        if not value or not all("!" <= letter <= "~" for letter in value):
            raise invalid("a payment request is one word of visible ASCII")
        return value

    def number(self, name: str, least: int, most: int) -> int:
        """A whole number between two bounds; `true` is none."""
        value = self._get(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise invalid(f"the field {name} is no whole number")
        if not least <= value <= most:
            raise invalid(f"the field {name} is not between {least} and {most}")
        return value

    def optional_number(self, name: str, least: int, most: int) -> int | None:
        """Like `number`; absent and null are none."""
        return None if self._params.get(name) is None else self.number(name, least, most)

    def amount(self, name: str) -> int:
        """An amount in msat."""
        return self.number(name, 0, MAX_MSAT)

    def optional_amount(self, name: str) -> int | None:
        """Like `amount`; absent and null are none."""
        return self.optional_number(name, 0, MAX_MSAT)

    def optional_hash(self, name: str) -> str | None:
        """32 bytes in lower hex."""
        value = self.optional_text(name, 64)
        if value is not None and (len(value) != 64 or set(value) - set("0123456789abcdef")):
            raise invalid(f"the field {name} has 64 hex digits")
        return value

    def reference(self) -> str | None:
        """The SDK's id of a payment."""
        return self.optional_text("reference", 200)

    def direction(self) -> str:
        """`in` or `out`."""
        value = self.text("direction", 3)
        if value not in ("in", "out"):
            raise invalid(f"{value!r} is no direction")
        return value

    def rail(self) -> str:
        """One of the wire's rails."""
        value = self.text("rail", 16)
        if value not in RAILS:
            raise invalid(f"{value!r} is no rail")
        return value

    def account(self) -> str:
        """Whose payment it is; this process has no accounts and only repeats it."""
        return self.optional_text("account", 40) or "operator"
