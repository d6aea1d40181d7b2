"""A file's bytes, read page by page, for formats that are walked by offsets."""

from collections.abc import Callable
from functools import lru_cache

from kernelatlas.sources.source import Damaged

KEPT = 16  # pages


class Pages:
    """Random access to a file, of which only the pages last used are in memory.

    Parameters
    ----------
    read
        Returns bytes by their begin and count.
    size
        Bytes of the file.
    page
        Bytes of a page.
    """

    def __init__(
        self, read: Callable[[int, int], bytes | memoryview], size: int, page: int = 64 << 10
    ) -> None:
        self.size, self._length = size, page

        def numbered(number: int) -> bytes:
            begin = number * page
            data = read(begin, min(page, size - begin))
            if len(data) != min(page, size - begin):
                raise Damaged(f"the file ends at {begin + len(data)} of {size} bytes")
            return bytes(data)

        self._page = lru_cache(maxsize=KEPT)(numbered)

    def byte(self, at: int) -> int:
        """Return one byte; `at` must be inside the file."""
        return self._page(at // self._length)[at % self._length]

    def take(self, begin: int, count: int) -> bytes:
        """Return exactly `count` bytes from `begin` on; meant for small counts."""
        if begin < 0 or count < 0 or begin + count > self.size:
            raise Damaged(f"{count} bytes at {begin} in a file of {self.size}")
        number, offset = divmod(begin, self._length)
        data = self._page(number)[offset : offset + count] if count else b""
        while len(data) < count:
            number += 1
            data += self._page(number)[: count - len(data)]
        return data
