"""What is claimed of each picture that a source finds: said in the command, by its folder, or at the place itself."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from pictus import archives
from pictus.collect.found import Found, Said
from pictus.collect.intake import Claim
from pictus.collect.lists import in_one_line
from pictus.concepts import Taxonomy
from pictus.errors import UserError, clipped, counted
from pictus.releases import split_of_folder

_SHOWN = 20
_SHOWN_LABELS = 5
_SHOWN_PLACES = 2
_MOST_LABELS = 10_000
"""Different labels that are counted one by one; more are no labels."""


class Folder(NamedTuple):
    """A folder that pictures lie in: the address of it, and its name."""

    address: str
    name: str


class Survey(NamedTuple):
    """Names alone, before anything is changed: how many pictures lie in each folder. `total`: failures too."""

    folders: Counter[Folder]
    remarks: Counter[str]
    total: int


def surveyed(found: Iterable[Found]) -> Survey:
    """Count what a look without bytes finds."""
    folders, remarks, total = Counter[Folder](), Counter[str](), 0
    for one in found:
        if one.remark and not one.cause:
            remarks[one.remark] += 1
            continue
        total += 1
        if not one.cause:
            folders[folder_of(one)] += 1
    return Survey(folders, remarks, total)


def folder_of(found: Found) -> Folder:
    """Where a picture lies."""
    return Folder(found.address.rpartition("/")[0], found.folder)


def concepts_of(
    folders: Counter[Folder], taxonomy: Taxonomy, places: Collection[str]
) -> tuple[dict[Folder, str], int]:  # fmt: skip
    """The concept each folder's name means -> (by folder, how many pictures lie loose beside class folders).

    Loose pictures get no claim: those in a folder that the taxonomy does not know and that all others of a place lie
    in, or that is called like a split. Every other name that means none or several is told in one UserError, with
    the command that mends it; `places` are where the look began.
    """
    known: dict[Folder, str] = {}
    unknown: dict[Folder, UserError] = {}
    for folder in sorted(folders):
        try:
            known[folder] = taxonomy.resolve(folder.name)
        except UserError as error:
            unknown[folder] = error
    tops = _tops(folders, places)
    above = {parent for folder in folders for parent in _parents(folder.address)}
    loose = {
        folder for folder in unknown
        if folder.address in above and (folder.address in tops or split_of_folder(folder.name))
    }  # fmt: skip
    bad = {folder: error for folder, error in unknown.items() if folder not in loose}
    if bad:
        raise _unknown_folders(bad, folders, taxonomy, places)
    return known | dict.fromkeys(loose, ""), sum(folders[folder] for folder in loose)


class Claims:
    """The claim of each picture. What is said in the command counts first, then the folder, then the place's words."""

    def __init__(self, common: Claim, by_folder: Mapping[Folder, str], taxonomy: Taxonomy) -> None:
        self._common = common
        self._by_folder = by_folder
        self._taxonomy = taxonomy
        self._meaning: dict[str, str] = {"": ""}
        self._unknown = Counter[str]()

    def of(self, found: Found) -> Claim:
        """What is claimed of one picture."""
        said, common = found.said, self._common
        concept = common.concept_id or (self._by_folder.get(folder_of(found), "") if self._by_folder else "")
        if said == Said():
            return common._replace(concept_id=concept)
        return Claim(
            concept or self._meant(said.concept), common.query or said.query, common.licence or said.licence,
            common.author or said.author,
        )  # fmt: skip

    def problems(self) -> tuple[str, ...]:
        """The labels that mean no concept, and what to do."""
        if not self._unknown:
            return ()
        most = self._unknown.most_common(_SHOWN_LABELS)
        listed = ", ".join(f"{clipped(label, 40)} ({count:,})" for label, count in most)
        more = len(self._unknown) - len(most)
        labels = counted(len(self._unknown), "label") if len(self._unknown) < _MOST_LABELS else "very many labels"
        numbers = any(label.isdecimal() for label in self._unknown)
        return (
            f"{counted(self._unknown.total(), 'picture')} taken without a claim: the taxonomy does not know {labels},"
            f" {listed}{f' and {more:,} more' if more else ''}: pictus taxonomy add NAME --parent CONCEPT, or give"
            " --concept, then the same command again"
            + (
                "; for numbers put the names, one in each line, the first for 0, into classes.txt beside the file"
                if numbers else ""
            ),
        )  # fmt: skip

    def _meant(self, label: str) -> str:
        if label not in self._meaning and len(self._meaning) < _MOST_LABELS:
            self._meaning[label] = _meaning(label, self._taxonomy)
        concept = self._meaning.get(label) or ""
        if label and not concept and (label in self._unknown or len(self._unknown) < _MOST_LABELS):
            self._unknown[label] += 1
        return concept


