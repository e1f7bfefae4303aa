"""Label Studio's JSON: tasks with the results of several annotators, and predictions of models.

Coordinates are percents of the picture. Read are choices, rectangles, polygons, brush masks (their bit-packed run
lengths) and keypoints; keypoints with one `parentID` are one skeleton. Where the task's data has a `question` (or
`concept`), choices are yes, no and unsure to it; else they name the class, and several at once are a yes to each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from pictus.annotate.exchange.formats.contents import (
    Bad,
    Drawn,
    Export,
    LeftOut,
    Mark,
    Read,
    Said,
    Shape,
    Sheet,
    Writer,
)
from pictus.annotate.exchange.formats.documents import Bundle, Document
from pictus.annotate.exchange.formats.figures import (
    WrongFigureError,
    box_at,
    keypoints,
    number,
    pairs,
    polygons,
    size_of,
    worded,
)
from pictus.annotate.exchange.formats.json_streams import elements
from pictus.annotate.exchange.formats.outputs import JsonList, text_file
from pictus.annotate.exchange.formats.run_lengths import from_label_studio, mask_shape, pixels_of, to_label_studio
from pictus.annotate.exchange.vote_files import COLUMNS
from pictus.errors import clipped

_MARK = re.compile(rb'"(annotations|completions|predictions|data)"\s*:')
_UPLOADED = re.compile(r"^/?data/upload/(?:.*/)?(?:[0-9a-f]{8}-)?([^/]+)$")
_SKIPPED = ("relation", "textarea", "rating", "number", "taxonomy", "datetime", "pairwise", "ranker")


def recognises(bundle: Bundle) -> bool:
    return any(is_label_studio(document) for document in bundle.ending(".json"))


def is_label_studio(document: Document) -> bool:
    return document.head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[") and bool(_MARK.search(document.head))


def read(bundle: Bundle) -> Iterator[Read]:
    for document in bundle.ending(".json"):
        for key, index, task in elements(document):
            if key:
                continue
            place = f"{document.name} task {task.get('id', index + 1) if isinstance(task, dict) else index + 1}"
            try:
                yield from _task(place, task)
            except WrongFigureError as error:
                yield Bad(place, str(error))


def _task(place: str, task: Any) -> Iterator[Read]:  # noqa: ANN401  JSON
    data = task.get("data") if isinstance(task, dict) else None
    if not isinstance(data, dict):
        raise WrongFigureError("no 'data': export it as JSON (not JSON-MIN)")
    picture = _picture(data)
    question = next((str(data[name]) for name in COLUMNS["question"] if isinstance(data.get(name), str)), "")
    for number_, annotation in enumerate(_lists(task, "annotations", "completions"), start=1):
        here = f"{place} annotation {number_}"
        if not isinstance(annotation, dict):
            raise WrongFigureError("an annotation that is no object")
        if annotation.get("was_cancelled"):
            yield LeftOut(here, "skipped by its annotator")
            continue
        yield from _results(here, picture, _author(annotation), question, annotation)
    for number_, prediction in enumerate(_lists(task, "predictions"), start=1):
        model = str((prediction.get("model_version") if isinstance(prediction, dict) else "") or "label-studio")
        yield from _results(f"{place} prediction {number_}", picture, f"model:{model[:100]}", question, prediction)


def _lists(value: dict[str, Any], *keys: str) -> list[Any]:
    found: Any = next((value[key] for key in keys if value.get(key)), None)
    return found if isinstance(found, list) else []


def _picture(data: dict[str, Any]) -> str:
    """The picture's text: an image_id if there is one, else what the image column says, without what uploading adds."""
    names = [name for name in COLUMNS["image"] if isinstance(data.get(name), str)]
    if not names:
        raise WrongFigureError(f"none of its data is a picture: {clipped(', '.join(map(str, data)))}")
    text = str(data[names[0]])
    if "?d=" in text:  # /data/local-files/?d=photos/owl.jpg
        return text.rpartition("?d=")[2]
    uploaded = _UPLOADED.match(text)
    return uploaded[1] if uploaded else text


def _author(annotation: dict[str, Any]) -> str:
    who = annotation.get("annotator") or annotation.get("completed_by", "")
    if isinstance(who, dict):
        who = who.get("email") or who.get("username") or who.get("id") or ""
    return str(who)[:200]


