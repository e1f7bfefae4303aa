"""Online Bayesian stopping: how good each annotator is, how hard each picture, and a model as one more voice.

The binary case of Branson, Van Horn & Perona (2017), "Lean crowdsourcing: combining humans and machines in an online
system": after every vote the posterior of its question is computed anew, and asking ends when the expected error,
min(P(yes), P(no)), is at most 1 - threshold.

    state z         clear and no, clear and yes, or hard with r = 0.05 .. 0.95, the share of yes among all answers
    P(z)            per concept; each share begins with some pictures' worth of what all concepts have
    P(yes | z)      0, 1, and r^2 / (r^2 + (1 - r)^2): most people are right on most hard pictures. Votes alone cannot
                    tell whether they are, so this is set
    s[w, t]         how often annotator w is right on clear pictures of truth t: two coins, each with a Beta prior worth
                    10 votes around the mean of the crowd
    P(answer | z)   by s[w, t] where the picture is clear; yes with r where it is hard: there skill does not count, and
                    more votes of the same crowd make nobody surer than P(yes | z). "unsure" is more frequent there

    E   joint[z]  ~  P(z) product over votes of P(answer | z, w), counted without this question
    M   every share is (prior + sum of joint) / (prior + count): running sums, from which a question is taken out
        before it is weighed, and to which it is added afterwards (the collapsed update, as in dawid_skene.py)

A vote costs as much as its question has votes; with each, another question is weighed anew in turn, so that what was
learned late mends what was weighed early. A known answer teaches skill only, at once and in full: gold pictures are no
fair sample of their concept.

One question in CHECKED is asked at least CHECKS times. Where one vote settles most questions nobody would ever be
contradicted, and a new annotator who guesses would be believed as the crowd is.

**The model** moves the odds of yes by its score's bin: the share of yes among human-decided pictures of this concept
with such a score, which begins with that of all concepts, against the concept's own share. Human-decided: P(yes) is
DECIDED from the votes, the model left out, so that it cannot confirm itself. It counts as at most one annotator who is
right 19 times in 20 (CAP), a third of that on hard pictures, where models err as people do (ON_HARD), and not at all
before PROVEN pictures of the concept are decided, nor where it says nothing of them that the concept's share does not.
Nothing is settled without a human vote.

The order of votes matters a little, as in everything online: servers that saw them in other orders may differ in the
third digit.

The paper's difficulty is a mixture of picture and annotator; the kinds of hard pictures, the check and the guards of
the model are ours.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect
from functools import lru_cache
from hashlib import blake2b
from operator import add, mul
from typing import NamedTuple

from pictus.annotate.stops.ballots import NO, NOWHERE, YES, Ballots, Count
from pictus.annotate.stops.stopping import RULES, Cast, Decision, Stops, known_decision
from pictus.annotate.tasks import ACCEPTED, OPEN, REJECTED, UNDECIDED

RIGHT = 0.8
CERTAINTY = 10.0
"""An annotator's accuracy is expected near the crowd's, with so many votes' certainty; the crowd's near RIGHT, with the
same: `consensus.PERSON`, `consensus.CERTAINTY`.
"""

RATES = (0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95)
"""Shares of yes among everybody's answers on a hard picture of each kind."""

SHOWS = tuple(rate**2 / (rate**2 + (1 - rate) ** 2) for rate in RATES)
"""P(yes) of each kind: most people are right on most hard pictures. Votes alone cannot tell it, so it is set."""

HARD = 0.15
KINDS = (1 / len(RATES),) * len(RATES)
"""Share of hard pictures before any is seen, and of each kind among them."""

SHARE_WORTH = 4.0
HARD_WORTH = 20.0
"""Pictures that a concept's share of yes, and of hard pictures and their kinds, begin with from all concepts; concepts
differ more in the first.
"""

UNSURE_CLEAR = 0.01
UNSURE_HARD = 0.1
UNSURE_WORTH = 20.0
"""How often people are unsure of clear and of hard pictures before any is seen, and votes that is worth."""

REFRESHED = 1
CHECKED = 20
CHECKS = 3

EDGES = (0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)
"""Bins of the model's score."""

DECIDED = 0.9
CAP = math.log(19)
ON_HARD = 1 / 3
PROVEN = 20.0
BIN_WORTH = 4.0
"""Pictures that a concept's bin begins with from all concepts."""

HEARD = 32
"""Changes of a concept's bins after which they are read again."""

