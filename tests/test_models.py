from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pictus
from pictus import models, networks
from pictus.errors import PictureError, UserError
from pictus.models import Preprocessing, Run

MakeJpeg = Callable[..., bytes]

CLASSES = ("n01", "n02", "n03", "n04", "n05")


def _run(
    root: Path, name: str = "first", *, model: str = "small-cnn", size: int = 32,
    finished_at: str = "2026-01-01T00:00:00Z",
) -> Run:  # fmt: skip
    """A run folder with random weights, as training leaves it."""
    import safetensors.torch
    import torch

    torch.manual_seed(1)
    folder = root / name
    folder.mkdir(parents=True)
    network = models.build(model, len(CLASSES), size=size)
    safetensors.torch.save_file(network.state_dict(), folder / "model.safetensors")
    card = {
        "format": 1, "name": name, "status": "finished" if finished_at else "running", "model": model,
        "classes": CLASSES, "class_names": ["a", "b", "c", "d", "e"], "finished_at": finished_at, "started_at": name,
        "preprocessing": {"size": size, "resize": size + 4, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]},
        "recipe": {},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(card))
    return models.open_run(folder)


# Opening runs


def test_a_run_opens_without_torch(tmp_path: Path, make_jpeg: MakeJpeg) -> None:
    run = _run(tmp_path)
    (tmp_path / "x.jpg").write_bytes(make_jpeg())
    code = (
        "import sys; from pathlib import Path; from pictus import models;"
        f"run = models.open_run({str(run.root)!r});"
        f"pixels = models.prepare(Path({str(tmp_path / 'x.jpg')!r}).read_bytes(), run.preprocessing);"
        "print(run.class_names[4], pixels.shape, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "e (32, 32, 3) False"


def test_the_newest_finished_run_is_found(project: pictus.Project) -> None:
    with pytest.raises(UserError, match="no finished training run"):
        models.find_run(project)
    _run(project.models_dir, "old", finished_at="2026-01-01T00:00:00Z")
    _run(project.models_dir, "new", finished_at="2026-01-02T00:00:00Z")
    _run(project.models_dir, "open", finished_at="")
    assert models.find_run(project).name == "new"
    assert models.find_run(project, "open").name == "open"
    assert models.find_run(project, str(project.models_dir / "old")).name == "old"
    assert {run.name for run in models.runs(project)} == {"old", "new", "open"}


def test_an_unknown_run_proposes_near_names(project: pictus.Project) -> None:
    _run(project.models_dir, "small-cnn-1.0.0")
    with pytest.raises(UserError, match="no run 'small-cnn-1'") as caught:
        models.find_run(project, "small-cnn-1")
    assert "small-cnn-1.0.0" in caught.value.fix


def test_where_there_is_no_run_the_first_step_to_one_is_told(project: pictus.Project) -> None:
    with pytest.raises(UserError, match=r"There is no run 'nobody': .* holds none\.") as caught:
        models.find_run(project, "nobody")
    assert caught.value.fix.startswith("pictus taxonomy import")
    assert "\nfix: taxonomy.import_(project" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1, "name": "x"}'])
def test_a_damaged_card_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UserError, match=r"run\.json is not a run card"):
        models.open_run(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", "1e999"), ("format", "true"), ("preprocessing", "[]"), ("preprocessing.size", "Infinity"),
        ("preprocessing.size", "0"), ("preprocessing.size", "32.5"), ("preprocessing.size", "99999"),
        ("preprocessing.resize", "-1"), ("preprocessing.mean", "[NaN, 0, 0]"), ("preprocessing.mean", "[0, 0]"),
        ("preprocessing.std", "[0, 0, 0]"), ("preprocessing.std", "[1e999, 1, 1]"), ("classes", "[1, 2, 3, 4, 5]"),
        ("classes", "[]"), ("classes", '["a", "a", "b", "c", "d"]'), ("class_names", "[]"),
        ("class_names", '[null, "b", "c", "d", "e"]'), ("class_names", '["\\ud800", "b", "c", "d", "e"]'),
        ("class_names", '"abcde"'), ("model", "7"), ("started_at", "7"), ("results", "[]"),
        ("recipe.nudge", '"2"'), ("recipe.nudge", "null"), ("recipe.nudge", "-1"), ("recipe.nudge", "32"),
    ],
)  # fmt: skip
def test_a_card_with_a_wrong_field_is_refused_by_its_name(tmp_path: Path, field: str, value: str) -> None:
    path = _run(tmp_path).root / "run.json"
    card: dict[str, Any] = json.loads(path.read_text())
    outer, _, inner = field.partition(".")
    (card[outer] if inner else card).update({inner or outer: "PLACE"})
    path.write_text(json.dumps(card).replace('"PLACE"', value))
    with pytest.raises(UserError, match=rf"run\.json is not a run card: {field} ") as caught:
        models.open_run(path.parent)
    assert caught.value.fix


