from __future__ import annotations

from dataclasses import fields, replace

import pytest

from pictus.errors import UserError
from pictus.train.meanings import SYNONYMS
from pictus.train.recipes import RECIPES, Facts, Recipe, allowed, changed, find, peak_lr, resolve, view_px, written

FACTS = Facts(n_train=10_000, short_side=300, pack_bytes=2**31, has_fast_bf16=True)


def test_every_recipe_names_a_network_that_can_be_made() -> None:
    from pictus import networks

    for name in RECIPES.names():
        assert networks.family_of(find(name).model)


def test_any_network_of_torchvision_or_timm_is_a_recipe() -> None:
    assert find("mobilenet_v3_small").model == "mobilenet_v3_small"
    assert find("efficientnet_b0.ra_in1k").optimizer == "adamw"


def test_an_unknown_recipe_proposes_near_names() -> None:
    with pytest.raises(UserError, match="no recipe 'resnet19'") as caught:
        find("resnet19")
    assert "resnet18" in caught.value.fix


def test_pretrained_means_short_and_gentle() -> None:
    assert find("resnet18", pretrained=True) == replace(
        find("resnet18"), pretrained=True, epochs=10, optimizer="adamw", lr=3e-4, weight_decay=0.05, patience=3
    )


def test_settings_change_fields_by_name_and_type() -> None:
    recipe = changed(find("small-cnn"), ("lr=0.05", "batch-size=64", "pretrained=yes", "precision=fp32", "seed = 7"))
    assert (recipe.lr, recipe.batch_size, recipe.seed) == (0.05, 64, 7)
    assert (recipe.pretrained, recipe.precision) == (True, "fp32")


def test_every_wrong_setting_is_told() -> None:
    wrong = ("lr", "epocs=3", "epochs=many", "smoothing=2", "optimizer=lamb", "lr=nan")
    with pytest.raises(UserError) as caught:
        changed(find("small-cnn"), (*wrong, "flip=1"))
    told = caught.value.what
    assert told.startswith("6 wrong settings:\n")
    for part in ("NAME=VALUE is wanted", "did you mean epochs", "a whole number is wanted", "smoothing = 2.0",
                 "one of: adamw"):  # fmt: skip
        assert part in told
    assert "lr = nan" in told


def test_a_word_of_other_programs_leads_to_the_setting() -> None:
    with pytest.raises(UserError) as caught:
        changed(find("small-cnn"), ("learning_rate=1", "img-size=64"))
    assert caught.value.what.startswith("2 wrong settings:")
    with pytest.raises(UserError, match=r"did you mean optimizer\?\n"):  # temper and ops are like it, too
        changed(find("small-cnn"), ("optimiser=adam",))
    with pytest.raises(UserError, match="'weights=': a value is wanted, or leave it out"):
        changed(find("small-cnn"), ("weights=",))
    assert "did you mean lr?" in caught.value.what
    assert "did you mean size?" in caught.value.what
    assert caught.value.fix.startswith("pictus train settings")
    assert set(SYNONYMS.values()) <= {field.name for field in fields(Recipe)}
    assert not set(SYNONYMS) & {field.name for field in fields(Recipe)}


def test_what_is_allowed_is_told_in_words() -> None:
    assert allowed("warmup") == "0 to 0.9"
    assert allowed("clip") == "0 or more"
    assert allowed("keep") == "auto, memory, pack, original"
    assert allowed("optimizer") == "adamw, lion, muon, muon-normed, sgd"
    assert allowed("mirror") == "true, false"
    assert allowed("weights") == ""
    assert [written(value) for value in (True, 0.25, 1e-4, 7, "sgd")] == ["true", "0.25", "0.0001", "7", "sgd"]


def test_the_size_follows_the_pictures_up_to_the_recipe_s_largest() -> None:
    recipe = Recipe("small-cnn", largest=128)
    for short_side, size in ((20, 32), (32, 32), (60, 64), (64, 64), (300, 128)):
        assert resolve(recipe, replace(FACTS, short_side=short_side)).size == size
    assert resolve(replace(recipe, size=200), FACTS).size == 200


def test_a_vision_transformer_gets_the_size_it_was_made_for() -> None:
    assert resolve(Recipe("vit_tiny_patch16_224"), replace(FACTS, short_side=40)).size == 224
    assert resolve(Recipe("vit_b_16"), replace(FACTS, short_side=40)).size == 224


