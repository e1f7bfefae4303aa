"""The verbs of release: split, cut, verify, diff, list, export, import."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from pictus.clock import now
from pictus.concepts import Taxonomy, load_taxonomy
from pictus.errors import UserError, bad_rows, counted
from pictus.journey import first_command, train_command
from pictus.precision import latest_audit
from pictus.project import Project
from pictus.records import Concept
from pictus.registry import Outcome, step
from pictus.release import history, imagefolder, knowledge, webdataset
from pictus.release.arrivals import adopt_concepts, read_arrival, same_content, stated_version
from pictus.release.candidates import Eligible, described, eligible, torn_groups, undecodable
from pictus.release.contents import About, contents, counts, totals
from pictus.release.differences import KINDS, Change, changes, summed
from pictus.release.exchange import PAPER, Writer
from pictus.release.lines import ClassSplits, ReleaseLine, class_lines, release_line
from pictus.release.numbering import advice, next_version, version_before
from pictus.release.packing import building, pack, sweep, why_unreadable
from pictus.release.redaction import Redaction, asked_of, of_a_folder
from pictus.release.remarks import (
    changes_notes,
    changes_told,
    damaged,
    kept_whole,
    none_decodable,
    sized,
    split_problems,
    split_summary,
    torn_told,
    undecodable_note,
    unscreened_note,
    unsettled_note,
)
from pictus.release.rights import OWN_WORDS, with_own_words
from pictus.release.splits import chosen_shares, draw, given_split, parse_given
from pictus.release.verification import Finding, check_files, check_pictures, check_tables
from pictus.releases import (
    SPLITS,
    Release,
    class_names,
    content_digest,
    find_release,
    find_root,
    open_release,
    read_manifest,
    version_key,
    versions,
)
from pictus.shards import ShardReader

_SETTINGS = b"drawn_with"
"""Schema metadata of the table splits: the settings of its draw as JSON, in the same commit as the rows."""

_WRITERS: dict[str, Writer] = {"imagefolder": imagefolder.write, "webdataset": webdataset.write}


@step("release split", changes=True)
def split(
    project: Project, *, seed: int | None = None, train: float | None = None, val: float | None = None,
    test: float | None = None, given: tuple[str, ...] = (), redo: bool = False,
) -> Outcome[ClassSplits]:  # fmt: skip
    """Divide the labelled pictures into train, val and test: per class, duplicate groups whole.

    Pictures that have a split keep it; only new ones are drawn. Options left out are as in the last draw.

    seed: another seed draws another split; at first 0.
    train: share of every class, 0 to 1, the three together 1; at first 0.8.
    val: share of every class; at first 0.1.
    test: share of every class; at first 0.1.
    given: FOLDER=SPLIT, repeatable: pictures found under a folder of that name belong to that split.
    redo: forget the earlier draw with its options and draw all pictures again.

    Examples:
        pictus release split --seed 7
        pictus release split --given val=test --train 0.9 --val 0.1 --test 0
    """
    with project.lock("release"):
        last = {} if redo else _last_draw(project)
        seed = seed if seed is not None else int(last.get("seed", 0))
        given = given or tuple(last.get("given", ()))
        shares, parts = chosen_shares(train, val, test, last.get("shares")), parse_given(given)
        found = _eligible(project)
        before = {} if redo else _column_by_id(project.tables.read("splits", ["image_id", "split"]))
        claimed = _given(project, parts)
        if parts and not claimed:
            folders = ", ".join(sorted(parts))
            raise UserError(f"No picture was found under a folder {folders}.", fix="pictus show IMAGE tells where")
        drawn = draw(found.rows, shares, seed=seed, given=claimed, before=before)
        rows = found.rows.append_column("split", pa.array(drawn.splits, pa.string()))
        summary = split_summary(rows, drawn, len(set(before) - set(rows.column("image_id").to_pylist())))
        settings = {"seed": seed, "shares": asdict(shares), "given": list(given)}
        project.tables.replace("splits", rows.replace_schema_metadata({_SETTINGS: json.dumps(settings).encode()}))
        project.journal.log("release", "pictures_split", "splits", **settings, **summary)
    concepts = project.tables.records("concepts", Concept)
    lines = class_lines(rows, {one.concept_id: one.names[0] for one in concepts if one.names})
    sizes = " / ".join(f"{summary[name]:,}" for name in SPLITS)
    headline = (
        f"{sized(summary)}: train / val / test {sizes}"
        + kept_whole(summary["groups"])
        + (f", {summary['kept']:,} as before" if before else "")
    )
    return Outcome(
        "release split", {**settings, **summary}, headline, split_problems(drawn, found),
        (f"pictus release cut {_next_version(project)}",), lambda: iter(lines),
    )  # fmt: skip


@step("release cut", changes=True)
def cut(
    project: Project, version: str, *, description: str = "", creator: str = "", url: str = "",
    blur_faces: bool = False, keep_gps: bool = False,
) -> Outcome[ClassSplits]:  # fmt: skip
    """Freeze the split pictures into releases/VERSION: shards, tables, manifest, datasheet. It never changes again.

    GPS is taken out of every picture. A changed picture has an image_id of its own, and `origin_id` is the project's.

    version: MAJOR.MINOR.PATCH; MAJOR when pictures go or labels change, MINOR when pictures come.
    description: what this set is and is for, for the datasheet and Croissant.
    creator: who answers for it.
    url: where it can be found.
    blur_faces: blur the faces that `pictus clean faces` found.
    keep_gps: leave in the pictures where they were taken.

    Examples:
        pictus release cut 1.0.0
        pictus release cut 1.1.0 --description "Birds at feeders" --creator "Our institute"
        pictus release cut 2.0.0 --blur-faces
    """
    with project.lock("release"):
        previous = _new_version(project, version)
        found = _eligible(project)
        ready, problems = _ready_rows(project, found)
        rows, broken = _decoded(project, ready, found)
        taxonomy = load_taxonomy(project)
        released = set(rows.column("image_id").to_pylist())
        unscreened = released.intersection(found.unscreened.to_pylist())
        asked, privacy = asked_of(released, project.tables.read("faces"), blur_faces=blur_faces, keep_gps=keep_gps)
        facts = {**_history(project, taxonomy, rows, len(unscreened)), "privacy": privacy}
        what = contents(About(project.name, version, now(), description, creator, url), rows, taxonomy, facts)
        what = replace(what, unscreened=frozenset(unscreened), labels=knowledge.of_project(project, rows))
        reader = ShardReader(project.shards_dir)
        shards, offsets, sizes = (rows.column(name).to_pylist() for name in ("shard", "offset", "size"))
        with building(project.releases_dir / version) as folder:
            manifest = pack(
                folder, what, lambda row: reader.read(shards[row], offsets[row], sizes[row]),
                progress=project.progress, previous=previous, asked=asked,
                fix=f"restore the shards in {project.shards_dir} from a copy, then run the same command again",
            )  # fmt: skip
        project.journal.log("release", "release_cut", version, digest=manifest["digest"], **totals(manifest["counts"]))
    release = open_release(project.releases_dir / version)
    unseen = manifest["history"]["cleaned"].get("unscreened", 0)
    problems += [*unsettled_note(found), *undecodable_note(broken), *unscreened_note(unseen), *changes_notes(manifest)]
    problems += _version_problems(project, release, previous)
    outcome = _released("release cut", release, problems)
    first, _, rest = outcome.headline.partition("\n")
    told = (f", {unseen:,} never screened" if unseen else "") + changes_told(manifest)
    changed = manifest["counts"].get("changes", {})
    extra = {"undecodable": broken.total(), "unscreened": unseen, "changes": changed, "privacy": privacy}
    return replace(outcome, summary=outcome.summary | extra, headline=f"{first}{told}\n{rest}")


@step("release verify", changes=False, needs_project=False)
def verify(project: Project, version: str = "", *, quick: bool = False) -> Outcome[Finding]:
    """Recompute everything a release's manifest says: sums, digest, counts, every picture's bytes.

    version: a version or a release folder; the newest when left out.
    quick: sizes, tables and digest only; shards are not read.

    Examples:
        pictus release verify 1.0.0
        pictus release verify ~/copied/1.0.0 --quick
    """
    root = find_root(project, version)
    manifest = read_manifest(root)
    pictures = counted(totals(manifest["counts"])["pictures"], "picture")
    with project.progress.track(f"verifying {manifest['version']}: {pictures}", None):
        findings = [*check_files(root, quick=quick), *check_tables(root)]
        opens = not any(finding.cause in {"unreadable", "missing", "unsafe-path"} for finding in findings)
        if opens and not quick:
            findings += check_pictures(open_release(root))
    if findings:
        raise damaged(root, findings)
    found = totals(manifest["counts"])
    summary = {"version": manifest["version"], "digest": manifest["digest"], "quick": quick, **found}
    depth = "sizes, tables and digest" if quick else "every file and every picture"
    headline = f"{manifest['version']} is whole: {depth} as the manifest says, {pictures}"
    return Outcome("release verify", summary, headline)


@step("release diff", changes=False, needs_project=False)
def diff(project: Project, before: str, after: str) -> Outcome[Change]:
    """What changed between two releases: pictures added, removed, relabelled, moved to another split, redacted.

    before: the earlier version or folder.
    after: the later version or folder.

    Examples:
        pictus release diff 1.0.0 1.1.0
    """
    old, new = find_release(project, before), find_release(project, after)
    found = list(changes(old.pictures, new.pictures))
    summary = {
        "before": old.version, "after": new.version, "same_digest": old.digest == new.digest,
        **summed(old.pictures, new.pictures, found),
        "classes_added": sorted(set(new.classes) - set(old.classes)),
        "classes_removed": sorted(set(old.classes) - set(new.classes)),
    }  # fmt: skip
    told = ", ".join(f"{summary[kind]:,} {kind}" for kind in KINDS if summary[kind] or kind != "redacted")
    headline = f"{old.version} -> {new.version}: " + ("the same" if summary["same_digest"] else told)
    return Outcome("release diff", summary, headline, source=lambda: iter(found))


@step("release list", changes=False)
def list_(project: Project) -> Outcome[ReleaseLine]:
    """The releases of this project, oldest first.

    Examples:
        pictus release list
    """
    lines = [release_line(read_manifest(project.releases_dir / version)) for version in versions(project.releases_dir)]
    headline = counted(len(lines), "release") + (f", newest {lines[-1].version}" if lines else "")
    following = () if lines else (first_command(project, "release"),)
    summary = {"releases": [asdict(line) for line in lines]}
    return Outcome("release list", summary, headline, next=following, source=lambda: iter(lines))


@step("release export", changes=True, needs_project=False)
def export(
    project: Project, version: str, out: Path, *,
    format: Literal["imagefolder", "webdataset"] = "imagefolder",  # noqa: A002  the word users type
) -> Outcome[ClassSplits]:  # fmt: skip
    """Write a release in a form other tools load; `release import` reads it back to the same digest.

    version: a version or a release folder.
    out: a folder that does not exist yet.
    format: imagefolder (one file per picture) or webdataset (tar shards per split).

    Examples:
        pictus release export 1.0.0 ~/birds --format webdataset
    """
    release = find_release(project, version)
    target = out.expanduser().resolve()
    with building(target) as folder, project.progress.track("exporting", release.pictures.num_rows) as meter:
        _WRITERS[format](release, folder, meter)
    files = sum(1 for path in target.rglob("*") if path.is_file())
    summary = {
        "version": release.version, "digest": release.digest, "format": format, "out": str(target), "files": files,
        **totals(counts(release.pictures, release.classes)),
    }  # fmt: skip
    headline = f"{release.version} as {format}: {counted(summary['pictures'], 'picture')} in {target}"
    return Outcome("release export", summary, headline, source=lambda: iter(_classes(release)))


@step("release import", changes=True)
def import_(project: Project, path: Path, version: str = "", *, keep_gps: bool = False) -> Outcome[ClassSplits]:
    """Make a release of this project from an export, a release folder, or plain class folders.

    A project without a taxonomy takes over the concepts.

    path: what `release export` wrote, a release, or SPLIT/CLASS/picture.jpg or CLASS/picture.jpg.
    version: MAJOR.MINOR.PATCH of the new release; that of the export or release when left out.
    keep_gps: leave in the pictures of plain folders where they were taken; those of a release stay as they are.

    Examples:
        pictus release import ~/birds
        pictus release import ~/photos 1.0.0
    """
    source = path.expanduser().resolve()
    if not source.is_dir():
        raise UserError(f"{source} is not a folder.", fix="unpack it first, then name the folder")
    version = version or stated_version(source)
    again = f"pictus release import {path} {_next_version(project)}"
    if not version:
        raise UserError(f"{source} is a plain folder: it does not say which version it is.", fix=again)
    with project.lock("release"):
        loaded, taxonomy, form = read_arrival(project, source, Redaction(keep_gps))
        paper = loaded.paper
        kept = {name: str(paper.get(name, "")) for name in ("description", "creator", "url")}
        about = About(str(paper.get("name") or project.name), version, now(), **kept)
        facts = paper.get("history") or of_a_folder(source.name, keep_gps=keep_gps)
        what = replace(contents(about, loaded.rows, taxonomy, facts), labels=loaded.labels)
        found = content_digest(what.pictures, what.classes)
        if paper and found != paper["digest"]:
            raise UserError(
                f"{source} was changed since it was exported: its digest is {found}, not {paper['digest']}.",
                fix=f"export it again; or remove {PAPER} to import it as a plain folder",
            )
        same = same_content(project.releases_dir, found)
        if version in same:
            return _here_already(open_release(project.releases_dir / version), source)
        previous = _new_version(project, version, again)
        with building(project.releases_dir / version) as folder:
            fix = "copy or export the pictures again"
            manifest = pack(folder, what, loaded.read, progress=project.progress, fix=fix, previous=previous)
        adopted = adopt_concepts(project, what.concepts)
        facts = {"digest": manifest["digest"], "form": form, "concepts": adopted, **totals(manifest["counts"])}
        project.journal.log("release", "release_imported", version, **facts)
    problems = [f"its digest is identical to that of release {same[-1]}: the same content twice"] if same else []
    problems += [f"{counted(adopted, 'concept')} taken over: the project had none"] if adopted else []
    problems += [*changes_notes(manifest), *loaded.problems]
    return _released("release import", open_release(project.releases_dir / version), problems)


def _here_already(release: Release, source: Path) -> Outcome[ClassSplits]:
    """The outcome of importing once more what is here: nothing is written."""
    outcome = _released("release import", release, [])
    headline = f"{release.version} is here already: the digest of {source} is identical, nothing was changed"
    return replace(outcome, headline=headline)


def _eligible(project: Project) -> Eligible:
    tables = project.tables
    if not tables.count("images"):
        raise UserError(f"{project.name} has no pictures yet.", fix=first_command(project, "split"))
    labels = tables.read("labels")
    if not labels.num_rows:
        raise UserError("No picture has a label yet.", fix=first_command(project, "split"))
    found = eligible(
        labels, tables.read("verdicts"), tables.read("duplicates"), tables.read("checks", ["image_id", "cause"])
    )
    if not found.rows.num_rows and found.undecodable:
        raise none_decodable(found.undecodable.total())
    if not found.rows.num_rows:
        what = f"all {found.dropped:,} labelled pictures were dropped"
        fix = "pictus clean restore IMAGE …"
        if not found.dropped:
            what = f"of {counted(labels.num_rows, 'label')} none is accepted"
            fix = "add votes, or pictus annotate settle --threshold LOWER"
        raise UserError(f"There is nothing to release: {what}.", fix=fix)
    return found


def _decoded(project: Project, rows: pa.Table, found: Eligible) -> tuple[pa.Table, Counter[str]]:
    """The rows without those that cannot be decoded, and the causes: pictures never measured are tried here."""
    columns = (rows.column(name).to_pylist() for name in ("image_id", "shard", "offset", "size"))
    places = {image_id: place for image_id, *place in zip(*columns, strict=True)}
    unmeasured = [image_id for image_id in found.unmeasured.to_pylist() if image_id in places]
    if not unmeasured:
        return rows, found.undecodable
    reader = ShardReader(project.shards_dir)

    def read(image_id: str) -> bytes:  # bytes that are not the picture's own are for `pack` to tell
        return why_unreadable(lambda _: reader.read(*places[image_id]), 0, image_id)[0]

    with project.progress.track("decoding pictures never measured", len(unmeasured)) as meter:
        broken = dict(undecodable(unmeasured, read, meter))
    if len(broken) == rows.num_rows:
        raise none_decodable(rows.num_rows)
    is_broken = pc.is_in(rows.column("image_id"), value_set=pa.array(sorted(broken), pa.string()))
    return rows.filter(pc.invert(is_broken)), found.undecodable + Counter(broken.values())


def _given(project: Project, parts: Mapping[str, str]) -> dict[str, str]:
    if not parts:
        return {}
    sources = project.tables.read("sources", ["image_id", "address"])
    addresses: dict[str, list[str]] = {}
    columns = (sources.column(name).to_pylist() for name in ("image_id", "address"))
    for image_id, address in zip(*columns, strict=True):
        addresses.setdefault(image_id, []).append(address)
    found = {image_id: given_split(listed, parts) for image_id, listed in addresses.items()}
    return {image_id: there for image_id, there in found.items() if there}


def _ready_rows(project: Project, found: Eligible) -> tuple[pa.Table, list[str]]:
    """Eligible rows with their split and everything else a release states, or what to do first."""
    tables = project.tables
    if not tables.exists("splits"):
        raise UserError("The pictures are not split yet.", fix=first_command(project, "release"))
    splits = tables.read("splits", ["image_id", "split"])
    rows = found.rows.join(splits, "image_id", join_type="inner").sort_by("image_id")
    unsplit = found.rows.num_rows - rows.num_rows
    if unsplit:
        raise UserError(
            f"{counted(unsplit, 'labelled picture')} without a split: collected or labelled after the last draw.",
            fix="pictus release split    (the others keep theirs)",
        )
    torn = torn_groups(rows)
    if torn and (unexcused := set(torn) - _torn_as_given(project, rows)):
        raise UserError(
            f"{torn_told(len(unexcused))} in several splits: found after the last draw.",
            fix="pictus release split    (brings each together)",
        )
    full = described(rows, tables.read("images"), tables.read("sources"))
    full = with_own_words(full, tables.read("checks", [*OWN_WORDS]))
    if full.num_rows != rows.num_rows:
        ids = sorted(set(rows.column("image_id").to_pylist()) - set(full.column("image_id").to_pylist()))
        problems = [f"picture {image_id} is labelled, but not among the images" for image_id in ids]
        raise bad_rows("the settled labels", problems, fix="pictus collect add FOLDER, or settle the labels again")
    gone = splits.num_rows - rows.num_rows
    notes = [f"{counted(gone, 'picture')} split earlier and not eligible any more: left out"] if gone else []
    if torn:
        notes.append(f"{torn_told(len(torn))} in several splits because those were given")
    unlicensed = full.column("licence").to_pylist().count("")
    if unlicensed:
        notes.append(f"{counted(unlicensed, 'picture')} without a stated licence (licences.csv: unknown)")
    return full, notes


def _torn_as_given(project: Project, rows: pa.Table) -> set[str]:
    """Groups whose pictures were given different splits by the last draw's folders."""
    settings = _last_draw(project)
    claimed = _given(project, parse_given(settings.get("given", ())))
    claims: dict[str, set[str]] = {}
    columns = (rows.column(name).to_pylist() for name in ("image_id", "group_id"))
    for image_id, group_id in zip(*columns, strict=True):
        if image_id in claimed:
            claims.setdefault(group_id, set()).add(claimed[image_id])
    return {group_id for group_id, splits in claims.items() if len(splits) > 1}


