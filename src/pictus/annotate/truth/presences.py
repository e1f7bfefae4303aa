"""Does the picture show the concept: one row for each (picture, concept) that was asked or ruled on.

The label of a picture is its one best concept; a picture may show several, and this says of each how sure that is.
Selection frequency is the share of persons asked who said yes (Recht et al. 2019, "Do ImageNet classifiers generalize
to ImageNet?", §3): folders and lists of labels are no persons and are not counted.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pictus.annotate.truth.annotators import YES
from pictus.annotate.truth.consensus import Consensus, probability_of
from pictus.annotate.truth.questions import RULING, STATUSES, Ballots, Facts, YesNo, statuses


def presence_table(
    ballots: Ballots, yes_no: tuple[YesNo, Consensus], threshold: float, rulings: Facts, words: tuple[str, str]
) -> pa.Table:
    """Rows with the columns of Presence, by image_id, then concept_id. words: the method, settled_at."""
    asked, said = yes_no
    votes, width = asked.votes, max(1, len(ballots.concepts))
    is_person_V = ~votes.is_source_W[votes.annotator_V]
    n_votes_U = np.bincount(votes.item_V[is_person_V], minlength=votes.n_items)
    n_yes_U = np.bincount(votes.item_V[is_person_V & (votes.answer_V == YES)], minlength=votes.n_items)
    key_U = asked.image_U * width + asked.concept_U
    key_F = rulings.image_F * width + rulings.concept_F
    key_R = np.union1d(key_U, key_F)
    at_U, at_F = np.searchsorted(key_R, key_U), np.searchsorted(key_R, key_F)
    posterior_R, status_R = np.zeros(key_R.size), np.zeros(key_R.size, np.int64)
    n_votes_R, n_yes_R, is_ruled_R = np.zeros(key_R.size, np.int64), np.zeros(key_R.size, np.int64), key_R < 0
    posterior_R[at_U], status_R[at_U] = probability_of(said, YES), statuses(asked, said, threshold)
    n_votes_R[at_U], n_yes_R[at_U] = n_votes_U, n_yes_U
    posterior_R[at_F], status_R[at_F], is_ruled_R[at_F] = rulings.value_F, 2 - 2 * rulings.value_F, True
    image_R, concept_R = np.divmod(key_R, width)
    method, settled_at = words
    rows = pa.table({
        "image_id": pa.array(ballots.images, pa.string()).take(pa.array(image_R)),
        "concept_id": pa.array(ballots.concepts, pa.string()).take(pa.array(concept_R)),
        "posterior": posterior_R,
        "n_votes": pa.array(n_votes_R).cast(pa.int32()), "n_yes": pa.array(n_yes_R).cast(pa.int32()),
        "selection": n_yes_R / np.maximum(n_votes_R, 1),
        "status": pa.array(STATUSES).take(pa.array(status_R)),
        "method": pa.array([method, RULING]).take(pa.array(is_ruled_R.astype(np.int64))),
        "settled_at": pa.repeat(settled_at, key_R.size),
    })  # fmt: skip
    return rows.sort_by([("image_id", "ascending"), ("concept_id", "ascending")])
