from __future__ import annotations

import numpy as np
import pytest

from pictus.challenge.answers import Answers, answers_of_release, answers_of_sheet, guesses_of
from pictus.challenge.sheets import Sheet
from pictus.concepts import Taxonomy
from pictus.errors import UserError
from pictus.records import Concept

NAMES = [("aa", "aa.jpg"), ("bb", "bb.jpg"), ("cc", "cc.jpg")]


def release(classes: tuple[str, ...] = ("n02", "n03", "n05")) -> Answers:
    taxonomy = Taxonomy.of(Concept(concept_id, (concept_id,), is_class=True) for concept_id in classes)
    return answers_of_release("release 1.0.0 test", classes, [0, 1, 2], NAMES, taxonomy)


def sheet(rows: list[list[str]], pictures: list[str] | None = None) -> Sheet:
    return Sheet("team", "team.txt", rows, pictures)


def array(rows: list[list[int]]) -> Sheet:
    return Sheet("team", "team.npy", np.array(rows, np.int64), first_line=0)


def test_concept_ids_and_labels_mean_the_same() -> None:
    words = guesses_of(sheet([["n02", "n03"], ["n03"], []]), release())
    numbers = guesses_of(sheet([["0", "1"], ["1"], []]), release())
    assert words.guesses_NG.tolist() == numbers.guesses_NG.tolist() == [[0, 1], [1, -1], [-1, -1]]
    assert guesses_of(array([[0, 1], [1, -1], [-1, -1]]), release()).guesses_NG.tolist() == words.guesses_NG.tolist()


def test_a_number_is_never_a_label_where_ids_are_numbers() -> None:
    # ids 1, 2, 3: "1" is the first class; as a label it would be the second
    found = guesses_of(sheet([["1"], ["2"], ["3"]]), release(("1", "2", "3")))
    assert found.guesses_NG.tolist() == [[0], [1], [2]]
    with pytest.raises(UserError, match="1 × '0' is not a class, in line 1"):
        guesses_of(sheet([["0"], ["1"], ["2"]]), release(("1", "2", "3")))


def named(*names: tuple[str, ...]) -> Answers:
    classes = ("n02", "n03", "n05")
    concepts = [Concept(one, called, is_class=True) for one, called in zip(classes, names, strict=True)]
    return answers_of_release("release 1.0.0 test", classes, [0, 1, 2], NAMES, Taxonomy.of(concepts))


def test_names_that_only_one_class_has_are_as_good_as_ids_and_numbers() -> None:
    truth = named(("lion", "king of beasts"), ("golden retriever",), ("crane", "lion cub"))
    rows = [["lion", "n03", "2"], ["golden retriever"], ["king_of_beasts", "golden_retriever"]]
    found = guesses_of(sheet(rows), truth)
    assert found.guesses_NG.tolist() == [[0, 1, 2], [1, -1, -1], [0, 1, -1]]


def test_a_name_of_two_classes_is_told_as_such() -> None:
    with pytest.raises(UserError) as caught:
        guesses_of(sheet([["crane"], ["lion"], ["crane"]]), named(("lion",), ("crane", "bird"), ("crane", "machine")))
    assert "2 × 'crane' is the name of several classes, first in line 1" in caught.value.what
    assert "write class names (bird, lion, machine), concept ids (n02, n03, n05) or labels 0..2" in caught.value.fix


def test_an_id_beats_a_name_and_a_number_is_no_name() -> None:
    assert guesses_of(sheet([["n03"], [], []]), named(("n03",), ("b",), ("c",))).guesses_NG.tolist()[0] == [1]
    numeric = named(("zero", "0"), ("1",), ("two",))
    assert guesses_of(sheet([["zero"], ["two"], []]), numeric).guesses_NG.tolist() == [[0], [2], [-1]]
    with pytest.raises(UserError, match="1 × '1' is not a class, in line 2") as caught:
        guesses_of(sheet([["zero"], ["1"], []]), numeric)
    assert "labels 0" not in caught.value.fix


def test_the_same_unknown_word_is_told_once_with_its_count() -> None:
    with pytest.raises(UserError) as caught:
        guesses_of(sheet([["lion"], ["tiger", "lion"], ["lion"]]), release())
    assert "3 bad rows, 2 words that cannot be read as a class" in caught.value.what
    assert "3 × 'lion' is not a class, first in line 1" in caught.value.what
    assert "1 × 'tiger' is not a class, in line 2" in caught.value.what
    assert caught.value.what.index("'lion'") < caught.value.what.index("'tiger'")


