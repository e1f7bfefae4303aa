from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pictus.errors import UserError
from pictus.serve.bundle import Bundle, Parity, check_graph, open_bundle, sha256, write_bundle


def small_graph(
    *, domain: str = "", initializer: TensorProto | None = None, inner: onnx.GraphProto | None = None
) -> bytes:
    """y = x + w, as a model; with an If around `inner` when given."""
    weights = initializer or numpy_helper.from_array(np.ones(1, np.float32), "w")
    nodes = [helper.make_node("Add", ["x", "w"], ["y"], domain=domain)]
    if inner is not None:
        nodes.append(helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner))
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", value[:1], value[1:], [weights])
    opsets = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return bytes(helper.make_model(graph, opset_imports=opsets).SerializeToString())


def kept_outside(location: str = "../../../etc/passwd") -> TensorProto:
    tensor = numpy_helper.from_array(np.ones(1, np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return tensor


def test_write_then_open_gives_the_same_bundle(bundle: Bundle, tmp_path: Path) -> None:
    moved = replace(bundle, root=tmp_path / "copy")
    write_bundle(moved)
    assert open_bundle(tmp_path / "copy") == moved


def test_the_card_says_how_to_ask_the_graph(bundle: Bundle) -> None:
    card = json.loads((bundle.root / "bundle.json").read_text())
    assert card["input"] == {"name": "pictures", "type": "uint8", "shape": ["N", 32, 32, 3], "layout": "NHWC, RGB"}
    assert card["output"] == {"name": "probabilities", "type": "float32", "shape": ["N", 4]}
    assert card["classes"] == ["n02", "n03", "n05", "n06"]
    assert card["class_names"] == ["dog", "cat", "axe", "saw"]
    model = onnx.load_model_from_string(bundle.graph)
    assert [value.name for value in model.graph.input] == ["pictures"]
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8


def test_a_changed_graph_is_noticed(bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(bundle.root, tmp_path / "b")
    (tmp_path / "b/model.onnx").write_bytes(bundle.graph[:-1] + b"\0")
    with pytest.raises(UserError, match="sha256 differs") as caught:
        open_bundle(tmp_path / "b")
    assert "pictus serve export" in caught.value.fix


def test_a_bundle_without_its_card_is_none(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(bundle.graph)
    with pytest.raises(UserError, match=r"it has no bundle\.json"):
        open_bundle(tmp_path)


@pytest.mark.parametrize("text", ["{", "{}", '{"format": "x"}', '{"format": Infinity}', "[]", "[" * 100_000])
def test_a_damaged_card_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text(text)
    with pytest.raises(UserError, match="is damaged"):
        open_bundle(tmp_path)


@pytest.mark.parametrize("stated", [
    {"tolerance": 99.0}, {"tolerance": "x"}, {"tolerance": None}, {"greatest_difference": 0.9}, {"n_other": -1_000_000},
    {"n_real": 10**300}, {"n_real": 1.5}, {"least_agreement": -5}, {"least_agreement": math.inf}, {"mean_tolerance": 9},
    {"n_other_sure": 1}, {"n_other_top1": 1}, {"zz": 1},
], ids=str)  # fmt: skip
def test_what_a_card_says_of_its_parity_is_not_believed(
    bundle: Bundle, tmp_path: Path, stated: dict[str, object]
) -> None:
    shutil.copytree(bundle.root, tmp_path / "b")
    card = json.loads((tmp_path / "b/bundle.json").read_text())
    card["parity"] |= stated
    (tmp_path / "b/bundle.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match="is damaged"):
        open_bundle(tmp_path / "b")


def test_a_card_of_before_calls_first_guesses_that_differ_otherwise(bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(bundle.root, tmp_path / "b")
    card = json.loads((tmp_path / "b/bundle.json").read_text())
    card["parity"]["n_other_top1"] = card["parity"].pop("n_other_sure")
    (tmp_path / "b/bundle.json").write_text(json.dumps(card))
    assert open_bundle(tmp_path / "b").parity == bundle.parity


@pytest.mark.parametrize("stated", [
    {"size": 0}, {"size": math.inf}, {"size": 10**9, "resize": 10**9}, {"resize": 10**9}, {"std": [0, 0, 0]},
    {"mean": [math.nan, 0, 0]},
], ids=str)  # fmt: skip
def test_no_card_asks_for_pictures_that_cannot_be(bundle: Bundle, tmp_path: Path, stated: dict[str, object]) -> None:
    shutil.copytree(bundle.root, tmp_path / "b")
    card = json.loads((tmp_path / "b/bundle.json").read_text())
    card["preprocessing"] |= stated
    (tmp_path / "b/bundle.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match=r"is damaged: .*preprocessing"):
        open_bundle(tmp_path / "b")


def test_a_bundle_of_whole_numbers_may_differ_by_more(bundle: Bundle, tmp_path: Path) -> None:
    whole = Parity(32, 84, 0.02, 0.05, 0, 0.001, 1, 0.005, 0.99)
    moved = replace(bundle, root=tmp_path / "copy", parity=whole)
    write_bundle(moved)
    assert open_bundle(tmp_path / "copy") == moved


def test_a_bundle_of_a_later_pictus_is_told(bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(bundle.root, tmp_path / "b")
    card = json.loads((tmp_path / "b/bundle.json").read_text())
    (tmp_path / "b/bundle.json").write_text(json.dumps({**card, "format": 99}))
    with pytest.raises(UserError, match="format 99"):
        open_bundle(tmp_path / "b")


def test_a_graph_that_keeps_tensors_elsewhere_is_refused() -> None:
    check_graph(small_graph(), "good.onnx")
    with pytest.raises(UserError, match=r"keeps 1 tensors in other files \(first 'w'\)"):
        check_graph(small_graph(initializer=kept_outside()), "evil.onnx")


def test_tensors_kept_elsewhere_are_found_in_inner_graphs_and_attributes() -> None:
    inner = helper.make_graph([], "inner", [], [], [kept_outside()])
    with pytest.raises(UserError, match="in other files"):
        check_graph(small_graph(inner=inner), "evil.onnx")
    constant = helper.make_node("Constant", [], ["k"], value=kept_outside())
    with pytest.raises(UserError, match="in other files"):
        check_graph(small_graph(inner=helper.make_graph([constant], "inner", [], [])), "evil.onnx")


def test_external_data_is_refused_before_any_file_is_read(bundle: Bundle, tmp_path: Path) -> None:
    graph = small_graph(initializer=kept_outside("/etc/passwd"))
    write_bundle(replace(bundle, root=tmp_path / "b", graph=graph, graph_sha256=sha256(graph)))
    with pytest.raises(UserError, match="does not load those"):
        open_bundle(tmp_path / "b")


def test_operators_of_other_makers_are_refused() -> None:
    with pytest.raises(UserError, match=r"uses operators of com\.evil"):
        check_graph(small_graph(domain="com.evil"), "evil.onnx")
    foreign = helper.make_graph([helper.make_node("Run", [], ["k"], domain="com.evil")], "inner", [], [])
    with pytest.raises(UserError, match=r"uses operators of com\.evil"):
        check_graph(small_graph(inner=foreign), "evil.onnx")


def test_what_is_no_graph_is_told() -> None:
    with pytest.raises(UserError, match="is not an ONNX file"):
        check_graph(b"not a graph at all", "x.onnx")
