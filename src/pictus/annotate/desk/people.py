"""Names and secrets of people. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from pictus.annotate.desk.moments import DAY_S
from pictus.annotate.tasks import ROLES

SESSION_S = 30 * DAY_S
TOKEN_BYTES = 32
LINK, SESSION = "link", "session"
LINK_SIGNS = 12
"""Signs of a link's hash that name it: enough for one among billions."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link as it was made. `token` is told this once: only its sha256 is kept."""

    token: str
    role: str
    uses: int
    quota: int
    expires_at: str
    note: str


@dataclass(frozen=True, slots=True)
class Worker:
    """One person and what was done, as `annotate people` shows it."""

    name: str
    role: str
    state: str  # active | paused
    pages: int
    questions: int
    seconds: float
    accuracy: float | None  # on known answers
    accuracy_low: float | None  # 95 % interval
    accuracy_high: float | None
    repeated: float | None  # share of blind repeats answered as before
    reason: str
    link: str = ""  # the name of the link they came by, as `annotate links` shows it; kiosk for none
    earned: float | None = None  # with --pay: for the seconds so far


def hashed(token: str) -> str:
    """What is kept of a secret: its sha256, in hex."""
    return hashlib.sha256(token.encode("utf-8", errors="replace")).hexdigest()


def at_least(role: str, least: str) -> bool:
    """Whether one role may do what another may."""
    return ROLES.index(role) >= ROLES.index(least) if role in ROLES else False
