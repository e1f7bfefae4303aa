"""The datasheet of a release, written from its manifest: what it holds, how it was made, what it lacks.

Headings follow Gebru et al., "Datasheets for Datasets" (2021). Everything stated is counted; what
only people can know (purpose, consent, intended use) is theirs to give with `--description`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pictus.records import Concept
from pictus.releases import SPLITS

THIN = 20
"""Pictures below which a class is named among the gaps."""

SHOWN = 50
"""Classes listed one by one; above it only the thinnest are, and the manifest has them all."""


def datasheet(manifest: Mapping[str, Any], concepts: Iterable[Concept], licences: Sequence[Mapping[str, Any]]) -> str:
    """The Markdown text."""
    names = {one.concept_id: one.names[0] if one.names else one.concept_id for one in concepts}
    parts = [
        *_title(manifest),
        *_composition(manifest["counts"], names),
        *_collection(manifest["history"]),
        *_cleaning(manifest["history"]),
        *_privacy(manifest),
        *_labelling(manifest["history"]),
        *_knowledge(manifest["counts"].get("labels") or {}),
        *_audited(manifest["history"].get("audit") or {}),
        *_splits(manifest),
        *_licences(licences),
        *_gaps(manifest, names, licences),
        *_upkeep(manifest),
    ]
    return "\n".join(parts) + "\n"


def _title(manifest: Mapping[str, Any]) -> list[str]:
    return [
        f"# {manifest['name']} {manifest['version']}",
        "",
        manifest["description"],
        "",
        f"Made by {manifest['creator']}, {manifest['created'][:10]}. "
        + (f"Home: <{manifest['url']}>. " if manifest["url"] else "")
        + f"Digest `{manifest['digest']}`: sha256 over (picture, split, class), whatever the packing.",
    ]


def _composition(counts: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    smallest, _, median, _, largest = counts["short_side_px"] or (0, 0, 0, 0, 0)
    formats = ", ".join(f"{count:,} {name}" for name, count in counts["formats"].items())
    lines = [
        "",
        "## Composition",
        "",
        f"{_n(counts['pictures'], 'picture')} in {_n(counts['classes'], 'class')}, {_size(counts['bytes'])}:",
        f"{formats}. Short side {smallest:,} to {largest:,} px, median {median:,}.",
        ("One best label per picture; labels.parquet has what else is known." if counts.get("labels") else
         "One label per picture.") + " A picture is known by the sha256 of its bytes, which are as they were found"
        + (", but for those that *Privacy* counts." if counts.get("changes") else "."),
        "",
    ]
    by_class = counts["by_class"]
    listed = sorted(by_class, key=lambda concept_id: (-sum(by_class[concept_id].values()), concept_id))
    if len(listed) > SHOWN:
        lines += [f"The {SHOWN} classes with the fewest pictures (manifest.json counts all {len(listed):,}):", ""]
        listed = listed[-SHOWN:]
    rows = [[names[one], one, *(by_class[one].get(split, 0) for split in SPLITS)] for one in listed]
    return lines + _table(["class", "id", *SPLITS], rows)


def _collection(history: Mapping[str, Any]) -> list[str]:
    facts = history.get("collected")
    lines = ["", "## Collection", ""]
    if not facts:
        origin = history.get("origin", "another release")
        return [*lines, f"Read from {origin}; how that was collected is not recorded."]
    span = f", {facts['first_found'][:10]} to {facts['last_found'][:10]}" if facts["first_found"] else ""
    lines.append(f"{_n(facts['pictures'], 'different picture')} taken in{span}. Sources: {_listed(facts['kinds'])}.")
    if facts["hosts"]:
        more = f", and {facts['more_hosts']:,} more hosts" if facts["more_hosts"] else ""
        lines.append(f"Hosts: {_listed(facts['hosts'])}{more}.")
    failed = {cause: count for cause, count in facts["attempts"].items() if cause not in ("ok", "unchanged")}
    if failed:
        lines.append(f"Attempts that brought nothing: {_listed(failed)}.")
    return lines


def _cleaning(history: Mapping[str, Any]) -> list[str]:
    facts = history.get("cleaned")
    lines = ["", "## Cleaning", ""]
    if not facts or not (facts["screened"] or facts["duplicate_groups"]):
        return [*lines, "No cleaning is recorded."]
    rows = [
        [rule or "by hand", count, f"{facts['thresholds'].get(rule, 0):g}"] for rule, count in facts["dropped"].items()
    ]
    lines.append(
        f"Screened: {_n(facts['screened'], 'picture')}, of which {sum(facts['dropped'].values()):,} dropped. Found: "
        f"{_n(facts['duplicate_groups'], 'duplicate group')} with {_n(facts['duplicates'], 'picture')} besides keepers."
    )
    if unscreened := facts.get("unscreened", 0):  # releases of before do not say
        were = "was" if unscreened == 1 else "were"
        lines.append(f"{_n(unscreened, 'picture')} of this release {were} never screened, duplicates included.")
    return [*lines, "", *_table(["rule", "dropped", "threshold"], rows)] if rows else lines


def _privacy(manifest: Mapping[str, Any]) -> list[str]:
    facts, changed = manifest["history"].get("privacy"), manifest["counts"].get("changes", {})
    return ["", "## Privacy", "", privacy_text(facts, changed)] if facts else []


def privacy_text(facts: Mapping[str, Any], changed: Mapping[str, int]) -> str:
    """What was looked for and done for the sake of the people shown, in sentences."""
    is_kept = facts.get("gps") == "kept"
    gone = _n(changed.get("gps removed", 0), "picture")
    said = ["Where pictures were taken (GPS) was left in them." if is_kept else f"GPS was taken out of {gone}."]
    detectors = ", ".join(map(str, facts.get("detectors", ()))) or "no detector"
    found = f"{facts.get('n_faces', 0)} found by {detectors} in {facts.get('with_faces', 0)} pictures"
    if facts.get("faces") == "blurred":
        said.append(
            f"Faces: {found}; blurred in {_n(changed.get('faces blurred', 0), 'picture')} after Yang et al. 2022 "
            f"(boxes enlarged by {facts.get('growth')} of their longer side, a Gaussian of {facts.get('sigma')} of the "
            "longest). Faces that the detector missed are still there. The addresses of blurred pictures are left out, "
            "as the faces are to be seen there; their `origin_id` still tells whoever has the original which it is."
        )
    elif facts.get("looked_at"):
        said.append(f"Faces: {found}, of {facts['looked_at']} looked at; they were not blurred.")
    else:
        said.append("Nobody looked for faces.")
    if changed:
        said.append("The column `changes` says what was done to each picture, `origin_id` which it was before.")
    return " ".join(said)


def _labelling(history: Mapping[str, Any]) -> list[str]:
    facts = history.get("labelled")
    lines = ["", "## Labelling", ""]
    if not facts:
        return [*lines, "The labels came with the pictures."]
    lines.append(
        f"{_n(facts['votes'], 'vote')} of {_n(facts['annotators'], 'annotator')} (imported labels and folder names "
        f"count as votes of their source), settled by {_listed(facts['methods'])}. Labels: {_listed(facts['status'])}."
    )
    if facts["mean_posterior"] is not None:
        lines.append(
            f"Mean posterior of the accepted {facts['mean_posterior']:.4f}, mean votes {facts['mean_votes']:.2f}. The "
            "posterior is the model's own belief; it is no audit."
        )
    if facts.get("people"):  # releases of before do not say
        agreed = facts["agreement"]
        lines.append(
            f"{_n(facts['answers'], 'answer')} came from {facts['people']:,} people"
            + (f", who agree beyond chance by {agreed:.2f} (Krippendorff's alpha)." if agreed is not None else ".")
        )
        counts = [[votes, count] for votes, count in facts["votes_per_label"].items()]
        lines += ["", *_table(["votes", "labels"], counts)]
    if selection := facts.get("selection"):
        pictures, mean = _n(selection["pictures"], "accepted picture"), selection["mean"]
        all_say, few_say = (f"{100 * selection[name]:.1f} %" for name in ("all", "below_07"))
        told = (
            f"Selection frequency (share of voters who say yes) of {pictures} that two people or more looked at: mean "
            f"{mean:.3f}; all say yes of {all_say}; below 0.7 are {few_say}."
        )
        lines += ["", told]
    return lines


def _knowledge(facts: Mapping[str, Any]) -> list[str]:
    if not facts:
        return []
    told = (
        f"labels.parquet: {_n(facts['rows'], 'pair')} of picture and concept in {_n(facts['pictures'], 'picture')}, "
        f"{_listed(facts['status'])}; {_n(facts['several'], 'picture')} accepted for more than one concept. What is "
        "not listed was not asked: it is unknown, not absent."
    )
    return ["", told]


def _audited(audit: Mapping[str, Any]) -> list[str]:
    if not audit:
        return []
    drawn = f"{_n(audit['drawn'], 'label')} of {audit['population']:,}, drawn at random with seed {audit['seed']},"
    which = drawn if audit["population"] else f"{_n(audit['drawn'], 'label')}, chosen elsewhere,"
    how = (
        f"{which} were looked at by people who had answered nothing about these pictures; "
        f"audit {audit['audit_id']}, {audit['at'][:10]}."
    )
    shows = f"- The picture shows the concept: {audit['presence']['words']}."
    return ["", "### Audit", "", how, "", shows, f"- No other concept describes it better: {audit['best']['words']}."]


def _splits(manifest: Mapping[str, Any]) -> list[str]:
    counts, drawn = manifest["counts"], manifest["history"].get("split", {})
    total = max(counts["pictures"], 1)
    rows = [[name, count, f"{100 * count / total:.1f} %"] for name, count in counts["splits"].items()]
    lines = ["", "## Splits", "", *_table(["split", "pictures", "share"], rows), ""]
    if drawn:
        shares = " / ".join(f"{drawn['shares'][name]:g}" for name in SPLITS)
        lines.append(f"Drawn per class with seed {drawn['seed']} at {shares} (train / val / test).")
        if drawn["given"]:
            lines.append(f"Given by folder names and kept: {', '.join(drawn['given'])}.")
    else:
        lines.append("The splits came with the pictures.")
    torn = counts["torn_groups"]
    if torn:
        lines.append(f"**In more than one split: {_n(torn, 'duplicate group')}**, because those splits were given.")
    else:
        lines.append(f"{_n(counts['groups'], 'duplicate group')}, each whole in one split.")
    return lines


def _licences(licences: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [[row["licence"], row["pictures"], row["authors"]] for row in licences]
    intro = "Every picture keeps its own licence and author (pictures.parquet); summed up in licences.csv:"
    return ["", "## Licences", "", intro, "", *_table(["licence", "pictures", "authors"], rows)]


def _gaps(
    manifest: Mapping[str, Any], names: Mapping[str, str], licences: Sequence[Mapping[str, Any]]
) -> list[str]:
    counts = manifest["counts"]
    by_class = counts["by_class"]
    gaps = []
    unknown = sum(row["pictures"] for row in licences if row["licence"] == "unknown")
    if unknown:
        gaps.append(f"No stated licence: {_n(unknown, 'picture')}.")
    thin = sorted(one for one in by_class if sum(by_class[one].values()) < THIN)
    if thin:
        gaps.append(f"Fewer than {THIN} pictures: {_n(len(thin), 'class')} ({_some(names, thin)}).")
    for split in counts["splits"]:
        empty = [one for one in by_class if not by_class[one].get(split)]
        if empty:
            gaps.append(f"No picture in {split}: {_n(len(empty), 'class')} ({_some(names, empty)}).")
    without = manifest["history"].get("classes_without_pictures", [])
    if without:
        gaps.append(f"Left out, because they have no picture: {_n(len(without), 'class')} ({_some({}, without)}).")
    if not manifest["history"].get("audit"):
        gaps.append("The precision of the labels was not measured by an independent audit.")
    return ["", "## Known gaps", "", *(f"- {gap}" for gap in gaps)]


def _upkeep(manifest: Mapping[str, Any]) -> list[str]:
    lines = ["", "## Versions and checking", ""]
    before, version = manifest["previous"], manifest["version"]
    if before:
        lines.append(f"Follows {before}; `pictus release diff {before} {version}` lists what changed.")
    lines += [
        "MAJOR grows when pictures are removed or labels change meaning, MINOR when pictures are added,",
        "PATCH for corrections. A release never changes.",
        f"`pictus release verify {version}` recomputes every sum in manifest.json.",
    ]
    return lines


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return lines


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|").replace("\n", " ")


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"  # noqa: PLR2004  0.1 MB


def _listed(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counted.items()) or "nothing"


def _some(names: Mapping[str, str], concept_ids: Sequence[str], shown: int = 12) -> str:
    listed = ", ".join(names.get(one, one) for one in concept_ids[:shown])
    return listed + (f" and {len(concept_ids) - shown:,} more" if len(concept_ids) > shown else "")


def _n(count: int, noun: str) -> str:
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{count:,} {noun if count == 1 else plural}"