def test_a_card_nested_without_end_is_told(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match=r"run\.json is not a run card"):
        models.open_run(tmp_path)


def test_a_run_is_called_as_its_folder_whatever_the_card_says(tmp_path: Path) -> None:
    path = _run(tmp_path).root / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "name": "../../evil"}))
    assert models.open_run(path.parent).name == "first"


def test_a_folder_without_a_card_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a training run"):
        models.open_run(tmp_path)


def test_a_card_of_a_later_pictus_is_refused(tmp_path: Path) -> None:
    run = _run(tmp_path)
    path = run.root / "run.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(UserError, match="format 2"):
        models.open_run(run.root)


# Networks


@pytest.mark.parametrize("name", ["small-cnn", "resnet-w16", "mobilenet-v3-small", "resnet10t"])
def test_networks_of_every_family_give_one_logit_per_class(name: str) -> None:
    import torch

    network = models.build(name, 7, size=64).eval()
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 7)


def test_resnet_w64_has_the_kernels_of_resnet_18() -> None:
    # The same stages as torchvision's; the stem is 3 × 3 × 3 × 64 = 1,728 weights instead of 7 × 7 × 3 × 64 = 9,408.
    def count(network: Any) -> int:
        return sum(parameter.numel() for parameter in network.parameters())

    assert count(models.build("resnet-w64", 1000)) == count(models.build("resnet18", 1000)) - 9408 + 1728


def test_googlenet_has_one_output_in_training_too() -> None:
    import torch

    network = models.build("googlenet", 5).train()
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 5)


def test_a_vision_transformer_is_made_for_the_size_asked() -> None:
    import torch

    assert networks.fixed_size("vit_tiny_patch16_224") == 224
    assert networks.fixed_size("resnet18") == networks.fixed_size("small-cnn") == 0
    network = models.build("vit_tiny_patch16_224", 5, size=64).eval()
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 5)


def test_a_publisher_s_normalisation_is_used() -> None:
    assert networks.normalisation("vit_tiny_patch16_224.augreg_in21k_ft_in1k") == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert networks.normalisation("resnet18") == (networks.IMAGENET_MEAN, networks.IMAGENET_STD)


def test_an_unknown_network_proposes_near_names() -> None:
    with pytest.raises(UserError, match="no network 'small-cnm'") as caught:
        models.build("small-cnm", 5)
    assert "small-cnn" in caught.value.fix


def test_pretrained_without_a_connection_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import socket

    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(UserError, match="pretrained weights of 'resnet18' could not be fetched") as caught:
        models.build("resnet18", 5, pretrained=True)
    assert "--set weights=FILE" in caught.value.fix


def test_our_own_networks_have_no_published_weights() -> None:
    with pytest.raises(UserError, match="no published weights"):
        models.build("small-cnn", 5, pretrained=True)


def test_a_published_classifier_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    import torchvision

    published = torchvision.models.get_model("mobilenet_v3_small", weights=None)
    monkeypatch.setattr(torchvision.models, "get_model", lambda *_, **__: published)
    network = models.build("mobilenet_v3_small", 6, pretrained=True).eval()
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 6)
    assert network.features[0][0].weight is published.features[0][0].weight


# Weights


