"""Tasks put together as pages of 48 pictures of one concept with controls, as ImageNet-V2 gave them to its workers."""

from __future__ import annotations

import hashlib
import itertools
import uuid
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pictus.annotate.exchange.formats.contents import Task

PAGE, CONTROLS = 48, 3
"""ImageNet-V2: 48 pictures, of which 3 are surely right and 3 surely wrong (Recht et al. 2019, appendix B)."""


class TaskPage(NamedTuple):
    """One page. Its order tells nothing: it follows from the pictures' ids and the seed alone."""

    uuid: str
    concept_id: str
    concept: str
    gloss: str
    tasks: tuple[Task, ...]


def pages_of(tasks: Iterable[Task], seed: int) -> Iterator[TaskPage]:
    """tasks: all of one concept together. A control is used again where there are few; none where there are none."""
    for _, found in itertools.groupby(tasks, key=lambda task: task.concept_id):
        every = shuffled(found, seed)
        controls = {answer: [task for task in every if task.known == answer] for answer in ("yes", "no")}
        asked = [task for task in every if not task.known]
        share = PAGE - sum(min(CONTROLS, len(some)) for some in controls.values())
        for number in range(-(-len(asked) // share)):
            on_page = asked[number * share : (number + 1) * share]
            for some in controls.values():
                count = min(CONTROLS, len(some))
                on_page += [some[(number * count + at) % len(some)] for at in range(count)]
            on_page = shuffled(on_page, seed + number + 1)
            first = on_page[0]
            digest = hashlib.sha256("".join(task.sheet.image_id for task in on_page).encode() + str(seed).encode())
            name = str(uuid.UUID(bytes=digest.digest()[:16], version=4))
            yield TaskPage(name, first.concept_id, first.concept, first.gloss, tuple(on_page))


def shuffled(tasks: Iterable[Task], seed: int) -> list[Task]:
    """In an order that tells nothing of what is known, and is the same every time."""
    return sorted(tasks, key=lambda task: hashlib.sha256(f"{seed}\0{task.sheet.image_id}".encode()).digest())
