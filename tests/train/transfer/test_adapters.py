"""Adapters: nothing at the start, merged to the same answers, trained alone, resumed to the same bytes."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import pictus
from pictus import models, networks, train
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
    for name in ("metrics.jsonl", "model.safetensors", adapters.ALONE):
        assert (whole / name).read_bytes() == (stopped / name).read_bytes()
    run = models.open_run(whole)
    assert run.card["transfer"]["adapters"]["rank"] == 2
    assert run.card["adapters_sha256"] == hashlib.sha256((whole / adapters.ALONE).read_bytes()).hexdigest()
    models.load_run(run)  # strictly: no adapter is left in the file


def test_adapters_alone_make_the_same_network_of_the_same_base_and_of_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import save_file

    torch.manual_seed(0)
    plain = networks.make("resnet-w16", 3).eval()
    adapted = adapters.put_in(copy.deepcopy(plain), 2)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if name.endswith("lora_up") or name.startswith(networks.head_of(adapted)[0]):
                parameter.normal_(std=0.1)
    path = tmp_path / adapters.ALONE
    save_file(adapters.alone(adapted), path)
    with monkeypatch.context() as patch:
        patch.setattr(models, "read_weights", lambda _: pytest.fail("its names tell"))
        assert adapters.is_alone(path)
        save_file(plain.state_dict(), tmp_path / "whole.safetensors")
        assert not adapters.is_alone(tmp_path / "whole.safetensors")
    with pytest.raises(UserError, match="There is no weights file"):
        adapters.is_alone(tmp_path / "none.safetensors")
    assert path.stat().st_size < sum(4 * one.numel() for one in plain.parameters()) / 4
    assert adapters.alone(plain) == {}
    laid = adapters.laid_on(copy.deepcopy(plain), path).state_dict()
    assert all(torch.equal(value, laid[key]) for key, value in adapters.merged(adapted).items())
    with pytest.raises(UserError, match="trained on other weights"):
        adapters.laid_on(networks.make("resnet-w16", 3), path)


HOSTILE: dict[str, tuple[str, Callable[[dict[str, torch.Tensor], str], object]]] = {
    "another rank": (r"lora_up is .*, not \[\d+, 2", lambda own, at: own.update({f"{at}.lora_up": torch.zeros(16, 3)})),
    "no dimensions": ("lora_up is", lambda own, at: own.update({f"{at}.lora_up": torch.tensor(1.0)})),
    "no rank": ("lora_down is", lambda own, at: own.update({f"{at}.lora_down": own[f"{at}.lora_down"][:0]})),
    "whole numbers": ("of torch.int64", lambda own, at: own.update({f"{at}.lora_up": own[f"{at}.lora_up"].long()})),
    "one half": ("lora_up is missing", lambda own, at: own.pop(f"{at}.lora_up")),
    "a NaN": ("holds values that are no numbers", lambda own, at: own[f"{at}.lora_up"].fill_(torch.nan)),
    "a mark of floats": ("base_sha256 is", lambda own, _: own.update(base_sha256=own["base_sha256"].float())),
    "a flat mark": ("base_sha256 is", lambda own, _: own.update(base_sha256=own["base_sha256"][None])),
    "the body": ("neither an adapter nor the head", lambda own, at: own.update({f"{at}.weight": torch.zeros(1)})),
    "only the mark": ("no adapter", lambda own, _: [own.pop(key) for key in list(own) if key != "base_sha256"]),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_file_that_holds_other_than_adapters_and_head_of_this_network_is_refused(what: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    plain = networks.make("resnet-w16", 3)
    adapted = adapters.put_in(copy.deepcopy(plain), 2)
    own, (told, spoil) = {key: one.clone() for key, one in adapters.alone(adapted).items()}, HOSTILE[what]
    spoil(own, adapters.names(adapted)[1])
    save_file({key: one.contiguous() for key, one in own.items()}, tmp_path / adapters.ALONE)
    with pytest.raises(UserError, match=told):
        adapters.laid_on(plain, tmp_path / adapters.ALONE)


def test_a_run_begins_from_a_base_and_the_adapters_that_were_trained_on_it(stripes: pictus.Project) -> None:
    tiny = ("size=32", "batch_size=12", "parts=1", "probe=false", "precision=fp32", "log=none", "ema=0")
    train.run(stripes, name="base", epochs=1, set_=tiny)
    train.run(stripes, name="lora", epochs=1, set_=(*tiny, "from_run=base", "lora=2"))
    file = stripes.models_dir / "lora" / adapters.ALONE
    train.run(stripes, name="on", epochs=1, set_=(*tiny, "from_run=base", f"weights={file}", "lr=1e-9"))
    wanted, found = (models.load_run(models.find_run(stripes, name), device="cpu") for name in ("lora", "on"))
    for one, other in zip(wanted.parameters(), found.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    merged = stripes.models_dir / "lora" / models.WEIGHTS_NAME
    with pytest.raises(UserError, match="begins from one place"):
        train.run(stripes, name="two", set_=("from_run=base", f"weights={merged}"))
