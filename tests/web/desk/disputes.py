"""A project whose people are not of one mind."""

from __future__ import annotations

from pathlib import Path

import pictus
from pictus import annotate
from pictus.records import Suspect
from pictus.tables import table_of

from .conftest import make_project


def disputed_project(root: Path, concepts: int = 4, each: int = 8, name: str = "") -> pictus.Project:
    """Three people on every picture: of each concept's, the first two are split, one of them also called the next."""
    project = make_project(root, concepts, each, name=name, is_planned=False)
    lines = []
    for row in project.tables.read("sources").to_pylist():
        index, concept_id = int(Path(row["address"]).stem), row["concept_id"]
        after = f"c{(int(concept_id[1:]) + 1) % concepts:02}"
        lines += [f"{who},{row['image_id']},{concept_id},yes" for who in ("a", "b")]
        lines.append(f"c,{row['image_id']},{concept_id},{'no' if index < 2 else 'yes'}")
        lines += [f"{who},{row['image_id']},{after},{said}" for who, said in (("c", "yes"), ("b", "no")) if not index]
    (root / "votes.csv").write_text("\n".join(["worker,image,question,answer", *lines]) + "\n")
    annotate.import_(project, (root / "votes.csv",))
    annotate.settle(project)
    given = project.tables.read("labels", where="concept_id = 'c02' AND status = 'accepted'").to_pylist()
    doubts = [Suspect(one["image_id"], "c02", "c03", 0.1, "first", "first says kind 3") for one in given[:1]]
    project.tables.replace("suspects", table_of("suspects", doubts))
    annotate.plan(project)
    return project