_WIDTH = 2 + len(RATES)  # clear no, clear yes, the kinds of hard ones
_SHOWS = [0.0, 1.0, *SHOWS]
_STORED = _WIDTH + 2  # P of each; whether human-decided, 0 or 1; P(yes) where it is

_KNOWN = ("", NO, YES)

Floats = list[float]


class Skill(NamedTuple):
    """One annotator as the rule sees them."""

    right_yes: float  # how often right on clear pictures that show it, in (0, 1)
    right_no: float
    seen: float  # clear pictures it rests on


class _Sums:
    """What is known of one concept, or of all."""

    __slots__ = ("bins", "bins_yes", "heard", "joint", "number", "voices")

    def __init__(self, number: int = NOWHERE) -> None:
        self.number = number
        self.joint = [0.0] * _WIDTH
        self.bins = [0.0] * (len(EDGES) + 1)  # human-decided pictures by the model's score
        self.bins_yes = [0.0] * (len(EDGES) + 1)
        self.voices: Floats = []  # by bin, as of some questions ago: what the model adds to the log-odds
        self.heard = 0  # changes since


class _Asked(NamedTuple):
    """One question, made when it is looked at: what is kept of it lies in arrays (ballots.py says why)."""

    question: int
    row: int  # of the ballots
    concept: _Sums
    bin: int  # of the model's score; -1: no model
    known: str
    place: int  # in _turn and _stored; NOWHERE: no vote yet


class Prior(NamedTuple):
    """P(state) before any vote, and P(yes) of each state. f64[2 + RATES] each, the first sums to 1."""

    state: Floats
    shows: Floats


class _Votes(NamedTuple):
    """The votes of one question: how likely they are on a clear picture of either truth, and their count."""

    clear_no: float
    clear_yes: float
    tally: Count


