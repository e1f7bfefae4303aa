"""Human votes per label at the error of ten votes each: simulated, and replayed on votes of real people.

    python benchmarks/votes.py            all sets, and the time of a vote with a million behind it: under 5 minutes
                                          on two idle cores
    python benchmarks/votes.py --quick    fewer questions, and 20,000 votes behind it: under 30 s
    python benchmarks/votes.py --only golden,duck    only these sets, no times
    python benchmarks/votes.py --only times

A replay hands the rules real votes on real pictures, one at a time and in random order, from those that were given:
200 questions are open at once, the next comes when one is settled, nobody is asked twice. The rules are the very ones
of the desk, vote for vote. Every question gets an answer, those left undecided the more probable one: `error` is the
share of wrong answers over all questions, so that no rule wins by leaving out what is hard (a tie is half an error).
`wrong of decided` counts only what the rule accepted or rejected at its threshold.

How each rule is set (the threshold of dynamic and online; for thrifty, which accepts at 0.95, what a vote must save) is
chosen on one half of the questions: the fewest votes whose error there is at most that of fixed 10 (with 3 or 5 votes
to a question, of all of them). Everything reported is of the other half, means over
replays; intervals are bootstraps over its questions. `ratio` = votes of the fixed rule / votes of ours.

simulated        P(right) = sigmoid(ability - difficulty): ability N(3, 0.7) for yes and no apart, 5 in 100 annotators
                 toss a coin; difficulty 0, for 15 in 100 pictures N(2, 1.5); 10 concepts, share of good ones
                 Beta(2, 3); a model whose log-odds are N(+-2.5, 2)
golden           78 raters of Beyer et al. (2020) on the questions five experts answered; truth: most of the experts
imagenet-real    their other questions, of whole classes: 5 votes each, and no truth but the authors' posterior, which
                 was computed from those very 5: whatever agrees with all five looks right
cifar-pair       CIFAR-10H, about 50 judgements a picture, as yes/no questions: is it what it is, and is it what a
                 model thinks the next likely; truth: CIFAR's labels. Who judged is not known: 50 names at random
cifar-ten        the same, all ten questions of each picture
duck, waterbirds5, product-match    39, 40 and 3 votes a question

Model scores: ResNet probabilities (cifar), the mean of 1 / rank among the first five of 15 networks (ImageNet).
"""

from __future__ import annotations

import csv
import gc
import io
import json
import lzma
import math
import os
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from types import MethodType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictus.annotate.stops import dynamic, online, thrifty
from pictus.annotate.stops.stopping import RULES, Cast, Rule, Stops
from pictus.annotate.tasks import ACCEPTED, OPEN, REJECTED

