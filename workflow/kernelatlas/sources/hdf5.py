"""HDF5 files, as far as Keras writes them, read within limits.

Written after the HDF5 File Format Specification 3.0; the numbers of its sections stand in the
docstrings. Libraries are not used, because a damaged file can crash the one in C, and the one in
Python allocates whatever a file claims. What Keras never writes is refused: groups and attributes
that are indexed by fractal heaps, parts of headers that are shared, and what
`kernelatlas.sources.hdf5_data` names.
"""

import math
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from kernelatlas.sources.source import Damaged, Refused, Source

SIGNATURE = b"\x89HDF\r\n\x1a\n"
METADATA_LIMIT = 64 << 20  # bytes of a file besides its data; Keras' EfficientNetB7 needs 4 MB
HEAP_LIMIT = 16 << 20  # bytes of one heap: the configuration of a model is a text in one
HEADER_LIMIT = 2 << 20  # bytes of an object's header
MESSAGES_LIMIT = 10_000  # of an object
_COST = 64  # bytes that a read, or a message, counts besides its own: it takes time
LINKS_LIMIT = 100_000  # of a group
NAME_LIMIT = 1024

UNDEFINED = (1 << 64) - 1  # the address of what is not there
REMEDY = "load it with Keras and save it again"

# Types of messages in an object's header, IV.A.2.
DATASPACE, DATATYPE, EXTERNAL, LAYOUT, FILTERS = 0x1, 0x3, 0x7, 0x8, 0xB
_LINK_INFO, _LINK, _ATTRIBUTE, _CONTINUATION = 0x2, 0x6, 0xC, 0x10
_SYMBOL_TABLE, _ATTRIBUTE_INFO = 0x11, 0x15

_FLOATS = {(8, 11): "float64", (4, 8): "float32", (2, 5): "float16", (2, 8): "bfloat16"}


class Type(NamedTuple):
    """What kind of values an array or attribute has."""

    name: str
    size: int
    order: str
    string: bool = False


class Cursor:
    """Bytes of the file that are read one after another, never beyond their end."""

    def __init__(self, data: bytes | memoryview) -> None:
        self.data, self.position = memoryview(data), 0

    def take(self, count: int) -> memoryview:
        if count > self.left:
            raise Damaged(f"{count} bytes expected in a structure, {self.left} found")
        self.position += count
        return self.data[self.position - count : self.position]

    @property
    def left(self) -> int:
        return len(self.data) - self.position

    def unpack(self, form: str) -> tuple[Any, ...]:
        form = "<" + form
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def expect(self, signature: bytes) -> None:
        if self.take(len(signature)) != signature:
            raise Damaged(f"no {signature.decode('latin-1')!r} where it should be")


def _text(data: bytes | memoryview) -> str:
    try:
        return bytes(data).rstrip(b"\0").decode()
    except UnicodeDecodeError as error:
        raise Damaged("a name that is no UTF-8") from error


