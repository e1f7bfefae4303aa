"""The report: one HTML file with everything in it, told as a short illustrated story."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
import pyarrow.parquet as pq

from pictus.collect.causes import advice
from pictus.demo import charts
from pictus.demo.album import Album, tile_of
from pictus.demo.findings import Facts, Where
from pictus.demo.tree import CONCEPTS, NAMES
from pictus.models import find_run
from pictus.project import write_text

if TYPE_CHECKING:
    from pictus.demo.acts import Stage

_WALL = 96
_SHEET = 12
_PAIRS = 12
_QUARRELS = 12
_CONFUSIONS = 8
_QUERIES = 6
_FRESH = 14
_STRIP = 5
_WHAT = {
    "resized": "another size",
    "re-encoded": "saved again, at lower quality",
    "cropped": "cut a little smaller",
    "same-bytes": "the same bytes",
}
_BY_ID = {concept.concept_id: concept for concept in CONCEPTS}


def write_report(stage: "Stage", opening: str, rows: Sequence[tuple[str, str, str]], facts: dict[str, Facts]) -> None:
    """Write report.html into the project's folder."""
    templates = Path(__file__).parent / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    page = environment.get_template("report.html.j2").render(_story(stage, opening, rows, facts))
    write_text(stage.project.root / "report.html", page)


def _story(
    stage: "Stage", opening: str, rows: Sequence[tuple[str, str, str]], facts: dict[str, Facts]
) -> dict[str, Any]:
    from pictus.demo.acts import RUN, VERSION, places  # noqa: PLC0415  acts know more than a page needs

    project, where, album = stage.project, places(stage), Album(stage.project)
    labels = {
        row["image_id"]: row
        for row in project.tables.read(
            "labels", ["image_id", "concept_id", "posterior", "n_votes", "status"]
        ).to_pylist()
    }
    accepted = _by_concept(labels)
    rng = np.random.default_rng((stage.seed, 30))
    run = find_run(project, RUN)
    predictions = pq.read_table(run.root / "evaluations" / f"{VERSION}-test" / "predictions.parquet").to_pylist()
    concepts, evaluation = stage.scale.concepts, run.root / "evaluations" / f"{VERSION}-test"
    return {
        "opening": opening, "rows": rows, "facts": facts, "folder": project.root.name,
        "wall_tiles": _wall(accepted, album, rng, concepts),
        "sheets": _sheets(accepted, album, where, rng, concepts),
        "kinds": _kinds(facts), "strangers": _strangers(album, where, rng), "causes": _causes(facts),
        "lines": _lines(stage, album, facts), "poor": facts["clean"]["poor"],
        "copies": facts["clean"]["duplicates"], "pairs": _pairs(stage, album, where, rng),
        "quarrels": _quarrels(stage, album, where, labels), "skills": _skills(facts), "votes": _votes(labels),
        "confidence": _confidence(labels, facts),
        "curve": _curve(run.root), "scores": _scores(facts), "classes": _classes(evaluation),
        "confusions": _confusions(predictions, album), "rivals": _rivals(facts), "fresh": _fresh(stage, facts),
        "queries": _queries(stage, facts, album, where), "words": _words(facts, album, where),
    }  # fmt: skip


