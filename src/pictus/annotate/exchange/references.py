"""Which picture a text in a table means: an image_id, an address it was found at, or the end of one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pictus.errors import clipped

_ID = re.compile(r"(?:.*/)?([0-9a-fA-F]{64})(?:\.\w{1,5})?")
"""An image_id, alone or as the name of a file, as exports call a picture that has no name of its own."""

_SHOWN = 3


class Resolved(NamedTuple):
    """Text -> image_id where it means one picture, text -> what is wrong where it does not."""

    image_ids: dict[str, str]
    problems: dict[str, str]


def resolve(texts: Iterable[str], image_ids: frozenset[str], sources: Sequence[tuple[str, str]]) -> Resolved:
    """Find the picture each text means.

    `sources` holds (address, image_id). A text is, in this order: an image_id, or a file named so; a whole address;
    the end of an address at a path boundary ("owl/1.jpg" or "1.jpg"); the same without the file's
    ending ("owl/1"). Several addresses of one picture are no ambiguity.
    """
    wanted = set(texts)
    named = ((text, _ID.fullmatch(text)) for text in wanted)
    found = {text: match[1].lower() for text, match in named if match and match[1].lower() in image_ids}
    left = sorted(wanted - found.keys())
    problems: dict[str, str] = {}
    if left:
        whole, ends, stems = _matches({_plain(text) for text in left}, image_ids, sources)
        several: _Found = {}
        for text in left:
            plain = _plain(text)
            pictures = whole.get(plain) or ends.get(plain) or stems.get(plain) or set()
            if len(pictures) == 1:
                found[text] = next(iter(pictures))
            elif pictures:
                several[text] = pictures
            else:
                problems[text] = f"no picture {clipped(text)} in the project"
        problems |= _ambiguous(several, sources)
    return Resolved(found, problems)


_Found = dict[str, set[str]]


def _matches(
    wanted: set[str], image_ids: frozenset[str], sources: Sequence[tuple[str, str]]
) -> tuple[_Found, _Found, _Found]:
    """For each wanted text the pictures with that address, with one that ends so, and so but for its ending."""
    whole: _Found = {}
    ends: _Found = {}
    stems: _Found = {}
    most = max(text.count("/") for text in wanted)
    for address, image_id in sources:
        if image_id not in image_ids:
            continue
        path = _plain(address)
        if path in wanted:
            whole.setdefault(path, set()).add(image_id)
        path = re.split(r"[?#]", path)[0] if "://" in path else path
        for end in _ends(path, most):
            if end in wanted:
                ends.setdefault(end, set()).add(image_id)
        folder, slash, name = path.rpartition("/")
        if "." in name:
            for end in _ends(folder + slash + name.rpartition(".")[0], most):
                if end in wanted:
                    stems.setdefault(end, set()).add(image_id)
    return whole, ends, stems


def _ends(path: str, most: int) -> Iterator[str]:
    """The last component of a path, the last two, … up to `most` slashes."""
    start = len(path)
    for _ in range(most + 1):
        start = path.rfind("/", 0, start)
        yield path[start + 1 :]
        if start < 0:
            return


def _plain(text: str) -> str:
    """A path or address as it is compared: forward slashes, nothing before the first name, archive members too."""
    text = text.replace("\\", "/").replace("!/", "/")
    return text if "://" in text else text.removeprefix("./").lstrip("/")


def _ambiguous(several: _Found, sources: Sequence[tuple[str, str]]) -> dict[str, str]:
    addresses: dict[str, list[str]] = {image_id: [] for pictures in several.values() for image_id in pictures}
    for address, image_id in sources:
        if image_id in addresses:
            addresses[image_id].append(address)
    problems = {}
    for text, pictures in several.items():
        every = sorted(address for image_id in pictures for address in addresses[image_id])
        where = [address for address in every if _plain(text) in _plain(address)]
        listed = ", ".join(where[:_SHOWN]) + (", …" if len(where) > _SHOWN else "")
        problems[text] = f"{clipped(text)} means {len(pictures)} pictures: {listed}"
    return problems