class File:
    """The objects of an HDF5 file, which are told by the addresses of their headers."""

    def __init__(self, source: Source) -> None:
        self.source, self._moved = source, 0
        self._heap = lru_cache(maxsize=4)(self._read_heap)
        self.root = self._superblock()

    def _read(self, address: int, count: int, limit: int = HEADER_LIMIT) -> Cursor:
        self._moved += count + _COST
        if count > limit or self._moved > METADATA_LIMIT:
            raise Damaged(f"{count} bytes of metadata after {self._moved} others")
        return Cursor(self.view(address, count))

    def view(self, address: int, count: int) -> bytes | memoryview:
        """Return `count` bytes of the file from an address on."""
        if address + count > self.source.size:
            raise Damaged(f"{count} bytes at {address} in a file of {self.source.size}")
        return self.source.view(address, count)

    def _superblock(self) -> int:
        """Return the address of the root group (II.A)."""
        cursor = self._read(0, 9)
        cursor.expect(SIGNATURE)
        (version,) = cursor.unpack("B")
        if version in (0, 1):
            _, offsets, lengths = self._read(9, 6).unpack("4sBB")
            base, *_, root = self._read(24 + 4 * version, 48).unpack("QQQQQQ")
        elif version in (2, 3):
            offsets, lengths, _, base, _, _, root = self._read(9, 35).unpack("BBBQQQQ")
        else:
            raise Refused(f"is an HDF5 file of the unknown version {version}: {REMEDY}")
        if (offsets, lengths, base) != (8, 8, 0):
            raise Refused(f"is an HDF5 file with addresses of another kind: {REMEDY}")
        return root

    def messages(self, address: int) -> list[tuple[int, memoryview]]:
        """Return types and contents of the messages in an object's header (IV.A.1)."""
        (version,) = self._read(address, 1).unpack("B")
        if version == 1:
            *_, size = self._read(address, 12).unpack("BBHII")
            blocks, head = [(address + 16, size)], "HHB3s"
        else:
            cursor = self._read(address, 6)
            cursor.expect(b"OHDR\2")
            (flags,) = cursor.unpack("B")
            begin = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
            width = 1 << (flags & 3)
            size = int.from_bytes(self._read(begin, width).data, "little")
            blocks, head = [(begin + width, size)], "BHBH" if flags & 4 else "BHB"
        found: list[tuple[int, memoryview]] = []
        total, signed = 0, False
        for begin, size in blocks:  # which grows
            total += size
            if total > HEADER_LIMIT or len(blocks) > MESSAGES_LIMIT:
                raise Damaged(f"an object's header of more than {HEADER_LIMIT} bytes")
            cursor = self._read(begin, size)
            if signed:
                cursor.expect(b"OCHK")
            while cursor.left >= struct.calcsize("<" + head) + (4 if signed else 0):
                kind, length, flags, *_ = cursor.unpack(head)
                body = cursor.take(length)
                if kind == _CONTINUATION:
                    blocks.append(Cursor(body).unpack("QQ"))
                elif flags & 2 and kind in (DATASPACE, DATATYPE, FILTERS, _ATTRIBUTE):
                    raise Refused(f"shares parts of headers in its HDF5 file: {REMEDY}")
                found.append((kind, body))
                self._moved += _COST
                if len(found) > MESSAGES_LIMIT:
                    raise Damaged(f"an object of more than {MESSAGES_LIMIT} messages")
            signed = version != 1
        return found

    def links(self, address: int) -> dict[str, int]:
        """Return the addresses of what a group holds, by name; nothing for a dataset."""
        found: dict[str, int] = {}
        for kind, body in self.messages(address):
            if kind == _SYMBOL_TABLE:
                tree, heap = Cursor(body).unpack("QQ")
                pairs = self._symbols(tree, heap)
            elif kind == _LINK:
                pairs = self._link(Cursor(body))
            elif kind == _LINK_INFO:
                _refuse_heap(body, "groups", 8)
                continue
            else:
                continue
            for name, target in pairs:
                found[name] = target
                if len(found) > LINKS_LIMIT:
                    raise Damaged(f"a group of more than {LINKS_LIMIT} objects")
        return found

    @staticmethod
    def _link(cursor: Cursor) -> Iterator[tuple[str, int]]:
        """Yield name and address of a hard link (IV.A.2.g)."""
        _, flags = cursor.unpack("BB")
        (kind,) = cursor.unpack("B") if flags & 8 else (0,)
        cursor.take((8 if flags & 4 else 0) + (1 if flags & 16 else 0))
        length = int.from_bytes(cursor.take(1 << (flags & 3)), "little")
        name = _text(cursor.take(length))
        if kind == 0:
            yield name, cursor.unpack("Q")[0]

    def _symbols(self, tree: int, heap: int) -> Iterator[tuple[str, int]]:
        """Yield names and addresses from a group's B-tree and local heap (III.A.1, III.B-D)."""
        cursor = self._read(heap, 32)
        cursor.expect(b"HEAP")
        _, size, _, segment = cursor.unpack("4sQQQ")
        names = self._read(segment, size, HEAP_LIMIT).data
        for table, _ in self.leaves(tree, 0, 8):
            cursor = self._read(table, 8)
            cursor.expect(b"SNOD")
            *_, count = cursor.unpack("BBH")
            cursor = self._read(table + 8, 40 * count)
            for _ in range(count):
                start, target, kind, _ = cursor.unpack("QQI20s")
                if kind in (0, 1):  # a hard link
                    yield (
                        _text(bytes(names[start : start + NAME_LIMIT]).partition(b"\0")[0]),
                        target,
                    )

    def leaves(self, root: int, kind: int, key: int) -> Iterator[tuple[int, memoryview]]:
        """Yield child and key of the leaves of a B-tree of version 1 (III.A.1)."""
        nodes: list[tuple[int, int | None]] = [(root, None)]
        seen = set()
        while nodes:
            address, level = nodes.pop()
            if address in seen:
                raise Damaged("a node of a B-tree has two parents")
            seen.add(address)
            cursor = self._read(address, 24)
            cursor.expect(b"TREE")
            found, depth, entries, _ = cursor.unpack("BBH16s")
            if found != kind or level not in (None, depth):
                raise Damaged("a node of a B-tree is of another kind")
            cursor = self._read(address + 24, entries * (key + 8))
            children = []
            for _ in range(entries):
                first = cursor.take(key)
                children.append((cursor.unpack("Q")[0], first))
            if depth == 0:
                yield from children
            else:
                nodes += [(child, depth - 1) for child, _ in reversed(children)]
            if len(nodes) > LINKS_LIMIT:
                raise Damaged(f"a B-tree of more than {LINKS_LIMIT} nodes")

    def attributes(self, address: int) -> "dict[str, list[str]]":
        """Return the attributes of an object that are texts or lists of texts, as lists."""
        found: dict[str, list[str]] = {}
        for kind, body in self.messages(address):
            if kind == _ATTRIBUTE_INFO:
                _refuse_heap(body, "attributes", 2)
            if kind != _ATTRIBUTE:
                continue
            cursor = Cursor(body)
            version, flags, *sizes = cursor.unpack("BBHHH")
            cursor.take(1 if version == 3 else 0)
            if version not in (1, 2, 3) or (version > 1 and flags):
                raise Damaged(f"an attribute of the unknown version {version}")
            pad = 8 if version == 1 else 1
            name, dtype, space = (Cursor(cursor.take(-(-size // pad) * pad)) for size in sizes)
            texts = self._texts(datatype_of(dtype), math.prod(dataspace_of(space)), cursor)
            if texts is not None:
                found[_text(name.data)] = texts
        return found

    def _texts(self, dtype: Type, count: int, cursor: Cursor) -> list[str] | None:
        if not dtype.string:
            return None
        if count * dtype.size > cursor.left or not dtype.size:
            raise Damaged(f"{count} texts in an attribute of {cursor.left} bytes")
        if dtype.name == "fixed":
            return [_text(cursor.take(dtype.size)) for _ in range(count)]
        texts, total = [], 0
        for _ in range(count):
            length, heap, index = cursor.unpack("IQI")
            text = b"" if heap in (0, UNDEFINED) else self._object(heap, index)[:length]
            total += len(text)
            if total > HEAP_LIMIT:
                raise Damaged(f"an attribute of more than {HEAP_LIMIT} bytes")
            texts.append(_text(text))
        return texts

    def _object(self, heap: int, index: int) -> memoryview:
        data, objects = self._heap(heap)
        if index not in objects:
            raise Damaged(f"a heap has no object {index}")
        begin, size = objects[index]
        return data[begin : begin + size]

    def _read_heap(self, address: int) -> tuple[memoryview, dict[int, tuple[int, int]]]:
        """Return a global heap and begin and size of its objects, by number (III.E)."""
        cursor = self._read(address, 16)
        cursor.expect(b"GCOL")
        _, size = cursor.unpack("4sQ")
        cursor = self._read(address, size, HEAP_LIMIT)
        cursor.take(16)
        objects = {}
        while cursor.left >= 16:
            index, _, _, length = cursor.unpack("HHIQ")
            if index == 0:
                break
            objects[index] = cursor.position, length
            cursor.take(min(-(-length // 8) * 8, cursor.left))
        return cursor.data, objects


def dataspace_of(cursor: Cursor) -> tuple[int, ...]:
    """Return a shape (IV.A.2.b)."""
    version, rank, _, kind = cursor.unpack("BBBB")
    if version not in (1, 2) or rank > 32:
        raise Damaged(f"a shape of the unknown version {version} or of {rank} dimensions")
    cursor.take(4 if version == 1 else 0)
    return (0,) if version == 2 and kind == 2 else cursor.unpack(f"{rank}Q")


def datatype_of(cursor: Cursor) -> Type:
    """Return what a dtype is (IV.A.2.d)."""
    head, bits, _, size = cursor.unpack("BB2sI")
    kind, order = head & 15, ">" if bits & 1 else "<"
    if kind == 0:
        return Type(f"{'int' if bits & 8 else 'uint'}{8 * size}", size, order)
    if kind == 1:
        _, _, _, exponent, _, _ = cursor.unpack("HHBBBB")
        return Type(_FLOATS.get((size, exponent), f"float of {size} bytes"), size, order)
    if kind == 3:
        return Type("fixed", size, order, string=True)
    if kind == 9 and bits & 15 == 1 and size == 16:
        return Type("variable", size, order, string=True)
    if kind == 5 and size == 2:  # so h5py writes bfloat16, which HDF5 does not know
        return Type("bfloat16", size, "<")
    return Type(f"HDF5 class {kind}", size, order)


def _refuse_heap(body: memoryview, what: str, index: int) -> None:
    """Refuse links or attributes that lie in a fractal heap.

    Parameters
    ----------
    index
        Bytes of the highest index of creation, which is there if it is kept.
    """
    cursor = Cursor(body)
    _, flags = cursor.unpack("BB")
    cursor.take(index if flags & 1 else 0)
    if cursor.unpack("Q")[0] != UNDEFINED:
        raise Refused(f"has {what} of HDF5's newer kind: {REMEDY}")
