"""What the experts of an audit say: precision per concept and overall, kept as a file and an event."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from pictus.annotate.queues import audits
from pictus.annotate.queues.audits import AUDIT, Judged, Precision
from pictus.concepts import Taxonomy, load_taxonomy
from pictus.errors import counted
from pictus.project import Project, write_text
from pictus.registry import Outcome
from pictus.stats import krippendorff_alpha

FOLDER = "audits"
"""Of the project: one <audit_id>.json for each audit, the latest report of it."""

SHOWN = 5
BANDS = (0.0, 0.5, 0.7, 0.9, 1.0)
"""Of the selection frequency, the last one for 1 alone: where ImageNetV2's sets were cut (Recht et al. 2019)."""


@dataclass(frozen=True, slots=True)
class Audited:
    """One concept in the latest audit, with 95 % intervals; the concept_id is "" in the row of all together."""

    concept_id: str
    name: str
    n: int  # labels drawn
    answered: int  # whose presence the experts could tell
    presence: float | None  # share of pictures that show the concept
    presence_low: float  # Wilson
    presence_high: float
    presence_exact_low: float  # Clopper-Pearson
    presence_exact_high: float
    best: float | None  # share for which the concept is the one best label
    best_low: float
    best_high: float
    best_exact_low: float
    best_exact_high: float


class _Item(NamedTuple):
    position: int
    image_id: str
    concept_id: str
    weight: float


_Said = dict[tuple[str, str], dict[str, str]]  # (image_id, concept_id) -> expert -> answer


def report(project: Project, audit_id: str) -> Outcome[Audited]:
    """What is known of one audit by now, which is also kept: as audits/<audit_id>.json and as an event."""
    taxonomy = load_taxonomy(project)
    design, items, said, voted = _asked(project, audit_id)
    judged, facts = _judged(items, said, voted)
    weights = {item.position: item.weight for item in items}
    overall = {
        name: audits.summed(judged, weights, of_best=name == "best") for name in ("presence", "best")
    }
    worst = audits.summed(judged, weights, of_best=False, unsure_is_wrong=True)
    rows = _by_concept(taxonomy, items, judged, weights)
    selection = _selection(project, items, judged)
    summary: dict[str, Any] = {
        "audit_id": audit_id, "of": design["of"], "drawn": len(items), "answered": len(judged), **facts,
        "presence": _plain(overall["presence"]), "best": _plain(overall["best"]),
        "presence_if_unsure_is_wrong": _plain(worst), "each": design["each"], "seed": design["seed"],
        "population": design["population"], "selection": selection,
        "method": "weighted share; Wilson 1927 and Clopper-Pearson 1934 at Kish's effective sample size",
    }  # fmt: skip
    path = project.root / FOLDER / f"{audit_id}.json"
    kept = {**summary, "concepts": [asdict(row) for row in rows]}
    write_text(path, json.dumps(kept, indent=1))
    project.journal.log("annotate", "labels_audited", design["of"], **summary)
    lines = [
        f"shows it   {overall['presence'].words()}", f"best label {overall['best'].words()}",
        *(f"  {row.name}: {_short(row)}" for row in rows[1 : SHOWN + 1] if row.presence is not None),
    ]
    if more := sum(row.presence is not None for row in rows[SHOWN + 1 :]):
        lines.append(f"  … and {counted(more, 'more concept')}: --jsonl lists them too")
    left = len(items) - len(judged)
    return Outcome(
        "annotate audit", {**summary, "file": str(path)}, "\n".join(lines), _problems(summary, worst),
        ("pictus annotate serve    (experts sign in as reviewers)",) if left else (), lambda: iter(rows),
    )  # fmt: skip


def _asked(project: Project, audit_id: str) -> tuple[dict[str, Any], list[_Item], _Said, set[tuple[str, str, str]]]:
    """The design, the items, what experts said last of each pair, and (pair, name) of who had answered about it."""
    which = {"audit_id": audit_id, "kind": AUDIT}
    with project.journal.reading() as connection:
        design = connection.execute(sa.text("SELECT design FROM audits WHERE audit_id = :audit_id"), which).scalar_one()
        items = connection.execute(
            sa.text("SELECT position, image_id, concept_id, weight FROM audit_items WHERE audit_id = :audit_id"
                    " ORDER BY position"), which,
        ).all()  # fmt: skip
        answers = connection.execute(
            sa.text("SELECT image_id, concept_id, annotator, answer FROM answers WHERE kind = :kind"
                    " ORDER BY answer_id"), which,
        ).all()  # fmt: skip
        voted = connection.execute(
            sa.text("SELECT a.image_id, a.concept_id, a.annotator FROM audit_items i JOIN answers a ON"
                    " a.image_id = i.image_id AND a.concept_id = i.concept_id WHERE i.audit_id = :audit_id"
                    " AND a.kind <> :kind UNION SELECT v.image_id, i.concept_id, v.annotator FROM audit_items i"
                    " JOIN votes v ON v.image_id = i.image_id WHERE i.audit_id = :audit_id"
                    " AND (v.question = i.concept_id OR v.question = '')"), which,
        ).all()  # fmt: skip
    said: _Said = {}
    for image_id, concept_id, who, answer in answers:
        said.setdefault((image_id, concept_id), {})[who] = answer
    return json.loads(design), [_Item(*row) for row in items], said, {(row[0], row[1], row[2]) for row in voted}


