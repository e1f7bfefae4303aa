"""What split, cut and verify tell in their headlines, problems and errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from pictus.errors import UserError, counted
from pictus.release.candidates import Eligible, whole_groups
from pictus.release.packing import MERGED
from pictus.release.redaction import FACES_BLURRED, FIRST_FRAME
from pictus.release.splits import Drawn
from pictus.release.verification import Finding
from pictus.releases import SPLITS


def split_summary(rows: pa.Table, drawn: Drawn, left: int) -> dict[str, Any]:
    """The numbers of a draw."""
    return {
        "pictures": rows.num_rows,
        "classes": len(rows.column("concept_id").unique()),
        **{name: drawn.splits.count(name) for name in SPLITS},
        "kept": drawn.kept,
        "left": left,
        "groups": whole_groups(rows) - len(drawn.torn),
        "moved_groups": len(drawn.moved),
        "torn_groups": len(drawn.torn),
        "classes_lacking": len(drawn.lacking),
    }


def split_problems(drawn: Drawn, found: Eligible) -> tuple[str, ...]:
    """What a person should know of a draw."""
    problems = []
    for name in SPLITS:
        lacking = [concept_id for concept_id, splits in drawn.lacking.items() if name in splits]
        if lacking:
            classes = counted(len(lacking), "class", "classes")
            problems.append(f"{classes} without a picture in {name}: {_some(lacking)}")
    if drawn.torn:
        problems.append(
            f"{torn_told(len(drawn.torn))} in several splits because those were given: {_some(drawn.torn)};"
            " pictus clean screen drops all but their keepers"
        )
    if drawn.moved:
        moved = counted(len(drawn.moved), "group")
        problems.append(f"{moved} found since the last draw and brought together, held out first")
    if found.several:
        problems.append(f"{counted(found.several, 'accepted label')} set aside: the picture has a more probable one")
    return (
        *unsettled_note(found), *problems, *undecodable_note(found.undecodable),
        *unscreened_note(len(found.unscreened)),
    )  # fmt: skip


def kept_whole(groups: int) -> str:
    """The duplicate groups of a headline, if any."""
    return f", {counted(groups, 'duplicate group')} kept whole" if groups else ""


def torn_told(groups: int) -> str:
    """How many groups lie in several splits."""
    return counted(groups, "duplicate group lies", "duplicate groups lie")


def sized(found: Mapping[str, Any]) -> str:
    """Pictures and classes of a headline."""
    return f"{counted(found['pictures'], 'picture')}, {counted(found['classes'], 'class', 'classes')}"


def damaged(root: Path, findings: list[Finding], shown: int = 20) -> UserError:
    """The error for a release that is not what its manifest says."""
    lines = [f"The release {root} is damaged, {counted(len(findings), 'finding')}:"]
    for one in findings[:shown]:
        what = " ".join(part for part in (one.path, one.image_id, one.cause) if part)
        lines.append(f"  {what}: {one.detail}" if one.detail else f"  {what}")
    if len(findings) > shown:
        lines.append(f"  … and {len(findings) - shown:,} more")
    return UserError("\n".join(lines), fix="copy the folder again from where it is whole, or cut a new version")


def _some(names: list[str] | tuple[str, ...], shown: int = 8) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown:,} more" if len(names) > shown else "")


def none_decodable(count: int) -> UserError:
    """The error for a release of which nothing would be left."""
    what = f"There is nothing to release: none of {counted(count, 'labelled picture')} can be decoded."
    return UserError(what, fix="pictus clean check    tells why; then collect them again")


def undecodable_note(causes: Counter[str]) -> list[str]:
    """What is told of pictures that cannot be decoded."""
    if not causes:
        return []
    why = ", ".join(f"{count:,} {cause}" for cause, count in causes.most_common())
    return [f"{counted(causes.total(), 'labelled picture')} left out, not decodable ({why}): pictus clean"]


def unsettled_note(found: Eligible) -> list[str]:
    """What is told where more labels are left out as unsettled than come in."""
    if found.doubtful <= found.rows.num_rows:
        return []
    words = counted(found.doubtful, "label is unsettled and stays", "labels are unsettled and stay")
    return [f"{words} out, more than the {found.rows.num_rows:,} that come in: pictus annotate settle says why"]


def unscreened_note(count: int) -> list[str]:
    """What is told of pictures that no screen has seen."""
    return [f"{counted(count, 'picture')} never screened, duplicates included: pictus clean"] if count else []


def changes_told(manifest: Mapping[str, Any]) -> str:
    """What was done to pictures, for a headline."""
    changed = manifest["counts"].get("changes", {})
    return "".join(f", {kind} in {count:,}" for kind, count in changed.items())


def changes_notes(manifest: Mapping[str, Any]) -> list[str]:
    """What is told of faces that are still there and of pictures that became the same as another."""
    notes, privacy = [], manifest["history"].get("privacy", {})
    if privacy.get("with_faces") and privacy.get("faces") != "blurred":
        words = counted(privacy["with_faces"], "picture shows a face", "pictures show faces")
        notes.append(f"{words} as found: pictus release cut VERSION --blur-faces")
    if blurred := manifest["counts"].get("changes", {}).get(FACES_BLURRED):
        words = counted(blurred, "picture")
        notes.append(f"the addresses of {words} with blurred faces left out: the faces are to be seen there")
    if moving := manifest["counts"].get("changes", {}).get(FIRST_FRAME):
        words = counted(moving, "picture")
        notes.append(f"of {words} the first frame alone was looked at for faces: the others, and its address, left out")
    if isinstance(merged := manifest["history"].get(MERGED), int):
        words = counted(merged, "picture")
        notes.append(f"{words} left out: the same as another once both were changed")
    return notes
