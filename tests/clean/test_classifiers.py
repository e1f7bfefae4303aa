"""The adapter for safety classifiers: plugins, ONNX files, and what is refused."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pictus
from pictus.clean import classifiers
from pictus.pixels import Pixels


def jpeg(grey: int, side: int = 16) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), (grey, grey, grey)).save(out, "JPEG")
    return out.getvalue()


def light(pictures: Sequence[Pixels]) -> list[tuple[str, float]]:
    return [("light" if one.mean() > 127 else "dark", float(one.mean()) / 255) for one in pictures]


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(classifiers.CLASSIFIERS._found, "light", light)


def write_graph(path: Path, *, shape: Sequence[object] = ("N", 8, 8, 3), labels: str = "", domain: str = "") -> Path:
    """An ONNX file that says how light a picture is: the mean of its values and 1 less that, as f32[N, 2]."""
    onnx = pytest.importorskip("onnx", reason="needs the extra serve")
    is_bytes = shape[-1] == 3
    kind = onnx.TensorProto.UINT8 if is_bytes else onnx.TensorProto.FLOAT
    helper = onnx.helper
    scale = helper.make_tensor("scale", onnx.TensorProto.FLOAT, [1], [255.0 if is_bytes else 1.0])
    one = helper.make_tensor("one", onnx.TensorProto.FLOAT, [1], [1.0])
    axes = helper.make_tensor("axes", onnx.TensorProto.INT64, [3], [1, 2, 3])
    flat = helper.make_tensor("flat", onnx.TensorProto.INT64, [2], [-1, 1])
    nodes = [
        helper.make_node("Cast", ["pictures"], ["floats"], to=onnx.TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["means"], keepdims=0),
        helper.make_node("Div", ["means", "scale"], ["share"]),
        helper.make_node("Reshape", ["share", "flat"], ["light"]),
        helper.make_node("Sub", ["one", "light"], ["dark"]),
        helper.make_node("Concat", ["dark", "light"], ["scores"], axis=1, domain=domain),
    ]
    given = helper.make_tensor_value_info("pictures", kind, list(shape))
    made = helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, [shape[0], 2])
    graph = helper.make_graph(nodes, "light", [given], [made], [scale, one, axes, flat])
    opsets = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    if labels:
        helper.set_model_props(model, {"labels": labels})
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.usefixtures("plugged")
def test_a_plugin_says_one_thing_of_every_picture_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifiers, "BATCH", 2)
    pictures = [("a", jpeg(250)), ("b", b"no picture"), ("c", jpeg(5)), ("d", jpeg(200))]
    rows = classifiers.ask(pictures, "light", "light")
    assert [(row.image_id, row.cause, row.label) for row in rows] == [
        ("a", "", "light"), ("b", "not-an-image", ""), ("c", "", "dark"), ("d", "", "light")
    ]  # fmt: skip
    assert rows[0].score == pytest.approx(250 / 255, abs=0.02)


@pytest.mark.parametrize("given", [None, [], [("a", 1.0), ("b", 2.0)], [("a", float("inf"))], ["ab"], [("a", "much")]])
def test_a_plugin_that_gives_no_answers_is_told_what_is_wanted(given: Any) -> None:
    with pytest.raises(pictus.UserError, match=r"not a \(label, score\) for each of 1"):
        classifiers.checked(given, 1, "mine")


@pytest.mark.parametrize("error", [RuntimeError("no memory"), SystemExit(3)])
def test_a_plugin_that_fails_leaves_a_cause(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fails(pictures: Sequence[Pixels]) -> list[tuple[str, float]]:
        raise error

    monkeypatch.setitem(classifiers.CLASSIFIERS._found, "fails", fails)
    assert [row.cause for row in classifiers.ask([("a", jpeg(3))], "fails", "fails")] == ["classifier-failed"]


def test_none_is_brought_and_the_error_says_how_to_plug_one_in() -> None:
    with pytest.raises(pictus.UserError, match="brings no safety classifier") as found:
        classifiers.probe("nsfw")
    assert "onnx:FILE" in found.value.fix


@pytest.mark.parametrize("shape", [("N", 8, 8, 3), (1, 8, 8, 3), ("N", 3, 8, 8)])
def test_an_onnx_file_answers_whatever_way_it_takes_pictures(tmp_path: Path, shape: Sequence[object]) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra serve")
    path = write_graph(tmp_path / "light.onnx", shape=shape, labels='["dark", "light"]')
    rows = classifiers.ask([("a", jpeg(250)), ("b", jpeg(20))], f"onnx:{path}", "light")
    assert [row.label for row in rows] == ["light", "dark"]
    assert rows[0].score == pytest.approx(250 / 255, abs=0.02)
    assert classifiers.called(f"onnx:{path}").startswith("onnx:light.onnx@")


def test_labels_come_from_a_file_beside_it_or_from_a_bundle(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra serve")
    path = write_graph(tmp_path / "light.onnx")
    with pytest.raises(pictus.UserError, match="does not say what its scores are called"):
        classifiers.probe(f"onnx:{path}")
    (tmp_path / "bundle.json").write_text(json.dumps({"class_names": ["night", "day"]}))
    classifiers._of_file.cache_clear()
    assert classifiers.ask([("a", jpeg(250))], f"onnx:{path}", "x")[0].label == "day"
    (tmp_path / "light.onnx.labels.txt").write_text("dark\nlight\n")
    classifiers._of_file.cache_clear()
    assert classifiers.ask([("a", jpeg(250))], f"onnx:{path}", "x")[0].label == "light"
    (tmp_path / "light.onnx.labels.txt").write_text("only one\n")
    classifiers._of_file.cache_clear()
    with pytest.raises(pictus.UserError, match="has 1 labels"):
        classifiers.probe(f"onnx:{path}")


def test_a_graph_that_reaches_outside_itself_is_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs the extra serve")
    foreign = write_graph(tmp_path / "foreign.onnx", labels='["a", "b"]', domain="com.example")
    with pytest.raises(pictus.UserError, match=r"operators of com\.example"):
        classifiers.probe(f"onnx:{foreign}")
    model = onnx.load_model_from_string(write_graph(tmp_path / "light.onnx", labels='["a", "b"]').read_bytes())
    tensor = model.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    (tmp_path / "outside.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(pictus.UserError, match="tensors in other files"):
        classifiers.probe(f"onnx:{tmp_path / 'outside.onnx'}")


def test_what_is_no_classifier_of_pictures_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra serve")
    (tmp_path / "text.onnx").write_text("no graph")
    for name, said in (("none.onnx", "There is no file"), ("text.onnx", "is not an ONNX file")):
        with pytest.raises(pictus.UserError, match=said):
            classifiers.probe(f"onnx:{tmp_path / name}")
    wide = write_graph(tmp_path / "wide.onnx", shape=("N", 4_000, 4_000, 3), labels='["a", "b"]')
    with pytest.raises(pictus.UserError, match="not pictures"):
        classifiers.probe(f"onnx:{wide}")


def test_the_plugin_in_the_docs_works() -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / "clean.md").read_text(encoding="utf-8")
    (block,) = [one for one in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "pictus.safety" in one]
    found: dict[str, Any] = {}
    exec(compile(block, "docs/clean.md", "exec"), found)
    said = classifiers.checked(found["classify"]([np.full((8, 9, 3), grey, np.uint8) for grey in (250, 10)]), 2, "docs")
    assert said == [("alarming", 1.0), ("calm", 0.0)]


def test_a_picture_that_a_plugin_fails_on_takes_no_other_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def picky(pictures: Sequence[Pixels]) -> list[tuple[str, float]]:
        asked.append(len(pictures))
        if any(one.mean() > 250 for one in pictures):
            raise RuntimeError("too light")
        return light(pictures)

    monkeypatch.setitem(classifiers.CLASSIFIERS._found, "picky", picky)
    pictures = [(str(number), jpeg(255 if number == 3 else 9)) for number in range(8)]
    rows = classifiers.ask(pictures, "picky", "picky")
    assert [row.cause for row in rows] == ["", "", "", "classifier-failed", "", "", "", ""]
    assert [row.label for row in rows if not row.cause] == ["dark"] * 7
    assert asked == [8, *[1] * 8]
