"""Adapters: nothing at the start, merged to the same answers, trained alone, resumed to the same bytes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import pictus
from pictus import models, networks
from pictus.errors import UserError
from pictus.train.recipes import Recipe
from pictus.train.transfer import adapters, freezing

TrainTwice = Callable[..., tuple[Path, Path]]


def tiny_transformer(n_classes: int = 3) -> nn.Module:
    import timm

    made: nn.Module = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, embed_dim=24, depth=2, num_heads=2, num_classes=n_classes
    )
    return made


@pytest.mark.parametrize("make", [tiny_transformer, lambda: networks.make("resnet-w16", 3)], ids=["timm", "resnet"])
def test_adapters_begin_as_nothing_and_merge_into_the_same_answers(make: object) -> None:
    torch.manual_seed(0)
    plain = make().eval()  # type: ignore[operator]
    adapted = adapters.put_in(copy.deepcopy(plain), 4)
    inputs = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(adapted(inputs), plain(inputs))
        for name, parameter in adapted.named_parameters():
            if name.endswith("lora_up"):
                parameter.normal_(std=0.1)
        answers = adapted(inputs)
        assert not torch.allclose(answers, plain(inputs), atol=1e-3)
        plain.load_state_dict(adapters.merged(adapted), strict=True)
        assert torch.allclose(plain(inputs), answers, atol=1e-4)


def test_only_adapters_and_the_head_are_trained() -> None:
    network = adapters.put_in(tiny_transformer(), 2, "attn.qkv, fc1")
    freezing.hold(network, Recipe("vit_tiny_patch16_224", lora=2), 0)
    trained = {name for name, one in network.named_parameters() if one.requires_grad}
    wanted = {f"blocks.{n}.{at}.lora_{way}" for n in (0, 1) for at in ("attn.qkv", "mlp.fc1") for way in ("up", "down")}
    assert trained == wanted | {"head.weight", "head.bias"}
    layers = freezing.told(network, Recipe("vit_tiny_patch16_224", lora=2))["adapters"]["layers"]
    assert layers == [f"blocks.{n}.{at}" for n in (0, 1) for at in ("attn.qkv", "mlp.fc1")]


def test_a_word_that_is_in_no_layer_is_told_with_the_layers() -> None:
    with pytest.raises(UserError, match="lora_on is 'query'") as caught:
        adapters.put_in(tiny_transformer(), 2, "query")
    assert "blocks.0.attn.qkv" in (caught.value.fix or "")


def test_layers_that_torchs_attention_reads_itself_are_passed_over() -> None:
    with torch.device("meta"):
        network = networks.make("vit_b_16", 3)
    names = adapters.names(adapters.put_in(network, 2))
    assert "encoder.layers.encoder_layer_0.mlp.0" in names
    assert not any("self_attention" in name for name in names)


def test_a_run_with_adapters_keeps_merged_weights_and_resumes_to_the_same_bytes(
    stripes: pictus.Project, trained_twice: TrainTwice
) -> None:
    whole, stopped = trained_twice(stripes, ("epochs=2", "batch_size=12", "size=32", "lora=2", "parts=2"))
    for name in ("metrics.jsonl", "model.safetensors"):
        assert (whole / name).read_bytes() == (stopped / name).read_bytes()
    run = models.open_run(whole)
    assert run.card["transfer"]["adapters"]["rank"] == 2
    models.load_run(run)  # strictly: no adapter is left in the file
