"""Found against true, stage by stage. Pure: what the project recorded and what was drawn -> numbers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pictus import stats
from pictus.demo.mess import Candidate, Kind
from pictus.demo.web import path_of

Facts = dict[str, Any]


class Where(NamedTuple):
    """One picture of the project: the addresses it came from and what is known of them."""

    image_id: str
    candidates: tuple[Candidate, ...]

    @property
    def roots(self) -> set[str]:
        """The originals it is, or is a copy of."""
        return {one.original or one.path for one in self.candidates}

    @property
    def claimed(self) -> str:
        return self.candidates[0].concept_id

    @property
    def truth(self) -> str:
        return self.candidates[0].true_concept


def located(candidates: Iterable[Candidate], sources: Iterable[tuple[str, str]]) -> dict[str, Where]:
    """image_id -> its addresses, from (image_id, address) pairs; each address once."""
    by_path = {one.path: one for one in candidates}
    found: dict[str, dict[str, Candidate]] = defaultdict(dict)
    for image_id, address in sources:
        if (path := path_of(address)) in by_path:
            found[image_id][path] = by_path[path]
    return {image_id: Where(image_id, tuple(paths.values())) for image_id, paths in found.items()}


def collected(candidates: Sequence[Candidate], attempts: Iterable[tuple[str, str]]) -> Facts:
    """(address, cause) of every attempt, the last one counts -> what arrived, and whether causes are right."""
    last = {path_of(address): cause for address, cause in attempts}
    good = {"ok", "unchanged"}
    arrived = sum(cause in good for cause in last.values())
    doomed = [one for one in candidates if one.cause]
    right = sum(last.get(one.path) == one.cause for one in doomed)
    surprises = [
        f"{one.variant or one.kind}: {last.get(one.path, 'never asked')}"
        for one in candidates
        if not one.cause and last.get(one.path) not in good
    ]
    mistaken = Counter(
        f"{one.variant}: {last.get(one.path, 'never asked')}" for one in doomed if last.get(one.path) != one.cause
    )
    return {
        "candidates": len(candidates), "arrived": arrived, "failures": len(last) - arrived, "doomed": len(doomed),
        "causes_right": right, "surprises": dict(Counter(surprises)), "mistaken": dict(mistaken),
        "causes": dict(Counter(cause for cause in last.values() if cause not in good).most_common()),
        "kinds": dict(Counter(one.kind for one in candidates)),
    }  # fmt: skip


def deduplicated(places: Mapping[str, Where], groups: Mapping[str, str]) -> Facts:
    """`groups`: image_id -> its keeper (only members of groups). A copy is found if it shares a group with its
    original; a member is right if it and its keeper come from the same original.

    Copies with the very bytes of their original are one picture since `collect`: they are counted apart, or
    they would flatter what `clean` had to find.
    """
    image_of = {one.path: place.image_id for place in places.values() for one in place.candidates}
    arrived = [one for place in places.values() for one in place.candidates if one.original in image_of]
    copies = [one for one in arrived if image_of[one.path] != image_of[one.original]]

    def keeper(path: str) -> str:
        return groups.get(image_of[path], image_of[path])

    found = [one for one in copies if keeper(one.path) == keeper(one.original)]
    by_variant = {variant: [0, 0] for variant in sorted({one.variant for one in copies})}
    for one in copies:
        by_variant[one.variant][1] += 1
    for one in found:
        by_variant[one.variant][0] += 1
    members = [image_id for image_id, kept in groups.items() if image_id != kept and image_id in places]
    right = [image_id for image_id in members if places[image_id].roots & places[groups[image_id]].roots]
    return {
        "true": len(copies), "found_true": len(found), "found": len(members), "found_right": len(right),
        "same_bytes": sum(len(place.candidates) - 1 for place in places.values()), "by_variant": by_variant,
        "recall": list(stats.wilson(len(found), len(copies))) if copies else None,
        "precision": list(stats.wilson(len(right), len(members))) if members else None,
        "false": [image_id for image_id in members if image_id not in set(right)][:20],
    }  # fmt: skip


def screened(places: Mapping[str, Where], drops: Mapping[str, str]) -> Facts:
    """`drops`: image_id -> the rule that dropped it, duplicates left out. True: poor and broken pictures."""
    bad = {image_id for image_id, place in places.items() if place.candidates[0].kind in {Kind.POOR, Kind.BROKEN}}
    dropped = {image_id for image_id, rule in drops.items() if rule != "duplicate"}
    hit = bad & dropped
    by_variant: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for image_id in bad:
        variant = by_variant[places[image_id].candidates[0].variant]
        variant[0] += image_id in dropped
        variant[1] += 1
    return {
        "true": len(bad), "found": len(dropped), "hit": len(hit), "by_variant": dict(sorted(by_variant.items())),
        "recall": list(stats.wilson(len(hit), len(bad))) if bad else None,
        "precision": list(stats.wilson(len(hit), len(dropped))) if dropped else None,
        "missed": sorted(bad - dropped)[:20], "false": sorted(dropped - bad)[:20],
    }  # fmt: skip


def labelled(places: Mapping[str, Where], labels: Mapping[str, tuple[str, str]], asked: int, votes: int) -> Facts:
    """`labels`: image_id -> (concept, status); `asked`: questions put; `votes`: everything that people answered.

    Precision of the accepted, what each of them cost, and what became of wrong pictures.
    """
    accepted = {image_id: concept for image_id, (concept, status) in labels.items() if status == "accepted"}
    right = sum(places[image_id].truth == concept for image_id, concept in accepted.items())
    wrong = [image_id for image_id in labels if places[image_id].truth != places[image_id].claimed]
    caught = [image_id for image_id in wrong if accepted.get(image_id) != places[image_id].claimed]
    fine = [image_id for image_id in labels if places[image_id].truth == places[image_id].claimed]
    return {
        "pictures": asked, "votes": votes, "accepted": len(accepted), "right": right,
        "precision": list(stats.wilson(right, len(accepted))) if accepted else None,
        "votes_each": votes / max(len(accepted), 1), "fixed_10": 10 * asked, "wrong": len(wrong),
        "wrong_caught": len(caught), "lost": sum(image_id not in accepted for image_id in fine),
        "status": dict(Counter(status for _, status in labels.values())),
        "mistakes": sorted(one for one, concept in accepted.items() if places[one].truth != concept)[:20],
    }  # fmt: skip


def judged(
    estimated: Mapping[str, float], suspected: set[str], realised: Mapping[str, float], spammers: set[str]
) -> Facts:
    """Estimated skill beside what it was in fact (both: accuracy beyond guessing), and who was suspected."""
    known = sorted(set(estimated) & set(realised))
    first = np.array([estimated[name] for name in known])
    second = np.array([realised[name] for name in known])
    is_spread = len(known) > 2 and first.std() > 0 and second.std() > 0  # noqa: PLR2004  a correlation needs three
    return {
        "annotators": len(known), "mae": float(np.abs(first - second).mean()) if known else None,
        "correlation": float(np.corrcoef(first, second)[0, 1]) if is_spread else None,
        "spammers": sorted(spammers), "suspected": sorted(suspected), "spammers_found": len(spammers & suspected),
        "wronged": len(suspected - spammers), "skills": {name: [estimated[name], realised[name]] for name in known},
    }  # fmt: skip


def divided(places: Mapping[str, Where], splits: Mapping[str, str], groups: Mapping[str, str]) -> Facts:
    """image_id -> split, image_id -> keeper: how many pictures in each split, how many groups that were found
    are cut in two, and how many copies that were missed lie in another split than their original.
    """
    by_root, by_group = defaultdict(set), defaultdict(set)
    for image_id, part in splits.items():
        by_group[groups.get(image_id, image_id)].add(part)
        for root in places[image_id].roots:
            by_root[root].add(part)
    return {
        "splits": dict(Counter(splits.values())), "cut_groups": sum(len(parts) > 1 for parts in by_group.values()),
        "missed_across": sum(len(parts) > 1 for parts in by_root.values()),
    }  # fmt: skip


def recalled(queries: Sequence[str], answers: Sequence[Sequence[str]]) -> Facts:
    """The concept of each query and of its ten nearest: recall@10 is the share of queries with one right at least."""
    hits = [sum(one == query for one in found) for query, found in zip(queries, answers, strict=True)]
    return {
        "queries": len(queries), "hits": sum(hit > 0 for hit in hits),
        "recall_at_10": list(stats.wilson(sum(hit > 0 for hit in hits), len(queries))),
        "precision_at_10": float(np.mean([hit / max(len(found), 1) for hit, found in zip(hits, answers, strict=True)])),
    }  # fmt: skip
