"""The verbs on a project: resumable, repeatable, undoable; every odd file gets its cause."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import textwrap
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageFilter

import pictus
from pictus import engine
from pictus.clean import check, dedupe, hashes, leaks, preview, restore, screen
from pictus.errors import UserError
from pictus.project import Project
from pictus.records import Check, Verdict
from pictus.tables import SCHEMAS

MakeJpeg = Callable[..., bytes]
Fill = Callable[[Iterable[bytes]], list[str]]


def saved(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def scene(seed: int, side: int = 160) -> Image.Image:
    """A sharp drawn scene: blocks of colour, so that hashes of different seeds have nothing in common."""
    blocks = np.random.default_rng(seed).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((side * 5 // 4, side), Image.Resampling.NEAREST)


def verdicts_of(project: Project) -> dict[str, Verdict]:
    return {row.image_id: row for row in project.tables.records("verdicts", Verdict)}


def test_an_empty_project_says_what_to_type(project: Project, fill: Fill, make_jpeg: MakeJpeg) -> None:
    with pytest.raises(UserError, match="no pictures") as caught:
        check(project)
    assert "collect add" in caught.value.fix
    for step in (dedupe, screen):
        with pytest.raises(UserError, match="measured") as caught:
            step(project)
        assert "clean check" in caught.value.fix
    with pytest.raises(UserError, match="no verdicts") as caught:
        restore(project, ("abc",))
    assert "clean screen" in caught.value.fix
    fill([make_jpeg()])
    with pytest.raises(UserError, match="measured"):
        screen(project)


def test_one_picture_goes_all_the_way(project: Project, fill: Fill) -> None:
    (only,) = fill([saved(scene(1))])
    assert check(project).summary == {"pictures": 1, "measured": 1, "broken": 0, "causes": {}}
    assert dedupe(project).summary["duplicates"] == 0
    assert list(dedupe(project)) == []
    assert screen(project).summary["kept"] == 1
    assert verdicts_of(project)[only].reason == "passed every rule"


def test_check_measures_only_what_is_missing(project: Project, fill: Fill) -> None:
    first = fill(saved(scene(seed)) for seed in range(3))
    assert check(project).summary["measured"] == 3
    assert check(project).summary["measured"] == 0
    version = project.tables.version("checks")
    more = fill(saved(scene(seed)) for seed in range(3, 5))
    outcome = check(project)
    assert outcome.summary["measured"] == 2
    assert project.tables.version("checks") == version + 1
    assert [row.image_id for row in outcome] == [*first, *more]


def test_every_odd_file_is_a_row_with_a_cause_and_the_run_goes_on(project: Project, fill: Fill) -> None:
    good = saved(scene(1))
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x75\x30\0\0\x75\x30\x08\x02\0\0\0" + bytes(40)
    exif = Image.Exif()
    exif[0x0112] = 6
    pictures = {
        "": good,
        "not-an-image": b"<html>this was a .jpg once</html>",
        "truncated": good[: len(good) // 2],
        "too-many-pixels": bomb,
    }
    odd = [
        saved(scene(2).convert("CMYK")),
        saved(Image.fromarray(np.arange(60 * 50, dtype=np.uint16).reshape(50, 60) * 20), "PNG"),
        saved(scene(3), "GIF", save_all=True, append_images=[scene(4)]),
        saved(scene(5), exif=exif),
    ]
    ids = fill([*pictures.values(), *odd])
    summary = check(project).summary
    assert (summary["measured"], summary["broken"]) == (8, 3)
    rows = {row.image_id: row for row in project.tables.records("checks", Check)}
    assert {cause: rows[image_id].cause for cause, image_id in zip(pictures, ids, strict=False)} == {
        cause: cause for cause in pictures
    }
    assert all(rows[image_id].cause == "" for image_id in ids[4:])
    assert rows[ids[6]].is_animated
    assert (rows[ids[7]].width, rows[ids[7]].height) == (160, 200)
    dedupe(project)
    screen(project)
    found = verdicts_of(project)
    assert [found[image_id].rule for image_id in ids[1:4]] == ["broken"] * 3
    assert found[ids[1]].reason == "broken: not-an-image"


def test_duplicates_are_found_kept_and_explained(project: Project, fill: Fill) -> None:
    original = scene(1, side=320)
    large = saved(original, quality=95)
    exif = Image.Exif()
    exif[0x010E] = "the same pixels with a caption"
    ids = fill(
        [
            saved(original.resize((200, 160)), quality=80),
            large,
            saved(original, quality=95, exif=exif),
            saved(original, quality=40),
            saved(scene(2)),
        ]
    )
    check(project)
    outcome = dedupe(project)
    assert outcome.summary["groups"] == 1
    assert (outcome.summary["same_pixels"], outcome.summary["near"]) == (1, 2)
    rows = {row.image_id: row for row in outcome}
    keeper = ids[2]  # as large as `large`, the same pixels, a few bytes of caption more
    assert {row.group_id for row in rows.values()} == {keeper}
    assert rows[ids[1]].relation == "pixels"
    assert rows[ids[0]].relation == "near"
    assert "more pixels" in rows[ids[0]].reason
    assert ids[4] not in rows
    version = project.tables.version("duplicates")
    assert dedupe(project).summary == outcome.summary
    assert project.tables.version("duplicates") == version, "nothing new, nothing written"
    screen(project)
    assert sorted(key for key, row in verdicts_of(project).items() if row.rule == "duplicate") == sorted(
        [ids[0], ids[1], ids[3]]
    )


def test_a_radius_that_makes_no_sense_is_refused(project: Project, fill: Fill) -> None:
    fill([saved(scene(1))])
    check(project)
    for radius in (-1, 200):
        with pytest.raises(UserError, match="--radius"):
            dedupe(project, radius=radius)


def poor_pool() -> list[bytes]:
    """14 fine scenes, then one blurred, one black, one blank, one strip."""
    fine = [saved(scene(seed)) for seed in range(14)]
    blurred = saved(scene(20).filter(ImageFilter.GaussianBlur(8)))
    black = saved(Image.fromarray((np.asarray(scene(21)) // 24).astype(np.uint8)), "PNG")
    blank = saved(Image.new("RGB", (200, 160), (90, 120, 90)))
    strip = saved(scene(22).resize((900, 100)))
    return [*fine, blurred, black, blank, strip]


def test_screen_gives_each_picture_a_verdict_and_restore_undoes(project: Project, fill: Fill) -> None:
    ids = fill(poor_pool())
    check(project)
    dedupe(project)
    outcome = screen(project)
    assert outcome.summary["rules"] == {"blurred": 1, "dark": 1, "blank": 1, "odd-aspect": 1}
    assert [verdicts_of(project)[key].rule for key in ids[14:]] == ["blurred", "dark", "blank", "odd-aspect"]
    assert "14 kept, 4 dropped" in outcome.headline
    assert "│" in outcome.headline, "the lines are shown beside the distribution they cut"
    lines = {line["rule"]: line for line in outcome.summary["lines"]}
    assert lines["blurred"]["dropped"] == 1
    assert sum(lines["blurred"]["counts"]) == 18
    event = project.journal.events()[0]
    assert (event.event, event.data["rules"]) == ("pictures_screened", outcome.summary["rules"])

    undone = restore(project, (ids[14][:10],))
    assert [row.image_id for row in undone] == [ids[14]]
    assert project.journal.events(ids[14])[0].event == "picture_restored"
    assert restore(project, rule="odd-aspect").summary == {"restored": 1, "dropped": 2}
    again = screen(project)
    assert again.summary["dropped"] == 2
    found = verdicts_of(project)
    assert (found[ids[14]].rule, found[ids[17]].rule) == ("restored", "restored")
    assert "was: no sharp edge" in found[ids[14]].reason
    again = restore(project, (ids[14],))
    assert again.summary["restored"] == 0, "restored once is restored"
    assert again.headline == "0 pictures restored: 1 was restored before"
    both = restore(project, (ids[14], ids[15]))
    assert both.headline == "1 picture restored; 1 was restored before"
    assert restore(project, rule="odd-aspect").headline == "0 pictures restored: none is dropped by 'odd-aspect'"


def test_screening_twice_writes_nothing_new(project: Project, fill: Fill) -> None:
    fill(poor_pool())
    check(project)
    dedupe(project)
    screen(project)
    version, before = project.tables.version("verdicts"), verdicts_of(project)
    time.sleep(1.1)  # another second on the clock
    screen(project)
    assert project.tables.version("verdicts") == version
    assert verdicts_of(project) == before


def test_a_line_set_by_hand_is_used_and_said(project: Project, fill: Fill) -> None:
    ids = fill(poor_pool())
    check(project)
    outcome = screen(project, line=("odd-aspect=off", "dark=1"))
    assert set(outcome.summary["rules"]) == {"blurred", "blank"}
    assert verdicts_of(project)[ids[17]].verdict == "keep"
    assert any("dedupe" in problem for problem in outcome.problems)
    with pytest.raises(UserError, match="blury"):
        screen(project, line=("blury=3",))


def test_a_line_set_by_hand_holds_until_it_is_set_back(project: Project, fill: Fill) -> None:
    fill([soft(1), *(saved(scene(seed)) for seed in range(10, 14))])
    check(project)
    assert screen(project, line=("blurred=1", "opt-out=off")).summary["kept_lines"] == []
    again = screen(project)
    assert again.summary["kept_lines"] == ["blurred=1", "opt-out=off"]
    assert "as set before: blurred=1, opt-out=off" in again.headline
    assert (again.summary["switched_off"], again.summary["rules"]) == (["opt-out=off"], {})
    data = project.journal.events(event="pictures_screened", limit=1)[0].data
    assert data["kept_lines"] == ["blurred=1", "opt-out=off"]
    assert screen(project, line=("dark=off",)).summary["kept_lines"] == ["blurred=1", "opt-out=off"]
    moved = screen(project, line=("blurred=29",))
    assert (moved.summary["rules"], moved.summary["kept_lines"]) == ({"blurred": 1}, ["dark=off", "opt-out=off"])
    assert preview(project, line=("blurred=pool",)).summary["kept_lines"] == ["dark=off", "opt-out=off"]
    back = screen(project, line=("blurred=pool", "dark=pool", "opt-out=pool"))
    assert (back.summary["kept_lines"], back.summary["switched_off"]) == ([], [])
    assert {one["origin"] for one in back.summary["lines"]} <= {"pool", "guard"}


def test_a_line_of_a_concept_holds_is_shown_and_set_back(project: Project, fill: Fill) -> None:
    ids = fill([soft(1), soft(2), *(saved(scene(seed)) for seed in range(10, 20))])
    check(project)
    claim(project, {"dog": (), "whippet": ("dog",)}, {ids[0]: "whippet", ids[1]: "dog"})
    screen(project, line=("blurred=1", "whippet:blurred=29"))
    outcome = screen(project, line=("dog:blurred=off",))
    assert outcome.summary["kept_lines"] == ["blurred=1", "whippet:blurred=29"]
    assert "blurred       of whippet: under 29     1 dropped" in outcome.headline
    assert screen(project, line=("whippet:blurred=pool",)).summary["own_lines"] == ["dog:blurred=off"]
    assert preview(project, line=("dog:blurred=pool",)).headline.startswith("dog:blurred=pool: 0 pictures more")
    claim(project, {"cat": ()}, {})
    told = screen(project)
    assert any("dog:blurred=off, set earlier, no longer holds" in words for words in told.problems)
    assert screen(project).summary["own_lines"] == []


def test_a_restore_of_one_reads_its_row_and_no_other(
    project: Project, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = fill([saved(scene(seed)) for seed in range(4)])
    check(project)
    screen(project, line=("blurred=100000",))
    read, seen = project.tables.read, list[int]()

    def counting(name: str, *given: Any, **more: Any) -> pa.Table:
        found = read(name, *given, **more)
        seen.extend([found.num_rows] if name == "verdicts" else [])
        return found

    monkeypatch.setattr(project.tables, "read", counting)
    assert restore(project, (ids[0][:20].upper(),)).summary["restored"] == 1
    assert seen
    assert max(seen) == 1


def test_restore_reports_every_wrong_id(project: Project, fill: Fill) -> None:
    ids = fill(poor_pool())
    check(project)
    screen(project)
    with pytest.raises(UserError, match="Say which"):
        restore(project)
    with pytest.raises(UserError) as caught:
        restore(project, ("zzz", "", ids[0]))
    assert "2 bad rows" in caught.value.what
    with pytest.raises(UserError, match="no rule 'blured'"):
        restore(project, rule="blured")
    assert verdicts_of(project)[ids[0]].rule == "", "nothing was restored when one was wrong"


def test_pictures_added_later_are_told_apart(project: Project, fill: Fill) -> None:
    fill(saved(scene(seed)) for seed in range(3))
    check(project)
    fill([saved(scene(9))])
    for outcome in (dedupe(project), screen(project)):
        assert outcome.problems[0] == "1 picture not measured yet: pictus clean check"
    assert project.tables.count("verdicts") == 3


def test_screen_says_when_duplicates_were_looked_for_before_the_last_pictures(project: Project, fill: Fill) -> None:
    fill(saved(scene(seed)) for seed in range(3))
    check(project)
    assert screen(project).problems == ("duplicates were not looked for: pictus clean dedupe",)
    dedupe(project, radius=60)
    assert screen(project).problems == ()
    fill([saved(scene(0), quality=50), saved(scene(9))])
    check(project)
    outcome = screen(project)
    assert outcome.problems == ("2 pictures measured since duplicates were looked for: pictus clean dedupe",)
    assert outcome.summary["dropped"] == 0
    dedupe(project)
    outcome = screen(project)
    assert (outcome.problems, outcome.summary["dropped"]) == ((), 1)


def test_screen_says_when_the_search_for_duplicates_was_stopped_after_its_table(
    project: Project, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill([saved(scene(0)), saved(scene(0), quality=50)])
    check(project)
    dedupe(project, radius=0)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(project.journal), "log", killed)
        with pytest.raises(KeyboardInterrupt):
            dedupe(project, radius=80)
    outcome = screen(project)
    assert outcome.problems == ("the last search for duplicates was stopped before its end: pictus clean dedupe",)
    (dropped,) = (row for row in outcome if row.rule == "duplicate")
    assert dropped.threshold != 0, "not the radius of the search before"


def test_a_second_process_is_told_who_works(project: Project, fill: Fill) -> None:
    fill([saved(scene(1))])
    with project.lock("clean"), pytest.raises(UserError, match="working on 'clean'"):
        check(project)


def test_one_worker_and_several_give_the_same_rows(
    project: Project, fill: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "TASK_ROWS", 4)
    fill(saved(scene(seed, side=80)) for seed in range(20))
    check(project, workers=1)
    alone = project.tables.read("checks")
    project.tables.drop("checks")
    check(project, workers=2)
    assert project.tables.read("checks").equals(alone)


KILLED = """
    import sys
    import pictus
    from pictus import engine
    from pictus.clean import check, steps

    class Slow:
        def track(self, label, total):
            return self
        def __enter__(self):
            return self
        def __exit__(self, *error):
            pass
        def say(self, note):
            pass
        def advance(self, count=1):
            self.seen = getattr(self, "seen", 0) + count
            if self.seen >= 40:
                print("half", flush=True)
                import time
                time.sleep(60)

    engine.TASK_ROWS, engine.COMMIT_ROWS = 4, 8
    project = pictus.Project(*[getattr(pictus.open(sys.argv[1]), name) for name in ("root", "name")], progress=Slow())
    check(project, workers=1)
