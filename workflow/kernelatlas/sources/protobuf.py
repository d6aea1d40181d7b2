"""The wire format of protocol buffers, walked in a file without loading it.

Described at https://protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kernelatlas.sources.pages import Pages
from kernelatlas.sources.source import Damaged, Refused, damage

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
FIELDS_LIMIT = 4_000_000  # of a file, for time; an ONNX node has about twenty
KEPT_LIMIT = 128 << 20  # bytes of memory for what is kept of a file
TEXT_LIMIT = 64 << 10  # bytes of a name


class Field(NamedTuple):
    """A field of a message.

    Attributes
    ----------
    number, kind
        Of the field, and how it is encoded.
    value
        Of a varint, as a signed number of 64 bits; else 0.
    begin, stop
        Where its bytes lie in the file.
    """

    number: int
    kind: int
    value: int
    begin: int
    stop: int


class Wire:
    """A walker of messages in a file, with limits on its time and its memory."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self._fields = self._kept = 0

    def varint(self, at: int, stop: int) -> tuple[int, int]:
        """Return an unsigned number of 64 bits and where it ends."""
        value = shift = 0
        while True:
            if at >= stop or shift > 63:
                raise Damaged(f"a number at {at} without an end")
            byte = self.pages.byte(at)
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value & (1 << 64) - 1, at
            shift += 7

    def fields(self, begin: int, stop: int) -> Iterator[Field]:
        """Yield the fields of the message from begin to stop, in the file's order."""
        while begin < stop:
            self._fields += 1
            if self._fields > FIELDS_LIMIT:
                raise Refused(f"has more than {FIELDS_LIMIT} fields: check that it is a network")
            key, at = self.varint(begin, stop)
            kind, value = key & 7, 0
            if kind == VARINT:
                value, end = self.varint(at, stop)
                value -= value >> 63 << 64
            elif kind == BYTES:
                length, at = self.varint(at, stop)
                end = at + length
            elif kind in (FIXED64, FIXED32):
                end = at + (8 if kind == FIXED64 else 4)
            else:
                raise Damaged(f"a field of the unknown kind {kind} at {begin}")
            if end > stop or not key >> 3:
                raise Damaged(f"field {key >> 3} at {begin} ends at {end}, its message at {stop}")
            yield Field(key >> 3, kind, value, at, end)
            begin = end

    def message(self, field: Field) -> Iterator[Field]:
        """Yield the fields of a message that is a field itself."""
        if field.kind != BYTES:
            raise Damaged(f"a number at {field.begin} where a message is expected")
        return self.fields(field.begin, field.stop)

    def integers(self, field: Field, most: int) -> list[int]:
        """Return the signed numbers of a repeated field, of which this may be one or all."""
        if field.kind == VARINT:
            return [field.value]
        values, at = list[int](), field.begin
        while at < field.stop:
            if len(values) == most or field.kind != BYTES:
                raise Damaged(f"more than {most} numbers at {field.begin}, or none")
            value, at = self.varint(at, field.stop)
            values.append(value - (value >> 63 << 64))
        return values

    def text(self, field: Field) -> str:
        """Return a text, whose memory is counted."""
        length = field.stop - field.begin
        if field.kind != BYTES or length > TEXT_LIMIT:
            raise Damaged(f"no name at {field.begin}, or one of more than {TEXT_LIMIT} bytes")
        self.keep(64 + 4 * length)  # of a Python text with one character beyond 16 bits
        with damage(UnicodeError):
            return self.pages.take(field.begin, length).decode()

    def keep(self, count: int) -> None:
        """Count the memory of what is kept."""
        self._kept += count
        if self._kept > KEPT_LIMIT:
            raise Refused(
                f"needs more than {KEPT_LIMIT} bytes for its names and nodes: "
                "check that it is a network"
            )


def varints(data: bytes | memoryview) -> np.ndarray:
    """Return the unsigned numbers of 64 bits that lie one behind the other."""
    parts = np.frombuffer(data, np.uint8)
    stops = np.flatnonzero(parts < 128)
    if not len(parts) or not len(stops) or stops[-1] != len(parts) - 1:
        raise Damaged("numbers that are cut off, or none")
    starts = np.concatenate([[0], stops[:-1] + 1])
    lengths = stops - starts + 1
    if lengths.max() > 10:
        raise Damaged("a number of more than ten bytes")
    values = np.zeros(len(stops), np.uint64)
    for i in range(lengths.max()):
        longer = lengths > i
        low = (parts[starts[longer] + i] & 127).astype(np.uint64)
        values[longer] |= low << np.uint64(7 * i)
    return values
