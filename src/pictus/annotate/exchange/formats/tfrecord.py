"""TensorFlow's object detection records: tf.train.Example with boxes in shares, read without TensorFlow.

A record is its length (u64, with a masked CRC-32C of it), the bytes of the message, and their checksum.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

from pictus.annotate.exchange.formats.contents import Bad, Drawn, Read
from pictus.annotate.exchange.formats.documents import Bundle, Document
from pictus.annotate.exchange.formats.figures import WrongFigureError, box
from pictus.errors import UserError

MAX_RECORD = 256 * 2**20
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_ITEM = re.compile(r"item\s*\{([^}]*)\}")
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5

Feature = list[bytes] | list[float] | list[int]


def recognises(bundle: Bundle) -> bool:
    return bool(bundle.ending(".tfrecord"))


def read(bundle: Bundle) -> Iterator[Read]:
    names: dict[int, str] = {}
    for document in bundle.ending(".pbtxt"):
        names |= _label_map(document)
    for document in bundle.ending(".tfrecord"):
        with document.open() as file:
            for index, data in enumerate(_records(document, file)):
                place = f"{document.name} record {index + 1:,}"
                try:
                    yield from _example(place, _features(data), names)
                except WrongFigureError as error:
                    yield Bad(place, str(error))


def _label_map(document: Document) -> dict[int, str]:
    text = document.read(2**20).decode("utf-8", errors="replace")
    found = {}
    for item in _ITEM.findall(text):
        number, name = re.search(r"\bid\s*:\s*(\d{1,9})", item), re.search(r"\bname\s*:\s*['\"]([^'\"]*)['\"]", item)
        if number and name:
            found[int(number[1])] = name[1]
    return found


def _records(document: Document, file: BinaryIO) -> Iterator[bytes]:
    while head := file.read(12):
        if len(head) < 12 or _masked(head[:8]) != struct.unpack("<I", head[8:])[0]:  # noqa: PLR2004  u64 and u32
            raise UserError(f"{document.name} is no TFRecord, or cut short.", fix="fetch or export it again")
        size = struct.unpack("<Q", head[:8])[0]
        if size > MAX_RECORD:
            raise UserError(f"{document.name} has a record of {size:,} bytes.", fix="export it without the pictures")
        data = file.read(size)
        if len(data) < size or len(file.read(4)) < 4:  # noqa: PLR2004  its checksum
            raise UserError(f"{document.name} was cut short.", fix="fetch or export it again")
        yield data


def _masked(data: bytes) -> int:
    """CRC-32C (Castagnoli), turned by 15 bits and shifted, as TensorFlow writes it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _example(place: str, features: dict[str, Feature], names: dict[int, str]) -> Iterator[Read]:
    picture = _text(features, "image/filename") or _text(features, "image/source_id")
    sides = [features.get(f"image/object/bbox/{side}", []) for side in _SIDES]
    texts = features.get("image/object/class/text", [])
    labels = features.get("image/object/class/label", [])
    size = [int(values[0]) if (values := features.get(f"image/{side}")) else 0 for side in ("width", "height")]
    count = len(sides[0])
    if not all(len(side) == count for side in sides) or count not in (len(texts), len(labels)):
        raise WrongFigureError("as many sides of boxes as classes are needed")
    for number in range(count):
        here = f"{place} box {number + 1}"
        try:
            if len(texts) == count and isinstance(texts[number], bytes):
                name = texts[number].decode("utf-8", errors="replace")  # type: ignore[union-attr]
            else:
                name = names.get(int(labels[number]), "")
            shape = box(*(side[number] for side in sides))
            yield Drawn(here, picture, "", name, "box", shape, (size[0], size[1]), is_share=True)
        except WrongFigureError as error:
            yield Bad(here, str(error))


def _text(features: dict[str, Feature], key: str) -> str:
    values = features.get(key)
    return values[0].decode("utf-8", errors="replace") if values and isinstance(values[0], bytes) else ""


def _features(data: bytes) -> dict[str, Feature]:
    """Example.features.feature, a map of name to list."""
    found: dict[str, Feature] = {}
    for field, features in _fields(data):
        if field != 1:
            continue
        for _, entry in _fields(_inner(features)):
            parts = dict(_fields(_inner(entry)))
            key, value = parts.get(1), parts.get(2)
            if isinstance(key, bytes) and isinstance(value, bytes):
                found[key.decode("utf-8", errors="replace")] = _feature(value)
    return found


def _feature(data: bytes) -> Feature:
    for kind, values in _fields(data):
        inner = list(_fields(_inner(values)))
        if kind == 1:
            return [value for _, value in inner if isinstance(value, bytes)]
        if kind == 2:  # noqa: PLR2004  FloatList, packed
            packed = b"".join(value if isinstance(value, bytes) else b"" for _, value in inner)
            return [float(value) for (value,) in struct.iter_unpack("<f", packed[: len(packed) // 4 * 4])]
        numbers: list[int] = []
        for _, value in inner:
            numbers += [value] if isinstance(value, int) else list(_varints(value))
        return numbers
    return []


def _inner(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise WrongFigureError("it is no tf.train.Example")
    return value


def _varints(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
    raise WrongFigureError("it is no tf.train.Example")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of the fields of one message; a fixed field's bytes as they are."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind not in (_EIGHT, _BYTES, _FOUR):
            raise WrongFigureError("it is no tf.train.Example")
        size, at = _varint(data, at) if kind == _BYTES else (8 if kind == _EIGHT else 4, at)
        if at + size > len(data):
            raise WrongFigureError("it is no tf.train.Example")
        yield key >> 3, data[at : at + size]
        at += size
