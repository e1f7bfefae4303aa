"""taxonomy import, add, check, show: the verbs. The table `concepts` is written here only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pictus import archives
from pictus.concepts import Problem, Taxonomy, load_taxonomy, plain
from pictus.errors import UserError, bad_rows, counted
from pictus.project import Project
from pictus.records import Concept, ConceptUrl, LeftOut
from pictus.registry import Outcome, step
from pictus.releases import split_of_folder
from pictus.tables import Tables, table_of
from pictus.taxonomy import lexicon as lexicons
from pictus.taxonomy import lists, outline, trees, wordnet
from pictus.taxonomy.files import read_packed, text_of
from pictus.taxonomy.lexicon import Lexicon
from pictus.taxonomy.merge import DERIVED, merged
from pictus.taxonomy.yaml_trees import parse_yaml

WORDNET_DIR = Path("/usr/share/wordnet")
"""Where Debian's wordnet-base puts its files."""

_USER = "user"


@dataclass(frozen=True)
class _Found:
    """What one source gives: concepts, what it is called in messages, what to tell."""

    concepts: list[Concept]
    where: str
    notes: tuple[str, ...] = ()
    individuals: frozenset[str] = frozenset()
    people: frozenset[str] = frozenset()  # kinds of person that nothing in the taxonomy itself says are
    urls: Mapping[str, str] = field(default_factory=dict)  # of the concepts that a file speaks of; "" takes one away


@step("taxonomy import", changes=True)
def import_(
    project: Project, *, ilsvrc: Path | None = None, file: Path | None = None, folders: Path | None = None,
    wordnet: Path | None = None, root: tuple[str, ...] = (), fresh: bool = False,
) -> Outcome[Concept]:  # fmt: skip
    """Take concepts from ImageNet's lists, a CSV or YAML file, folder names, or WordNet.

    Importing the same again changes nothing; nothing is removed unless --fresh is given.

    ilsvrc: a list of wnids (.txt, .xz, .json), or the ILSVRC devkit's meta.mat or folder;
        names, glosses and parents come from WordNet, or from words.txt and wordnet.is_a.txt beside the list.
    file: a CSV or YAML file; columns name, and id, parent, gloss, is_class, url (a page to read on) if wanted.
    folders: one class for each folder in this one, or in this archive, by its name or wnid.
    wordnet: the folder of WordNet 3.0's files (data.noun); /usr/share/wordnet where it exists.
    root: with WordNet, take everything below this: a wnid, a sense (seed.n.01) or a name.
    fresh: forget the present concepts first.

    Examples:
        pictus taxonomy import --ilsvrc imagenet_synsets.txt
        pictus taxonomy import --file concepts.csv
        pictus taxonomy import --folders ~/photos
        pictus taxonomy import --folders photos.tar.gz
        pictus taxonomy import --wordnet /usr/share/wordnet --root n01503061
    """
    given = [name for name, value in (("--ilsvrc", ilsvrc), ("--file", file), ("--folders", folders)) if value]
    given += ["--root"] if root else []
    if len(given) != 1:
        raise UserError(
            f"Say one place where the concepts come from; found {' and '.join(given) or 'none'}.",
            fix="one of --ilsvrc LIST, --file CSV, --folders DIR, --root CONCEPT (with --wordnet DIR)",
        )
    with project.lock("taxonomy"):
        before = load_taxonomy(project)
        base = Taxonomy.of(()) if fresh else before
        if ilsvrc:
            found = _from_ilsvrc(ilsvrc.expanduser(), wordnet)
        elif file:
            found = _from_file(file.expanduser(), wordnet, base)
        elif folders:
            found = _from_folders(folders.expanduser(), wordnet, base)
        else:
            found = _from_wordnet(wordnet, root)
        merge = merged(base, found.concepts, found.where)
        n_removed = len(set(before.concepts) - set(merge.taxonomy.concepts))
        numbers = {"added": merge.n_added, "changed": merge.n_changed, "removed": n_removed}
        n_urls = _note_urls(project.tables, found.urls, merge.taxonomy, fresh=fresh)
        if is_other := merge.taxonomy.concepts != before.concepts:
            _write(project, merge.taxonomy)
        if is_other or n_urls:
            project.journal.log("taxonomy", "concepts_imported", subject=found.where, **numbers, urls=n_urls)
        _note_individuals(project.tables, found)
    size = {"concepts": len(merge.taxonomy), "classes": len(merge.taxonomy.classes)}
    n_same = len(found.concepts) - merge.n_added - merge.n_changed
    return Outcome(
        step="taxonomy import",
        summary={**size, **numbers, "same": n_same, "urls": n_urls},
        headline=f"{_sized(merge.taxonomy)} ({_did(numbers, n_urls)})",
        problems=(*found.notes, *_told(merge.taxonomy.lint(), shown=5)),
        next=("pictus taxonomy show", "pictus collect add FOLDER --by-folder", "pictus taxonomy queries"),
        source=lambda: project.tables.records("concepts", Concept),
    )


