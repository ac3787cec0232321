"""Lightning invoices of the stand-in, properly signed, so that any decoder takes them (BOLT 11)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

_P = 2**256 - 2**32 - 977
_N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)
_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_SECRET = 0x5150415254
_Point = tuple[int, int] | None


@dataclass(frozen=True)
class Invoice:
    """What an invoice says."""

    text: str
    payment_hash: str
    payee: str
    amount_sats: int | None
    memo: str
    made_at: int
    expiry_secs: int


def _add(a: _Point, b: _Point) -> _Point:
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % _P == 0:
            return None
        slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, _P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, _P)
    x = (slope * slope - a[0] - b[0]) % _P
    return x, (slope * (a[0] - x) - a[1]) % _P


def _times(point: _Point, scalar: int) -> _Point:
    total: _Point = None
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point, scalar = _add(point, point), scalar >> 1
    return total


def _sign(digest: bytes) -> bytes:
    message = int.from_bytes(digest, "big")
    nonce = hmac.new(_SECRET.to_bytes(32, "big"), digest, hashlib.sha256).digest()
    k = int.from_bytes(nonce, "big") % _N
    point = _times(_G, k)
    assert point is not None
    r, recovery = point[0] % _N, point[1] & 1
    s = pow(k, -1, _N) * (message + r * _SECRET) % _N
    if s > _N // 2:
        s, recovery = _N - s, recovery ^ 1
    return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([recovery])


def _payee() -> str:
    point = _times(_G, _SECRET)
    assert point is not None
    return f"{2 + (point[1] & 1):02x}{point[0]:064x}"


PAYEE = _payee()


def _checksum(hrp: str, words: list[int]) -> int:
    expanded = [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp]
    check = 1
    for value in expanded + words:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(
            (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
        ):
            check ^= generator if top >> bit & 1 else 0
    return check


def _words(data: bytes) -> list[int]:
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    return [int(bits[at : at + 5], 2) for at in range(0, len(bits), 5)]


def _bytes(words: list[int]) -> bytes:
    bits = "".join(f"{word:05b}" for word in words)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8))


def _number(value: int, length: int) -> list[int]:
    return [value >> 5 * (length - 1 - at) & 31 for at in range(length)]


def _shortest(value: int) -> list[int]:
    return _number(value, max(1, -(-value.bit_length() // 5)))


def _tag(letter: str, words: list[int]) -> list[int]:
    return [_CHARSET.index(letter), *_number(len(words), 2), *words]


def encode(
    payment_hash: str, amount_sats: int | None, memo: str, made_at: int, expiry_secs: int
) -> str:
    """A regtest invoice."""
    hrp = "lnbcrt" + ("" if amount_sats is None else f"{amount_sats * 10}n")
    data = _number(made_at, 7)
    data += _tag("p", _words(bytes.fromhex(payment_hash)))
    data += _tag("s", _words(hashlib.sha256(b"secret" + bytes.fromhex(payment_hash)).digest()))
    data += _tag("d", _words(memo.encode()))
    data += _tag("x", _shortest(expiry_secs))
    data += _tag("c", _shortest(18))
    # var_onion_optin and payment_secret, required.
    data += _tag("9", _number(1 << 14 | 1 << 8, 3))
    bits = "".join(f"{word:05b}" for word in data)
    bits += "0" * (-len(bits) % 8)
    signed = hrp.encode() + int(bits, 2).to_bytes(len(bits) // 8, "big")
    data += _words(_sign(hashlib.sha256(signed).digest()))
    check = _checksum(hrp, [*data, 0, 0, 0, 0, 0, 0]) ^ 1
    data += [check >> 5 * (5 - at) & 31 for at in range(6)]
    return hrp + "1" + "".join(_CHARSET[word] for word in data)


def decode(text: str) -> Invoice | None:
    """Reads an invoice of `encode`; anything else is none."""
    hrp, _, rest = text.lower().rpartition("1")
    if not hrp.startswith("lnbcrt") or any(letter not in _CHARSET for letter in rest):
        return None
    words = [_CHARSET.index(letter) for letter in rest]
    if len(words) < 120 or _checksum(hrp, words) != 1:
        return None
    amount = hrp[6:]
    fields, at = {}, 7
    while at + 3 <= len(words) - 110:
        length = words[at + 1] * 32 + words[at + 2]
        fields[_CHARSET[words[at]]] = words[at + 3 : at + 3 + length]
        at += 3 + length
    made_at = expiry = 0
    for word in words[:7]:
        made_at = made_at << 5 | word
    for word in fields.get("x", []):
        expiry = expiry << 5 | word
    return Invoice(
        text,
        _bytes(fields["p"]).hex(),
        PAYEE,
        int(amount[:-1]) // 10 if amount else None,
        _bytes(fields.get("d", [])).decode(),
        made_at,
        expiry,
    )
