"""How a release came to be, counted from the stages' tables. Plain JSON, so that it travels in the manifest."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pictus.stats import krippendorff_alpha

SHOWN_HOSTS = 20
LIST = "source:"
"""Begins the names of lists and folders among annotators."""
SELECTED = 0.7
"""The selection frequency from which ImageNetV2 took its second set (Recht et al. 2019)."""


def collected(images: int, sources: pa.Table, fetches: pa.Table) -> dict[str, Any]:
    """Pictures taken in, by kind of source and by host; every attempt by its outcome."""
    kinds = _counted(sources, "kind")
    urls = sources.filter(pc.equal(sources.column("kind"), "url")).column("address").to_pylist()
    hosts = Counter(urlsplit(url).netloc for url in urls)
    found = sorted(value for value in sources.column("found_at").to_pylist() if value)
    return {
        "pictures": images,
        "kinds": kinds,
        "hosts": dict(hosts.most_common(SHOWN_HOSTS)),
        "more_hosts": max(len(hosts) - SHOWN_HOSTS, 0),
        "attempts": _counted(fetches, "cause"),
        "first_found": found[0] if found else "",
        "last_found": found[-1] if found else "",
    }


def cleaned(verdicts: pa.Table, duplicates: pa.Table, unscreened: int) -> dict[str, Any]:
    """Pictures screened, dropped by rule with its threshold, the duplicate groups found; released ones unscreened."""
    dropped = verdicts.filter(pc.equal(verdicts.column("verdict"), "drop"))
    thresholds = dict(zip(dropped.column("rule").to_pylist(), dropped.column("threshold").to_pylist(), strict=True))
    return {
        "screened": verdicts.num_rows,
        "unscreened": unscreened,
        "dropped": _counted(dropped, "rule"),
        "thresholds": dict(sorted(thresholds.items())),
        "duplicate_groups": pc.count_distinct(duplicates.column("group_id")).as_py(),
        "duplicates": int(pc.sum(pc.invert(duplicates.column("is_keeper"))).as_py() or 0),
    }


def labelled(labels: pa.Table, votes: pa.Table, presences: pa.Table | None = None) -> dict[str, Any]:
    """Labels by status and method, the votes behind them, how sure they are, how far people agree.

    presences: rows with selection and n_votes, how often voters selected each picture that was asked about.
    """
    accepted = labels.filter(pc.equal(labels.column("status"), "accepted"))
    posterior = pc.mean(accepted.column("posterior")).as_py()
    per_label = pc.mean(accepted.column("n_votes")).as_py()
    return {
        "status": _counted(labels, "status"),
        "methods": _counted(labels, "method"),
        "votes": votes.num_rows,
        "annotators": pc.count_distinct(votes.column("annotator")).as_py(),
        "mean_posterior": round(posterior, 6) if posterior is not None else None,
        "mean_votes": round(per_label, 3) if per_label is not None else None,
        "votes_per_label": {str(votes): count for votes, count in sorted(Counter(
            accepted.column("n_votes").to_pylist()).items())},
        **_people(votes), "selection": _selection(presences),
    }  # fmt: skip


def _people(votes: pa.Table) -> dict[str, Any]:
    """Who answered, lists and folders left out, and how far they agree on the same question beyond chance."""
    theirs = votes.filter(pc.invert(pc.starts_with(votes.column("annotator"), LIST)))
    item = pc.binary_join_element_wise(theirs.column("image_id"), theirs.column("question"), " ")
    items, answers = (column.combine_chunks().dictionary_encode().indices for column in (item, theirs.column("answer")))
    alpha = krippendorff_alpha(items.to_numpy(), answers.to_numpy())
    return {
        "people": pc.count_distinct(theirs.column("annotator")).as_py(), "answers": theirs.num_rows,
        "agreement": None if np.isnan(alpha) else round(float(alpha), 4),
    }  # fmt: skip


def _selection(presences: pa.Table | None) -> dict[str, Any]:
    """The selection frequency of accepted pictures that two people or more looked at: mean, and shares of them."""
    if presences is None or not presences.num_rows:
        return {}
    is_counted = pc.and_(pc.equal(presences.column("status"), "accepted"), pc.greater(presences.column("n_votes"), 1))
    shares = np.asarray(presences.filter(is_counted).column("selection").to_numpy(), np.float64)
    if not shares.size:
        return {}
    return {
        "pictures": int(shares.size), "mean": round(float(shares.mean()), 4),
        "all": round(float(np.mean(shares >= 1)), 4), "below_07": round(float(np.mean(shares < SELECTED)), 4),
    }  # fmt: skip


def _counted(table: pa.Table, column: str) -> dict[str, int]:
    counted = Counter(table.column(column).to_pylist())
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))
