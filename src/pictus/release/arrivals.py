"""What comes in from outside: an export, a release folder or plain class folders, and whether it is here already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from pictus.concepts import Taxonomy, load_taxonomy
from pictus.errors import UserError, clipped
from pictus.project import Project
from pictus.records import Concept
from pictus.release import foreign, imagefolder, webdataset
from pictus.release.exchange import PAPER, Loaded, load_release, read_paper
from pictus.release.redaction import Redaction
from pictus.releases import MANIFEST, read_manifest, versions
from pictus.tables import table_of

_LOADERS: dict[str, Callable[[Path], Loaded]] = {"imagefolder": imagefolder.load, "webdataset": webdataset.load}


class Arrival(NamedTuple):
    """A release read from elsewhere. `form`: release | imagefolder | webdataset | folder."""

    loaded: Loaded
    taxonomy: Taxonomy
    form: str


def stated_version(source: Path) -> str:
    """The version that an export or a release says it is; "" for plain folders."""
    if (source / MANIFEST).is_file():
        return str(read_manifest(source)["version"])
    return str(read_paper(source).get("version", "")) if (source / PAPER).is_file() else ""


def read_arrival(project: Project, source: Path, asked: Redaction) -> Arrival:
    """Read what lies in a folder; the pictures of plain folders are all looked at, and redacted as `asked`."""
    if (source / MANIFEST).is_file():
        loaded = load_release(source)
        return Arrival(loaded, Taxonomy.of(loaded.concepts), "release")
    if (source / PAPER).is_file():
        form = str(read_paper(source)["form"])
        if form not in _LOADERS:
            raise UserError(f"{source / PAPER} names the form {clipped(form)}.", fix="pip install --upgrade pictus")
        loaded = _LOADERS[form](source)
        return Arrival(loaded, Taxonomy.of(loaded.concepts), form)
    known = load_taxonomy(project) if project.tables.exists("concepts") else Taxonomy.of(())
    with ExitStack() as stack:
        meter_of = lambda total: stack.enter_context(project.progress.track("reading pictures", total))  # noqa: E731
        loaded = foreign.load(source, known, meter_of, asked)
    own = {one.concept_id: one for one in loaded.concepts}
    return Arrival(loaded, Taxonomy.of({**known.concepts, **own}.values()), "folder")


def adopt_concepts(project: Project, concepts: Sequence[Concept]) -> int:
    """Make a release's concepts those of a project that has none -> how many were taken over."""
    with project.lock("taxonomy"):
        if project.tables.count("concepts"):
            return 0
        project.tables.append("concepts", table_of("concepts", concepts))
    return len(concepts)


def same_content(releases_dir: Path, digest: str) -> list[str]:
    """The versions here that say exactly the same, oldest number first."""
    return [version for version in versions(releases_dir) if read_manifest(releases_dir / version)["digest"] == digest]