@step("taxonomy add", changes=True)
def add(
    project: Project, name: str, *, parent: tuple[str, ...] = (), gloss: str = "", synonym: tuple[str, ...] = (),
    role: Literal["class", "group"] | None = None,
) -> Outcome[Concept]:  # fmt: skip
    """Add one concept, or change one that is there.

    name: the new concept's name; or the id or name of one to change.
    parent: its parent, by id or name; several for several. Replaces the present parents.
    gloss: what it is, in one sentence, as annotators will read it.
    synonym: another name.
    role: `class` (pictures are labelled with it; what a new concept is) or `group` (it only holds others).

    Examples:
        pictus taxonomy add "barn owl" --parent owl --gloss "pale owl with a heart-shaped face"
        pictus taxonomy add n02087122 --role group
    """
    with project.lock("taxonomy"):
        before = load_taxonomy(project)
        old = before.get(before.resolve(name)) if before.find(name) else None
        concept = old or _new_concept(name, before)
        names: dict[str, str] = {}
        for one in (*concept.names, *synonym):
            names.setdefault(plain(one), " ".join(one.split()))
        concept = replace(
            concept, names=tuple(names.values()), gloss=gloss.strip() or concept.gloss,
            parents=tuple(dict.fromkeys(before.resolve(one) for one in parent)) or concept.parents,
            is_class=concept.is_class if role is None else role == "class",
        )  # fmt: skip
        if old and concept != old:
            _check_is_meant(name, old)
            concept = replace(concept, source=_USER)
        merge = merged(before, [concept], "pictus taxonomy add")
        if concept != old:
            _write(project, merge.taxonomy)
            project.journal.log("taxonomy", "concept_changed" if old else "concept_added", subject=concept.concept_id)
    done = "added" if old is None else "is there already" if concept == old else "changed"
    return Outcome(
        step="taxonomy add",
        summary={"concept_id": concept.concept_id, "added": merge.n_added, "changed": merge.n_changed},
        headline=f"{merge.taxonomy.quoted(concept.concept_id)} {done}; {_sized(merge.taxonomy)}",
        problems=_told([one for one in merge.taxonomy.lint() if concept.concept_id in one.concept_ids]),
        next=(f"pictus taxonomy show {concept.concept_id}",),
        source=lambda: iter((concept,)),
    )


@step("taxonomy check", changes=False)
def check(project: Project, *, thin: int = 20) -> Outcome[Problem]:
    """Look for what is wrong: circles, twins, classes inside classes, classes with few pictures.

    thin: tell of classes with fewer pictures than this, once pictures are collected.

    Examples:
        pictus taxonomy check
        pictus taxonomy check --thin 100 --jsonl
    """
    taxonomy = taxonomy_of(project)
    problems = taxonomy.lint(_pictures(project.tables), thin)
    kinds = Counter(problem.kind for problem in problems)
    counted = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
    return Outcome(
        step="taxonomy check",
        summary={"concepts": len(taxonomy), "classes": len(taxonomy.classes), "problems": dict(kinds)},
        headline=f"{_sized(taxonomy)}: {counted or 'no problem found'}",
        problems=_told(problems),
        next=("pictus taxonomy show",),
        source=lambda: iter(problems),
    )


@step("taxonomy show", changes=False)
def show(project: Project, concept: str = "", *, lines: int = 60) -> Outcome[Concept]:
    """Draw the tree with its counts of classes and pictures; of one concept: what is above and below it.

    concept: an id or a name; the whole tree when left out.
    lines: about how many lines to draw; branches are opened level by level.

    Examples:
        pictus taxonomy show
        pictus taxonomy show dog --lines 200
    """
    taxonomy = taxonomy_of(project)
    if taxonomy.cycles:
        circle = taxonomy.circle(taxonomy.cycles[0])
        raise UserError(f"The taxonomy goes in a circle: {circle}.", fix="pictus taxonomy check")
    pictures = _pictures(project.tables)
    counted = outline.counts(taxonomy, pictures or {})
    roots = (taxonomy.resolve(concept),) if concept else taxonomy.roots
    shown = list(outline.preorder(taxonomy, roots))
    drawn = outline.outline(taxonomy, roots, counted, max(1, lines))
    summary = {
        "concepts": len(shown), "classes": sum(taxonomy.concepts[one].is_class for one in shown),
        "height": max(taxonomy.height(root) for root in roots),
        "pictures": sum((pictures or {}).get(one, 0) for one in shown),
    }  # fmt: skip
    about = _about(taxonomy, roots[0]) if concept else [_sized(taxonomy)]
    return Outcome(
        step="taxonomy show",
        summary=summary,
        headline="\n".join([*about, *drawn]),
        next=("pictus taxonomy check", "pictus taxonomy queries CONCEPT"),
        source=lambda: (taxonomy.concepts[one] for one in shown),
    )