def _by_concept(labels: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for image_id, row in sorted(labels.items()):
        if row["status"] == "accepted":
            found[row["concept_id"]].append(image_id)
    return found


def _wall(accepted: dict[str, list[str]], album: Album, rng: np.random.Generator, concepts: Sequence[str]) -> list[str]:
    """Pictures for the opening, concepts mixed so that neighbours differ."""
    chosen: list[str] = []
    while len(chosen) < _WALL:
        pools = [accepted[concept] for concept in rng.permutation(list(concepts)) if accepted.get(concept)]
        chosen += [pool[int(rng.integers(len(pool)))] for pool in pools]
    return [album.tile(image_id, 176) for image_id in chosen[:_WALL]]


def _sheets(
    accepted: dict[str, list[str]], album: Album, where: dict[str, Where], rng: np.random.Generator,
    concepts: Sequence[str],
) -> list[dict[str, Any]]:  # fmt: skip
    """A row of pictures for each concept, with its place in the tree."""
    sheets = []
    for concept_id in concepts:
        pool = accepted.get(concept_id, [])
        chosen = [pool[k] for k in sorted(rng.permutation(len(pool))[:_SHEET])]
        crumbs: list[str] = []
        above = _BY_ID[concept_id].parents[0]
        while above and len(crumbs) < 3:  # noqa: PLR2004  three steps up place a concept
            crumbs.append(NAMES[above])
            above = next(iter(_BY_ID[above].parents), "")
        tiles = [{"tile": album.tile(one, 128), "is_right": where[one].truth == concept_id} for one in chosen]
        sheets.append({"name": NAMES[concept_id], "count": len(pool), "crumbs": crumbs[::-1], "tiles": tiles})
    return sheets


def _kinds(facts: dict[str, Facts]) -> str:
    words = {
        "good": "good", "duplicate": "copies of others", "poor": "of poor quality", "wrong": "of something else",
        "failed": "never arrive", "broken": "broken bytes",
    }  # fmt: skip
    kinds = facts["world"]["kinds"]
    rows = [charts.Bar(words[kind], kinds.get(kind, 0), f"{kinds.get(kind, 0):,}", kind != "good") for kind in words]
    return charts.bars(rows, "What was on the web, by kind")


def _strangers(album: Album, where: dict[str, Where], rng: np.random.Generator) -> list[dict[str, str]]:
    """Pictures of something else than they were listed as."""
    wrong = sorted(one for one, place in where.items() if place.truth and place.truth != place.claimed)
    chosen = [wrong[k] for k in rng.permutation(len(wrong))[:12]]
    return [{"tile": album.tile(one, 160), "claimed": NAMES[where[one].claimed]} for one in chosen]


def _causes(facts: dict[str, Facts]) -> list[dict[str, Any]]:
    causes = facts["collect"]["causes"]
    return [{"cause": cause, "count": count, "advice": advice(cause)} for cause, count in causes.items()]


def _lines(stage: "Stage", album: Album, facts: dict[str, Facts]) -> list[dict[str, Any]]:
    """Each rule's line beside the distribution it cuts and the pictures on either side of it."""
    tables = stage.project.tables
    names = ["image_id", "cause", "width", "height", "contrast", "brightness", "sharpness", "aspect", "entropy"]
    checks = {row["image_id"]: row for row in tables.read("checks", names).to_pylist() if not row["cause"]}
    verdicts = tables.read("verdicts", ["image_id", "verdict", "rule"]).to_pylist()
    found = []
    for cut in facts["clean"]["screen"]["lines"]:
        if not cut["dropped"] or cut["is_flag"]:  # a flag takes nothing away
            continue
        out = [row["image_id"] for row in verdicts if row["verdict"] == "drop" and row["rule"] == cut["rule"]]
        kept = [row["image_id"] for row in verdicts if row["verdict"] == "keep"]
        sign = -1.0 if cut["is_upper"] else 1.0
        value = {one: _measure(checks[one], cut["measure"]) for one in (*out, *kept) if one in checks}
        dropped = sorted((one for one in out if one in value), key=lambda one: -sign * value[one])
        spared = sorted((one for one in kept if one in value), key=lambda one: sign * value[one])
        tiles = [
            {"tile": album.tile(one, 128), "value": _short(value[one]), "is_out": is_out}
            for is_out, side in ((True, _spread(dropped)[::-1]), (False, spared[:_STRIP]))
            for one in side
        ]
        title, is_upper = f"{cut['measure']} of all pictures", cut["is_upper"]
        chart = charts.histogram(cut["edges"], cut["counts"], cut["line"], title, is_upper=is_upper)
        found.append({**cut, "line": _short(cut["line"]), "tiles": tiles, "chart": chart})
    return found


def _spread(ordered: Sequence[str]) -> list[str]:
    """A few of them from the nearest to the line to the farthest."""
    return (
        [ordered[k] for k in sorted({round(place) for place in np.linspace(0, len(ordered) - 1, _STRIP)})]
        if ordered
        else []
    )


def _measure(check: dict[str, Any], name: str) -> float:
    return float(min(check["width"], check["height"]) if name == "short side" else check[name])


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 20 else f"{value:.1f}"  # noqa: PLR2004  two or three digits tell enough


def _pairs(stage: "Stage", album: Album, where: dict[str, Where], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Duplicates beside their keepers, the farthest apart first, every kind of copy among them."""
    rows = stage.project.tables.read("duplicates").to_pylist()
    copies = [row for row in rows if not row["is_keeper"] and row["image_id"] in where]
    by_variant: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(copies, key=lambda row: -row["distance"]):
        variants = [one.variant for one in where[row["image_id"]].candidates if one.original]
        by_variant[variants[0] if variants else "the original"].append(row)
    chosen: list[dict[str, Any]] = []
    for pool in by_variant.values():
        step = max(1, len(pool) // (_PAIRS // max(len(by_variant), 1) + 1))
        chosen += pool[::step][: _PAIRS // max(len(by_variant), 1) + 1]
    chosen = [chosen[k] for k in rng.permutation(len(chosen))[:_PAIRS]]
    pairs = []
    for row in sorted(chosen, key=lambda row: row["distance"]):
        variant = next((one.variant for one in where[row["image_id"]].candidates if one.original), "")
        kept, other = (album.whole(row[name], 200) for name in ("group_id", "image_id"))
        what = _WHAT.get(variant, "the original: its copy was kept")
        pairs.append({"kept": kept, "other": other, "reason": row["reason"], "what": what})
    return pairs


def _quarrels(stage: "Stage", album: Album, where: dict[str, Where], labels: dict[str, Any]) -> list[dict[str, Any]]:
    """Pictures on which people said the most different things."""
    answers: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in stage.project.journal.votes().to_pylist():
        if row["image_id"] in where and row["question"] == where[row["image_id"]].claimed:
            answers[row["image_id"]].append((row["annotator"], row["answer"]))
    split = sorted(
        answers, key=lambda one: (-min(_says(answers[one], "yes"), _says(answers[one], "no")), -len(answers[one]), one)
    )
    found = []
    for image_id in split[:_QUARRELS]:
        place, label = where[image_id], labels.get(image_id, {})
        found.append(
            {"picture": album.tile(image_id, 176), "question": NAMES[place.claimed], "answers": answers[image_id],
             "status": label.get("status", "unsettled"), "posterior": label.get("posterior", 0.0),
             "truth": NAMES.get(place.truth, "nothing"),
             "is_right": (place.truth == place.claimed) == (label.get("status") == "accepted")}
        )  # fmt: skip
    return found


def _says(answers: Sequence[tuple[str, str]], word: str) -> int:
    return sum(answer == word for _, answer in answers)


def _skills(facts: dict[str, Facts]) -> str:
    skills = facts["annotate"]["skills"]
    low = min(0.0, *(np.floor(min(pair) * 4) / 4 for pair in skills["skills"].values()))
    points = [
        charts.Point(name, real, guess, name in skills["spammers"]) for name, (guess, real) in skills["skills"].items()
    ]
    return charts.scatter(points, "skill in fact", "skill estimated from the votes alone", "Annotators' skill", low=low)


def _votes(labels: dict[str, Any]) -> str:
    counts: dict[int, int] = defaultdict(int)
    for row in labels.values():
        counts[row["n_votes"]] += 1
    rows = [charts.Bar(f"{votes} votes", counts[votes], f"{counts[votes]:,} pictures") for votes in sorted(counts)]
    return charts.bars(rows, "Votes per picture", label_px=64)


def _confidence(labels: dict[str, Any], facts: dict[str, Facts]) -> dict[str, Any]:
    """The stopping rule's table for the concepts that took the fewest and the most votes a picture."""
    took: dict[str, list[int]] = defaultdict(list)
    for row in labels.values():
        if row["status"] == "accepted":
            took[row["concept_id"]].append(row["n_votes"])
    order = sorted(took, key=lambda one: (float(np.mean(took[one])), one))
    tables = facts["annotate"]["confidence"]
    chosen = [one for one in dict.fromkeys([order[0], order[-1]]) if tables.get(one)] if order else []
    cells = [f"{yes}\u2009:\u2009{no}" for yes, no, _ in tables[chosen[0]]] if chosen else []
    rows = [
        {"name": NAMES[one], "votes": f"{np.mean(took[one]):.1f}", "shares": [share for _, _, share in tables[one]]}
        for one in chosen
    ]
    return {"cells": cells, "rows": rows}


def _curve(root: Path) -> str:
    lines = [json.loads(line) for line in (root / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    epochs = [line for line in lines if line.get("kind") == "epoch"]
    return charts.curves(
        [
            ("validation top-5", [one["val_top5"] for one in epochs], "mute"),
            ("validation top-1", [one["val_top1"] for one in epochs], "ink"),
            ("training top-1", [one["train_top1"] for one in epochs], "faint"),
        ],
        "Learning curves",
    )


def _scores(facts: dict[str, Facts]) -> dict[str, Any]:
    return {name: {key: value * 100 for key, value in facts["evaluate"][name].items()} for name in ("top1", "top5")}


def _classes(evaluation: Path) -> str:
    results = json.loads((evaluation / "results.json").read_text(encoding="utf-8"))
    rows = sorted(results["classes"], key=lambda one: (-(one["recall"] or 0), one["name"]))
    spreads = [
        charts.Spread(one["name"], one["recall"], one["recall_low"], one["recall_high"]) for one in rows if one["n"]
    ]
    return charts.spreads(spreads, "Share of each class found")


def _confusions(predictions: Sequence[dict[str, Any]], album: Album) -> list[dict[str, Any]]:
    """Pictures taken for something else, the surest mistakes first, one for each pair of classes."""
    wrong = [one for one in predictions if one["guesses"] and one["guesses"][0] != one["concept_id"]]
    example: dict[str, dict[str, Any]] = {}
    for one in predictions:
        if one["guesses"] and one["guesses"][0] == one["concept_id"]:
            best = example.get(one["concept_id"])
            if best is None or one["true_probability"] > best["true_probability"]:
                example[one["concept_id"]] = one
    found, seen = [], set()
    for one in sorted(wrong, key=lambda one: -one["probabilities"][0]):
        pair = (one["concept_id"], one["guesses"][0])
        if pair in seen:
            continue
        seen.add(pair)
        like = album.tile(example[pair[1]]["image_id"], 200) if pair[1] in example else ""
        names = {"true": NAMES[pair[0]], "taken": NAMES[pair[1]], "probability": one["probabilities"][0]}
        found.append({**names, "picture": album.tile(one["image_id"], 200), "like": like})
    return found[:_CONFUSIONS]


def _rivals(facts: dict[str, Facts]) -> str:
    rows = [
        charts.Spread(one["name"], one["top1"], one["top1_low"], one["top1_high"])
        for one in facts["challenge"]["scores"]
    ]
    return charts.spreads(rows, "Top-1 of the rivals")


def _fresh(stage: "Stage", facts: dict[str, Facts]) -> list[dict[str, Any]]:
    from pictus.demo.acts import fresh_pictures  # noqa: PLC0415

    found = []
    pictures = fresh_pictures(stage)
    for path, concept_id in pictures[:: max(1, len(pictures) // _FRESH)][:_FRESH]:
        guesses = facts["serve"]["answers"].get(path.name) or []
        if guesses:
            guess, probability = guesses[0]
            names = {"name": NAMES[guess], "truth": NAMES[concept_id], "is_right": guess == concept_id}
            found.append({**names, "tile": tile_of(path.read_bytes(), 176), "probability": probability})
    return found


def _queries(stage: "Stage", facts: dict[str, Facts], album: Album, where: dict[str, Where]) -> list[dict[str, Any]]:
    from pictus.demo.acts import fresh_pictures  # noqa: PLC0415

    found, pictures = [], fresh_pictures(stage)
    many = stage.scale.fresh
    for path, concept_id in pictures[1::many][:: max(1, len(pictures) // many // _QUERIES)][:_QUERIES]:
        hits = [
            {"tile": album.tile(one, 128), "is_right": where[one].truth == concept_id}
            for one in facts["search"]["found"][path.name]
        ]
        found.append({"tile": tile_of(path.read_bytes(), 176), "name": NAMES[concept_id], "hits": hits})
    return found


def _words(facts: dict[str, Facts], album: Album, where: dict[str, Where]) -> list[dict[str, Any]]:
    return [
        {
            "word": word,
            "hits": [{"tile": album.tile(one, 128), "is_right": NAMES.get(where[one].truth) == word} for one in hits],
        }
        for word, hits in facts["search"]["by_word"].items()
    ]
