from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pictus import models, networks, quantised_networks, serve
from pictus.project import bare
from pictus.serve.bundle import Bundle, Parity, open_bundle
from pictus.serve.export import INT8, TOLERANCE, drawn_pictures, network_probabilities, parity
from pictus.serve.recogniser import Recogniser


def test_graph_and_network_agree_on_any_number_of_pictures(served: Path, recogniser: Recogniser) -> None:
    run = models.open_run(served / "models/first")
    model = models.load_run(run, device="cpu")
    generator = np.random.default_rng(3)
    for n in (1, 2, 7):
        pictures = generator.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
        logits = models.predict_pixels(model, run, list(pictures)).astype(np.float64)
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        found = recogniser.probabilities(pictures)
        assert found.shape == (n, 4)
        assert np.abs(found - expected).max() < 1e-5
        assert np.abs(found.sum(axis=1) - 1).max() < 1e-5


def test_parity_holds_and_is_recorded(bundle: Bundle) -> None:
    assert bundle.parity.holds
    assert (bundle.parity.n_drawn, bundle.parity.n_real) == (32, 12)  # the broken one proves nothing
    assert 0 <= bundle.parity.greatest_difference < 1e-5


def test_parity_notices_swapped_channels_layout_and_range(served: Path, recogniser: Recogniser) -> None:
    run = models.open_run(served / "models/first")
    network = network_probabilities(models.load_run(run, device="cpu"), run.preprocessing)
    good: Any = recogniser.probabilities
    assert parity(network, good, [], 32).holds
    for spoiled in (
        lambda pictures: good(np.ascontiguousarray(pictures[..., ::-1])),  # BGR
        lambda pictures: good(np.ascontiguousarray(pictures.transpose(0, 2, 1, 3))),  # W and H swapped
        lambda pictures: good((pictures / 2).astype(np.uint8)),  # range
        lambda pictures: np.roll(good(pictures), 1, axis=1),  # classes shifted
        lambda pictures: np.full_like(good(pictures), np.nan),
    ):
        found = parity(network, spoiled, [], 32)
        assert not found.holds
        assert found.greatest_difference > TOLERANCE


@pytest.mark.parametrize("recipe", [{"mirror": True}, {"nudge": 2}, {"mirror": True, "nudge": 2}])
def test_a_graph_answers_by_all_looks_at_a_picture_as_the_run_does(
    tmp_path: Path, make_run: Any, recipe: dict[str, int]
) -> None:
    make_run(tmp_path / "models/first")
    path = tmp_path / "models/first/run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"recipe": recipe}))
    serve.export(bare(tmp_path))
    recogniser = Recogniser(open_bundle(tmp_path / "bundles/first"))
    pictures = np.random.default_rng(3).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    run = models.open_run(path.parent)
    wanted = network_probabilities(models.load_run(run, device="cpu"), run.preprocessing)(pictures)
    plain = models.load_run(replace(run, card=run.card | {"recipe": {}}), device="cpu")
    assert np.abs(recogniser.probabilities(pictures) - wanted).max() < 1e-5
    assert np.abs(network_probabilities(plain, run.preprocessing)(pictures) - wanted).max() > 1e-5


def test_of_several_labels_each_has_a_probability_of_its_own(tmp_path: Path, make_run: Any) -> None:
    make_run(tmp_path / "models/first")
    path = tmp_path / "models/first/run.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps(card | {"recipe": {"task": "multilabel"}}))
    serve.export(bare(tmp_path))
    run = models.open_run(tmp_path / "models/first")
    pictures = np.random.default_rng(3).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    logits = models.predict_pixels(models.load_run(run, device="cpu"), run, list(pictures)).astype(np.float64)
    found = Recogniser(open_bundle(tmp_path / "bundles/first")).probabilities(pictures)
    assert np.abs(found - 1 / (1 + np.exp(-logits))).max() < 1e-5


def test_a_first_guess_that_flips_between_equals_is_no_fault() -> None:
    equal = np.tile(np.array([[0.5, 0.5]], np.float32), (32, 1))
    other = equal + np.array([[-1e-6, 1e-6]], np.float32)
    found = parity(lambda pictures: equal[: len(pictures)], lambda pictures: other[: len(pictures)], [], 8)
    assert found.holds
    sure = np.tile(np.array([[0.6, 0.4]], np.float32), (32, 1))
    swapped = parity(lambda pictures: sure[: len(pictures)], lambda pictures: sure[: len(pictures), ::-1], [], 8)
    assert swapped.n_other_sure == 32


def test_drawn_pictures_are_of_the_network_s_shape() -> None:
    pictures = np.stack(drawn_pictures(20, 0))
    assert pictures.shape == (32, 20, 20, 3)
    assert pictures.dtype == np.uint8
    assert np.array_equal(pictures, np.stack(drawn_pictures(20, 0)))
    assert len({picture.tobytes() for picture in pictures}) == 32


def test_a_run_of_8_bits_is_held_to_a_rule_of_its_own_that_the_bundle_tells(tmp_path: Path, make_run: Any) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    folder = make_run(tmp_path / "models/eight")
    small = quantised_networks.quantised(models.load_run(models.open_run(folder), device="cpu"))
    quantised_networks.calibrate(small, [torch.randn(16, 3, 32, 32)])
    save_file({key: one.contiguous() for key, one in small.state_dict().items()}, folder / "model.safetensors")
    card = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(card | {"model": "small-cnn@int8"}))
    assert "first guesses equal" in serve.export(bare(tmp_path)).headline
    told = open_bundle(tmp_path / "bundles/eight").parity
    assert told.holds
    assert (told.tolerance, told.mean_tolerance, told.least_agreement) == (INT8.tolerance, INT8.mean, INT8.agreement)
    assert 0 < told.mean_difference <= told.greatest_difference
    assert networks.family_of("small-cnn@int8") == "pictus"


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ({}, True),
        ({"greatest_difference": 0.06}, False),
        ({"mean_difference": 0.006}, False),
        ({"n_other": 2}, True),
        ({"n_other": 3}, False),
        ({"n_other_sure": 1}, False),
    ],
)
def test_each_bound_of_whole_numbers_holds_by_itself(change: dict[str, Any], holds: bool) -> None:
    found = {"n_drawn": 32, "n_real": 168, "greatest_difference": 0.04, "tolerance": INT8.tolerance, "n_other_sure": 0,
             "mean_difference": 0.004, "n_other": 0, "mean_tolerance": INT8.mean,
             "least_agreement": INT8.agreement}  # fmt: skip
    assert Parity(**{**found, **change}).holds is holds


def test_a_bundle_of_before_is_held_to_the_tolerance_alone() -> None:
    assert Parity(32, 12, 1e-6, 1e-4, 0).holds
    assert not Parity(32, 12, 1e-3, 1e-4, 0).holds
