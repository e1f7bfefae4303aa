"""The class lists of ImageNet's world: wnids in a text file, class_info.json, the ILSVRC devkit's meta.mat."""

from __future__ import annotations

import io
import json
import re
from typing import NamedTuple

import numpy as np

from pictus.errors import UserError, bad_rows
from pictus.records import Concept
from pictus.taxonomy.lexicon import WNID

FROM_DEVKIT = "ilsvrc-devkit"
MATLAB = b"MATLAB 5.0"

_HEADERS = {"wnid", "wnids", "synset", "synsets", "id", "imageid"}


class Listed(NamedTuple):
    """One wnid of a list and where it stands, for messages."""

    position: str
    wnid: str


def parse_list(text: str, where: str) -> list[Listed]:
    """One wnid per line, first word or first CSV column (the rest is ignored), or a JSON list of them."""
    stripped = text.lstrip("\ufeff \r\n\t")
    listed, bad = _of_json(stripped, where) if stripped[:1] in ("[", "{") else _of_lines(text)
    seen: dict[str, str] = {}
    for entry in listed:
        if entry.wnid in seen:
            bad.append(f"{entry.position}: {entry.wnid} stands at {seen[entry.wnid]} already")
        seen.setdefault(entry.wnid, entry.position)
    if bad:
        raise bad_rows(where, bad, fix="one wnid per line: 'n' and 8 digits, for example n02091134")
    if not listed:
        raise UserError(f"{where} lists no class.", fix="one wnid per line, for example n02091134")
    return listed


def parse_meta(data: bytes, where: str) -> list[Concept]:
    """The ILSVRC devkit's meta.mat: its classes (synsets without children) and the groups above them."""
    rows = _matlab_rows(data, where)
    bad: list[str] = []
    wnid_of: dict[int, str] = {}
    seen: set[str] = set()
    for number, row in enumerate(rows, start=1):
        if not WNID.fullmatch(row.wnid) or row.wnid in seen or not row.names:
            bad.append(f"synset {number}: {row.wnid!r} is no wnid, stands there twice, or has no words")
        seen.add(row.wnid)
        wnid_of[row.number] = row.wnid
    parents: dict[str, list[str]] = {}
    for number, row in enumerate(rows, start=1):
        for child in row.children:
            if child in wnid_of:
                parents.setdefault(wnid_of[child], []).append(row.wnid)
            else:
                bad.append(f"synset {number}: its child {child} is no synset of the file")
    if bad:
        raise bad_rows(where, bad, fix="take meta.mat from the ILSVRC devkit again")
    return [
        Concept(row.wnid, row.names, row.gloss, tuple(sorted(parents.get(row.wnid, ()))), not row.children, FROM_DEVKIT)
        for row in rows
    ]


class _Synset(NamedTuple):
    number: int
    wnid: str
    names: tuple[str, ...]
    gloss: str
    children: tuple[int, ...]


def _matlab_rows(data: bytes, where: str) -> list[_Synset]:
    from scipy.io import loadmat  # noqa: PLC0415  scipy only where it is used

    try:
        synsets = loadmat(io.BytesIO(data), variable_names=["synsets"], squeeze_me=True)["synsets"]
        return [
            _Synset(
                int(row["ILSVRC2012_ID"]),
                str(row["WNID"]),
                tuple(name.strip() for name in str(row["words"]).split(", ") if name.strip()),
                str(row["gloss"]).strip(),
                tuple(int(child) for child in np.atleast_1d(row["children"])),
            )
            for row in np.atleast_1d(synsets)
        ]
    except Exception as error:  # scipy raises whatever its reader runs into: ValueError, zlib.error, KeyError …
        raise UserError(
            f"{where} is not the meta.mat of an ILSVRC devkit: {type(error).__name__}: {error}.",
            fix="take it from the devkit's data folder again, or import a list of wnids",
        ) from error


def _of_lines(text: str) -> tuple[list[Listed], list[str]]:
    listed: list[Listed] = []
    bad: list[str] = []
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        word = re.split(r"[\s,;]", line.strip(), maxsplit=1)[0].strip("'\"")
        if not word or word.startswith("#") or (number == 1 and word.lower() in _HEADERS):
            continue
        if WNID.fullmatch(word):
            listed.append(Listed(f"line {number}", word))
        else:
            bad.append(f"line {number}: {word[:40]!r} is no wnid")
    return listed, bad


def _of_json(text: str, where: str) -> tuple[list[Listed], list[str]]:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is not JSON: {error}.", fix="give a list of wnids, one per line") from error
    listed: list[Listed] = []
    bad: list[str] = []
    for number, entry in enumerate(entries, start=1):  # of an object: its keys
        wnid = entry.get("wnid") if isinstance(entry, dict) else entry
        if isinstance(wnid, str) and WNID.fullmatch(wnid):
            listed.append(Listed(f"entry {number}", wnid))
        else:
            bad.append(f"entry {number}: no wnid in {json.dumps(entry)[:60]}")
    return listed, bad