def _meaning(label: str, taxonomy: Taxonomy) -> str:
    """The one concept a label means, "" for none or several: "owl", a wnid, or synonyms: "tench, Tinca tinca"."""
    found = taxonomy.find(label)
    if not found and "," in label:
        several = [set(taxonomy.find(part.strip())) for part in label.split(",")]
        meant = set.intersection(*(one for one in several if one)) if any(several) else set[str]()
        found = tuple(meant)
    return found[0] if len(found) == 1 else ""


def _unknown_folders(
    bad: Mapping[Folder, UserError], folders: Counter[Folder], taxonomy: Taxonomy, places: Collection[str]
) -> UserError:  # fmt: skip
    pictures, whys = Counter[str](), dict[str, str]()
    for folder, error in bad.items():
        pictures[folder.name] += folders[folder]
        whys[folder.name] = in_one_line(error)
    told = [f"  {name} ({counted(count, 'picture')}): {whys[name]}" for name, count in sorted(pictures.items())]
    listed = "\n".join(told[:_SHOWN]) + (f"\n  … and {len(told) - _SHOWN:,} more" if len(told) > _SHOWN else "")
    several = [folder for folder in bad if taxonomy.find(folder.name)]
    none = [folder for folder in bad if not taxonomy.find(folder.name)]
    fixes = [f"rename {several[0].name} to the id that is meant"] if several else []
    fixes += _imports(none, places)
    return UserError(
        f"The taxonomy does not know {counted(len(told), 'folder name')}; nothing was added.\n{listed}",
        fix="    then    ".join(fixes),
    )


def _imports(unknown: list[Folder], places: Collection[str]) -> Iterator[str]:
    """Commands that make classes of folders: the place they lie in, imported whole, else the first by its name."""
    found = {folder: _importable(folder, places) for folder in unknown}
    whole = list(dict.fromkeys(place for place in found.values() if place))
    if len(whole) > _SHOWN_PLACES:
        found, whole = dict.fromkeys(unknown, ""), []
    yield from (f"pictus taxonomy import --folders {shlex.quote(place)}" for place in whole)
    if alone := [folder.name for folder, place in found.items() if not place]:
        yield f"pictus taxonomy add {shlex.quote(alone[0])} --parent CONCEPT"


def _importable(folder: Folder, places: Collection[str]) -> str:
    """What `taxonomy import --folders` can take to make a class of this folder, "" for nothing."""
    archive, mark, inside = folder.address.partition("!")
    if mark and archives.is_archive(archive):
        return archive if inside.strip("/") and Path(archive).is_file() else ""
    parent = folder.address.rpartition("/")[0]
    is_below = any(parent == place or parent.startswith(f"{place}/") for place in places)
    return parent if is_below and Path(parent).is_dir() else ""


def _tops(folders: Iterable[Folder], places: Collection[str]) -> set[str]:
    """For each place the address that all its folders with pictures lie at or under."""
    tops: dict[str, str] = {}
    for folder in folders:
        place = max((one for one in places if folder.address.startswith(one)), key=len, default="")
        before = tops.setdefault(place, folder.address)
        shared = zip(before.split("/"), folder.address.split("/"), strict=False)
        tops[place] = "/".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], shared))
    return set(tops.values())


def _parents(address: str) -> Iterator[str]:
    """Every address that this one lies under, itself left out."""
    while "/" in address:
        address = address.rpartition("/")[0]
        yield address