def _from_ilsvrc(path: Path, wordnet_dir: Path | None) -> _Found:
    if path.is_dir():
        inside = [path / name for name in ("meta.mat", "data/meta.mat", "imagenet_synsets.txt")]
        path = next((one for one in inside if one.is_file()), path)
    data = read_packed(path, "pictus taxonomy import --ilsvrc imagenet_synsets.txt")
    if data.startswith(lists.MATLAB):
        return _noted(_Found(lists.parse_meta(data, str(path)), str(path)), frozenset())
    listed = lists.parse_list(text_of(data, path), str(path))
    lexicon = _lexicon(wordnet_dir, path.parent)
    lexicons.check_known(lexicon, listed, str(path))
    found = _Found(
        lexicons.chosen(lexicon, [entry.wnid for entry in listed]), str(path), individuals=lexicon.individuals
    )
    return _noted(found, lexicon.people)


def _from_file(path: Path, wordnet_dir: Path | None, existing: Taxonomy) -> _Found:
    text = text_of(read_packed(path, "pictus taxonomy import --file concepts.csv"), path)
    is_yaml = path.suffix.lower() in (".yaml", ".yml")
    rows = parse_yaml(text, str(path)) if is_yaml else trees.parse_csv(text, str(path))
    concepts = trees.concepts_of(rows, existing, f"file:{path.name}", str(path))
    urls = {one.concept_id: row.url for one, row in zip(concepts, rows, strict=True) if "url" in row.columns}
    wnids = {one.concept_id for one in concepts if lexicons.WNID.fullmatch(one.concept_id)}
    if not wnids:
        return _Found(concepts, str(path), urls=urls)
    try:
        people = _lexicon(wordnet_dir, path.parent).people & wnids
    except UserError as error:
        if wordnet_dir:
            raise
        words = counted(len(wnids), "id of WordNet is a person", "ids of WordNet are persons")
        note = f"whether {words} is not known, so they will be searched for: {error.fix}"
        return _Found(concepts, str(path), (note,), urls=urls)
    return _noted(_Found(concepts, str(path), people=people, urls=urls), people)


def _from_wordnet(wordnet_dir: Path | None, root: tuple[str, ...]) -> _Found:
    lexicon = _lexicon(wordnet_dir, None)
    folder = wordnet_dir or WORDNET_DIR
    index = folder / "index.noun"
    senses = text_of(read_packed(index, ""), index) if any(".n." in one for one in root) else ""
    choice = lexicons.below(lexicon, [lexicons.resolve_root(lexicon, senses, one) for one in root])
    notes = []
    if choice.n_individuals or choice.n_people:
        notes.append(
            f"left out: {choice.n_individuals:,} named individuals, {choice.n_people:,} kinds of person"
            " (to take some: --root one of them, or --ilsvrc a list of their wnids)"
        )
    return _Found(choice.concepts, f"WordNet below {', '.join(root)}", tuple(notes), lexicon.individuals)


def _from_folders(path: Path, wordnet_dir: Path | None, existing: Taxonomy) -> _Found:
    names, notes = _folders_in(path)
    if not names:
        raise UserError(f"{path} has no folders in it.", fix="one folder for each class, named like it")
    if strange := [name for name in names if not name.isprintable()]:
        raise UserError(f"Folder names in {path} cannot be shown: {', '.join(map(ascii, strange[:20]))}.",
                        fix="rename them in UTF-8, without control characters")  # fmt: skip
    if all(split_of_folder(name) for name in names):
        raise UserError(f"The folders in {path} are splits ({', '.join(names)}), not classes.",
                        fix=f"pictus taxonomy import --folders {path / names[0]}")  # fmt: skip
    unknown = [name for name in names if lexicons.WNID.fullmatch(name) and name not in existing]
    concepts: list[Concept] = []
    if unknown:
        lexicon = _lexicon(wordnet_dir, path if path.is_dir() else path.parent)
        lexicons.check_known(lexicon, [(f"folder {name}", name) for name in unknown], str(path))
        concepts += lexicons.chosen(lexicon, unknown)
    by_name = {name: existing.find(name) for name in names if name not in unknown}
    bad = [f"folder {name!r} means {len(found)} concepts: {', '.join(found[:5])}" for name, found in by_name.items()
           if len(found) > 1]  # fmt: skip
    if bad:
        raise bad_rows(str(path), bad, fix="rename these folders to one of the ids")
    known = dict.fromkeys(found[0] for found in by_name.values() if found)
    concepts += [replace(existing.get(one), is_class=True) for one in known]
    new = {plain(name): " ".join(name.replace("_", " ").split()) for name, found in by_name.items() if not found}
    own = trees.own_ids(new.values(), existing)
    source = f"folders:{path.name}"
    concepts += [Concept(own[key], (name,), is_class=True, source=source) for key, name in new.items()]
    return _Found(concepts, str(path), tuple(notes))


