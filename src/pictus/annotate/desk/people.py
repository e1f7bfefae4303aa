"""Names and secrets of people. Pure."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass

from pictus.annotate.tasks import ROLES
from pictus.errors import UserError, clipped

MOST_SIGNS = 40
SESSION_S = 30 * 24 * 3600
TOKEN_BYTES = 32
LINK, SESSION = "link", "session"
RESERVED = ("source:", "model:")
"""Names of annotators that are no persons begin so: a list that was taken in, a model that proposes."""


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


def hashed(token: str) -> str:
    """What is kept of a secret: its sha256, in hex."""
    return hashlib.sha256(token.encode("utf-8", errors="replace")).hexdigest()


def clean_name(name: str) -> str:
    """A pseudonym as it will stand beside every vote; UserError says why it cannot be one."""
    found = " ".join(unicodedata.normalize("NFC", name[:1000]).split())
    fix = "choose another: 1 to 40 letters, digits, spaces or other visible signs"
    if not 1 <= len(found) <= MOST_SIGNS:
        raise UserError(f"A name has 1 to {MOST_SIGNS} signs; {clipped(found)} has {len(found)}.", fix=fix)
    if not found.isprintable():  # controls, halves of signs, and what turns the direction of text
        raise UserError(f"The name {clipped(found)} has signs that cannot be seen.", fix=fix)
    if found.casefold().startswith(RESERVED):
        raise UserError(f"The name {clipped(found)} begins like that of a file or a model.", fix=fix)
    return found


def at_least(role: str, least: str) -> bool:
    """Whether one role may do what another may."""
    return ROLES.index(role) >= ROLES.index(least) if role in ROLES else False
