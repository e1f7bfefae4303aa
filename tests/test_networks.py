"""Networks in stages: every weight in one of them, from the stem to the head."""

from __future__ import annotations

import pytest
import torch

from pictus import networks


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