def test_crops_are_a_share_of_the_input_side() -> None:
    def view(recipe: Recipe) -> int:
        return view_px(resolve(recipe, FACTS))

    assert [view(Recipe("small-cnn", size=size)) for size in (32, 64, 96, 128, 224)] == [32, 64, 96, 128, 224]
    assert view(Recipe("small-cnn", size=64, view=0.875)) == 56
    assert view(find("resnet-w32")) == 48
    assert view(Recipe("vit_tiny_patch16_224")) == 224


def test_few_pictures_make_small_batches() -> None:
    recipe = Recipe("small-cnn", batch_size=128)
    # An epoch should have 16 steps: 10,000 / 16 > 128; 320 / 16 = 20 -> 16; 100 / 16 = 6 -> 8 at least; 5 are 5.
    found = [resolve(recipe, replace(FACTS, n_train=count)).batch_size for count in (10_000, 320, 100, 5)]
    assert found == [128, 16, 8, 5]


def test_pictures_are_packed_when_they_are_larger_and_then_fit() -> None:
    recipe = Recipe("small-cnn", size=96)
    assert resolve(recipe, FACTS).pack == 128
    assert resolve(recipe, replace(FACTS, short_side=100)).pack == -1  # nothing to gain
    assert resolve(recipe, replace(FACTS, pack_bytes=2**20)).pack == -1
    assert resolve(replace(recipe, crop="padded"), FACTS).pack == 96


def test_precision_follows_the_machine_unless_it_is_named() -> None:
    slow = replace(FACTS, has_fast_bf16=False)
    assert resolve(Recipe("small-cnn"), FACTS).precision == "bf16"
    assert resolve(Recipe("small-cnn"), slow).precision == "fp32"
    assert resolve(Recipe("small-cnn", precision="bf16"), slow).precision == "bf16"


def test_resolving_twice_changes_nothing() -> None:
    once = resolve(find("small-cnn"), FACTS)
    assert resolve(once, FACTS) == once


def test_a_setting_has_its_kind_whatever_the_recipe_says_now() -> None:
    assert changed(Recipe("small-cnn", erase=0, clip=0), ("erase=0.25", "clip=1.5")).erase == 0.25
    assert changed(find("airbench"), ("colour=0.2",)).colour == 0.2


def test_adapters_are_not_trained_on_a_network_of_8_bits_that_could_not_be_read_again() -> None:
    with pytest.raises(UserError, match="small-cnn@int8 is of 8 bits") as caught:
        resolve(Recipe("small-cnn@int8", lora=4), FACTS)
    assert "train quantise" in caught.value.fix


def test_answers_by_both_sides_want_training_by_both() -> None:
    with pytest.raises(UserError, match="never shown one") as caught:
        resolve(changed(find("airbench"), ("flip=0",)), FACTS)
    assert "mirror=false" in caught.value.fix
    assert resolve(changed(find("airbench"), ("flip=0", "mirror=false")), FACTS).size == 32


def test_the_rate_grows_with_the_batch_and_with_its_root_where_steps_are_as_long_as_the_rate() -> None:
    assert peak_lr(Recipe("small-cnn", lr=0.1, batch_size=512)) == pytest.approx(0.4)
    assert peak_lr(Recipe("small-cnn", lr=0.1, batch_size=512, optimizer="muon-normed")) == pytest.approx(0.2)


def test_patience_and_keeping_the_last_contradict_each_other() -> None:
    with pytest.raises(UserError, match="the last is kept whether it is better or not"):
        resolve(changed(find("airbench"), ("patience=3",)), FACTS)
    assert resolve(changed(find("airbench"), ("patience=3", "kept=best")), FACTS).patience == 3


def test_adapters_that_begin_at_0_have_no_norm_to_keep() -> None:
    with pytest.raises(UserError, match=r"keeps the norm .* adapters .* begin at 0") as caught:
        resolve(changed(find("airbench"), ("lora=4",)), FACTS)
    assert "optimizer=adamw" in caught.value.fix
    assert resolve(changed(find("airbench"), ("lora=4", "optimizer=adamw", "lr=0.001")), FACTS).lora == 4


def test_pictures_are_moved_by_less_than_their_side() -> None:
    with pytest.raises(UserError, match="32 px cannot be moved by 32"):
        resolve(changed(find("airbench"), ("nudge=32",)), FACTS)
    assert resolve(changed(find("airbench"), ("nudge=31",)), FACTS).nudge == 31