@RULES.register("online")
class Online:
    """Skill, difficulty, and the model as one more voice."""

    def __init__(self, stops: Stops) -> None:
        self.stops = stops
        self._ballots = Ballots()
        self._concepts: dict[str, _Sums] = {}
        self._all = _Sums()
        # One for each row of the ballots:
        self._concept = array("i")  # position in _numbered
        self._bin = array("b")
        self._known = array("b")  # position in _KNOWN
        self._place = array("i")
        self._numbered: list[_Sums] = []
        self._turn = array("q")  # the questions with votes, in the order of their first
        self._next = 0
        self._stored = array("f")  # what each question has added to the sums; rounded first, so it comes out exactly
        self._people: dict[str, Floats] = {}  # right on no, seen no, right on yes, seen yes
        self._crowd = [0.0, 0.0, 0.0, 0.0]
        self._unsure = [0.0, 0.0, 0.0, 0.0]  # unsure and all votes on clear pictures, then on hard ones

    def expect(self, question: int, concept_id: str, score: float) -> None:
        asked, place_of_score = self._find(question), _bin(score)
        if asked is None:
            self._new(question, concept_id, place_of_score)
        elif asked.bin != place_of_score:
            is_in = asked.place != NOWHERE and not asked.known
            if is_in:
                self._move(asked, -1.0)
            self._bin[asked.row] = place_of_score
            if is_in:
                self._put_in(asked._replace(bin=place_of_score))

    def add(self, cast: Cast) -> Decision:
        if self._ballots.find(cast.question) == NOWHERE:
            self._new(cast.question, cast.concept_id, _bin(0.0))
        asked = self._found(cast.question)
        self._people.setdefault(cast.annotator, [0.0, 0.0, 0.0, 0.0])
        if cast.known or asked.known:
            return self._add_known(asked, cast)
        if asked.place != NOWHERE:
            self._move(asked, -1.0)
        else:
            asked = asked._replace(place=len(self._turn))
            self._place[asked.row] = asked.place
            self._turn.append(cast.question)
            self._stored.extend([0.0] * _STORED)
        self._ballots.put(cast.question, cast.annotator, cast.answer)
        decision = self._decided(asked, *self._put_in(asked))
        for _ in range(min(REFRESHED, len(self._turn) - 1)):
            self._next = (self._next + 1) % len(self._turn)
            other = self._found(self._turn[self._next])
            if other.question != cast.question and not other.known:
                self._move(other, -1.0)
                self._put_in(other)
        return decision

    def decision(self, question: int) -> Decision:
        asked = self._find(question)
        if asked is None:
            return Decision(OPEN, 0.5, 1, "not asked yet")
        if asked.known:
            return known_decision(asked.known)
        if asked.place == NOWHERE:
            return self._decided(asked, _Votes(1.0, 1.0, Count(0, 0, 0)), self._before(asked))
        self._move(asked, -1.0)
        return self._decided(asked, *self._put_in(asked))

    def forget(self, annotator: str) -> tuple[int, ...]:
        questions = self._ballots.questions_of(annotator)
        touched = [self._found(question) for question in questions]
        for asked in touched:
            if asked.known:
                self._teach(annotator, asked.known, self._ballots.of(asked.question)[annotator], -1.0)
            else:
                self._move(asked, -1.0)
        self._ballots.forget(annotator)
        for asked in touched:
            if not asked.known:
                self._put_in(asked)
        self._people.pop(annotator, None)
        return questions

    def skill(self, annotator: str) -> Skill:
        """How good somebody is held to be now; of one never heard of: as the crowd."""
        right_no, seen_no, right_yes, seen_yes = self._people.get(annotator, (0.0, 0.0, 0.0, 0.0))
        mean_no, mean_yes = self._means()
        return Skill(
            (CERTAINTY * mean_yes + right_yes) / (CERTAINTY + seen_yes),
            (CERTAINTY * mean_no + right_no) / (CERTAINTY + seen_no), seen_no + seen_yes,
        )  # fmt: skip

    def _new(self, question: int, concept_id: str, place_of_score: int) -> None:
        concept = self._concepts.get(concept_id)
        if concept is None:
            concept = self._concepts[concept_id] = _Sums(len(self._numbered))
            self._numbered.append(concept)
        self._ballots.row(question)
        self._concept.append(concept.number)
        self._bin.append(place_of_score)
        self._known.append(0)
        self._place.append(NOWHERE)

    def _find(self, question: int) -> _Asked | None:
        return None if self._ballots.find(question) == NOWHERE else self._found(question)

    def _found(self, question: int) -> _Asked:
        row = self._ballots.row(question)
        concept, known = self._numbered[self._concept[row]], _KNOWN[self._known[row]]
        return _Asked(question, row, concept, self._bin[row], known, self._place[row])

    def _add_known(self, asked: _Asked, cast: Cast) -> Decision:
        """A picture whose answer is known is taken for a clear one: it teaches the annotator in full, at once."""
        if not asked.known:
            if asked.place != NOWHERE:
                self._move(asked, -1.0)
            asked = asked._replace(known=cast.known)
            self._known[asked.row] = _KNOWN.index(cast.known)
            for annotator, answer in self._ballots.of(asked.question).items():
                self._teach(annotator, asked.known, answer, 1.0)
        before = self._ballots.put(cast.question, cast.annotator, cast.answer)
        self._teach(cast.annotator, asked.known, before, -1.0)
        self._teach(cast.annotator, asked.known, cast.answer, 1.0)
        return known_decision(asked.known)

    def _teach(self, annotator: str, truth: str, answer: str, weight: float) -> None:
        if answer not in (YES, NO):
            return
        at = 2 if truth == YES else 0
        for sums in (self._people[annotator], self._crowd):
            sums[at] += weight * (answer == truth)
            sums[at + 1] += weight

    def _means(self) -> tuple[float, float]:
        """How often the crowd is right on clear pictures: no, yes."""
        right_no, seen_no, right_yes, seen_yes = self._crowd
        worth = CERTAINTY * RIGHT
        return (worth + right_no) / (CERTAINTY + seen_no), (worth + right_yes) / (CERTAINTY + seen_yes)

    def _votes(self, asked: _Asked) -> _Votes:
        mean_no, mean_yes = self._means()
        worth_no, worth_yes = CERTAINTY * mean_no, CERTAINTY * mean_yes
        clear_no = clear_yes = 1.0
        yes = no = unsure = 0
        for annotator, answer in self._ballots.of(asked.question).items():
            right_no, seen_no, right_yes, seen_yes = self._people[annotator]
            if answer == YES:
                yes += 1
                clear_no *= 1 - (worth_no + right_no) / (CERTAINTY + seen_no)
                clear_yes *= (worth_yes + right_yes) / (CERTAINTY + seen_yes)
            elif answer == NO:
                no += 1
                clear_no *= (worth_no + right_no) / (CERTAINTY + seen_no)
                clear_yes *= 1 - (worth_yes + right_yes) / (CERTAINTY + seen_yes)
            else:
                unsure += 1
        return _Votes(clear_no, clear_yes, Count(yes, no, unsure))

    def _before(self, asked: _Asked) -> Prior:
        """What the concept says, the model left out."""
        every, own = self._all.joint, asked.concept.joint
        every_clear, own_clear = every[0] + every[1], own[0] + own[1]
        every_hard, own_hard = sum(every) - every_clear, sum(own) - own_clear
        share = (0.5 * SHARE_WORTH + every[1]) / (SHARE_WORTH + every_clear)
        share = (SHARE_WORTH * share + own[1]) / (SHARE_WORTH + own_clear)
        hard = (HARD * HARD_WORTH + every_hard) / (HARD_WORTH + every_hard + every_clear)
        hard = (HARD_WORTH * hard + own_hard) / (HARD_WORTH + own_hard + own_clear)
        to_every, to_own = HARD_WORTH / (HARD_WORTH + every_hard), hard / (HARD_WORTH + own_hard)
        kinds = (
            to_own * (to_every * (HARD_WORTH * kind + every[at]) + own[at]) for at, kind in enumerate(KINDS, 2)
        )
        return Prior([(1 - share) * (1 - hard), share * (1 - hard), *kinds], _SHOWS)

    def _voice(self, asked: _Asked, share: float) -> float:
        """What the model adds to the log-odds of P(yes); worked out again after every HEARD changes of a concept."""
        own = asked.concept
        if asked.bin < 0 or sum(own.bins) < PROVEN:
            return 0.0
        if not own.voices or own.heard >= HEARD:
            own.voices, own.heard = self._voices(own, share), 0
        return own.voices[asked.bin]

    def _voices(self, own: _Sums, share: float) -> Floats:
        every = self._all
        plain, plain_not = math.log(share), math.log(1 - share)
        told, voices = 0.0, []
        for count, yes, all_count, all_yes in zip(own.bins, own.bins_yes, every.bins, every.bins_yes, strict=True):
            wider = (BIN_WORTH * share + all_yes) / (BIN_WORTH + all_count)
            found = min(max((BIN_WORTH * wider + yes) / (BIN_WORTH + count), 1e-6), 1 - 1e-6)
            gain, gain_not = math.log(found) - plain, math.log(1 - found) - plain_not
            told += yes * gain + (count - yes) * gain_not
            voices.append(min(max(gain - gain_not, -CAP), CAP))
        return voices if told > 0 else [0.0] * len(voices)

    def _joint(self, prior: Prior, votes: _Votes) -> Floats:
        """P(state and the votes). f64[2 + RATES]."""
        yes, no, unsure = votes.tally
        on_clear, all_clear, on_hard, all_hard = self._unsure
        clear = (UNSURE_WORTH * UNSURE_CLEAR + on_clear) / (UNSURE_WORTH + all_clear)
        hard = (UNSURE_WORTH * UNSURE_HARD + on_hard) / (UNSURE_WORTH + all_hard)
        odds = ((1 - clear) / (1 - hard)) ** (yes + no) * (clear / hard) ** unsure  # of clear against hard
        joint = [one * likely for one, likely in zip(prior.state, _hard(yes, no), strict=True)]
        joint[0] *= votes.clear_no * odds
        joint[1] *= votes.clear_yes * odds
        return joint

    def _put_in(self, asked: _Asked) -> tuple[_Votes, Prior]:
        """Weigh a question that is not in the sums, and add it; its votes, and what was expected before them."""
        votes, plain = self._votes(asked), self._before(asked)
        prior = _told(plain, self._voice(asked, plain.state[1] / (plain.state[0] + plain.state[1])))
        joint = self._joint(plain, votes)
        by_people = share_of_yes(joint, plain.shows)
        is_decided = max(by_people, 1 - by_people) >= DECIDED
        if prior is not plain:
            joint = self._joint(prior, votes)
        scale = 1 / sum(joint)
        at = asked.place * _STORED
        self._stored[at : at + _STORED] = array(
            "f", [*(one * scale for one in joint), float(is_decided), by_people * is_decided]
        )
        self._move(asked, 1.0)
        return votes, prior

    def _move(self, asked: _Asked, sign: float) -> None:
        """Add what a question has stored to all sums, or take it from them."""
        votes = self._ballots.of(asked.question)
        if not votes:
            return
        at = asked.place * _STORED
        stored = [sign * one for one in self._stored[at : at + _STORED]]
        for sums in (asked.concept, self._all):
            sums.joint = list(map(add, sums.joint, stored))
            if asked.bin >= 0:
                sums.heard += 1
                sums.bins[asked.bin] += stored[-2]
                sums.bins_yes[asked.bin] += stored[-1]
        is_no, is_yes = stored[0], stored[1]
        hard = sign - is_no - is_yes
        crowd, unsure = self._crowd, self._unsure
        for annotator, answer in votes.items():
            unsure[1] += is_no + is_yes
            unsure[3] += hard
            if answer not in (YES, NO):
                unsure[0] += is_no + is_yes
                unsure[2] += hard
                continue
            right = (0.0, is_yes) if answer == YES else (is_no, 0.0)
            for sums_of in (self._people[annotator], crowd):
                sums_of[0] += right[0]
                sums_of[1] += is_no
                sums_of[2] += right[1]
                sums_of[3] += is_yes

    def _decided(self, asked: _Asked, votes: _Votes, prior: Prior) -> Decision:
        joint = self._joint(prior, votes)
        posterior = share_of_yes(joint, prior.shows)
        n_asked = votes.tally.asked
        told = f"{votes.tally.told}: {100 * max(posterior, 1 - posterior):.1f} % sure"
        if not n_asked or (_is_checked(asked.question, self.stops) and n_asked < min(CHECKS, self.stops.most)):
            return Decision(OPEN, posterior, 1, told if n_asked else "not asked yet")
        more = self.wanted(joint, prior, self.stops.most - n_asked)
        if more:
            return Decision(OPEN, posterior, more, told)
        if posterior >= self.stops.threshold:
            return Decision(ACCEPTED, posterior, 0, told)
        if posterior <= 1 - self.stops.threshold:
            return Decision(REJECTED, posterior, 0, told)
        is_last = n_asked >= self.stops.most
        why = "after as many votes as are allowed" if is_last else "and more votes would hardly change that"
        return Decision(UNDECIDED, posterior, 0, f"{told}, {why}")

    def wanted(self, joint: Floats, prior: Prior, left: int) -> int:
        """How many more votes of average annotators settle it if they agree, 1 .. left; 0: ask no more."""
        limit = 1 - self.stops.threshold
        rates = self.rates()
        with_yes, with_no = joint, joint
        for more in range(left):
            if share_of_yes(with_yes, prior.shows) >= 1 - limit or share_of_yes(with_no, prior.shows) <= limit:
                return more
            with_yes = [one * rate for one, rate in zip(with_yes, rates, strict=True)]
            with_no = [one * (1 - rate) for one, rate in zip(with_no, rates, strict=True)]
        return max(0, left)

    def rates(self) -> Floats:
        """How often an average annotator says yes, by state. f64[2 + RATES]."""
        mean_no, mean_yes = self._means()
        return [1 - mean_no, mean_yes, *RATES]


