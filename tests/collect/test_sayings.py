from __future__ import annotations

from pictus.collect.robots import LASTS_S, rules_of
from pictus.collect.sayings import MAX_SAID_BYTES, Said, Sayings


def said(read_at: float = 0.0, rules: int = 0) -> Said:
    text = b"User-agent: *\n" + b"".join(b"Disallow: /pictures/%06d\n" % number for number in range(rules))
    return Said(read_at, rules_of(200, text))


def test_what_was_needed_least_lately_is_forgotten_when_there_is_too_much() -> None:
    sayings = Sayings(3 * 2_000)
    for origin in "abc":
        sayings.remember(origin, said(rules=2))
    assert sayings.known("a", 0.0)
    sayings.remember("d", said(rules=2))
    assert [origin for origin in "abcd" if sayings.known(origin, 0.0)] == ["a", "c", "d"]
    assert 0 < sayings.used <= 3 * 2_000


def test_a_thousand_files_of_500_kib_stay_within_the_cap() -> None:
    sayings, large = Sayings(), said(rules=15_000)
    for number in range(1_000):
        sayings.remember(f"https://{number}.example:443", large)
    assert sayings.used <= MAX_SAID_BYTES
    assert sayings.known("https://999.example:443", 0.0)
    assert not sayings.known("https://0.example:443", 0.0)


def test_the_newest_is_kept_however_large() -> None:
    sayings = Sayings(10)
    sayings.remember("a", said(rules=50))
    assert sayings.known("a", 0.0)
    sayings.remember("b", said())
    assert (sayings.known("a", 0.0), bool(sayings.known("b", 0.0))) == (None, True)


def test_nothing_is_believed_for_longer_than_a_day() -> None:
    sayings = Sayings()
    sayings.remember("a", said(read_at=100.0))
    assert sayings.known("a", 100.0 + LASTS_S)
    assert sayings.known("a", 100.1 + LASTS_S) is None
    assert sayings.used == 0
