"""Encoded pictures become one uint8 array, on all cores.

Takes bytes, gives pixels; every picture must have the size of the first. Decodes only formats without programs inside,
and refuses what would unpack to absurd sizes.
"""

import io
import itertools
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from jaxtyping import Int, UInt8

from mia.checks import RequestError
from mia.data import Progress
from mia.data.validate import one_line
from mia.machine import usable_cores

MAX_ARRAY_BYTES = 32 << 30
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
_GREY = {"1", "L", "LA"}
_DEEP = ("I", "F")  # 16 and 32 bits per pixel; Pillow would clip them
_BLOCK = 256


class Decoder:
    """Pictures on their way into an array [N height width 3]; grey ones fill all three channels."""

    def __init__(self, names: Sequence[str], order: Int[np.ndarray, "N"], where: str) -> None:
        self._names = names
        self._order = order  # the row of each picture, in the order they come
        self._where = where
        self._is_grey = np.zeros(len(names), bool)
        self._pixels: UInt8[np.ndarray, "N height width 3"] | None = None

    def decode(
        self, contents: Iterator[bytes], progress: Progress | None = None
    ) -> UInt8[np.ndarray, "N H W channels"]:
        """Return all pictures: one channel where all are grey, else red, green and blue.

        Raises:
            RequestError: a file is no picture, has more than 8 bits per channel, or another size than the first.
        """
        from PIL import Image

        with warnings.catch_warnings(), ThreadPoolExecutor(usable_cores()) as pool:
            warnings.simplefilter("ignore")  # remarks on odd but readable files
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            waiting: deque[Future[int]] = deque()
            try:
                done = 0
                for block in self._blocks(contents):
                    if self._pixels is None:
                        self._allocate(block[0][1])
                    waiting.append(pool.submit(self._decode_block, block))
                    while len(waiting) > 2 * usable_cores():
                        done += self._finish(waiting, done, progress)
                while waiting:
                    done += self._finish(waiting, done, progress)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        assert self._pixels is not None
        return np.ascontiguousarray(self._pixels[..., :1]) if self._is_grey.all() else self._pixels

    def _finish(self, waiting: deque[Future[int]], done: int, progress: Progress | None) -> int:
        count = waiting.popleft().result()
        if progress:
            progress(done + count, len(self._names))
        return count

    @staticmethod
    def _blocks(contents: Iterator[bytes]) -> Iterator[list[tuple[int, bytes]]]:
        numbered = enumerate(contents)
        while block := list(itertools.islice(numbered, 1)):
            size = len(block[0][1])
            block += itertools.islice(numbered, max(0, min(_BLOCK, (8 << 20) // max(size, 1)) - 1))
            yield block

    def _allocate(self, content: bytes) -> None:
        height, width = self._read(0, content).shape[:2]
        shape = (len(self._names), height, width, 3)
        if np.prod(shape, dtype=float) > MAX_ARRAY_BYTES:
            raise RequestError(
                f"{self._where} holds {len(self._names):,} pictures of {width}x{height}, more than {MAX_ARRAY_BYTES:,} "
                "bytes in all; make them smaller"
            )
        self._pixels = np.empty(shape, np.uint8)

    def _decode_block(self, block: list[tuple[int, bytes]]) -> int:
        assert self._pixels is not None
        expected = self._pixels.shape[1:3]
        for position, content in block:
            pixels = self._read(position, content, expected)
            row = self._order[position]
            self._is_grey[row] = pixels.ndim == 2
            self._pixels[row] = pixels[..., None] if pixels.ndim == 2 else pixels
        return len(block)

    def _read(self, position: int, content: bytes, expected: tuple[int, ...] | None = None) -> np.ndarray:
        from PIL import Image

        name = self._names[position]
        try:
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                width, height = image.size
                if expected is not None and (height, width) != expected:
                    raise RequestError(
                        f"{self._where} holds pictures of different sizes: {self._names[0]!r} has "
                        f"{expected[1]}x{expected[0]} pixels, {name!r} {width}x{height}; make them one size"
                    )
                if image.mode.startswith(_DEEP):
                    raise RequestError(f"{self._where} holds {name!r} with more than 8 bits per pixel; convert it")
                mode = "L" if image.mode in _GREY else "RGB"
                pixels = (image if image.mode == mode else image.convert(mode)).tobytes()
                return np.frombuffer(pixels, np.uint8).reshape(height, width, *([3] if mode == "RGB" else []))
        except RequestError:
            raise
        except Exception as error:
            text = one_line(error).replace(repr(error.args[0]) if error.args else "", "")
            raise RequestError(f"{self._where} holds {name!r}, which is no readable picture ({text})") from error