def _results(place: str, picture: str, who: str, question: str, holder: Any) -> Iterator[Read]:  # noqa: ANN401  JSON
    results = holder.get("result") if isinstance(holder, dict) else None
    if not isinstance(results, list):
        yield Bad(place, "no list 'result'")
        return
    skeletons: dict[str, list[dict[str, Any]]] = {}
    for index, result in enumerate(results):
        here = f"{place} result {index + 1}"
        try:
            kind = _kind(result)
            if kind == "choices":
                yield from _choices(here, picture, who, question, result["value"])
            elif kind.startswith("keypoint") and result.get("parentID"):
                skeletons.setdefault(str(result["parentID"]), []).append(result)
            elif kind not in _SKIPPED:
                yield _drawn(here, picture, who, result)
        except WrongFigureError as error:
            yield Bad(here, str(error))
    for parent, points in skeletons.items():
        try:
            yield _skeleton(f"{place} points of {clipped(parent)}", picture, who, points)
        except WrongFigureError as error:
            yield Bad(place, str(error))


def _kind(result: Any) -> str:  # noqa: ANN401  JSON
    kind = str(result.get("type", "")) if isinstance(result, dict) else ""
    if kind not in _SKIPPED and (not kind or not isinstance(result.get("value"), dict)):
        raise WrongFigureError("no 'type' or no 'value'")
    return kind


def _choices(place: str, picture: str, who: str, question: str, value: dict[str, Any]) -> Iterator[Read]:
    found = value.get("choices")
    if not isinstance(found, list) or not found:
        raise WrongFigureError("no choice")
    if who.startswith("model:"):
        yield LeftOut(place, "a model's choice is no vote")
    elif question or len(found) == 1:
        yield Said(place, picture, who, question, str(found[0])[:1000])
    else:
        for choice in found:
            yield Said(place, picture, who, str(choice)[:1000], "yes")


def _label(result: dict[str, Any]) -> str:
    value, kind = result["value"], str(result.get("type"))
    found = value.get(kind) or value.get("labels") or []
    return str(found[0])[:1000] if isinstance(found, list) and found else ""


def _size(result: dict[str, Any]) -> tuple[int, int]:
    return size_of(result.get("original_width"), result.get("original_height"))


def _drawn(place: str, picture: str, who: str, result: dict[str, Any]) -> Drawn:
    value, kind, size = result["value"], str(result.get("type")), _size(result)
    meta = result.get("meta")
    given = meta.get("words") if isinstance(meta, dict) else None
    words: dict[str, object] = dict(given) if isinstance(given, dict) else {}
    if isinstance(result.get("score"), (int, float)):
        words["score"] = result["score"]
    if kind.startswith("brush") or "rle" in value:
        if size == (0, 0):
            raise WrongFigureError("a brush mask without original_width and original_height")
        shape: Shape = mask_shape(from_label_studio(value.get("rle", ()), *size))
        return Drawn(place, picture, who, _label(result), "mask", worded(shape, words), size)
    if kind.startswith("ellipse"):
        raise WrongFigureError("an ellipse, which has no place here")
    if isinstance(value.get("points"), list):
        ring = [coordinate / 100 for coordinate in pairs(value["points"])]
        shape, name = polygons([ring]), "mask"
    elif kind.startswith("keypoint"):
        shape, name = keypoints("point", [[*_share(value, "x", "y"), 2]]), "points"
    elif "width" in value:
        if number(value.get("rotation") or 0, "the rotation"):
            raise WrongFigureError("a box that is turned")
        shape, name = box_at(*_share(value, "x", "y", "width", "height")), "box"
    else:
        raise WrongFigureError(f"a result of the type {clipped(kind)}, which has no place here")
    return Drawn(place, picture, who, _label(result), name, worded(shape, words), size, is_share=True)


def _share(value: dict[str, Any], *keys: str) -> list[float]:
    return [number(value.get(key)) / 100 for key in keys]


def _skeleton(place: str, picture: str, who: str, results: list[dict[str, Any]]) -> Drawn:
    points, names = [], []
    skeleton = ""
    words: Any = {}
    for result in results:
        given = result.get("meta")
        meta: dict[str, Any] = given if isinstance(given, dict) else {}
        points.append([*_share(result["value"], "x", "y"), meta.get("seen", 2)])
        names.append(str(meta.get("point") or "")[:200])
        words = words or meta.get("words") or {}
        skeleton = skeleton or str(meta.get("skeleton") or "")[:200]
    shape = keypoints(skeleton or _label(results[0]), points, names if any(names) else ())
    shape = worded(shape, words) if isinstance(words, dict) else shape
    return Drawn(place, picture, who, _label(results[0]), "points", shape, _size(results[0]), is_share=True)


