"""The acts of the journey: each calls the public steps of one stage and compares found with true.

An act takes the stage it plays on and returns plain JSON facts; the journey keeps them, so that a
finished act is not played again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pictus import challenge, clean, collect, evaluate, release, search, serve, stats, taxonomy, train
from pictus.demo import findings
from pictus.demo.baseline import histogram_guesses
from pictus.demo.findings import Facts, Where
from pictus.demo.mess import Mixture
from pictus.demo.tree import CLASSES, CONCEPTS, NAMES
from pictus.demo.web import build, read_truth, serving, write_list
from pictus.demo.world import draw
from pictus.errors import UserError
from pictus.models import CARD_NAME, find_run
from pictus.project import Project, write_bytes, write_text
from pictus.releases import find_release

VERSION = "1.0.0"
RUN = "first"
MOST_SURPRISES = 0.02
"""Share of addresses that may fail unplanned, on a machine that has much else to do."""


@dataclass(frozen=True)
class Scale:
    """How large a world."""

    concepts: tuple[str, ...]
    mixture: Mixture
    annotators: int = 24
    audited: int = 600  # labels that independent experts look at
    epochs: int = 0  # 0: the recipe's
    fresh: int = 3  # pictures per concept that nobody has seen, drawn for search and serve


FULL = Scale(CLASSES, Mixture())
SMALL = Scale(
    ("n07753592", "n07747607", "n02165456", "n04398044", "n03792782"),
    Mixture(good=56, wrong=3, duplicate=9, poor=7, broken=1, failed=4), epochs=10, fresh=4, audited=150,
)  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """Where an act is played."""

    project: Project
    scale: Scale
    seed: int

    @property
    def world(self) -> Path:
        return self.project.root / "world"

    @property
    def fresh(self) -> Path:
        return self.project.root / "fresh"


def draw_world(stage: Stage) -> Facts:
    """Draw the candidates, and write the tree of concepts as a team would bring it."""
    truth = build(stage.world, stage.scale.concepts, stage.scale.mixture, stage.seed, stage.project.progress)
    chosen = _with_ancestors(stage.scale.concepts)
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(("id", "name", "parent", "gloss", "is_class"))
    for concept in CONCEPTS:
        if concept.concept_id in chosen:
            is_class = "true" if concept.concept_id in stage.scale.concepts else "false"
            names, parents = "; ".join(concept.names), "; ".join(concept.parents)
            writer.writerow((concept.concept_id, names, parents, concept.gloss, is_class))
    write_text(stage.project.root / "concepts.csv", buffer.getvalue())
    outcome = taxonomy.import_(stage.project, file=stage.project.root / "concepts.csv")
    kinds: dict[str, int] = {}
    for one in truth:
        kinds[one.kind] = kinds.get(one.kind, 0) + 1
    return {"candidates": len(truth), "bad": len(truth) - kinds["good"], "kinds": kinds,
            "concepts": len(stage.scale.concepts), "taxonomy": outcome.summary}  # fmt: skip


def _with_ancestors(concepts: Iterable[str]) -> set[str]:
    parents = {concept.concept_id: concept.parents for concept in CONCEPTS}
    found, waiting = set[str](), list(concepts)
    while waiting:
        found.add(one := waiting.pop())
        waiting.extend(parents[one])
    return found


def collect_pictures(stage: Stage) -> Facts:
    """Fetch every address from the local web; a second time what should have come and did not."""
    project, truth = stage.project, read_truth(stage.world)
    order = np.random.default_rng((stage.seed, 20)).permutation(len(truth))
    listed = project.root / "urls.csv"
    with serving(stage.world) as origins:
        write_list(listed, [truth[k] for k in order], origins)
        for _ in range(2):
            outcome = collect.fetch(project, listed, allow_host=("127.0.0.1",), rate=0, contact="demo@example.org")
            attempts = project.tables.read("fetches", ["address", "cause"]).to_pylist()
            found = findings.collected(truth, ((row["address"], row["cause"]) for row in attempts))
            if not found["surprises"]:
                break
    if sum(found["surprises"].values()) > MOST_SURPRISES * len(truth):
        why = ", ".join(f"{count:,} × {what}" for what, count in found["surprises"].items())
        raise UserError(
            f"The demo's own web on 127.0.0.1 did not answer as it should: {why}.",
            fix="see what else uses the ports in world/ports.json, then run the same command again: it continues",
        )
    return {**found, "pictures": project.tables.count("images"), "summary": outcome.summary}


def clean_pictures(stage: Stage) -> Facts:
    """Measure, find duplicates, screen."""
    project = stage.project
    checked, deduped, screened = clean.check(project), clean.dedupe(project), clean.screen(project)
    where = places(stage)
    groups = _groups(project)
    drops = dropped(project)
    return {
        "duplicates": findings.deduplicated(where, groups), "poor": findings.screened(where, drops),
        "check": checked.summary, "dedupe": deduped.summary, "screen": screened.summary,
        "kept": len(where) - len(drops),
    }  # fmt: skip


def _groups(project: Project) -> dict[str, str]:
    """image_id -> the keeper of its duplicate group."""
    rows = project.tables.read("duplicates", ["image_id", "group_id"]).to_pylist()
    return {row["image_id"]: row["group_id"] for row in rows}


def places(stage: Stage) -> dict[str, Where]:
    """image_id -> where it was found and what it really is."""
    sources = stage.project.tables.read("sources", ["image_id", "address"]).to_pylist()
    return findings.located(read_truth(stage.world), ((row["image_id"], row["address"]) for row in sources))


def dropped(project: Project) -> dict[str, str]:
    """image_id -> the rule that dropped it."""
    rows = project.tables.read("verdicts", ["image_id", "verdict", "rule"]).to_pylist()
    return {row["image_id"]: row["rule"] for row in rows if row["verdict"] == "drop"}


def release_pictures(stage: Stage) -> Facts:
    """Split with duplicate groups whole, freeze, verify."""
    project = stage.project
    divided = release.split(project, seed=stage.seed)
    if not (project.releases_dir / VERSION).exists():
        release.cut(
            project, VERSION, description="A drawn world: every picture is computed, none is a photograph.",
            creator="pictus demo",
        )  # fmt: skip
    verified = release.verify(project, VERSION)
    found = find_release(project, VERSION)
    rows = found.pictures.select(["image_id", "split", "concept_id"]).to_pylist()
    where = places(stage)
    wrong = sum(where[row["image_id"]].truth != row["concept_id"] for row in rows)
    parts = {row["image_id"]: row["split"] for row in rows}
    return {
        **findings.divided(where, parts, _groups(project)), "version": VERSION, "pictures": len(rows),
        "labels_wrong": wrong, "digest": found.digest, "split": divided.summary, "verified": verified.summary,
    }  # fmt: skip


def train_model(stage: Stage) -> Facts:
    """The first recipe, on the release. A run that was begun is continued, also when it had just come to its end."""
    if (stage.project.models_dir / RUN / CARD_NAME).exists():
        return dict(train.resume(stage.project, RUN).summary)
    outcome = train.run(stage.project, release=VERSION, recipe="small-cnn", epochs=stage.scale.epochs, name=RUN)
    return dict(outcome.summary)


def evaluate_model(stage: Stage) -> Facts:
    """How good it is, on pictures it has not seen."""
    return dict(evaluate.run(stage.project, run=RUN, release=VERSION, split="test").summary)


def rank_rivals(stage: Stage) -> Facts:
    """The model against a rival that sees colours only."""
    project = stage.project
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    guessed = histogram_guesses(find_release(project, VERSION))
    writer.writerow(("image_id", *(f"guess{k}" for k in range(1, len(guessed[0][1]) + 1))))
    writer.writerows((image_id, *guesses) for image_id, guesses in guessed)
    rival = project.root / "challenge" / "colours-only.csv"
    write_text(rival, buffer.getvalue())
    ours = project.root / "challenge" / "small-cnn.parquet"
    evaluation = find_run(project, RUN).root / "evaluations" / f"{VERSION}-test"
    write_bytes(ours, (evaluation / "predictions.parquet").read_bytes())
    return dict(challenge.rank(project, (ours, rival), release=VERSION).summary)


def fresh_pictures(stage: Stage) -> list[tuple[Path, str]]:
    """Pictures that are in no set, drawn now: (path, concept)."""
    found = []
    for number, concept_id in enumerate(stage.scale.concepts):
        for k in range(stage.scale.fresh):
            path = stage.fresh / f"{NAMES[concept_id].lower().replace(' ', '-')}-{k}.jpg"
            if not path.exists():
                write_bytes(path, draw(concept_id, (stage.seed, number, 1_000_000 + k)).jpeg())
            found.append((path, concept_id))
    return found


def serve_model(stage: Stage) -> Facts:
    """Export, and ask the exported model about pictures drawn a moment ago."""
    exported = serve.export(stage.project, run=RUN, release=VERSION)
    pictures = fresh_pictures(stage)
    outcome = serve.predict(stage.project, tuple(path for path, _ in pictures), run=RUN, top=5)
    answers = {Path(one.path).name: list(zip(one.guesses, one.probabilities, strict=True)) for one in outcome}
    right = sum(bool(answers[path.name]) and answers[path.name][0][0] == concept_id for path, concept_id in pictures)
    return {"pictures": len(pictures), "right": right, "top1": list(stats.wilson(right, len(pictures))),
            "answers": answers, "export": exported.summary}  # fmt: skip


def search_pictures(stage: Stage) -> Facts:
    """Index by the trained model, then look for each fresh picture's like."""
    project, where = stage.project, places(stage)
    indexed = search.index(project, run=RUN)
    pictures = fresh_pictures(stage)
    found: dict[str, list[str]] = {}
    with project.progress.track("searching", len(pictures)) as meter:
        for path, _ in pictures:
            found[path.name] = [hit.image_id for hit in search.query(project, image=path, run=RUN, count=10)]
            meter.advance()
    answers = [[where[image_id].truth for image_id in found[path.name]] for path, _ in pictures]
    words = [NAMES[concept_id] for concept_id in stage.scale.concepts[-3:]]
    by_word = {
        word: [hit.image_id for hit in search.query(project, text=word, run=RUN, count=10)] for word in words
    }  # fmt: skip
    recalled = findings.recalled([concept_id for _, concept_id in pictures], answers)
    return {**recalled, "found": found, "by_word": by_word, "index": indexed.summary}
