"""Pictures of pages that are lent, made small before anybody asks for them.

How long a picture takes to be made small would tell whether it was shown to somebody before, as known answers were. So
all pictures of a page are made when it is lent, and none of them is answered before all are there.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Collection
from concurrent.futures import Future

from pictus.annotate.desk.desk_steps import LaterError

AT_ONCE = 2
"""Pictures that are made at a time."""
MOST_AHEAD = 64
"""Pages that wait to be made before anybody asks; what is lent beyond is made when it is asked for."""
MOST = 512
KEPT = 4_096
"""Pages that are known to be made: later ones are looked through again, which takes a moment."""
WAIT_S = 60.0


class _Page:
    def __init__(self, left: int) -> None:
        self.left = left
        self.made: Future[None] = Future()


class Ready:
    """The pages of one server. `make`: makes one picture, and tells nobody if it cannot; from any thread."""

    def __init__(self, make: Callable[[str], None]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._pages: OrderedDict[str, _Page] = OrderedDict()
        self._waiting: deque[tuple[_Page, str]] = deque()
        self._unmade = 0
        self._workers = 0

    def begin(self, page_id: str, image_ids: Collection[str]) -> None:
        """Make the pictures of a page that was lent, unless many pages wait."""
        self._begun(page_id, image_ids, MOST_AHEAD)

    def known(self, page_id: str) -> "Future[None] | None":
        """What is over when a page's pictures are made; None for a page that nobody has begun."""
        with self._lock:
            page = self._pages.get(page_id)
            return page.made if page else None

    def begun(self, page_id: str, image_ids: Collection[str]) -> "Future[None]":
        """The same, begun now if need be; LaterError where too many pages wait."""
        found = self._begun(page_id, image_ids, MOST)
        if found is None:
            raise LaterError("Many pictures are made ready just now.", fix="wait a little")
        return found

    def _begun(self, page_id: str, image_ids: Collection[str], most: int) -> "Future[None] | None":
        with self._lock:
            if (there := self._pages.get(page_id)) is not None:
                return there.made
            if self._unmade >= most:
                return None
            page = self._pages[page_id] = _Page(len(image_ids))
            while len(self._pages) > KEPT and next(iter(self._pages.values())).made.done():
                self._pages.popitem(last=False)
            if not image_ids:
                page.made.set_result(None)
                return page.made
            self._unmade += 1
            self._waiting.extend((page, one) for one in image_ids)
            if self._workers < AT_ONCE:
                self._workers += 1
                threading.Thread(target=self._work, name="pictures", daemon=True).start()
                # daemon: nobody waits for pages when the server is stopped
            return page.made

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._workers -= 1
                    return
                page, image_id = self._waiting.popleft()
            try:
                self._make(image_id)
            except BaseException:
                with self._lock:
                    self._workers -= 1
                raise
            finally:
                with self._lock:
                    page.left -= 1
                    is_whole = page.left == 0
                    self._unmade -= is_whole
                if is_whole:
                    page.made.set_result(None)


async def made(page: "Future[None]") -> None:
    """Wait for a page's pictures; LaterError after WAIT_S."""
    try:
        await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(page)), WAIT_S)
    except TimeoutError:
        raise LaterError("The pictures of this page are still made ready.", fix="wait a little") from None