def _judged(
    items: Sequence[_Item], said: _Said, voted: set[tuple[str, str, str]]
) -> tuple[dict[int, Judged], dict[str, Any]]:
    """What the experts say of each item that was answered, without those who had voted; and facts about them."""
    judged: dict[int, Judged] = {}
    not_independent, said_I, said_A = 0, [], []
    for item in items:
        pair = (item.image_id, item.concept_id)
        theirs = said.get(pair, {})
        answered = {who: answer for who, answer in theirs.items() if (*pair, who) not in voted}
        not_independent += len(theirs) - len(answered)
        if answered:
            judged[item.position] = audits.judged(answered.values())
            said_I += [item.position] * len(answered)
            said_A += [audits.ANSWERS.index(answer) for answer in answered.values()]
    alpha = krippendorff_alpha(said_I, said_A)
    return judged, {
        "unsure": sum(one.is_present is None for one in judged.values()),
        "not_independent": not_independent, "several_experts": sum(one.experts > 1 for one in judged.values()),
        "disputed": sum(one.is_disputed for one in judged.values()),
        "agreement": None if np.isnan(alpha) else round(alpha, 4),
    }  # fmt: skip


def _by_concept(
    taxonomy: Taxonomy, items: Sequence[_Item], judged: Mapping[int, Judged], weights: Mapping[int, float]
) -> list[Audited]:
    """All together first, then each concept, the least precise first."""
    groups: dict[str, list[_Item]] = {}
    for item in items:
        groups.setdefault(item.concept_id, []).append(item)

    def row(concept_id: str, members: Sequence[_Item]) -> Audited:
        theirs = {item.position: judged[item.position] for item in members if item.position in judged}
        presence, best = (audits.summed(theirs, weights, of_best=of_best) for of_best in (False, True))
        name = taxonomy.called(concept_id) if concept_id else "all"
        return Audited(
            concept_id, name, len(members), presence.n, _share(presence), presence.low, presence.high,
            presence.exact_low, presence.exact_high, _share(best), best.low, best.high, best.exact_low, best.exact_high,
        )  # fmt: skip

    rows = [row(concept_id, members) for concept_id, members in groups.items()]
    rows.sort(key=lambda one: (one.presence if one.presence is not None else 2, one.presence_high, one.concept_id))
    return [row("", items), *rows]


def _selection(project: Project, items: Sequence[_Item], judged: Mapping[int, Judged]) -> dict[str, Any]:
    """How often voters selected the audited pictures (n_yes / n_votes), and the precision by that."""
    if not project.tables.count("presences"):
        return {}
    rows = project.tables.read("presences", ["image_id", "concept_id", "selection"])
    wanted = {(item.image_id, item.concept_id): item for item in items}
    keep = pc.is_in(rows.column("image_id"), value_set=pa.array(sorted({item.image_id for item in items})))
    found = [
        (row["selection"], wanted[pair].position) for row in rows.filter(keep).to_pylist()
        if (pair := (row["image_id"], row["concept_id"])) in wanted
    ]  # fmt: skip
    if not found:
        return {}
    shares = np.array([share for share, _ in found])
    band_A = np.clip(np.searchsorted(BANDS, shares, side="right") - 1, 0, len(BANDS) - 1)
    bands = []
    for number, low in enumerate(BANDS):
        inside = [position for (_, position), band in zip(found, band_A.tolist(), strict=True) if band == number]
        told = {position: judged[position] for position in inside if position in judged}
        precision = audits.summed(told, dict.fromkeys(told, 1.0), of_best=False)
        bands.append({"from": low, "pictures": len(inside), "presence": _plain(precision)})
    deciles = np.quantile(shares, [0.1, 0.5, 0.9]).round(4).tolist()
    return {"pictures": len(found), "mean": round(float(shares.mean()), 4), "p10_p50_p90": deciles, "bands": bands}


def _share(precision: Precision) -> float | None:
    return precision.estimate if precision.n else None


def _plain(precision: Precision) -> dict[str, Any]:
    values = {name: round(value, 6) for name, value in precision._asdict().items() if isinstance(value, float)}
    values["estimate"] = None if not precision.n else values["estimate"]  # type: ignore[assignment]
    return {**values, "n": precision.n, "wrong": precision.wrong, "words": precision.words()}


def _short(row: Audited) -> str:
    return (
        f"{100 * (row.presence or 0.0):.1f} %, 95 % CI {100 * row.presence_low:.1f}-{100 * row.presence_high:.1f},"
        f" n = {row.answered:,}"
    )


def _problems(summary: Mapping[str, Any], worst: Precision) -> tuple[str, ...]:
    lines = []
    if left := summary["drawn"] - summary["answered"]:
        lines.append(f"{left:,} of {counted(summary['drawn'], 'label')} not answered yet, and so not counted")
    if summary["unsure"]:
        lines.append(
            f"{counted(summary['unsure'], 'label')} left out as unsure or split; counted as wrong: {worst.words()}"
        )
    if summary["disputed"]:
        lines.append(
            f"experts disagree on {summary['disputed']:,} of {counted(summary['several_experts'], 'label')} that "
            f"several looked at (Krippendorff's alpha {summary['agreement']})"
        )
    if summary["not_independent"]:
        lines.append(f"{counted(summary['not_independent'], 'answer')} left out: its auditor had voted on the picture")
    return tuple(lines)
