"""Found against true, on worlds small enough to count by hand."""

from __future__ import annotations

from pictus.demo import findings
from pictus.demo.mess import Candidate, Kind


def _one(
    path: str, kind: str = Kind.GOOD, *, truth: str = "owl", cause: str = "", original: str = "", variant: str = ""
) -> Candidate:
    return Candidate(path, "photos", "owl", truth, kind, variant, cause, original, (1, 2), "CC0-1.0", "Seba")


WORLD = [
    _one("/a.jpg"),
    _one("/b.jpg"),
    _one("/a2.jpg", Kind.DUPLICATE, original="/a.jpg", variant="same-bytes"),
    _one("/a3.jpg", Kind.DUPLICATE, original="/a.jpg", variant="resized"),
    _one("/b2.jpg", Kind.DUPLICATE, original="/b.jpg", variant="cropped"),
    _one("/c.jpg", Kind.WRONG, truth="bat"),
    _one("/dark.jpg", Kind.POOR, variant="dark"),
    _one("/tiny.jpg", Kind.POOR, variant="tiny"),
    _one("/gone.jpg", Kind.FAILED, truth="", cause="http-410", variant="gone"),
]
SOURCES = [
    ("A", "http://127.0.0.1:1/a.jpg"), ("A", "http://127.0.0.1:2/a2.jpg"), ("A3", "http://127.0.0.1:1/a3.jpg"),
    ("B", "http://127.0.0.1:1/b.jpg"), ("B2", "http://127.0.0.1:1/b2.jpg"), ("C", "http://127.0.0.1:1/c.jpg"),
    ("D", "http://127.0.0.1:1/dark.jpg"), ("T", "http://127.0.0.1:1/tiny.jpg"),
]  # fmt: skip
WHERE = findings.located(WORLD, SOURCES)


def test_one_picture_knows_all_its_addresses_whatever_the_port() -> None:
    assert [one.path for one in WHERE["A"].candidates] == ["/a.jpg", "/a2.jpg"]
    again = findings.located(WORLD, [*SOURCES, ("A", "http://127.0.0.1:9/a.jpg"), ("X", "http://elsewhere/x.jpg")])
    assert again == WHERE


def test_causes_are_compared_with_what_was_planned_and_the_last_attempt_counts() -> None:
    attempts = [(address, "ok") for _, address in SOURCES]
    attempts += [("http://127.0.0.1:1/gone.jpg", "timeout"), ("http://127.0.0.1:1/gone.jpg", "http-410")]
    found = findings.collected(WORLD, attempts)
    assert (found["arrived"], found["failures"], found["doomed"], found["causes_right"]) == (8, 1, 1, 1)
    wrong = findings.collected(WORLD, attempts[:-1])
    assert wrong["causes_right"] == 0
    assert wrong["mistaken"] == {"gone: timeout": 1}


def test_a_good_picture_that_did_not_arrive_is_a_surprise() -> None:
    found = findings.collected(WORLD, [("http://127.0.0.1:1/a.jpg", "dns")])
    assert found["surprises"]["good: dns"] == 1


def test_copies_of_equal_bytes_flatter_neither_recall_nor_precision() -> None:
    # a2 has the bytes of a. To find: a3 (found) and b2 (missed): 1/2. Found: a3, and C under B, which is wrong: 1/2.
    found = findings.deduplicated(WHERE, {"A": "A", "A3": "A", "B": "B", "C": "B"})
    assert (found["same_bytes"], found["true"], found["found_true"], found["found"]) == (1, 2, 1, 2)
    assert found["recall"][0] == found["precision"][0] == 1 / 2
    assert found["false"] == ["C"]
    assert found["by_variant"] == {"cropped": [0, 1], "resized": [1, 1]}


def test_a_copy_may_be_the_keeper() -> None:
    found = findings.deduplicated(WHERE, {"A": "A3", "A3": "A3"})
    assert found["found_right"] == 1
    assert found["by_variant"]["resized"] == [1, 1]


def test_screening_counts_poor_pictures_and_leaves_duplicates_out() -> None:
    found = findings.screened(WHERE, {"D": "dark", "B": "blurred", "A3": "duplicate"})
    assert (found["true"], found["found"], found["hit"]) == (2, 2, 1)
    assert (found["missed"], found["false"]) == (["T"], ["B"])


def test_label_precision_is_against_what_the_pictures_show() -> None:
    labels = {"A": ("owl", "accepted"), "B": ("owl", "rejected"), "C": ("owl", "accepted")}
    found = findings.labelled(WHERE, labels, 3, 9)
    assert (found["accepted"], found["right"], found["precision"][0]) == (2, 1, 0.5)
    assert (found["wrong"], found["wrong_caught"], found["lost"]) == (1, 0, 1)
    assert (found["votes_each"], found["fixed_10"]) == (4.5, 30)


def test_skills_are_compared_and_spammers_looked_up() -> None:
    found = findings.judged(
        {"ada": 0.9, "bob": 0.1, "eve": 0.5}, {"bob", "eve"}, {"ada": 0.8, "bob": 0.0, "eve": 0.6}, {"bob"}
    )
    assert abs(found["mae"] - 0.1) < 1e-12
    assert (found["spammers_found"], found["wronged"]) == (1, 1)


def test_a_group_in_two_splits_and_a_missed_copy_are_told_apart() -> None:
    splits = {"A": "train", "A3": "test", "B": "train", "B2": "val"}
    found = findings.divided(WHERE, splits, {"A": "A", "A3": "A"})
    assert (found["cut_groups"], found["missed_across"]) == (1, 2)
    assert found["splits"] == {"train": 2, "test": 1, "val": 1}


def test_recall_at_ten_wants_one_right_answer() -> None:
    found = findings.recalled(["owl", "bat"], [["bat", "owl"], ["owl", "owl"]])
    assert (found["hits"], found["recall_at_10"][0], found["precision_at_10"]) == (1, 0.5, 0.25)