REAL = Path(os.environ.get("PICTUS_REAL_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
THRESHOLDS = (0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995)
WORTHS = (0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002)
TIMES = "times"
TIMED = 20_000
WINDOW = 200
NAMES = 50
BOOTSTRAPS = 2000
SAID = np.array(["no", "unsure", "yes"])

Floats = NDArray[np.float64]


class Asked(NamedTuple):
    """A set of questions with all their votes."""

    concepts: list[str]
    truth_Q: NDArray[np.int64]  # noqa: N815  0, 1
    names: list[list[str]]  # who voted; "" where nobody knows
    answers: list[list[str]]
    score_Q: Floats  # noqa: N815  the model's P(yes), 0 where there is none


class Replayed(NamedTuple):
    """By question."""

    votes_Q: Floats  # noqa: N815
    wrong_Q: Floats  # noqa: N815  0, 0.5, 1
    is_decided_Q: Floats  # noqa: N815


def main() -> None:
    quick = "--quick" in sys.argv
    every = {**SETS}
    timing: tuple[str, ...] = ("dynamic", "online")
    if "--only" in sys.argv:
        chosen = sys.argv[sys.argv.index("--only") + 1].split(",")
        if unknown := sorted({*chosen} - {*every, TIMES}):
            sys.exit(f"no set is called {', '.join(unknown)}: {', '.join([*every, TIMES])}")
        every = {name: every[name] for name in every if name in chosen}
        timing = timing if TIMES in chosen else ()
    if not (REAL / "crowd_votes").exists():
        print(f"{REAL} has no crowd_votes (set PICTUS_REAL_DATA): only the simulation is run", file=sys.stderr)
        every = {name: make for name, make in every.items() if name == "simulated"}
    print(f"{'set':15}{'questions':>10} {'rule':14}{'set to':>8}{'votes':>7}{'error':>8}", end="")
    print(f"{'95 % interval':>15}{'undecided':>11}{'wrong of decided':>18}{'ratio':>7}{'95 % interval':>14}", end="")
    print(f"{'error less fixed':>22}")
    report: dict[str, Any] = {}
    with ProcessPoolExecutor(2) as pool:
        speeds = [pool.submit(speed, name, 20_000 if quick else 1_000_000) for name in timing]  # they take longest
        found = {name: pool.submit(compared, name, quick) for name in every}
        for name, future in found.items():
            report[name], limit = future.result()
            for row in report[name]:
                show(name, row)
            fixed = report[name][0]["fixed"]
            print(f"{name}: who only counts needs {limit:.2f} votes at least for that error, knowing all beforehand"
                  f" ({fixed / limit:.2f})", flush=True)  # fmt: skip
        timed = {name: took for times in speeds for name, took in times.result().items()}
    if "cifar-pair" in every:
        show_tables(quick)
    for name, took in timed.items():
        print(f"{name}: {took['median_us']:.0f} us a vote, p99 {took['p99_us']:.0f}, max {took['max_us']:.0f}"
              f" (processor time; {took['behind']:,} votes behind it, {took['rule_mb']:.0f} MB)")  # fmt: skip
    if not report:
        return
    rows = {f"{name} {row['rule']}": row for name in report for row in report[name]}
    best = rows.get("cifar-pair thrifty") or rows.get("simulated thrifty") or next(iter(rows.values()))
    print(json.dumps({
        "name": "votes", "ours": round(best["votes"], 3), "peer": {"fixed": best["fixed"]}, "unit": "votes/label",
        "ratio": {"fixed": round(best["ratio"], 2)}, "n": best["n"],
        "checks": {"ratio": {at: round(row["ratio"], 2) for at, row in rows.items()},
                   "error": {at: round(row["error"], 4) for at, row in rows.items()}, "speed": timed},
    }))  # fmt: skip


def compared(name: str, quick: bool) -> tuple[list[dict[str, Any]], float]:
    """All rules on one set, thresholds from one half, figures from the other; and the limit of counting."""
    asked = SETS[name](quick)
    half = np.random.default_rng(7).permutation(asked.truth_Q.size)
    tuning, testing = np.sort(half[: half.size // 2]), np.sort(half[half.size // 2 :])
    repeats = max(2, min(8, 2000 // testing.size))
    fixed = min(10, *map(len, asked.answers))
    plain_tuning = run(asked, "fixed", Stops(most=fixed), tuning, repeats)
    plain = run(asked, "fixed", Stops(most=fixed), testing, repeats)
    rows = [row_of(f"fixed {fixed}", None, plain, plain, fixed)]
    if fixed > 3:
        rows.append(row_of("fixed 3", None, run(asked, "fixed", Stops(most=3), testing, repeats), plain, fixed))
    rules = [("dynamic", False), ("online", False), ("thrifty", False)]
    if asked.score_Q.any():
        rules += [("online", True), ("thrifty", True)]
    for rule, with_model in rules:
        settings = [Stops(0.95, fixed, worth=at) for at in WORTHS]
        settings = settings if rule == "thrifty" else [Stops(at, fixed) for at in THRESHOLDS]
        tried = [(run(asked, rule, one, tuning, max(1, repeats // 2), with_model=with_model), one) for one in settings]
        good = [one for one in tried if one[0].wrong_Q.mean() <= plain_tuning.wrong_Q.mean()]
        cheapest = min(good, key=lambda one: one[0].votes_Q.mean(), default=None)
        chosen = (cheapest or min(tried, key=lambda one: one[0].wrong_Q.mean()))[1]
        ours = run(asked, rule, chosen, testing, repeats, with_model=with_model)
        setting = chosen.worth if rule == "thrifty" else chosen.threshold
        rows.append(row_of(f"{rule}+model" if with_model else rule, setting, ours, plain, fixed))
    return rows, least(asked, testing, fixed)


def run(
    asked: Asked, rule: str, stops: Stops, questions: NDArray[np.int64], repeats: int, *, with_model: bool = False
) -> Replayed:  # fmt: skip
    """Means over replays, by question."""
    once = [replayed(asked, RULES.get(rule)(stops), questions, seed, with_model=with_model) for seed in range(repeats)]
    return Replayed(*(np.mean([getattr(one, field) for one in once], axis=0) for field in Replayed._fields))


def replayed(asked: Asked, rule: Rule, questions: NDArray[np.int64], seed: int, *, with_model: bool) -> Replayed:
    """One run of the desk over these questions."""
    rng = np.random.default_rng(seed)
    for question in questions.tolist():
        rule.expect(question, asked.concepts[question], float(asked.score_Q[question]) if with_model else 0.0)
    waiting = rng.permutation(questions).tolist()
    if isinstance(rule, dynamic.Dynamic):  # the subset first, as in the paper
        first = {one for concept in set(asked.concepts) for one in rule.subset(concept)}
        waiting.sort(key=lambda question: question not in first)
    waiting.reverse()
    left = {question: deck(asked, question, rng) for question in questions.tolist()}
    found = {}
    count = dict.fromkeys(left, 0)
    current: list[int] = []
    while waiting or current:
        while waiting and len(current) < WINDOW:
            current.append(waiting.pop())
        still = []
        for question in current:
            name, answer = left[question].pop()
            found[question] = rule.add(Cast(question, asked.concepts[question], name, answer, ""))
            count[question] += 1
            if found[question].state == OPEN and left[question]:
                still.append(question)
        current = still
    yes_Q = np.array([found[question].posterior for question in questions.tolist()])
    truth_Q = asked.truth_Q[questions]
    wrong_Q = np.where(yes_Q == 0.5, 0.5, (yes_Q > 0.5) != truth_Q)
    is_decided_Q = np.array([found[question].state in (ACCEPTED, REJECTED) for question in questions.tolist()])
    return Replayed(np.array([float(count[question]) for question in questions.tolist()]), wrong_Q, is_decided_Q)


def deck(asked: Asked, question: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """The votes of a question in random order."""
    names, answers = asked.names[question], asked.answers[question]
    order = rng.permutation(len(answers))[:20].tolist()
    if names:
        return [(names[at], answers[at]) for at in order]
    who = rng.permutation(NAMES)[: len(order)].tolist()
    return [(f"w{one}", answers[at]) for one, at in zip(who, order, strict=True)]


def least(asked: Asked, questions: NDArray[np.int64], most: int) -> float:
    """The fewest votes with which counting yes and no can have the error of `most` each, all truths known beforehand.

    Dynamic programming over (yes, no): going on where a vote's price is less than what it saves, for many prices;
    between two of them a coin decides. Votes that say unsure are left out.
    """
    mass = np.zeros((2, most + 2, most + 2))  # of one order of votes
    said = [(asked.answers[one].count("yes"), asked.answers[one].count("no")) for one in questions.tolist()]
    kinds, many = np.unique(np.column_stack([asked.truth_Q[questions], said]), axis=0, return_counts=True)
    for (truth, yes, no), count in zip(kinds.tolist(), (many / questions.size).tolist(), strict=True):
        for a in range(min(yes, most) + 1):
            for b in range(min(no, most - a) + 1):
                ways = math.comb(yes, a) * math.comb(no, b) / math.comb(yes + no, a + b) / math.comb(a + b, a)
                mass[truth, a, b] += count * ways
    ends = [(yes, math.comb(most, yes) * mass[:, yes, most - yes]) for yes in range(most + 1)]
    wrongs = [one[0] if 2 * yes > most else one[1] if 2 * yes < most else one.sum() / 2 for yes, one in ends]
    error = float(sum(wrongs) / sum(one.sum() for _, one in ends))
    found = [(0.0, float(mass[:, 0, 0].min()))]
    for price in np.geomspace(0.1, 1e-6, 60).tolist():
        cost, wrong, votes = (np.zeros((most + 2, most + 2)) for _ in range(3))
        for total in range(most, -1, -1):
            for a in range(total + 1):
                here, up, left = (a, total - a), (a + 1, total - a), (a, total - a + 1)
                wrong[here] = cost[here] = mass[(slice(None), *here)].min()
                on = price * mass[(slice(None), *here)].sum() + cost[up] + cost[left]
                if total < most and on < cost[here]:
                    cost[here], wrong[here] = on, wrong[up] + wrong[left]
                    votes[here] = mass[(slice(None), *here)].sum() + votes[up] + votes[left]
        found.append((float(votes[0, 0]), float(wrong[0, 0])))
        if found[-1][1] <= error:
            (few, more_wrong), (many_votes, less_wrong) = found[-2:]
            share = (more_wrong - error) / (more_wrong - less_wrong)
            return few + share * (many_votes - few)
    return float(most)


def row_of(rule: str, setting: float | None, ours: Replayed, plain: Replayed, fixed: int) -> dict[str, Any]:
    """Figures with their intervals: bootstrap over questions, errors paired."""
    rng = np.random.default_rng(0)
    size = ours.votes_Q.size
    draws_BQ = rng.multinomial(size, np.full(size, 1 / size), BOOTSTRAPS) / size
    votes_B, error_B = draws_BQ @ ours.votes_Q, draws_BQ @ ours.wrong_Q
    less_B = draws_BQ @ (ours.wrong_Q - plain.wrong_Q)
    decided = float(ours.is_decided_Q.mean())
    wrong_decided = float((ours.wrong_Q * ours.is_decided_Q).mean() / decided) if decided else float("nan")
    votes = float(ours.votes_Q.mean())
    return {
        "rule": rule, "set": setting, "n": size, "fixed": fixed, "votes": votes,
        "error": float(ours.wrong_Q.mean()), "error_low_high": np.quantile(error_B, (0.025, 0.975)).tolist(),
        "undecided": 1 - decided, "wrong_of_decided": wrong_decided, "ratio": fixed / votes,
        "ratio_low_high": (fixed / np.quantile(votes_B, (0.975, 0.025))).tolist(),
        "less": float((ours.wrong_Q - plain.wrong_Q).mean()),
        "less_low_high": np.quantile(less_B, (0.025, 0.975)).tolist(),
    }  # fmt: skip


def show(name: str, row: dict[str, Any]) -> None:
    low, high = (100 * one for one in row["error_low_high"])
    least, most = row["ratio_low_high"]
    worse, better = (100 * one for one in row["less_low_high"])
    print(f"{name:15}{row['n']:10,} {row['rule']:14}{row['set'] or '':>8}{row['votes']:7.2f}", end="")
    print(f"{100 * row['error']:7.2f}%{f'{low:.2f}..{high:.2f}':>15}{100 * row['undecided']:10.1f}%", end="")
    print(f"{100 * row['wrong_of_decided']:17.2f}%{row['ratio']:7.2f}{f'{least:.2f}..{most:.2f}':>14}", end="")
    told = f"{100 * row['less']:+.2f} ({worse:+.2f}..{better:+.2f})"
    print(f"{told:>22}", flush=True)


def show_tables(quick: bool) -> None:
    """The confidence tables that `dynamic` draws for two concepts of CIFAR."""
    asked, rng = cifar(quick, is_pair=True), np.random.default_rng(0)
    rule = dynamic.Dynamic(Stops())
    for question, concept in enumerate(asked.concepts):
        rule.expect(question, concept, 0.0)
    for concept in sorted(set(asked.concepts)):
        for question in rule.subset(concept):
            for name, answer in deck(asked, question, rng)[: dynamic.SEED_VOTES]:
                rule.add(Cast(question, concept, name, answer, ""))
    for concept, word in (("c3", "cat"), ("c8", "ship")):
        cells = [f"{cell.yes}:{cell.no} {100 * cell.good:.0f} %" for cell in rule.table(concept, 3)]
        print(f"P(good) after so many yes : no, {word}: " + ", ".join(cells))


def speed(rule: str, behind: int) -> dict[str, dict[str, float]]:
    """Processor time of a vote with so many behind it, over 1,000 concepts and 1,000 annotators with a model.

    `thrifty` keeps what `online` keeps and differs in when it stops: the votes behind it are taken in once for both.
    """
    rng = np.random.default_rng(0)
    many = behind + TIMED * (2 if rule == "online" else 1)
    question_V, person_V = rng.integers(0, behind * 2 // 5, many), rng.integers(0, 1000, many)
    is_yes_V = (question_V % 3 == 0) != (rng.random(many) < 0.1)
    judge: Rule = RULES.get("thrifty" if rule == "online" else rule)(Stops())
    if isinstance(judge, thrifty.Thrifty):
        judge.wanted = MethodType(online.Online.wanted, judge)  # type: ignore[method-assign]
    gc.collect()
    gc.freeze()  # as the desk does when it starts: what is timed is the rule, not a walk through numpy's modules
    spent, before = np.zeros(many), resident_mb()
    for number in range(many):
        if number == behind + TIMED:
            del judge.wanted  # type: ignore[attr-defined]
        question = int(question_V[number])
        concept = f"c{question % 1000}"
        cast = Cast(question, concept, f"w{person_V[number]}", "yes" if is_yes_V[number] else "no", "")
        started = time.thread_time()
        judge.expect(question, concept, (question % 97 + 1) / 100)
        judge.add(cast)
        spent[number] = time.thread_time() - started
    rule_mb = resident_mb() - before
    names = (rule, "thrifty") if rule == "online" else (rule,)
    return {name: {**figures(spent[behind + TIMED * at :][:TIMED]), "behind": behind, "rule_mb": round(rule_mb, 1)}
            for at, name in enumerate(names)}  # fmt: skip


def figures(spent: Floats) -> dict[str, float]:
    last_us = 1e6 * spent
    return {"median_us": round(float(np.median(last_us)), 1), "p99_us": round(float(np.quantile(last_us, 0.99)), 1),
            "max_us": round(float(last_us.max()), 1)}  # fmt: skip


def resident_mb() -> float:
    """Memory of this process now (Linux), else the most it ever took."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def simulated(quick: bool) -> Asked:
    rng = np.random.default_rng(1)
    size, people = (1200 if quick else 4000), 60
    concept_Q = rng.integers(0, 10, size)
    truth_Q = (rng.random(size) < rng.beta(2, 3, 10)[concept_Q]).astype(np.int64)
    difficulty_Q = np.where(rng.random(size) < 0.15, rng.normal(2, 1.5, size), 0)
    ability_TW = rng.normal(3, 0.7, (2, people))
    is_coin_W = rng.random(people) < 0.05
    names, answers = [], []
    for question in range(size):
        who = rng.permutation(people)[:20]
        right = 1 / (1 + np.exp(difficulty_Q[question] - ability_TW[truth_Q[question], who]))
        is_right = rng.random(20) < np.where(is_coin_W[who], 0.5, right)
        names.append([f"w{one}" for one in who])
        answers.append(["yes" if one else "no" for one in is_right == truth_Q[question]])
    score_Q = 1 / (1 + np.exp(-rng.normal(np.where(truth_Q == 1, 2.5, -2.5), 2)))
    return Asked([f"c{one}" for one in concept_Q], truth_Q, names, answers, score_Q)


def golden(quick: bool) -> Asked:  # noqa: ARG001
    experts, raters = (load("imagenet_real", f"{name}.npz") for name in ("golden", "raters_golden"))
    said_GK = experts["tensor"].sum(axis=0)
    said_GW = SAID[raters["tensor"].argmax(axis=2)].T
    names = [f"r{one}" for one in raters["ids"].tolist()]
    size = said_GW.shape[0]
    return Asked(["any"] * size, (said_GK[:, 2] > said_GK[:, 0]).astype(np.int64), [names] * size, said_GW.tolist(),
                 networks(experts["info"]))  # fmt: skip


def reassessed(quick: bool) -> Asked:
    raters, published = load("imagenet_real", "raters.npz"), load("imagenet_real", "scores.npz")["tensor"]
    classes_Q = raters["info"][:, 1]
    chosen = np.random.default_rng(0).permutation(np.unique(classes_Q))[: 8 if quick else 25]
    questions = np.flatnonzero(np.isin(classes_Q, chosen))
    said_QWK = raters["tensor"][:, questions].transpose(1, 0, 2)
    question_V, rater_V, answer_V = np.nonzero(said_QWK)
    first_Q = np.searchsorted(question_V, np.arange(questions.size + 1))
    names, answers = np.char.add("r", rater_V.astype(str)), SAID[answer_V]
    return Asked(
        classes_Q[questions].tolist(), (published[questions] > 0.5).astype(np.int64),
        [names[at:to].tolist() for at, to in pairwise(first_Q.tolist())],
        [answers[at:to].tolist() for at, to in pairwise(first_Q.tolist())],
        networks(raters["info"][questions]),
    )  # fmt: skip


def networks(info_Q2: NDArray[np.str_]) -> Floats:
    """Of (file, class): the mean of 1 / rank of the class among each network's first five; 0.001 for none."""
    with lzma.open(REAL / "model_predictions" / "top5_imagenet-validation-original.npz.xz") as file:
        found = np.load(io.BytesIO(file.read()), allow_pickle=False)
    with lzma.open(REAL / "imagenet_real" / "imagenet_val_50000.csv.xz", "rt") as file:
        row_of_file = {row["file"]: number for number, row in enumerate(csv.DictReader(file))}
    rows_Q = np.array([row_of_file[one] for one in info_Q2[:, 0].tolist()])
    class_Q = info_Q2[:, 1].astype(np.int64)
    weights = 1 / np.arange(1, 6)
    models = [name for name in found.files if name != "labels" and not name.startswith("fv_")]
    told = [(found[name][rows_Q] == class_Q[:, None]) @ weights for name in models]
    return np.clip(np.mean(told, axis=0), 0.001, 0.999)


def cifar(quick: bool, *, is_pair: bool) -> Asked:
    counts = load("cifar10_human", "cifar10h_counts.npz")["counts"].astype(np.int64)
    model = load("cifar10_human", "cleanlab_cifar10_test_pred_probs.npz")
    label, score = model["labels"].astype(np.int64), model["pyx"]
    pictures = np.random.default_rng(0).permutation(10_000)[: (400 if quick else 3000 if is_pair else 600)]
    next_likely = np.where(np.arange(10) == label[:, None], -1, score).argmax(axis=1)
    asked = [(one, kind) for one in pictures.tolist()
             for kind in ((label[one], next_likely[one]) if is_pair else range(10))]  # fmt: skip
    picture_Q, kind_Q = np.array(asked).T
    yes_Q, all_Q = counts[picture_Q, kind_Q].tolist(), counts.sum(axis=1)[picture_Q].tolist()
    answers = [["yes"] * yes + ["no"] * (every - yes) for yes, every in zip(yes_Q, all_Q, strict=True)]
    return Asked([f"c{one}" for one in kind_Q], (label[picture_Q] == kind_Q).astype(np.int64), [[]] * len(asked),
                 answers, np.clip(score[picture_Q, kind_Q], 1e-6, 1))  # fmt: skip


def crowd(folder: str, most: int | None = None) -> Asked:
    with (REAL / "crowd_votes" / folder / "answer.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    place = {text: number for number, text in enumerate(sorted({row["question"] for row in rows})[:most])}
    rows = [row for row in rows if row["question"] in place]
    names: list[list[str]] = [[] for _ in place]
    answers: list[list[str]] = [[] for _ in place]
    for row in rows:
        names[place[row["question"]]].append(row["worker"])
        answers[place[row["question"]]].append("yes" if row["answer"] == "1" else "no")
    truth_Q = np.zeros(len(place), np.int64)
    if folder == "waterbirds5":  # "is it a duck?"; kinds 0 and 2 are
        import yaml

        kinds = yaml.safe_load((REAL / "crowd_votes" / folder / "classes.yaml").read_text(encoding="utf-8"))["labels"]
        known = {str(question): int(kind in (0, 2)) for question, kind in kinds.items()}
    else:
        with (REAL / "crowd_votes" / folder / "truth.csv").open(newline="") as file:
            known = {row["question"]: int(row["truth"]) for row in csv.DictReader(file)}
    for question, number in place.items():
        truth_Q[number] = known[question]
    return Asked([folder] * len(place), truth_Q, names, answers, np.zeros(len(place)))


def load(folder: str, name: str) -> dict[str, NDArray[Any]]:
    return dict(np.load(REAL / folder / name, allow_pickle=False))


SETS = {
    "simulated": simulated,
    "golden": golden,
    "cifar-pair": lambda quick: cifar(quick, is_pair=True),
    "cifar-ten": lambda quick: cifar(quick, is_pair=False),
    "imagenet-real": reassessed,
    "duck": lambda _quick: crowd("duck"),
    "waterbirds5": lambda _quick: crowd("waterbirds5"),
    "product-match": lambda quick: crowd("product_match", 800 if quick else None),
}


if __name__ == "__main__":
    main()
