"""robots.txt by RFC 9309, what it says to crawlers that gather for AI, and the headers in which an owner opts out."""

from __future__ import annotations

import re
from collections.abc import Iterable
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

_GROUP = re.compile(r"^[ \t]*user-agent[ \t]*:[ \t]*([^#\r\n]*)", re.IGNORECASE | re.MULTILINE)
_NAMED = re.compile(r"([^\s:]+)\s*:\s*(.*)")  # "otherbot: noindex", and "max-snippet: 50"; no date with its times
_WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


class Rules(NamedTuple):
    """What one origin's robots.txt says. With a `cause` it forbids everything for that reason.

    `ai_agents`: those of AI_AGENTS that it speaks to, none where it speaks to our own agent.
    """

    parsed: Protego | None
    cause: str = ""
    detail: str = ""
    ai_agents: tuple[str, ...] = ()

    def allow(self, url: Url) -> bool:
        """Whether our agent may ask for it."""
        return not self.cause and (self.parsed is None or bool(self.parsed.can_fetch(url.text, AGENT)))

    def shut_out(self, url: Url) -> str:
        """The first of the crawlers for AI that may not have it, "" when there is none."""
        allowed = self.parsed.can_fetch if self.parsed else None
        return next((agent for agent in self.ai_agents if allowed and not allowed(url.text, agent)), "")

    @property
    def crawl_delay_s(self) -> float:
        """The pause the host asks for between two requests, 0 when it does not."""
        delay = self.parsed.crawl_delay(AGENT) if self.parsed else None
        return min(float(delay), MAX_CRAWL_DELAY_S) if delay else 0.0


def rules_of(status: int, body: bytes) -> Rules:
    """RFC 9309 section 2.3.1: 2xx is read, 4xx allows everything, 5xx (and 429) forbids everything for now."""
    if 200 <= status < 300:  # noqa: PLR2004  HTTP's own classes
        text = body[:MAX_ROBOTS_BYTES].decode("utf-8", "replace").removeprefix("\ufeff")
        spoken_to = {name.strip().lower() for name in _GROUP.findall(text)}
        ai_agents = () if AGENT in spoken_to else tuple(sorted(spoken_to & AI_AGENTS))
        return Rules(Protego.parse(text), ai_agents=ai_agents)
    if status >= 500 or status == 429:  # noqa: PLR2004
        return Rules(None, "robots-unreachable", f"robots.txt answered {status}")
    return Rules(None)


def opts_out(x_robots_tags: Iterable[str]) -> bool:
    """Whether X-Robots-Tag headers carry noai or noimageai, for everyone or for our agent.

    `otherbot: noindex, noai` speaks to otherbot only, from its name to the next name or the header's end.
    """
    for header in x_robots_tags:
        agent = ""
        for part in header.lower().split(","):
            named = _NAMED.fullmatch(part.strip())
            if named and named[1] not in _WITH_VALUE:
                agent = named[1]
            word = named[2] if named else part.strip()
            if word in ("noai", "noimageai") and agent in ("", "*", AGENT):
                return True
    return False