def _folders_in(path: Path) -> tuple[list[str], list[str]]:
    """Names of the folders directly in a folder, or of those that an archive's pictures lie in; what to tell."""
    if path.is_dir():
        return sorted(one.name for one in path.iterdir() if one.is_dir() and one.name[:1] not in "._"), []
    if not (path.is_file() and archives.is_archive(path.name)):
        raise UserError(f"{path} is not a folder or an archive.", fix="--folders DIR, one folder in it for each class")
    names, notes, loose = set[str](), list[str](), 0
    with path.open("rb") as file:
        for entry in archives.entries(file, with_bytes=False):
            folder = archives.folder_of(entry.name, "")
            names |= {folder} - {""}
            loose += bool(entry.name and not folder)
            notes += [f"{path.name}: {entry.cause}: {entry.detail}"] if not entry.name else []
    if loose and names:
        notes.append(f"{counted(loose, 'picture')} at the top of {path.name} in no folder")
    return sorted(names), notes


def _lexicon(wordnet_dir: Path | None, beside: Path | None) -> Lexicon:
    """WordNet where it was said or is installed, else ImageNet's lists in the folder `beside`."""
    folder = wordnet_dir.expanduser() if wordnet_dir else WORDNET_DIR
    for data in (folder / "data.noun", folder / "dict" / "data.noun"):
        if data.is_file():
            return wordnet.parse_nouns(read_packed(data, ""), str(data))
    if wordnet_dir:
        raise UserError(f"{folder} has no data.noun.", fix="--wordnet the folder with WordNet 3.0's data.noun")
    words, is_a = (_packed(beside, name) for name in ("words.txt", "wordnet.is_a.txt"))
    if words is None or is_a is None:
        nor = f", nor words.txt and wordnet.is_a.txt in {beside}" if beside else ""
        raise UserError(
            f"There is no WordNet at {folder}{nor}.",
            fix="apt install wordnet-base    or    --wordnet DIR with WordNet 3.0's data.noun",
        )
    glosses = _packed(beside, "gloss.txt") or _packed(beside, "imagenet_synset_to_definition.txt")
    texts = [text_of(read_packed(one, ""), one) if one else "" for one in (words, is_a, glosses)]
    return lexicons.lexicon_of_lists(texts[0], texts[1], texts[2], str(beside))


def _packed(folder: Path | None, name: str) -> Path | None:
    found = [folder / (name + end) for end in ("", ".xz", ".gz")] if folder else []
    return next((path for path in found if path.is_file()), None)


def _noted(found: _Found, people: frozenset[str]) -> _Found:
    """A list is taken as it is; that it has kinds of person is said."""
    if not people:
        people = Taxonomy.of(found.concepts).descendants(lexicons.PERSON) if _has_person(found) else frozenset()
    persons = [concept for concept in found.concepts if concept.is_class and concept.concept_id in people]
    if not persons:
        return found
    some = ", ".join(concept.names[0] for concept in persons[:3]) + (" …" if len(persons) > 3 else "")  # noqa: PLR2004
    counted = f"{len(persons):,} classes are persons" if len(persons) > 1 else "1 class is a person"
    note = f"{counted} ({some}): pictures of people need consent and care"
    return replace(found, notes=(note,))


def _has_person(found: _Found) -> bool:
    return any(concept.concept_id == lexicons.PERSON for concept in found.concepts)


def _new_concept(name: str, existing: Taxonomy) -> Concept:
    named = " ".join(name.replace("_", " ").split())
    if not named:
        raise UserError("The name is empty.", fix='pictus taxonomy add "barn owl"')
    if lexicons.WNID.fullmatch(named) or trees.is_own_id(named):
        raise UserError(
            f"{named} is an id, and no concept of this taxonomy has it.",
            fix=f"pictus taxonomy import --root {named}    or    pictus taxonomy add NAME",
        )
    return Concept(trees.own_ids([named], existing)[plain(named)], (named,), is_class=True, source=_USER)


