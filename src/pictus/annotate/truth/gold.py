"""Weighed by known answers: what an annotator's vote counts is how often they were right where the answer is known.

    p_w = (10 trust_w + right answers of w on items with a known answer) / (10 + w's answers on such items)

    q_i(k)  ~  product over votes w for k of p_w (K - 1) / (1 - p_w)

Nothing is learned from agreement: whoever follows a common mistake gains nothing by it, and nobody's weight depends on
who else voted. It needs known answers (`pictus annotate gold`), ten or more for each annotator to say much; an
annotator without any counts as the trust says.

Weights: Raykar et al. (2010), "Learning from crowds", JMLR 11, §2 with the truth known; in use since Snow et al.
(2008), "Cheap and fast - but is it good?", EMNLP, §5.

    >>> from pictus.annotate.truth.consensus import votes_of
    >>> gold(votes_of([0, 0, 0, 1], [0, 1, 2, 0], [1, 1, 0, 0], n_classes=2)).label_I.tolist()
    [1, 0]
"""

from __future__ import annotations

import numpy as np

from pictus.annotate.truth.consensus import METHODS, Consensus, Votes, candidates_of, settled
from pictus.annotate.truth.one_coin import accuracies, weighed


@METHODS.register("gold")
def gold(votes: Votes) -> Consensus:
    """One round of Bayes with accuracies counted on known answers."""
    candidates = candidates_of(votes)
    fixed_P = np.zeros(candidates.item_P.size) if candidates.fixed_P is None else candidates.fixed_P
    is_known_P = (votes.known_I >= 0)[candidates.item_P].astype(np.float64)
    accuracy_W = accuracies(votes, candidates, np.nan_to_num(fixed_P), is_known_P)
    log_even_P = np.full(candidates.item_P.size, -np.log(votes.n_classes))
    return settled(candidates, weighed(votes, candidates, accuracy_W, log_even_P))
