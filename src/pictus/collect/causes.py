"""Why a picture was not taken in: the words, whether asking again can help, and what to do.

A cause is `ok`, `unchanged` (asked again, the same as before), one of CAUSES, or `http-<status>`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

GOOD = frozenset({"ok", "unchanged"})
NO_ANSWER = frozenset({"dns", "refused", "unreachable", "timeout", "tls", "disconnected", "protocol"})
"""Causes that say something of the way to a host, and nothing of the address."""


class Cause(NamedTuple):
    """`is_final`: the same address will fail the same way, so it is not asked again by itself."""

    is_final: bool
    advice: str


CAUSES: dict[str, Cause] = {
    # the address
    "bad-url": Cause(True, "correct the address: http(s)://host/path, without user name and password"),
    "private-address": Cause(True, "the host leads into a private network; if it is yours, add --allow-host NAME"),
    "redirect": Cause(True, "the address leads in a circle or to something that is not http(s)"),
    # what the owner says
    "robots": Cause(True, "the host's robots.txt forbids it: ask its owner, or leave the picture out"),
    "robots-ai": Cause(
        True, "the host's robots.txt shuts out crawlers that gather for AI: ask its owner, or leave the picture out"
    ),
    "tdm-reserved": Cause(True, "the owner reserves data mining (TDMRep): ask for a licence, or leave the picture out"),
    "robots-unreachable": Cause(False, "the host's robots.txt cannot be read, which forbids everything: try later"),
    "opt-out": Cause(True, "the owner does not want it used (X-Robots-Tag noai): leave the picture out"),
    # the way there
    "dns": Cause(False, "the host name is not known: check its spelling, or try later"),
    "refused": Cause(False, "nothing listens at the host: try later"),
    "unreachable": Cause(False, "no way to the host: check the network, or try later"),
    "tls": Cause(False, "the host's certificate is not valid"),
    "timeout": Cause(False, "the host is too slow: try later"),
    "disconnected": Cause(False, "the host hung up: try later, or with a lower --rate"),
    "protocol": Cause(False, "the host does not speak HTTP properly"),
    "truncated": Cause(False, "the picture ended too early: try later, or replace the file"),
    "error": Cause(
        False, "a bug of Pictus: report what stands on stderr and in the detail (pictus collect status --jsonl)"
    ),
    # the bytes
    "empty": Cause(True, "the file has no bytes"),
    "not-an-image": Cause(True, "the bytes are not a picture (often an error page)"),
    "too-big": Cause(True, "more bytes than a picture may have"),
    "too-many-pixels": Cause(True, "more pixels than can be decoded safely: scale it down first"),
    "too-many-scans": Cause(True, "a JPEG made to be slow: save it anew"),
    "unsupported": Cause(True, "a picture format that cannot be decoded here: convert it to JPEG or PNG"),
    "damaged": Cause(True, "the picture is damaged: replace it"),
    # files and archives
    "hidden": Cause(True, "hidden files are left out: rename it"),
    "symlink": Cause(True, "links out of the folder are not followed: add the folder they lead to"),
    "unreadable": Cause(False, "mend the file's permissions, or the disk"),
    "broken-archive": Cause(True, "the archive ends too early or is damaged: fetch it again"),
    "no-end-mark": Cause(True, "the archive stops without an end mark, as one that was cut does: fetch it again"),
    "broken-member": Cause(True, "this member of the archive is damaged"),
    "encrypted": Cause(True, "unpack it with its password first"),
    "nested-archive": Cause(True, "an archive inside an archive: unpack the outer one first"),
    "not-fetched": Cause(True, "whoever made the archive did not get it: fetch its address (pictus collect fetch)"),
    # tables and videos
    "no-pictures": Cause(True, "no such column, or none with encoded pictures: name it, --source parquet:COLUMN"),
    "broken-table": Cause(True, "the table ends too early or is damaged: fetch it again; rows before are taken"),
    "not-a-video": Cause(True, "the bytes are not an mp4, mov, mkv, webm or avi video"),
    "broken-video": Cause(True, "the video ends too early or is damaged: fetch it again; frames before are taken"),
    "too-long": Cause(True, "the video is longer than is taken at once: cut it, or take fewer frames (video:10s)"),
    "bomb": Cause(True, "it unpacks to far more than a picture archive does"),
}

_TEMPORARY_STATUS = frozenset({408, 425, 429})


def is_final(cause: str) -> bool:
    """Whether the same address would fail again in the same way."""
    if cause.startswith("http-"):
        status = int(cause.removeprefix("http-"))
        return 300 <= status < 500 and status not in _TEMPORARY_STATUS  # noqa: PLR2004  5xx: the server's own trouble
    return CAUSES[cause].is_final if cause in CAUSES else False


def advice(cause: str) -> str:
    """What to change, in one line."""
    if cause.startswith("http-"):
        if cause in {"http-404", "http-410"}:
            return "the picture is gone: correct the address or leave it out"
        if cause.startswith("http-2"):
            return "the host answered with something other than the whole picture: try later"
        return "the host refuses it" if is_final(cause) else "the host has trouble: try later"
    return CAUSES[cause].advice if cause in CAUSES else "see the detail of each: pictus collect status --jsonl"


def told(counts: Mapping[str, int]) -> tuple[str, ...]:
    """One line for each cause that is a failure, the most frequent first: `12 × robots: …`."""
    bad = sorted(((count, cause) for cause, count in counts.items() if cause not in GOOD), key=_most_frequent_first)
    return tuple(f"{count:,} × {cause}: {advice(cause)}" for count, cause in bad)


def counted(causes: Iterable[str]) -> dict[str, int]:
    """Cause -> how often, the most frequent first, then by name."""
    return dict(sorted(Counter(causes).items(), key=lambda item: (-item[1], item[0])))


def _most_frequent_first(item: tuple[int, str]) -> tuple[int, str]:
    return -item[0], item[1]