def test_every_tensor_that_does_not_fit_is_listed(tmp_path: Path) -> None:
    import safetensors.torch
    import torch

    tensors = dict(models.build("small-cnn", 5).state_dict())
    keys = sorted(tensors)
    del tensors[keys[0]]
    tensors["extra"] = torch.zeros(2)
    tensors[keys[-1]] = torch.zeros(1, 2, 3)
    path = tmp_path / "odd.safetensors"
    safetensors.torch.save_file(tensors, path)
    with pytest.raises(UserError) as caught:
        models.load_strictly(models.build("small-cnn", 5), models.read_weights(path), path)
    told = caught.value.what
    assert "1 missing, 1 unexpected, 1 mismatched" in told
    assert f"missing     {keys[0]}" in told
    assert "unexpected  extra [2]" in told
    assert f"mismatched  {keys[-1]}: [1, 2, 3] in the file" in told


def test_of_a_file_of_another_network_each_kind_is_named(tmp_path: Path) -> None:
    import torch

    with pytest.raises(UserError) as caught:
        models.load_strictly(models.build("small-cnn", 5), {"foo": torch.zeros(1), "bar": torch.zeros(2)}, tmp_path)
    told = caught.value.what
    assert "missing     … and" in told
    assert "unexpected  bar [2]" in told
    assert "unexpected  foo [1]" in told


def test_weights_of_other_classes_fit_but_for_a_new_classifier(tmp_path: Path) -> None:
    import safetensors.torch
    import torch

    other = models.build("small-cnn", 9)
    path = tmp_path / "nine.safetensors"
    safetensors.torch.save_file(other.state_dict(), path)
    network = models.build("small-cnn", 5, weights=path)
    head, _ = networks.head_of(network)
    for key, value in network.state_dict().items():
        assert key.startswith(head) or torch.equal(value, other.state_dict()[key])
    same = models.build("small-cnn", 9, weights=path)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in same.state_dict().items())


@pytest.mark.parametrize("legacy", [False, True])
def test_pickled_checkpoints_are_refused_unopened(tmp_path: Path, *, legacy: bool) -> None:
    import torch

    path = tmp_path / "model.pth"
    torch.save({"a": torch.zeros(1)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UserError, match="pickled checkpoint") as caught:
        models.read_weights(path)
    assert "safetensors" in caught.value.fix


def test_a_cut_or_foreign_weights_file_is_told(tmp_path: Path) -> None:
    run = _run(tmp_path)
    path = run.root / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match="not a whole safetensors file"):
        models.load_run(run)
    path.write_bytes(b"hello")
    with pytest.raises(UserError, match="not a whole safetensors file"):
        models.load_run(run)
    path.unlink()
    with pytest.raises(UserError, match="no weights yet"):
        models.load_run(run)


# Pictures in, numbers out


@pytest.mark.parametrize(("width", "height"), [(97, 61), (61, 97), (30, 40), (101, 140), (500, 375), (2000, 1500)])
def test_preparation_is_torchvision_s_resize_and_centre_crop(make_jpeg: MakeJpeg, width: int, height: int) -> None:
    from PIL import Image
    from torchvision.transforms.v2 import functional as reference

    from pictus import pixels

    image_bytes = make_jpeg(width, height, seed=3)
    found = models.prepare(image_bytes, Preprocessing(56, 64)).astype(int)
    resized = reference.resize(Image.fromarray(pixels.decode(image_bytes)), 64)
    expected = np.asarray(reference.center_crop(resized, 56)).astype(int)
    assert found.shape == expected.shape == (56, 56, 3)
    is_whole = min(width, height) < 2 * 64 * 8 / 7  # larger ones are decoded at 7/8 of their size or less
    assert abs(found - expected).mean() < (1e-9 if is_whole else 1)


def test_logits_are_the_network_s_in_order_and_whatever_the_batch(tmp_path: Path, make_jpeg: MakeJpeg) -> None:
    import torch

    run = _run(tmp_path)
    model = models.load_run(run, device="cpu")
    images = [make_jpeg(40 + seed, 50, seed) for seed in range(7)]
    logits = models.predict_logits(model, run, images, batch_size=3)
    assert logits.shape == (7, 5)
    assert logits.dtype == np.float32
    prepared = np.stack([models.prepare(image_bytes, run.preprocessing) for image_bytes in images])
    inputs = (prepared / 255 - np.array([0.5, 0.4, 0.3])) / np.array([0.2, 0.3, 0.4])
    with torch.no_grad():
        expected = model(torch.from_numpy(inputs.transpose(0, 3, 1, 2)).float()).numpy()
    assert np.allclose(logits, expected, atol=1e-4)
    assert np.allclose(models.predict_pixels(model, run, prepared), expected, atol=1e-4)


