"""A lexicon: concepts that a project may choose from. WordNet's nouns, or ImageNet's lists of them.

Nothing in it is a class; choosing (`chosen`, `below`) makes classes and leaves the rest as groups.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from pictus.concepts import Taxonomy
from pictus.errors import UserError, bad_rows
from pictus.records import Concept

WNID = re.compile(r"n\d{8}")
PERSON = "n00007846"

FROM_LISTS = "imagenet-lists"


@dataclass(frozen=True)
class Lexicon:
    """Concepts by id, and which of them are named individuals (the Sun, Bram Stoker) rather than kinds."""

    name: str
    concepts: Mapping[str, Concept]
    individuals: frozenset[str] = frozenset()

    @cached_property
    def taxonomy(self) -> Taxonomy:
        return Taxonomy(self.concepts)

    @cached_property
    def people(self) -> frozenset[str]:
        """Person and every kind of person."""
        if PERSON not in self.concepts:
            return frozenset()
        return self.taxonomy.descendants(PERSON) | {PERSON}


class Choice(NamedTuple):
    """What a project takes: concepts with their classes marked; how many were left out, and why."""

    concepts: list[Concept]
    n_people: int = 0
    n_individuals: int = 0


def chosen(lexicon: Lexicon, wnids: Iterable[str]) -> list[Concept]:
    """These concepts as classes and all their ancestors as groups. Every id must be in the lexicon."""
    classes = dict.fromkeys(wnids)
    taken = dict.fromkeys(classes, True)
    waiting = list(classes)
    while waiting:
        for parent in lexicon.taxonomy.parents(waiting.pop()):
            if parent not in taken:
                taken[parent] = False
                waiting.append(parent)
    return [replace(lexicon.concepts[wnid], is_class=is_class) for wnid, is_class in taken.items()]


def below(lexicon: Lexicon, roots: Iterable[str]) -> Choice:
    """Everything below the roots, themselves included; what has nothing below it is a class.

    Named individuals and kinds of person are left out unless a root is one. Parents above the
    roots are cut off.
    """
    starts = list(dict.fromkeys(roots))
    found = {*starts, *(one for root in starts for one in lexicon.taxonomy.descendants(root))}
    wanted_people = {
        one
        for root in starts
        if root in lexicon.people
        for one in (root, *lexicon.taxonomy.descendants(root))
    }  # fmt: skip
    people = (found & lexicon.people) - wanted_people
    individuals = (found & lexicon.individuals) - people - set(starts)
    found -= people | individuals
    concepts = []
    for concept_id in sorted(found):
        is_leaf = not any(child in found for child in lexicon.taxonomy.children(concept_id))
        concept = lexicon.concepts[concept_id]
        parents = tuple(parent for parent in concept.parents if parent in found)
        concepts.append(replace(concept, parents=parents, is_class=is_leaf))
    return Choice(concepts, len(people), len(individuals))


def lexicon_of_lists(words: str, is_a: str, glosses: str, where: str) -> Lexicon:
    """ImageNet's lists: `wnid<TAB>synonyms` and `parent child` lines; `wnid<TAB>gloss` lines may be missing."""
    parents: dict[str, list[str]] = {}
    bad: list[str] = []
    for number, line in enumerate(is_a.splitlines(), start=1):
        pair = line.split()
        if len(pair) == 2 and all(WNID.fullmatch(one) for one in pair):  # noqa: PLR2004  a pair
            parents.setdefault(pair[1], []).append(pair[0])
        elif pair:
            bad.append(f"is-a list line {number}: two wnids wanted, found {line[:60]!r}")
    explained = dict(line.split("\t", 1) for line in glosses.splitlines() if "\t" in line)
    concepts: dict[str, Concept] = {}
    for number, line in enumerate(words.splitlines(), start=1):
        wnid, _, synonyms = line.partition("\t")
        names = tuple(name for name in synonyms.strip().split(", ") if name)
        if WNID.fullmatch(wnid) and names:
            gloss = explained.get(wnid, "").strip()
            concepts[wnid] = Concept(wnid, names, gloss, tuple(parents.get(wnid, ())), source=FROM_LISTS)
        elif line.strip():
            bad.append(f"words list line {number}: wnid, tab, synonyms wanted, found {line[:60]!r}")
    if bad:
        raise bad_rows(where, bad, fix="take the lists as ImageNet published them")
    return Lexicon(FROM_LISTS, concepts)


def check_known(lexicon: Lexicon, listed: Iterable[tuple[str, str]], where: str) -> None:
    """Every (position, wnid) must be in the lexicon; all that are not are told."""
    bad = [f"{position}: {wnid} is not in {lexicon.name}" for position, wnid in listed if wnid not in lexicon.concepts]
    if bad:
        raise bad_rows(where, bad, fix="a wnid is 'n' and the 8-digit WordNet 3.0 offset: correct or remove these")


def resolve_root(lexicon: Lexicon, index: str, text: str) -> str:
    """A root as a person writes it -> wnid: a wnid, a sense ("seed.n.01"), or a name with one meaning.

    index: the text of WordNet's index.noun, which knows the order of senses; "" when there is none.
    """
    sense = re.fullmatch(r"(.+)\.n\.(\d{1,2})", text.strip())
    if not sense:
        return lexicon.taxonomy.resolve(text.strip())
    lemma, number = sense[1].replace(" ", "_").lower(), int(sense[2])
    line = re.search(rf"^{re.escape(lemma)} n (\d+) .*$", index, re.MULTILINE)
    if not line:
        raise UserError(f"WordNet has no noun {lemma!r}.", fix="give the wnid, or a name: --root bird")
    wnids = ["n" + offset for offset in line[0].split()[-int(line[1]) :]]
    if not 1 <= number <= len(wnids):
        senses = [f"  {lemma}.n.{n:02d}  {lexicon.concepts[wnid].gloss}" for n, wnid in enumerate(wnids, start=1)]
        raise UserError("\n".join([f"{lemma!r} has no sense {number}; it has:", *senses]), fix="use one of these")
    return wnids[number - 1]
