"""What one run of `settle` keeps for the next: the votes as numbers, and the posteriors to start from. Pure.

A posterior is kept by picture, concept and answer, not by position: the next run has more pictures, perhaps more
concepts, and numbers them otherwise.

Legend: B kept rows, P candidates, I items.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pictus.annotate.truth.consensus import Before, Candidates, Consensus, Floats, Ints, Votes
from pictus.annotate.truth.questions import Ballots, Coded, Which, YesNo

COLUMNS = ("image", "annotator", "question", "answer")


class Places(NamedTuple):
    """What each candidate is about: three numbers that mean the same in the next run."""

    image_P: Ints  # position among the coded votes' images, -1 for none of these
    concept_P: Ints  # position among their words, -1 for "which?" and for a concept nobody named
    class_P: Ints  # yes/no: position in SAID; which: position among their words, -1 as above


def places(ballots: Ballots, votes: Coded, kind: YesNo | Which, candidates: Candidates) -> Places:
    """Of all candidates of one kind of question."""
    image = _positions(ballots.images, votes.images)
    concept = np.append(_positions(ballots.concepts, votes.words), -1)  # one class more where there is but one concept
    image_P = image[kind.image_I if isinstance(kind, Which) else kind.image_U][candidates.item_P]
    if isinstance(kind, Which):
        return Places(image_P, np.full(image_P.size, -1), concept[candidates.class_P])
    return Places(image_P, concept[kind.concept_U][candidates.item_P], candidates.class_P)


def posterior_table(found: Places, consensus: Consensus) -> pa.Table:
    """To be kept: place and posterior of every candidate that has a place."""
    has_place = found.image_P >= 0
    columns = dict(zip(("image", "concept", "class"), found, strict=True))
    return pa.table({**columns, "posterior": consensus.posterior_P}).filter(pa.array(has_place))


def before_of(kept: pa.Table, found: Places, candidates: Candidates, votes: Votes) -> Before:
    """What was kept, for the candidates of this run."""
    old = Places(*(kept.column(name).to_numpy() for name in ("image", "concept", "class")))
    words = 2 + max((int(column.max(initial=0)) for one in (old, found) for column in one[1:]), default=0)
    key_B, key_P = (((one.image_P + 1) * words + one.concept_P + 1) * words + one.class_P + 1 for one in (old, found))
    if not key_B.size or not key_P.size:
        return Before(np.zeros(0, np.int64), np.zeros(0))
    order = np.argsort(key_B, kind="stable")
    place_P = np.minimum(np.searchsorted(key_B[order], key_P), key_B.size - 1)
    is_there_P = (key_B[order][place_P] == key_P) & (found.image_P >= 0)
    posterior_B: Floats = kept.column("posterior").to_numpy()[order]
    key = candidates.item_P * votes.n_classes + candidates.class_P
    return Before(key[is_there_P], posterior_B[place_P[is_there_P]])


def vote_table(votes: Coded, mark: dict[str, str]) -> pa.Table:
    """Votes as they are kept, texts once. `mark` says up to where they are all there are."""
    texts = (votes.images, votes.annotators, votes.words, votes.words)
    numbers = (votes.image_V, votes.annotator_V, votes.question_V, votes.answer_V)
    columns = [
        pa.DictionaryArray.from_arrays(pa.array(number, pa.int32()), pa.array(text, pa.string()))
        for number, text in zip(numbers, texts, strict=True)
    ]
    return pa.table(columns, names=list(COLUMNS)).replace_schema_metadata(mark)


def votes_from(kept: pa.Table) -> Coded:
    """The inverse of `vote_table`."""
    chunks = [kept.column(name).combine_chunks() for name in COLUMNS]
    image_V, annotator_V, question_V, answer_V = (chunk.indices.to_numpy().astype(np.int64) for chunk in chunks)
    images, annotators, words = (chunk.dictionary.to_pylist() for chunk in chunks[:3])
    return Coded(image_V, annotator_V, question_V, answer_V, images, annotators, words)


def _positions(texts: list[str], among: list[str]) -> Ints:
    place = {text: number for number, text in enumerate(among)}
    return np.array([place.get(text, -1) for text in texts], np.int64)