def _last_draw(project: Project) -> dict[str, Any]:
    """The settings of the draw that is in the table; tables of before leave them to the journal."""
    found = (project.tables.read("splits", ["image_id"], limit=1).schema.metadata or {}).get(_SETTINGS)
    if found:
        settings: dict[str, Any] = json.loads(found)
        return settings
    events = project.journal.events("splits", limit=1)
    return {name: events[0].data[name] for name in ("seed", "shares", "given")} if events else {}


def _history(project: Project, taxonomy: Taxonomy, rows: pa.Table, unscreened: int) -> dict[str, Any]:
    tables = project.tables
    present = set(rows.column("concept_id").to_pylist())
    attempts = tables.read("fetches", ["cause"])
    return {
        "collected": history.collected(tables.count("images"), tables.read("sources"), attempts),
        "cleaned": history.cleaned(tables.read("verdicts"), tables.read("duplicates"), unscreened),
        "labelled": history.labelled(tables.read("labels"), project.journal.votes(), tables.read("presences")),
        "split": _last_draw(project), "audit": latest_audit(project) or {},
        "classes_without_pictures": sorted(set(taxonomy.classes) - present),
        "tables": {name: tables.version(name) for name in tables.names() if not name.startswith("embeddings_")},
    }


def _new_version(project: Project, version: str, again: str = "") -> str:
    """Check that `version` can be cut -> the newest version before it, "" when there is none."""
    version_key(version)
    if (project.releases_dir / version).exists():
        raise UserError(
            f"Release {version} exists already{' with other content' if again else ''}, and releases never change.",
            fix=again or f"pictus release cut {_next_version(project)}",
        )
    sweep(project.releases_dir)
    return version_before(versions(project.releases_dir), version)