"""


def test_a_killed_check_continues_where_it_stopped(project: Project, fill: Fill) -> None:
    ids = fill(saved(scene(seed, side=64)) for seed in range(60))
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(project.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    done = project.tables.count("checks")
    assert 0 < done < 60
    assert check(project).summary["measured"] == 60 - done
    assert [row.image_id for row in project.tables.records("checks", Check)] == ids


def test_a_missing_shard_says_so(project: Project, fill: Fill) -> None:
    fill([saved(scene(1))])
    next(project.shards_dir.glob("*.tar")).unlink()
    with pytest.raises(UserError, match="missing"):
        check(pictus.open(project.root))


@pytest.mark.real_data
def test_a_clean_real_pool_is_hardly_cut(
    project: Project, fill: Fill, real_data: Callable[[str], Path]
) -> None:
    with tarfile.open(real_data("imagenet_photos_240") / "imagenet_photos_240.tar") as archive:
        opened = (archive.extractfile(member) for member in archive if member.name.lower().endswith((".jpg", ".jpeg")))
        fill(file.read() for file in opened if file)
    check(project)
    assert dedupe(project).summary["duplicates"] == 0
    summary = screen(project).summary
    assert summary["pictures"] == 240
    assert summary["dropped"] <= 1
    assert summary["flags"]["grey"] >= 23


@pytest.mark.real_data
def test_modified_copies_are_found_among_real_photos(
    project: Project, fill: Fill, real_data: Callable[[str], Path]
) -> None:
    folder = real_data("near_duplicates")
    modified = sorted((folder / "pdq" / "bridge-mods").glob("*.jpg"))
    turned = [folder / "pdq" / "dih" / f"bridge-{name}.jpg" for name in ("2-rotate-90", "3-rotate-180", "5-flipx")]
    others = sorted((folder / "imagededup" / "base_images").glob("*.jpg"))
    plain = sorted((folder / "pdq" / "labelme-subset").glob("*.jpg"))[:2]  # PDQ quality 3 and 4
    paths = [*modified, *turned, *others, *plain]
    ids = dict(zip(paths, fill(path.read_bytes() for path in paths), strict=True))
    check(project)
    groups = [{row.image_id for row in dedupe(project)}]
    assert groups == [{ids[path] for path in modified}], "all 12 in one group; no turned one, no other photo"


def claim(project: Project, concepts: dict[str, tuple[str, ...]], claims: dict[str, str]) -> None:
    """A tree (concept: its parents) and which picture is claimed to show which concept."""
    tree = [
        {"concept_id": name, "names": [name], "gloss": "", "parents": list(parents), "is_class": True, "source": "test"}
        for name, parents in concepts.items()
    ]
    project.tables.replace("concepts", pa.Table.from_pylist(tree, schema=SCHEMAS["concepts"]))
    rows = [source(image_id, f"file/{number}", concept) for number, (image_id, concept) in enumerate(claims.items())]
    project.tables.append("sources", pa.Table.from_pylist(rows, schema=SCHEMAS["sources"]))


def source(image_id: str, address: str, concept_id: str = "") -> dict[str, str]:
    return {"image_id": image_id, "address": address, "kind": "url", "concept_id": concept_id, "query": "",
            "licence": "", "author": "", "found_at": "2026-01-01T00:00:00Z"}  # fmt: skip


def attempt(address: str, cause: str, at: str) -> dict[str, object]:
    texts = dict.fromkeys(("detail", "image_id", "concept_id", "etag", "last_modified"), "")
    return {**texts, "address": address, "kind": "url", "cause": cause, "attempted_at": at,
            "status": 200, "tries": 1, "size": 1, "elapsed_s": 0.1}  # fmt: skip


def soft(seed: int) -> bytes:
    """A scene blurred to a sharpness between 5 and 30."""
    return saved(scene(seed).filter(ImageFilter.GaussianBlur(1.7)), "PNG")


def test_a_concept_and_what_is_below_it_may_have_its_own_line(project: Project, fill: Fill) -> None:
    ids = fill([soft(1), soft(2), soft(3), *(saved(scene(seed)) for seed in range(10, 20))])
    check(project)
    sharpness = {row.image_id: row.sharpness for row in project.tables.records("checks", Check)}
    assert all(5 < sharpness[one] < 30 for one in ids[:3])
    claim(project, {"dog": (), "whippet": ("dog",), "cat": ()}, {ids[0]: "whippet", ids[1]: "dog", ids[2]: "cat"})
    summary = screen(project, line=("blurred=30", "dog:blurred=off", "whippet:blurred=29")).summary
    found = verdicts_of(project)
    assert [found[one].verdict for one in ids[:3]] == ["drop", "keep", "drop"]
    assert found[ids[0]].reason.endswith("is under 29 (the line of whippet)")
    assert summary["own_lines"] == ["dog:blurred=off", "whippet:blurred=29"]
    assert next(one for one in summary["lines"] if one["rule"] == "blurred")["own"] == summary["own_lines"]
    with pytest.raises(UserError, match="horse"):
        screen(project, line=("horse:blurred=3", "dog:dark=1"))


def test_what_its_owner_refuses_everywhere_is_dropped_unless_switched_off(project: Project, fill: Fill) -> None:
    said = b'<x:xmpmeta plus:DataMining="http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED"></x:xmpmeta>'
    ids = fill([saved(scene(1)), saved(scene(2)), saved(scene(3)), saved(scene(4), xmp=said)])
    check(project)
    sources = [source(ids[0], "a"), source(ids[0], "b"), source(ids[1], "c"), source(ids[1], "d"), source(ids[2], "e")]
    project.tables.append("sources", pa.Table.from_pylist(sources, schema=SCHEMAS["sources"]))
    attempts = [
        attempt("a", "ok", "1"), attempt("b", "robots", "1"), attempt("a", "opt-out", "2"),
        attempt("c", "robots", "1"), attempt("d", "ok", "1"), attempt("e", "tdm-reserved", "1"),
        attempt("e", "ok", "2"),
    ]  # fmt: skip
    project.tables.append("fetches", pa.Table.from_pylist(attempts, schema=SCHEMAS["fetches"]))
    screen(project)
    found = verdicts_of(project)
    assert [found[one].rule for one in ids] == ["opt-out", "", "", "opt-out"]
    assert found[ids[0]].reason == "its owner does not want it used: opt-out, robots at all its 2 addresses"
    assert "(prohibited)" in found[ids[3]].reason
    assert screen(project, line=("opt-out=off",)).summary["switched_off"] == ["opt-out=off"]
    assert {row.verdict for row in verdicts_of(project).values()} == {"keep"}


def test_a_picture_of_a_test_set_is_dropped_as_a_leak(project: Project, fill: Fill) -> None:
    ids = fill([saved(scene(1)), saved(scene(2))])
    check(project)
    leak = {"image_id": ids[0], "set": "val", "item": "7", "relation": "near", "distance": 3, "reason": "7 of val"}
    project.tables.append("leaks", pa.Table.from_pylist([leak], schema=SCHEMAS["leaks"]))
    screen(project)
    assert (verdicts_of(project)[ids[0]].rule, verdicts_of(project)[ids[0]].reason) == ("leak", "7 of val")
    assert restore(project, rule="leak").summary["restored"] == 1
    screen(project)
    assert verdicts_of(project)[ids[0]].rule == "restored"


def test_a_preview_tells_what_would_change_and_writes_nothing(project: Project, fill: Fill) -> None:
    ids = fill([soft(1), *(saved(scene(seed)) for seed in range(10, 14))])
    check(project)
    screen(project, line=("blurred=1",))
    version, events = project.tables.version("verdicts"), len(project.journal.events())
    outcome = preview(project, line=("blurred=29",))
    assert (outcome.summary["lines"], outcome.summary["newly_dropped"]) == ({"blurred=29": 1}, 1)
    assert [(row.image_id, row.rule) for row in outcome] == [(ids[0], "blurred")]
    assert "1 picture more would be dropped" in outcome.headline
    assert outcome.next == ("pictus clean screen --line blurred=29",)
    assert (project.tables.version("verdicts"), len(project.journal.events())) == (version, events)
    assert preview(project, line=("blurred=1",)).summary["changed"] == 0
    with pytest.raises(UserError, match="which line"):
        preview(project, line=())


def test_a_preview_counts_what_each_line_takes_and_its_next_step_can_be_typed(project: Project, fill: Fill) -> None:
    ids = fill([*(soft(seed) for seed in range(3)), *(saved(scene(seed)) for seed in range(10, 14))])
    claim(project, {"golden retriever": (), "cat": ()}, dict.fromkeys(ids[:2], "golden retriever") | {ids[2]: "cat"})
    check(project)
    lines = ("golden retriever:blurred=29", "cat:blurred=0.5")
    outcome = preview(project, line=lines)
    assert outcome.summary["lines"] == {lines[0]: 2, lines[1]: 0}
    assert outcome.next == ("pictus clean screen --line 'golden retriever:blurred=29' --line cat:blurred=0.5",)


def test_every_flag_of_a_picture_is_counted(project: Project, fill: Fill) -> None:
    fill(saved(scene(seed).convert("L"), quality=8) for seed in range(3))
    check(project)
    outcome = screen(project)
    assert outcome.summary["flags"] == {"compressed": 3, "grey": 3}
    assert {line["rule"]: line["dropped"] for line in outcome.summary["lines"]}["grey"] == 3


def test_leaks_that_are_not_of_all_pictures_and_sets_are_told(project: Project, fill: Fill, tmp_path: Path) -> None:
    ids = fill([saved(scene(1)), saved(scene(2))])
    check(project)
    dedupe(project)

    def told() -> list[str]:
        return [words for words in screen(project).problems if words.endswith("pictus clean leaks")]

    def add(name: str, digest: str) -> None:
        (tmp_path / "set.csv").write_text(f"item,sha256\n1,{digest}\n", encoding="utf-8")
        hashes(project, "add", tmp_path / "set.csv", set_=name)

    assert told() == []
    add("val", ids[0])
    assert told() == ["the pictures were not compared with the evaluation sets: pictus clean leaks"]
    leaks(project)
    assert told() == []
    fill([saved(scene(3))])
    check(project)
    assert told() == ["1 picture measured since leaks were looked for: pictus clean leaks"]
    leaks(project)
    add("test", ids[1])
    assert told() == ["an evaluation set was added since leaks were looked for: pictus clean leaks"]
    leaks(project)
    assert (told(), screen(project).summary["rules"]) == ([], {"leak": 2})
