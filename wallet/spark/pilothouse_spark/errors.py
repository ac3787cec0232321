"""Errors as people and programs read them, and what an SDK error means for money."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """An error body: a stable code, what happened and what is safe, what to do next."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        retryable: bool = False,
        exit: str = "failed",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.retryable = retryable
        self.exit = exit

    def body(self) -> dict[str, Any]:
        """As `domain::ErrorBody` is written."""
        body: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "retryable": self.retryable,
        }
        if self.hint is not None:
            body["hint"] = self.hint
        if self.exit != "failed":
            body["exit"] = self.exit
        return body


def refused(code: str, message: str, hint: str | None = None) -> Refusal:
    """By rule or by a limit: the same call is refused again."""
    return Refusal(code, message, hint=hint, exit="refused")


def invalid(message: str) -> Refusal:
    """The call itself is wrong."""
    return Refusal("invalid_params", f"{message}; nothing was done.", exit="usage")


def not_reachable(why: str) -> Refusal:
    """Spark's operators, or what they rely on, do not answer."""
    return Refusal(
        "not_reachable",
        f"Spark's operators are not reachable ({why}). Nothing was done.",
        hint="The wallet goes on by itself once they answer.",
        retryable=True,
        exit="not_reachable",
    )


def timed_out(what: str, within_secs: float) -> Refusal:
    """Our own time-out, since a call of the SDK may wait for ever."""
    return Refusal(
        "timed_out",
        f"{what} did not answer within {within_secs:g} s.",
        retryable=True,
        exit="timed_out",
    )


# How the SDK words a broken line. Its errors carry text only, so the words are all there is.
_TRANSPORT_WORDS = (
    "transport error",
    "connection error",
    "connect)",
    "dns error",
    "failed to lookup address",
    "error sending request",
    "error calling",
    "connection refused",
    "connection reset",
    "connection closed",
    "broken pipe",
    "unavailable",
    "deadline",
    "timed out",
    "timeout",
)


def is_transport(text: str) -> bool:
    """Whether an SDK error's text tells of a line that is down, not of a wrong request."""
    lowered = text.lower()
    return any(word in lowered for word in _TRANSPORT_WORDS)


def without_secrets(text: str, secrets: list[str]) -> str:
    """The text, or none of it where a secret stands in it."""
    lowered = text.lower()
    if any(secret and secret.lower() in lowered for secret in secrets):
        return "the reason is not shown, since it names a secret"
    return text[:400]