def _told(prior: Prior, voice: float) -> Prior:
    """The prior after the model has spoken: log-odds for clear pictures, ON_HARD of it for hard ones."""
    if not voice:
        return prior
    odds, odds_hard = math.exp(voice), math.exp(ON_HARD * voice)
    raised = [1.0, odds, *(1 - shows + shows * odds_hard for shows in SHOWS)]
    state = [one * more for one, more in zip(prior.state, raised, strict=True)]
    total = sum(state)
    shows = [0.0, 1.0, *(one * odds_hard / more for one, more in zip(SHOWS, raised[2:], strict=True))]
    return Prior([one / total for one in state], shows)


def share_of_yes(joint: Floats, shows: Floats) -> float:
    """P(yes) of P(state), which need not sum to 1."""
    yes: float = sum(map(mul, joint, shows))
    return yes / sum(joint)


@lru_cache(maxsize=65_536)
def _hard(yes: int, no: int) -> tuple[float, ...]:
    """How likely so many answers are on a hard picture, by state; of the two clear ones, 1."""
    return (1.0, 1.0, *(rate**yes * (1 - rate) ** no for rate in RATES))


def _is_checked(question: int, stops: Stops) -> bool:
    """Whether a question is asked at least CHECKS times, the same on every server."""
    drawn = int.from_bytes(blake2b(f"{stops.seed} {question}".encode(), digest_size=8).digest(), "big")
    return stops.seed_size > 0 and drawn % CHECKED == 0


def _bin(score: float) -> int:
    """Where the model's score falls among EDGES; -1 for none."""
    return bisect(EDGES, score) if score > 0 else -1
