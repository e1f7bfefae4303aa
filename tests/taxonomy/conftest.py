"""A WordNet of sixteen nouns in WordNet's own format, for machines that have no WordNet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

PERSON_AT = 7846  # person must stand where WordNet 3.0 has it: its wnid is known to Pictus

# key: (words, gloss, parents, parents of an individual)
NOUNS: dict[str, tuple[str, str, str, str]] = {
    "person": ("person individual", 'a human being; "there was too much for one person to do"', "organism", ""),
    "scientist": ("scientist", "a person with advanced knowledge", "person", ""),
    "curie": ("Curie Marie_Curie", "a physicist born in Poland", "", "scientist"),
    "entity": ("entity", "that which is perceived", "", ""),
    "organism": ("organism being", "a living thing", "entity", ""),
    "animal": ("animal beast", "a living organism that moves", "organism", ""),
    "pet": ("pet", "an animal kept at home", "animal", ""),
    "dog": ("dog domestic_dog", 'a member of the genus Canis; "the dog barked"', "animal pet", ""),
    "greyhound": ("greyhound", "a tall slender dog", "dog", ""),
    "whippet": ("whippet", "small slender dog of greyhound type developed in England", "greyhound", ""),
    "bird": ("bird", "warm-blooded animal with feathers", "animal", ""),
    "owl": ("owl bird_of_Minerva", "nocturnal birds of prey", "bird", ""),
    "crane_bird": ("crane", "large long-necked wading bird", "bird", ""),
    "laika": ("Laika", "the first dog in space", "", "dog"),
    "machine": ("machine", "a device that works", "entity", ""),
    "crane_machine": ("crane derrick", "lifts and moves heavy objects", "machine", ""),
}

LICENCE = "  1 This is a WordNet of sixteen nouns.  \n  2 WordNet 3.0 in its format only.  \n"


def write_wordnet(folder: Path) -> dict[str, str]:
    """Write data.noun and index.noun -> wnid by key."""
    head = LICENCE + " " * (PERSON_AT - len(LICENCE) - 1) + "\n"
    offsets = dict.fromkeys(NOUNS, 0)
    for _ in range(2):  # first to learn the lengths, then with the offsets
        position, lines = len(head), []
        for key in NOUNS:
            line = _line(key, offsets)
            offsets[key] = position
            position += len(line)
            lines.append(line)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data.noun").write_text(head + "".join(lines), encoding="ascii")
    senses: dict[str, list[str]] = {}
    for key, (words, *_) in NOUNS.items():
        for word in words.lower().split():
            senses.setdefault(word, []).append(f"{offsets[key]:08d}")
    index = [f"{word} n {len(at)} 1 @ {len(at)} 0 {' '.join(at)}  \n" for word, at in sorted(senses.items())]
    (folder / "index.noun").write_text(LICENCE + "".join(index), encoding="ascii")
    return {key: f"n{offset:08d}" for key, offset in offsets.items()}


def _line(key: str, offsets: dict[str, int]) -> str:
    words, gloss, parents, individual_of = NOUNS[key]
    named = " ".join(f"{word} 0" for word in words.split())
    pointers = [f"@ {offsets[one]:08d} n 0000" for one in parents.split()]
    pointers += [f"@i {offsets[one]:08d} n 0000" for one in individual_of.split()]
    pointers += [f"~ {offsets['entity']:08d} n 0000", "+ 00692347 v 0101"]  # kinds that are not followed
    counted = f"{len(words.split()):02x} {named} {len(pointers):03d} {' '.join(pointers)}"
    return f"{offsets[key]:08d} 03 n {counted} | {gloss}  \n"


@pytest.fixture
def tiny_wordnet(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """(folder, wnid by key)"""
    folder = tmp_path / "wordnet"
    return folder, write_wordnet(folder)


@pytest.fixture
def no_wordnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which WordNet is not installed."""
    from pictus.taxonomy import steps

    missing = tmp_path / "not-installed"
    monkeypatch.setattr(steps, "WORDNET_DIR", missing)
    return missing


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """write("concepts.csv", text) -> its path."""

    def put(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return put