def write_votes(export: Export, path: Path) -> int:
    """A task for each picture and concept asked about, with a choice of each annotator."""
    count = 0
    with text_file(path) as out:
        out.write("[")
        tasks = JsonList(out)
        for (sheet, question), votes in groupby(export.votes(), key=lambda vote: (vote.sheet, vote.question)):
            annotations = []
            for vote in votes:
                value = {"choices": [vote.answer]}
                result = [{"type": "choices", "from_name": "choice", "to_name": "image", "value": value}]
                annotations.append({"annotator": vote.annotator, "result": result})
                count += 1
            tasks.add({"id": tasks.count + 1, "data": _data(sheet, question), "annotations": annotations})
        out.write("\n]\n")
    return count


def write_marks(export: Export, path: Path) -> int:
    """A task for each picture, with an annotation of each who drew on it; what models drew are predictions."""
    count = 0
    with text_file(path) as out:
        out.write("[")
        tasks = JsonList(out)
        for sheet, marks in groupby(export.marks(), key=lambda mark: mark.sheet):
            by: dict[str, list[dict[str, Any]]] = {}
            for mark in marks:
                count += 1
                by.setdefault(mark.annotator, []).extend(_written(mark, f"m{count}"))
            task: dict[str, Any] = {"id": tasks.count + 1, "data": _data(sheet, "")}
            people = {name: result for name, result in by.items() if not name.startswith("model:")}
            task["annotations"] = [{"annotator": name, "result": result} for name, result in people.items()]
            task["predictions"] = [
                {"model_version": name.removeprefix("model:"), "result": result}
                for name, result in by.items() if name not in people
            ]  # fmt: skip
            tasks.add(task)
        out.write("\n]\n")
    return count


def write_tasks(export: Export, path: Path) -> int:
    """What waits to be asked, without answers."""
    with text_file(path) as out:
        out.write("[")
        tasks = JsonList(out)
        for task in export.tasks():
            tasks.add({"id": tasks.count + 1, "data": {**_data(task.sheet, task.concept_id), "name": task.concept}})
        out.write("\n]\n")
    return tasks.count


def _data(sheet: Sheet, question: str) -> dict[str, str]:
    data = {"image": sheet.address, "image_id": sheet.image_id}
    return {**data, "question": question} if question else data


def _written(mark: Mark, number: str) -> list[dict[str, Any]]:
    width, height = mark.sheet.width, mark.sheet.height
    about = {"to_name": "image", "original_width": width, "original_height": height, "image_rotation": 0}
    words = mark.shape.get("words")
    about |= {"meta": {"words": words}} if words else {}
    label, rings, names = [mark.concept], mark.shape.get("polygons", ()), mark.shape.get("names")

    def across(value: float) -> float:
        return 100 * value / width

    def down(value: float) -> float:
        return 100 * value / height

    if mark.kind == "box":
        x1, y1, x2, y2 = mark.shape["box"]
        place = {"x": across(x1), "y": down(y1), "width": across(x2 - x1), "height": down(y2 - y1), "rotation": 0}
        kind, value = "rectanglelabels", {**place, "rectanglelabels": label}
    elif mark.kind == "points":
        return [
            {**about, "id": f"{number}p{at}", "parentID": number, "type": "keypointlabels", "from_name": "points",
             "value": {"x": across(x), "y": down(y), "width": 0.5, "keypointlabels": label},
             "meta": {"skeleton": mark.shape["skeleton"], "seen": seen, "words": words or {},
                      "point": names[at] if names else ""}}
            for at, (x, y, seen) in enumerate(mark.shape["points"])
        ]  # fmt: skip
    elif len(rings) == 1:
        points = [[across(x), down(y)] for x, y in zip(rings[0][0::2], rings[0][1::2], strict=True)]
        kind, value = "polygonlabels", {"points": points, "closed": True, "polygonlabels": label}
    else:
        packed = to_label_studio(pixels_of(mark.shape, width, height))
        kind, value = "brushlabels", {"format": "rle", "rle": packed, "brushlabels": label}
    return [{**about, "id": number, "type": kind, "from_name": kind.removesuffix("labels"), "value": value}]


WRITES: Mapping[str, Writer] = {
    "votes": write_votes, "labels": write_votes, "marks": write_marks, "shapes": write_marks, "tasks": write_tasks,
}  # fmt: skip