def _check_is_meant(name: str, old: Concept) -> None:
    """A concept of WordNet is changed by its id only: its name may have been meant for a new one."""
    if name == old.concept_id or old.source not in DERIVED:
        return
    raise UserError(
        f"{name!r} is a concept already: {old.concept_id}, {old.gloss or ', '.join(old.names)}.",
        fix=f"to change it: pictus taxonomy add {old.concept_id} …    for another one: choose another name",
    )


def taxonomy_of(project: Project) -> Taxonomy:
    """The project's concepts; a UserError where there are none."""
    taxonomy = load_taxonomy(project)
    if not len(taxonomy):
        fix = "pictus taxonomy import --file concepts.csv    or    pictus taxonomy add NAME"
        raise UserError("The taxonomy is empty.", fix=fix)
    return taxonomy


def _write(project: Project, taxonomy: Taxonomy) -> None:
    project.tables.replace("concepts", table_of("concepts", taxonomy))


def _did(numbers: Mapping[str, int], n_urls: int) -> str:
    told = [f"{count:,} {'new' if name == 'added' else name}" for name, count in numbers.items() if count]
    told += [counted(n_urls, "link changed", "links changed")] if n_urls else []
    return ", ".join(told) or "nothing new"


def _note_urls(tables: Tables, urls: Mapping[str, str], taxonomy: Taxonomy, *, fresh: bool) -> int:
    """Keep the pages to read on of the concepts there are -> how many are new, other or gone."""
    before = {one.concept_id: one.url for one in tables.records("concept_urls", ConceptUrl)}
    after = {**({} if fresh else before), **urls}
    after = {concept_id: url for concept_id, url in sorted(after.items()) if url and concept_id in taxonomy}
    if after != before:
        tables.replace("concept_urls", table_of("concept_urls", (ConceptUrl(*pair) for pair in after.items())))
    return sum(before.get(one) != after.get(one) for one in before.keys() | after.keys())


def _note_individuals(tables: Tables, found: _Found) -> None:
    """Which classes WordNet calls individuals, and which of a CSV's persons.

    The concepts themselves do not say so, and `taxonomy queries` asks.
    """
    known = {(note.concept_id, note.source) for note in tables.records("left_out", LeftOut)}
    named = [one.concept_id for one in found.concepts if one.is_class]
    rows = [LeftOut(one, "a named individual, no kind", "individual") for one in named if one in found.individuals]
    rows += [LeftOut(one, "a person", "wordnet") for one in named if one in found.people]
    if fresh := [row for row in rows if (row.concept_id, row.source) not in known]:
        tables.append("left_out", table_of("left_out", fresh))


def _pictures(tables: Tables) -> dict[str, int] | None:
    """Different pictures that claim each concept; None before anything is collected."""
    if not tables.exists("sources"):
        return None
    claims = tables.read("sources", ["concept_id", "image_id"]).group_by("concept_id")
    counted = claims.aggregate([("image_id", "count_distinct")])
    return dict(zip(counted["concept_id"].to_pylist(), counted["image_id_count_distinct"].to_pylist(), strict=True))


def _told(problems: list[Problem], shown: int = 20) -> tuple[str, ...]:
    told = [f"{problem.message}    fix: {problem.fix}" for problem in problems[:shown]]
    more = len(problems) - shown
    return (*told, f"… and {more:,} more: pictus taxonomy check --jsonl") if more > 0 else tuple(told)


def _sized(taxonomy: Taxonomy) -> str:
    n_concepts, n_classes = len(taxonomy), len(taxonomy.classes)
    concepts = f"{n_concepts:,} concept{'s' if n_concepts != 1 else ''}"
    return f"{concepts}, {n_classes:,} class{'es' if n_classes != 1 else ''}"


def _about(taxonomy: Taxonomy, concept_id: str) -> list[str]:
    concept = taxonomy.get(concept_id)
    above: list[str] = []
    while parents := taxonomy.parents(above[-1] if above else concept_id):
        above.append(max(parents, key=taxonomy.depth))
    others = [taxonomy.name(parent) for parent in taxonomy.parents(concept_id) if parent not in above]
    also = f"  (and {', '.join(others)})" if others else ""
    path = [f"above: {' › '.join(taxonomy.name(one) for one in reversed(above))}{also}"] if above else []
    return [f"{', '.join(concept.names)}  {concept_id}", *([concept.gloss] if concept.gloss else []), *path, ""]


