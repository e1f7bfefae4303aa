"""robots.txt by RFC 9309, what it says to crawlers that gather for AI, and the headers in which an owner opts out."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from protego import Protego

from pictus.collect.addresses import Url

AGENT = "pictus"
"""The product token that robots.txt files address us by."""

MAX_ROBOTS_BYTES = 500 * 1024
"""RFC 9309 section 2.5: at least 500 KiB are read; the rest counts as not written."""

LASTS_S = 24 * 3600.0
"""RFC 9309 section 2.4: not used for longer than 24 hours."""

MAX_CRAWL_DELAY_S = 60.0
"""A longer one is kept to this; the run would never end otherwise."""

NO_AI = frozenset({"noai", "noimageai"})
"""Words of X-Robots-Tag with which an owner says no to the use of a picture."""

NO_PAGE = NO_AI | {"noindex", "noimageindex", "none"}
"""And of a page: that no index of pictures is to hold it."""

AI_AGENTS = frozenset(
    {
        "ai2bot", "ai2bot-dolma", "anthropic-ai", "applebot-extended", "bytespider", "ccbot", "claudebot", "cohere-ai",
        "cohere-training-data-crawler", "diffbot", "facebookbot", "google-extended", "gptbot", "imagesiftbot",
        "img2dataset", "kangaroo bot", "laion-huggingface-processor", "laiondownloader", "meta-externalagent", "omgili",
        "omgilibot", "pangubot", "timpibot", "velenpublicwebcrawler", "webzio-extended",
    }
)  # fmt: skip
"""Product tokens of crawlers that gather training data, lower case. An owner who shuts them out by name has said what
he thinks of a picture's use for models, whoever asks; agents that look things up for a reader are not among them."""

MAX_WILDCARDS = 5_000
"""Rules with wildcards that concern us: each costs time for every address, and without a cap one host could keep all
others waiting. A file with more forbids everything, which obeys each of its rules. Without wildcards there is no cap:
all are looked through at once."""

_AGENT_LINE = re.compile(r"user[- ]?agent(?:\s*:\s*|\s+|$)(.*)", re.IGNORECASE)
_RULE_LINE = re.compile(r"(?:allow|dis+al+ow|diasllow|disallaw|crawl[- ]delay)\b", re.IGNORECASE)
_TOKEN = re.compile(r"kangaroo bot|[a-z0-9_-]*")  # RFC 9309 section 2.2.1, and digits, which are in use
_BYTES_PER_CHARACTER = 20  # of rules in memory, measured with rules of 20 characters
_NAMED = re.compile(r"([^\s:]+)\s*:\s*(.*)")  # "otherbot: noindex", and "max-snippet: 50"; no date with its times
_PARTS = re.compile("[,;]")  # commas by the rule, semicolons in use
_WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


class Rules(NamedTuple):
    """What one origin's robots.txt says. With a `cause` it forbids everything for that reason.

    `ai_agents`: those of AI_AGENTS that it speaks to, none where it speaks to our own agent. `crawl_delay_s`: the
    pause the host asks for between two requests, 0 when it does not.
    """

    parsed: Protego | None
    cause: str = ""
    detail: str = ""
    ai_agents: tuple[str, ...] = ()
    size: int = 0  # bytes in memory, about
    crawl_delay_s: float = 0.0

    def allow(self, url: Url) -> bool:
        """Whether our agent may ask for it."""
        return not self.cause and (self.parsed is None or bool(self.parsed.can_fetch(url.text, AGENT)))

    def shut_out(self, url: Url) -> str:
        """The first of the crawlers for AI that may not have it, "" when there is none."""
        allowed = self.parsed.can_fetch if self.parsed else None
        return next((agent for agent in self.ai_agents if allowed and not allowed(url.text, agent)), "")


def rules_of(status: int, body: bytes) -> Rules:
    """RFC 9309 section 2.3.1: 2xx is read, 4xx allows everything, 5xx (and 429) forbids everything for now."""
    if 200 <= status < 300:  # noqa: PLR2004  HTTP's own classes
        return _rules_in(body[:MAX_ROBOTS_BYTES].decode("utf-8", "replace").removeprefix("\ufeff"))
    if status >= 500 or status == 429:  # noqa: PLR2004
        return Rules(None, "robots-unreachable", f"robots.txt answered {status}")
    return Rules(None)


def _rules_in(text: str) -> Rules:
    """The groups that speak to us or to a crawler for AI; the others are not kept."""
    groups = list(_groups(text))
    spoken_to: dict[str, list[int]] = {}
    for number, (agents, _) in enumerate(groups):
        for agent in agents:
            spoken_to.setdefault(agent, []).append(number)
    alike = {tuple(spoken_to[agent]): agent for agent in sorted(spoken_to.keys() & AI_AGENTS, reverse=True)}
    ai_agents = () if AGENT in spoken_to else tuple(sorted(alike.values()))  # one of those told the same is enough
    own = AGENT if AGENT in spoken_to else "*"
    heard = [number for agent in (own, *ai_agents) for number in spoken_to.get(agent, ())]
    if sum("*" in line or "$" in line for number in heard for line in groups[number][1]) > MAX_WILDCARDS:
        return Rules(None, "robots-unreachable", f"robots.txt has more than {MAX_WILDCARDS:,} rules with wildcards")
    kept: list[str] = []
    for number in sorted(set(heard)):
        agents, lines = groups[number]
        kept += [f"User-agent: {agent}" for agent in sorted(agents & {own, *ai_agents})]
        kept += lines
    if not kept:
        return Rules(None)
    parsed = Protego.parse("\n".join(kept))
    delay_s = min(float(parsed.crawl_delay(AGENT) or 0.0), MAX_CRAWL_DELAY_S)
    return Rules(parsed, "", "", ai_agents, _BYTES_PER_CHARACTER * sum(map(len, kept)), delay_s)


def _groups(text: str) -> Iterator[tuple[set[str], list[str]]]:
    """(product tokens in lower case, rules) of each group. A token ends where its version begins: GPTBot/1.0."""
    agents: set[str] = set()
    lines: list[str] = []
    for raw in text.splitlines():
        line = raw.partition("#")[0].strip()
        if found := _AGENT_LINE.fullmatch(line):
            if lines:
                yield agents, lines
                agents, lines = set(), []
            name = found[1].lower()
            token = _TOKEN.match(name.lstrip("*"))
            agents.add((token[0] if token else "") or ("*" if name.startswith("*") else ""))
        elif agents and _RULE_LINE.match(line):
            lines.append(line)
    if agents:
        yield agents, lines


def opts_out(x_robots_tags: Iterable[str], words: Collection[str] = NO_AI) -> bool:
    """Whether X-Robots-Tag headers carry one of the words, for everyone or for our agent.

    `otherbot: noindex, noai` speaks to otherbot only, from its name to the next name or the header's end.
    """
    for header in map(str.lower, x_robots_tags):
        if not any(word in header for word in words):
            continue  # as nearly every header
        agent = ""
        for part in _PARTS.split(header):
            named = _NAMED.fullmatch(part.strip())
            if named and named[1] not in _WITH_VALUE:
                agent = named[1]
            said = (named[2] if named else part).split()
            if any(word in words for word in said) and agent in ("", "*", AGENT):
                return True
    return False
