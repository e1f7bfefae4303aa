"""Pictures of web pages."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.collect.page_links import MOST_PICTURES, largest_of, pictures_of

HERE = "https://a.example/birds/owls.html"


def addresses(page: str) -> list[str]:
    return [hit.address.removeprefix("https://a.example/birds/") for hit in pictures_of(page, HERE).hits]


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("<img src=owl.jpg>", ["owl.jpg"]),
        ("<img src=s.jpg srcset='m.jpg 480w, l.jpg 1024w'>", ["l.jpg"]),
        ("<img srcset='one.jpg, two.jpg 2x'>", ["two.jpg"]),
        ("<img src='data:image/gif;base64,R0' data-src=lazy.jpg>", ["lazy.jpg"]),
        ("<img src=s.jpg data-srcset='w_1,h_2/l.jpg 800w'>", ["w_1,h_2/l.jpg"]),
        ("<picture><source type=image/avif srcset='a.avif 4w'><source srcset='b.webp 9w, c.webp 18w'>", ["c.webp"]),
        ("<picture><source srcset='b.webp 9w, c.webp 18w'><img src=d.jpg></picture>", ["c.webp"]),
        ("<picture><img src=d.jpg></picture><img src=e.jpg>", ["d.jpg", "e.jpg"]),
        ("<picture><source srcset='b.webp 2x'>", ["b.webp"]),
        ("<a href=big.JPEG?x=1><img src=small.jpg></a><img src=next.jpg>", ["big.JPEG?x=1", "next.jpg"]),
        ("<a href=page.html><img src=small.jpg></a>", ["small.jpg"]),
        ("<meta property=og:image content=og.jpg><meta name=twitter:image content=tw.jpg>", ["og.jpg", "tw.jpg"]),
        ("<link rel=image_src href=l.jpg>", ["l.jpg"]),
        ("<img src=a.jpg><img src=./a.jpg><a href='a.jpg#x'>", ["a.jpg"]),
        ("<base href=https://cdn.example/x/><img src=a.jpg>", ["https://cdn.example/x/a.jpg"]),
        ("<img src=//cdn.example/a.jpg>", ["https://cdn.example/a.jpg"]),
    ],
)
def test_every_way_to_show_a_picture(page: str, found: list[str]) -> None:
    assert addresses(page) == found


@pytest.mark.parametrize(
    "page",
    [
        "<img src=dot.gif width=1 height=1>", "<img src=i.png width=16px>", "<img src=logo.svg?v=2>",
        "<img src=javascript:x()>", "<img src='http://[1/x.jpg'>", "<img src=file:///etc/passwd>", "<img>",
        "<a rel='nofollow noopener' href=a.jpg>", "<meta name=robots content=nofollow><a href=a.jpg>",
        "<!-- <img src=a.jpg> -->", "<script>'<img src=a.jpg>'</script>", "<img src='http://u:p@a.example/x.jpg'>",
    ],
)  # fmt: skip
def test_what_is_no_picture_is_passed_over(page: str) -> None:
    assert addresses(page) == []


@pytest.mark.parametrize(
    "sign",
    [
        '<meta name="robots" content="index, NoAI">', "<meta name=robots content=noimageai>",
        "<meta name=pictus content=noindex>", "<meta name=robots content=none>",
        "<META NAME='ROBOTS' CONTENT='noimageindex'>", '<meta name="tdm-reservation" content="1">',
        '<meta name=robots content="index; noai">', '<meta name=robots content="index noai">',
        '<meta name="tdm-reservation" content=" 1 ">', "<meta name=TDM-Reservation content=true>",
    ],
)  # fmt: skip
def test_an_owner_who_says_no_is_heard(sign: str) -> None:
    found = pictures_of(f"<img src=a.jpg>{sign}<img src=b.jpg>", HERE)
    assert found.hits == ()
    assert found.opt_out.startswith("meta ")


def test_what_is_said_to_others_or_says_yes_is_no_refusal() -> None:
    signs = "<meta name=otherbot content=noai><meta name=robots content='index,follow'>"
    assert addresses(f"{signs}<meta name=tdm-reservation content=0><img src=a.jpg>") == ["a.jpg"]


def test_licence_author_and_title_come_along() -> None:
    page = (
        "<meta name=author content='A. P.'><a rel=license href=https://creativecommons.org/licenses/by/4.0/>CC</a>"
        "<img src=owl.jpg alt='An &lt;owl&gt; at\nnight'>"
    )
    (hit,) = pictures_of(page, HERE).hits
    assert (hit.page, hit.licence, hit.author, hit.title) == (HERE, "CC-BY-4.0", "A. P.", "An <owl> at night")


def test_json_ld_names_pictures_with_their_own_licence() -> None:
    page = """<script type="application/ld+json">{"@graph": [{"@type": "Article", "image": ["a.jpg", "b.jpg"]},
      {"@type": ["ImageObject"], "contentUrl": "c.jpg", "license": "https://creativecommons.org/publicdomain/zero/1.0/",
       "creator": [{"name": "Eve"}], "caption": "C"}]}</script><script type="application/ld+json">{broken</script>
      <link rel=license href=https://creativecommons.org/licenses/by/4.0/>"""
    hits = {hit.address.rpartition("/")[2]: hit for hit in pictures_of(page, HERE).hits}
    assert set(hits) == {"a.jpg", "b.jpg", "c.jpg"}
    assert (hits["c.jpg"].licence, hits["c.jpg"].author, hits["c.jpg"].title) == ("CC0-1.0", "Eve", "C")
    assert hits["a.jpg"].licence == "CC-BY-4.0"


def test_json_nested_without_end_is_passed_over() -> None:
    deep = "[" * 100_000
    assert addresses(f'<script type="application/ld+json">{deep}</script><img src=a.jpg>') == ["a.jpg"]


@pytest.mark.parametrize("base", ["http://[", "http://a\uff3b.example/", "//", "\x00", "mailto:x"])
def test_a_base_that_is_no_address_is_passed_over(base: str) -> None:
    assert addresses(f"<base href='{base}'><img src=a.jpg>") == ["a.jpg"]


@pytest.mark.parametrize("base", ["a/" * 120_000, "a/" * 3_900])
def test_a_base_made_to_be_slow_costs_little(base: str) -> None:
    page = f"<base href='{base}'>" + "".join(f"<img src={number}.jpg>" for number in range(20_000))
    started = time.process_time()
    found = pictures_of(page, HERE)
    assert time.process_time() - started < 5  # joined with each link it took minutes
    assert found.is_cut
    assert found.hits


def test_a_page_of_long_srcsets_costs_little() -> None:
    started = time.process_time()
    for _ in range(60):
        largest_of("a, " * 33_000)
    assert time.process_time() - started < 2.5  # 0.8 s; with a copy of the rest for each candidate 3.7 s


@pytest.mark.parametrize("srcset", ["a " * 50_000, ", " * 50_000, "," * 100_000, "a" * 100_000])
def test_a_srcset_of_one_sign_costs_nothing(srcset: str) -> None:
    started = time.process_time()
    largest_of(srcset)
    assert time.process_time() - started < 0.5


def test_a_base_that_is_no_address_is_forgotten() -> None:
    assert addresses("<base href='ftp://x/'><img src=a.jpg>") == ["a.jpg"]


def test_a_page_of_endless_pictures_is_cut_and_that_is_said() -> None:
    found = pictures_of("".join(f"<img src={number}.jpg>" for number in range(MOST_PICTURES + 5)), HERE)
    assert len(found.hits) == MOST_PICTURES
    assert found.is_cut


@pytest.mark.parametrize(
    ("srcset", "largest"),
    [
        ("", ("", 0.0)), (",,", ("", 0.0)), ("a.jpg", ("a.jpg", 1.0)), ("a.jpg 2x", ("a.jpg", 2.0)),
        ("a.jpg 1x,b.jpg 1.5x , c.jpg", ("b.jpg", 1.5)), ("a,b.jpg 10w,c.jpg 20w", ("c.jpg", 20.0)),
        ("a.jpg, b.jpg 9999999999w", ("a.jpg", 1.0)), ("a.jpg nonsense", ("a.jpg", 1.0)),
    ],
)  # fmt: skip
def test_the_largest_of_a_srcset(srcset: str, largest: tuple[str, float]) -> None:
    assert largest_of(srcset) == largest


@given(st.text(alphabet="<>/!-=\"'&#; aimgsrcethofp{}[]:,.\n", max_size=300))
def test_no_page_is_too_broken(page: str) -> None:
    assert all(hit.address.startswith("http") for hit in pictures_of(page, HERE).hits)
