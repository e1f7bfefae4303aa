"""Pictures of pages that are lent, made small before anybody asks for them.

How long a picture takes to be made small would tell whether it was shown to somebody before, as known answers were. So
all pictures of a page are made when it is lent, and none of them is answered before all are there. People take
turns, so that nobody waits for the many pages of another.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection
from concurrent.futures import Future

from pictus.annotate.desk.desk_steps import LaterError

AT_ONCE = 2
"""Pictures that are made at a time."""
MOST_AHEAD = 64
"""Pages that wait to be made before anybody asks; what is lent beyond is made when it is asked for."""
OWN_AHEAD = 6
"""The same, of one person: what a browser holds, and then some."""
MOST = 512
KEPT = 4_096
"""Pages that are known to be made: later ones are looked through again, which takes a moment."""
WAIT_S = 60.0


class _Page:
    def __init__(self, name: str, image_ids: Collection[str]) -> None:
        self.name = name
        self.waiting = deque(image_ids)
        self.image_ids = tuple(image_ids)
        self.is_begun = False
        self.left = len(image_ids)
        self.is_asked = False  # somebody wants to see it now
        self.made: Future[None] = Future()


class Ready:
    """The pages of one server, made in turn for the people they are lent to: a picture of each.

    `make`: makes one picture, and tells nobody if it cannot; from any thread. `look`: the same for what is done once
    for all pictures of a page, before the first of them.
    """

    def __init__(self, make: Callable[[str], None], look: Callable[[Collection[str]], None] | None = None) -> None:
        self._make = make
        self._look = look
        self._lock = threading.Lock()
        self._pages: OrderedDict[str, _Page] = OrderedDict()
        self._lines: OrderedDict[str, list[_Page]] = OrderedDict()  # person -> pages with pictures nobody has begun
        self._unmade: Counter[str] = Counter()
        self._workers = 0

    def begin(self, page_id: str, image_ids: Collection[str], name: str = "") -> None:
        """Make the pictures of a page that was lent to somebody, unless many pages wait, or many of theirs."""
        self._begun(page_id, image_ids, name, is_asked=False)

    def known(self, page_id: str) -> "Future[None] | None":
        """What is over when a page's pictures are made, which now come first; None for one that nobody has begun."""
        with self._lock:
            page = self._pages.get(page_id)
            if page is None:
                return None
            page.is_asked = True
            return page.made

    def begun(self, page_id: str, image_ids: Collection[str], name: str = "") -> "Future[None]":
        """The same, begun now if need be; LaterError where too many pages wait."""
        found = self._begun(page_id, image_ids, name, is_asked=True)
        if found is None:
            raise LaterError("Many pictures are made ready just now.", fix="wait a little")
        return found

    def drop(self, page_id: str) -> None:
        """A page was given back: what is not made of it is not made. Who waits for it is told so."""
        with self._lock:
            page = self._pages.get(page_id)
            if page is None or page.made.done():
                return
            del self._pages[page_id]
            self._less(page)
            page.waiting.clear()
            self._leave(page)
            page.made.set_exception(LaterError("This page was given back.", fix="go on with another"))

    def _begun(
        self, page_id: str, image_ids: Collection[str], name: str, *, is_asked: bool
    ) -> "Future[None] | None":  # fmt: skip
        with self._lock:
            if (there := self._pages.get(page_id)) is not None:
                there.is_asked |= is_asked
                return there.made
            most, own = (MOST, MOST) if is_asked else (MOST_AHEAD, OWN_AHEAD)
            if self._unmade.total() >= most or self._unmade[name] >= own:
                return None
            page = self._pages[page_id] = _Page(name, image_ids)
            page.is_asked = is_asked
            while len(self._pages) > KEPT and next(iter(self._pages.values())).made.done():
                self._pages.popitem(last=False)
            if not image_ids:
                page.made.set_result(None)
                return page.made
            self._unmade[name] += 1
            self._lines.setdefault(name, []).append(page)
            if self._workers < AT_ONCE:
                self._workers += 1
                threading.Thread(target=self._work, name="pictures", daemon=True).start()
                # daemon: nobody waits for pages when the server is stopped
            return page.made

    def _next(self) -> tuple[_Page, str, bool] | None:
        """A picture of the person whose turn it is: first of those who look at a page, and of that page; and whether
        it is the page's first.
        """
        asking = (name for name, line in self._lines.items() if any(page.is_asked for page in line))
        name = next(asking, next(iter(self._lines), None))
        if name is None:
            return None
        line = self._lines[name]
        self._lines.move_to_end(name)
        page = next((page for page in line if page.is_asked), line[0])
        image_id = page.waiting.popleft()
        if not page.waiting:
            self._leave(page)
        is_first, page.is_begun = not page.is_begun, True
        return page, image_id, is_first

    def _leave(self, page: _Page) -> None:
        line = self._lines.get(page.name, [])
        if page in line:
            line.remove(page)
        if not line:
            self._lines.pop(page.name, None)

    def _less(self, page: _Page) -> None:
        self._unmade[page.name] -= 1
        if not self._unmade[page.name]:
            del self._unmade[page.name]

    def _work(self) -> None:
        while True:
            with self._lock:
                found = self._next()
                if found is None:
                    self._workers -= 1
                    return
                page, image_id, is_first = found
            try:
                if is_first and self._look:
                    self._look(page.image_ids)
                self._make(image_id)
            except BaseException:
                with self._lock:
                    self._workers -= 1
                raise
            finally:
                with self._lock:
                    page.left -= 1
                    is_whole = page.left == 0 and not page.made.done()
                    if is_whole:
                        self._less(page)
                        page.made.set_result(None)


async def made(page: "Future[None]") -> None:
    """Wait for a page's pictures; LaterError after WAIT_S."""
    try:
        await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(page)), WAIT_S)
    except TimeoutError:
        raise LaterError("The pictures of this page are still made ready.", fix="wait a little") from None