def test_with_mirror_the_answer_is_the_mean_over_both_sides(tmp_path: Path) -> None:
    import torch

    run = _run(tmp_path)
    plain = models.load_run(run, device="cpu")
    both = models.load_run(replace(run, card=run.card | {"recipe": {"mirror": True}}), device="cpu")
    shown = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        expected = (plain(shown) + plain(shown.flip(3))) / 2
        assert torch.allclose(both(shown), expected, atol=1e-6)
        assert torch.allclose(both(shown.flip(3)), expected, atol=1e-6)
        assert not torch.allclose(plain(shown), expected, atol=1e-4)
    prepared = np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3), np.uint8)
    features = models.embed_pixels(plain, run, prepared)
    assert np.allclose(models.embed_pixels(both, run, prepared), features, atol=1e-6), "of the picture as it is"


def test_with_nudge_half_the_answer_is_of_the_picture_moved_to_two_corners(tmp_path: Path) -> None:
    import torch

    run = _run(tmp_path)
    plain = models.load_run(run, device="cpu")
    moved = models.load_run(replace(run, card=run.card | {"recipe": {"nudge": 2}}), device="cpu")
    both = models.load_run(replace(run, card=run.card | {"recipe": {"mirror": True, "nudge": 2}}), device="cpu")
    larger = torch.nn.functional.pad(torch.randn(3, 3, 32, 32), (2, 2, 2, 2), mode="reflect")
    shown = larger[:, :, 2:-2, 2:-2]
    with torch.no_grad():
        corners = (plain(larger[:, :, :-4, :-4]) + plain(larger[:, :, 4:, 4:])) / 2
        assert torch.allclose(moved(shown), (plain(shown) + corners) / 2, atol=1e-6)
        mirrored = (plain(larger[:, :, :-4, :-4].flip(3)) + plain(larger[:, :, 4:, 4:].flip(3))) / 2
        of_mirrored = (plain(shown.flip(3)) + mirrored) / 2
        assert torch.allclose(both(shown), (moved(shown) + of_mirrored) / 2, atol=1e-6)


@pytest.mark.parametrize("name", ["small-cnn", "mobilenet_v3_small", "resnet10t"])
def test_embeddings_are_what_the_classifier_sees(tmp_path: Path, make_jpeg: MakeJpeg, name: str) -> None:
    run = _run(tmp_path, model=name, size=64)
    model = models.load_run(run, device="cpu")
    images = [make_jpeg(80, 70, seed) for seed in range(3)]
    features = models.embed(model, run, images)
    _, head = networks.head_of(model)
    logits = features @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    assert np.allclose(logits, models.predict_logits(model, run, images), atol=1e-3)
    assert not head._forward_pre_hooks


def test_a_convolution_as_classifier_gives_flat_embeddings(tmp_path: Path, make_jpeg: MakeJpeg) -> None:
    run = _run(tmp_path, model="squeezenet1_0", size=64)
    assert models.embed(models.load_run(run, device="cpu"), run, [make_jpeg()]).shape == (1, 512)


def test_no_picture_gives_no_row(tmp_path: Path) -> None:
    run = _run(tmp_path)
    model = models.load_run(run, device="cpu")
    assert models.predict_logits(model, run, []).shape == (0, 5)
    assert models.embed(model, run, []).shape == (0, 256)


def test_a_bad_picture_raises_its_cause(tmp_path: Path, make_jpeg: MakeJpeg) -> None:
    run = _run(tmp_path)
    with pytest.raises(PictureError) as caught:
        models.predict_logits(models.load_run(run), run, [make_jpeg(), b"no picture"])
    assert caught.value.cause == "not-an-image"
