"""Networks in stages: every weight in one of them, from the stem to the head."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from pictus import network_names, networks
from pictus.errors import UserError


@pytest.mark.parametrize(
    ("name", "n_stages", "first", "last_but_one"),
    [
        ("resnet-w16", 10, "0.weight", "10.path.0.weight"),
        ("resnet18", 6, "conv1.weight", "layer4.0.conv1.weight"),
        ("vgg11", 11, "features.0.weight", "classifier.3.weight"),
        ("convnext_tiny", 9, "features.0.0.weight", "features.7.0.layer_scale"),
        ("vit_b_16", 14, "class_token", "encoder.layers.encoder_layer_11.ln_1.weight"),
        ("vit_tiny_patch16_224", 14, "cls_token", "blocks.11.norm1.weight"),
        ("tf_efficientnet_b0", 10, "conv_stem.weight", "conv_head.weight"),
    ],
)
def test_stages_lead_from_the_stem_to_the_head(name: str, n_stages: int, first: str, last_but_one: str) -> None:
    with torch.device("meta"):
        model = networks.make(name, 7)
    stages = networks.stages_of(model)
    assert len(stages) == n_stages
    assert first in stages[0]
    assert stages[-2][0] == last_but_one
    assert {key.rpartition(".")[0] for key in stages[-1]} == {networks.head_of(model)[0]}
    names = [key for stage in stages for key in stage]
    assert sorted(names) == sorted(key for key, _ in model.named_parameters())


CLASSICS = ("small-cnn", "alexnet", "vgg16", "googlenet", "inception-v3", "resnet18", "resnet50", "densenet121")


@pytest.mark.parametrize("name", CLASSICS)
@pytest.mark.parametrize("side", [32, 64])
def test_a_classic_takes_small_pictures_learns_from_them_and_can_be_exported(name: str, side: int) -> None:
    with torch.device("meta"):  # shapes alone, no numbers: VGG16 has 138 million of them
        model = networks.make(name, 3, size=side).train()
        logits = model(torch.empty(4, 3, side, side))
        assert logits.shape == (4, 3)
        logits.sum().backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
    assert networks.head_of(model)[1].out_features == 3
    if networks.stem_told(name, side):  # a stem of ours; the publishers' own take seconds each and are in wide use
        program = torch.export.export(model.eval(), (torch.empty(2, 3, side, side, device="meta"),))
        assert len(program.graph.nodes) > len(list(model.parameters()))


@pytest.mark.parametrize(
    ("name", "side", "said"),
    [
        ("alexnet", 64, ""),
        ("alexnet", 62, "the first convolution moves by 2 px instead of 4"),
        ("alexnet", 34, "the first convolution moves by 1 px instead of 4"),
        ("alexnet", 21, "the first convolution moves by 1 px instead of 4"),
        ("inception-v3", 75, ""),
        ("inception_v3", 74, "the first convolution moves by 1 px instead of 2"),
        ("inception_v3", 39, "the first convolution moves by 1 px instead of 2"),
        ("inception_v3", 38, "the first convolution moves by 1 px instead of 2, and the first pooling is left out"),
        ("inception_v3", 21, "the first convolution moves by 1 px instead of 2, and the first pooling is left out"),
        ("resnet18", 32, ""),
    ],
)
def test_a_stem_is_made_smaller_only_where_the_publishers_leaves_nothing(name: str, side: int, said: str) -> None:
    assert networks.stem_told(name, side) == said
    with torch.device("meta"):
        model = networks.make(name, 3, size=side).eval()
        assert model(torch.empty(1, 3, side, side)).shape == (1, 3)
        plain = networks.make(name, 3, size=224)
    shapes = [{key: one.shape for key, one in made.state_dict().items()} for made in (model, plain)]
    assert shapes[0] == shapes[1], "weights of the publisher fit"


def test_a_side_that_no_stem_saves_is_told() -> None:
    with torch.device("meta"), pytest.raises(UserError, match="takes pictures of 21 px and more"):
        networks.make("alexnet", 3, size=20)


def test_names_are_those_the_two_packages_register() -> None:
    import timm
    import torchvision

    assert network_names.torchvision_names() == set(torchvision.models.list_models(module=torchvision.models))
    assert network_names.timm_names() >= set(timm.list_models())
    assert networks.family_of("tv_resnet50") == "timm", "an old name that it still takes"


def test_a_wrong_name_is_told_without_importing_either_package() -> None:
    code = (
        "import sys\nfrom pictus.train import recipes\nfrom pictus.errors import UserError\n"
        "try:\n    recipes.find('inceptionv3x')\nexcept UserError as error:\n    print(error.what, error.fix)\n"
        "print([name for name in ('torch', 'torchvision', 'timm') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "There is no recipe 'inceptionv3x'" in said
    assert "inception_v3" in said
    assert said.splitlines()[-1] == "[]"


def test_a_downloader_s_talk_becomes_one_line_of_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def offline(*_: object, **__: object) -> None:
        sys.stderr.write('Downloading: "https://weights.example/r18.pth" to /home/me/.cache/r18.pth\n')
        raise OSError("Network is unreachable")

    monkeypatch.setattr(networks, "_torchvision", offline)
    with pytest.raises(UserError, match=r"fetched from https://weights\.example/r18\.pth \(OSError") as caught:
        networks.make("resnet18", 3, pretrained=True)
    assert "--set weights=FILE.safetensors" in caught.value.fix
    assert capsys.readouterr().err == ""
    assert caplog.messages == ["fetching the published weights of resnet18, once"]