def test_many_unknown_words_are_counted_not_listed() -> None:
    with pytest.raises(UserError) as caught:
        guesses_of(sheet([[f"w{number}"] for number in range(30)]), release())
    assert "w19" in caught.value.what
    assert "w20" not in caught.value.what
    assert "… and 10 more" in caught.value.what


def test_pictures_are_found_by_either_name_in_any_order() -> None:
    found = guesses_of(sheet([["n05"], ["n02"]], ["cc.jpg", "aa"]), release())
    assert found.guesses_NG.tolist() == [[0], [-1], [2]]
    assert found.problems == ("team: 1 of 3 pictures without a guess: counted as wrong",)


def test_every_bad_row_is_told_with_its_line() -> None:
    with pytest.raises(UserError) as caught:
        guesses_of(sheet([["n02"], ["whale", "n03"], ["n9", "7"]]), release())
    assert "2 bad rows" in caught.value.what
    assert "1 × 'whale' is not a class, in line 2" in caught.value.what
    assert "1 × 'n9' is not a class, in line 3" in caught.value.what
    assert "n02" in caught.value.fix
    assert "0..2" in caught.value.fix


def test_class_numbers_outside_the_release_are_told() -> None:
    with pytest.raises(UserError, match=r"row 2: \[3\]"):
        guesses_of(array([[0], [1], [3]]), release())


def test_unknown_and_repeated_pictures_are_told() -> None:
    with pytest.raises(UserError) as caught:
        guesses_of(sheet([["n02"], ["n02"], ["n03"]], ["aa", "zz", "aa.jpg"]), release())
    assert "line 2: picture 'zz' is not in release 1.0.0 test" in caught.value.what
    assert "line 3: picture 'aa.jpg' was given in line 1 already" in caught.value.what


def test_wrong_number_of_rows_is_told() -> None:
    with pytest.raises(UserError, match=r"has 2 rows; release 1\.0\.0 test has 3 pictures"):
        guesses_of(sheet([["n02"], ["n03"]]), release())


def test_names_without_names_in_the_truth_are_told() -> None:
    truth = answers_of_sheet(Sheet("truth", "truth.txt", [["1"], ["2"]]))
    with pytest.raises(UserError, match=r"team\.txt names its pictures, truth\.txt does not"):
        guesses_of(sheet([["1"], ["2"]], ["a", "b"]), truth)


def test_numbers_of_a_truth_file_stay_the_numbers_they_are() -> None:
    truth = answers_of_sheet(Sheet("truth", "truth.txt", [["490"], ["361"]]))
    found = guesses_of(sheet([["490", "1000"], ["7"]]), truth)
    assert found.guesses_NG.tolist() == [[490, 1000], [7, -1]]
    with pytest.raises(UserError, match="'n02' is not a class") as caught:
        guesses_of(sheet([["490"], ["n02"]]), truth)
    assert "numbers" in caught.value.fix


def test_counting_from_one_instead_of_zero_is_noticed() -> None:
    truth = answers_of_sheet(Sheet("truth", "truth.txt", [["1"], ["2"], ["1000"]]))
    found = guesses_of(sheet([["0"], ["1"], ["999"]]), truth)
    assert "counted from 0 and the other from 1" in found.problems[0]
    assert guesses_of(sheet([["1"], ["2"], ["1000"]]), truth).problems == ()


def test_words_that_are_never_true_are_wrong_and_told() -> None:
    truth = answers_of_sheet(Sheet("truth", "truth.txt", [["n02"], ["n03"]]))
    found = guesses_of(sheet([["n02"], ["n99"]]), truth)
    assert found.guesses_NG.tolist() == [[0], [2]]
    assert found.problems == ("team: 1 of its classes never occur in truth.txt: n99",)


def test_a_picture_twice_in_the_truth_is_told() -> None:
    with pytest.raises(UserError, match="line 2: 'a' stands in line 1 already"):
        answers_of_sheet(Sheet("truth", "truth.txt", [["1"], ["2"]], ["a", "a"]))
