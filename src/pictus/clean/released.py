"""Which releases hold pictures that ought not to be in one. A release that was cut is never changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from pictus import releases
from pictus.errors import UserError, counted
from pictus.project import Project


def told(project: Project, why: Mapping[str, str]) -> tuple[str, ...]:
    """A word for each release that holds some of the pictures; `why`: image_id -> "leak", "opt-out"."""
    problems: list[str] = []
    for version in releases.versions(project.releases_dir) if why else ():
        try:
            # as found: in the release a picture whose place was taken out has another image_id
            table = releases.find_release(project, version).pictures
        except UserError as error:
            problems.append(f"release {version} was not looked at: {error.what}")
            continue
        places = list(zip(*(table.column(name).to_pylist() for name in ("origin_id", "split")), strict=True))
        for kind in dict.fromkeys(why.values()):
            found = Counter(split for image_id, split in places if why.get(image_id) == kind)
            if count := found.total():
                where = ", ".join(f"{number:,} in {split}" for split, number in sorted(found.items()))
                verb = "is" if count == 1 else "are"
                what = f"{counted(count, 'picture')} found as {kind} {verb} in release {version} ({where})"
                problems.append(f"{what}, which stays as it was cut: tell who uses it, and cut a new one after "
                                "pictus clean screen")  # fmt: skip
    return tuple(problems)