def _next_version(project: Project) -> str:
    return next_version(versions(project.releases_dir))


def _classes(release: Release) -> list[ClassSplits]:
    return class_lines(release.pictures, dict(zip(release.classes, class_names(release), strict=True)))


def _version_problems(project: Project, release: Release, previous: str) -> list[str]:
    problems = []
    newest = versions(project.releases_dir)[-1]
    if newest != release.version:
        problems.append(f"{newest} is newer and stays the one that is taken when no version is named")
    if previous:
        old = open_release(project.releases_dir / previous)
        problems.append(advice(previous, old.pictures, release.version, release.pictures))
    return [problem for problem in problems if problem]


def _released(step_name: str, release: Release, problems: list[str]) -> Outcome[ClassSplits]:
    found = totals(release.manifest["counts"])
    summary = {"version": release.version, "digest": release.digest, "path": str(release.root), **found}
    sizes = " / ".join(f"{found[name]:,}" for name in SPLITS)
    headline = (
        f"{release.version}  {sized(found)}, train / val / test {sizes}{kept_whole(found['groups'])}\n"
        f"datasheet.md · croissant.json · licences.csv · sha256 manifest in {release.root}"
    )
    version = release.version
    following = (train_command(version), f"pictus release verify {version}")
    return Outcome(step_name, summary, headline, tuple(problems), following, lambda: iter(_classes(release)))


def _column_by_id(rows: pa.Table) -> dict[str, str]:
    image_ids, values = (column.to_pylist() for column in rows.columns)
    return dict(zip(image_ids, values, strict=True))
