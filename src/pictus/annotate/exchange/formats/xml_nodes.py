"""XML read piece by piece, without document types and entities: nothing can be expanded, nothing fetched."""

from __future__ import annotations

import xml.parsers.expat  # every declaration is refused below, before it can do anything
from collections.abc import Iterator
from dataclasses import dataclass, field

from pictus.annotate.exchange.formats.documents import Document
from pictus.errors import UserError

MAX_DEPTH = 32
MAX_NODE = 64 * 2**20
"""Characters of text and attributes inside one element that is given as a whole."""

MAX_CHILDREN = 500_000
_CHUNK = 2**18


@dataclass(slots=True)
class Node:
    """One element with what is in it."""

    tag: str
    attributes: dict[str, str]
    line: int
    text: str = ""
    children: list["Node"] = field(default_factory=list)

    def find(self, *path: str) -> "Node | None":
        """The first child called so, and so on downwards."""
        node: Node | None = self
        for tag in path:
            node = next((child for child in node.children if child.tag == tag), None) if node else None
        return node

    def said(self, *path: str) -> str:
        """The text at the end of a path of tags; "" where there is none."""
        node = self.find(*path)
        return node.text.strip() if node else ""

    def every(self, tag: str) -> Iterator["Node"]:
        return (child for child in self.children if child.tag == tag)


def nodes(document: Document, depth: int = 1) -> Iterator[Node]:
    """The elements at one depth (0: the root), whole, in their order; those above them are not kept."""
    found: list[Node] = []
    builder = _Builder(document.name, depth, found)
    with document.open() as file:
        while True:
            data = file.read(_CHUNK)
            builder.feed(data)
            yield from found
            found.clear()
            if not data:
                return


def root(document: Document, most: int) -> Node:
    """A small document as one element."""
    with document.open() as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise UserError(f"{document.name} has more than {most:,} bytes.", fix="split it")
    found: list[Node] = []
    builder = _Builder(document.name, 0, found)
    builder.feed(data)
    builder.feed(b"")
    return found[0]


class _Builder:
    def __init__(self, name: str, depth: int, found: list[Node]) -> None:
        self._name, self._depth, self._found = name, depth, found
        self._open: list[Node] = []
        self._texts: list[list[str]] = []
        self._level = 0
        self._size = self._count = 0
        parser = self._parser = xml.parsers.expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._said
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.ExternalEntityRefHandler = self._refuse
        parser.SetParamEntityParsing(xml.parsers.expat.XML_PARAM_ENTITY_PARSING_NEVER)

    def feed(self, data: bytes) -> None:
        try:
            self._parser.Parse(data, not data)
        except xml.parsers.expat.ExpatError as error:
            why = xml.parsers.expat.ErrorString(error.code)
            raise UserError(
                f"{self._name} cannot be read as XML: {why} at line {error.lineno:,}.", fix="export it again"
            ) from error
        except (LookupError, ValueError) as error:  # an encoding that Python does not know
            raise UserError(f"{self._name} cannot be read as XML: {error}.", fix="save it in UTF-8") from error

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._level >= MAX_DEPTH:
            raise UserError(
                f"{self._name} is nested more than {MAX_DEPTH} deep: it is not read.", fix="export it again"
            )
        if self._level >= self._depth:
            node = Node(tag, attributes, self._parser.CurrentLineNumber)
            if self._open:
                self._open[-1].children.append(node)
            self._open.append(node)
            self._texts.append([])
            self._count += 1
            self._weigh(sum(map(len, attributes.values())))
        self._level += 1

    def _end(self, _tag: str) -> None:
        self._level -= 1
        if self._open:
            node = self._open.pop()
            node.text = "".join(self._texts.pop())
            if not self._open:
                self._found.append(node)
                self._size = self._count = 0

    def _said(self, text: str) -> None:
        if self._open:
            self._texts[-1].append(text)
            self._weigh(len(text))

    def _weigh(self, size: int) -> None:
        self._size += size
        if self._size > MAX_NODE or self._count > MAX_CHILDREN:
            raise UserError(
                f"{self._name}: the element at line {self._open[0].line:,} is too large: it is not read.",
                fix="export it again, in parts",
            )

    def _refuse(self, *_declared: object) -> int:
        raise UserError(
            f"{self._name} declares a document type or entities at line {self._parser.CurrentLineNumber:,}:"
            " such XML is not read.", fix="remove the <!DOCTYPE …> from it, if you trust it",
        )  # fmt: skip
