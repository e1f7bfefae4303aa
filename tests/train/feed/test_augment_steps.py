from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pictus
from pictus import train
from pictus.errors import UserError
from pictus.pixels import Pixels
from pictus.project import bare


def pictures_of(page: str) -> list[Pixels]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in found]


def test_a_page_shows_pictures_of_every_class_with_eight_views_each(stripes: pictus.Project) -> None:
    outcome = train.views(stripes, pictures=6, set_=("size=32", "policy=rand"))
    path = Path(outcome.summary["path"])
    assert path.parent == stripes.models_dir / "views"
    page = path.read_text()
    assert [page.count(f">stripe {label}<br>") for label in range(3)] == [2, 2, 2]
    pictures = pictures_of(page)
    assert len(pictures) == 6 * 9
    assert all(one.shape == (32, 32, 3) for number, one in enumerate(pictures) if number % 9)
    assert len({one.tobytes() for one in pictures}) == 54
    assert "policy=rand" in page
    assert [row.views for row in outcome] == [8] * 6
    assert not any(word in page for word in ("http:", "https:"))


def test_views_are_those_training_shows(stripes: pictus.Project) -> None:
    first = Path(train.views(stripes, pictures=3, set_=("size=32",)).summary["path"]).read_text()
    again = Path(train.views(stripes, pictures=3, set_=("size=32",)).summary["path"]).read_text()
    other = Path(train.views(stripes, pictures=3, set_=("size=32", "seed=1")).summary["path"]).read_text()
    assert first == again != other


def test_a_mixed_view_says_what_it_is_taught_as(stripes: pictus.Project) -> None:
    page = Path(train.views(stripes, pictures=3, set_=("size=32", "mixup=1")).summary["path"]).read_text()
    shares = re.findall(r"<figcaption>(\d+) % stripe \d, (\d+) % stripe \d</figcaption>", page)
    assert len(shares) == 24
    assert all(abs(int(first) + int(second) - 100) <= 1 and int(first) >= int(second) for first, second in shares)


@pytest.mark.parametrize("settings", [("objective=augmix",), ("policy=three", "crop=padded")])
def test_looks_of_one_crop_stand_side_by_side(stripes: pictus.Project, settings: tuple[str, ...]) -> None:
    page = Path(train.views(stripes, pictures=2, set_=("size=32", *settings)).summary["path"]).read_text()
    assert len(pictures_of(page)) == 18


def test_a_release_folder_is_enough(tmp_path: Path, make_release: Callable[..., Path]) -> None:
    release = make_release(tmp_path / "elsewhere")
    outcome = train.views(bare(tmp_path), release=str(release), pictures=1, set_=("size=32",))
    assert Path(outcome.summary["path"]).is_file()


def test_what_cannot_be_decoded_is_left_out(project: pictus.Project, make_release: Callable[..., Path]) -> None:
    make_release(project.releases_dir, train=2, broken=1)
    outcome = train.views(project, pictures=6, set_=("size=32",))
    assert outcome.summary["pictures"] == 3


@pytest.mark.parametrize("count", [0, 201])
def test_a_page_has_an_end(stripes: pictus.Project, count: int) -> None:
    with pytest.raises(UserError, match="1 to 200 is wanted"):
        train.views(stripes, pictures=count)


def test_runs_are_listed_beside_views(stripes: pictus.Project) -> None:
    train.views(stripes, pictures=1, set_=("size=32",))
    assert train.list_(stripes).summary["runs"] == 0
