"""Voxels as a file stores them: what its header claims is held against what the file can hold, then read in pieces."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from anymod.arrays import Array
from anymod.errors import VolumeError

GZIP_MAGIC = b"\x1f\x8b"
GET_AGAIN = "get the file again from its source"

MOST_VOXELS = 2**30  # 1024 x 1024 x 1024, 4 GiB as float32
DEFLATE_RATIO = 1032  # deflate cannot expand its input more than this
# A large file that expands this much is a bomb: scans reach a ratio of 20, and sparse label maps that exceed it are small.
BOMB_BYTES = 2**28
BOMB_RATIO = 250
MOST_TRAILING_BYTES = 2**24
# Deflate turns one piece into at most 16 MiB, so an expansion never takes more memory than that.
PIECE_BYTES = 2**14


@dataclass(frozen=True, eq=False)
class StoredImage:
    """What a header says of an image.

    Attributes:
        source: The file that was asked for, for messages.
        path: The file that holds the voxels.
        shape: Three sizes; the first axis runs fastest in the file.
        dtype: Type of a stored voxel, with byte order.
        affine: [4, 4] float64, voxel -> world mm, RAS+.
        start: Byte of the file where the voxels, or the compressed stream that has them, begin.
        skip: Bytes of the expanded stream before the voxels.
        is_packed: Whether the stream is compressed (gzip or zlib).
        slope, intercept: value = stored * slope + intercept.
        notes: What the reader had to decide.
    """

    source: Path
    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype
    affine: Array
    start: int = 0
    skip: int = 0
    is_packed: bool = False
    slope: float = 1.0
    intercept: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The header's file, and the voxels' where that is another."""
        return (self.source,) if self.path == self.source else (self.source, self.path)

    @property
    def byte_count(self) -> int:
        """Bytes that the voxels take."""
        return math.prod(self.shape) * self.dtype.itemsize

    def check(self) -> None:
        """Raise VolumeError where the file cannot hold what its header claims; reads no voxel."""
        if min(self.shape) < 1:
            raise VolumeError("no voxels", self.source, f"its sizes are {self.shape}", GET_AGAIN)
        size = self.path.stat().st_size
        held = size - self.start
        needed = self.skip + self.byte_count
        if held <= 0 or (not self.is_packed and held <= self.skip):
            where = f"its voxels start at byte {self.start + self.skip}, past the end ({size} bytes)"
            raise VolumeError("truncated file", self.source, where, GET_AGAIN)
        if needed > held * (DEFLATE_RATIO if self.is_packed else 1):
            why = f"the header claims {needed} bytes of voxels and the file cannot hold them ({size} bytes)"
            raise VolumeError("truncated file or broken header", self.source, why, GET_AGAIN)
        if not self.is_packed and held - needed > MOST_TRAILING_BYTES:
            raise self._holds_more()
        if math.prod(self.shape) > MOST_VOXELS:
            why = f"{' x '.join(map(str, self.shape))} voxels are more than {MOST_VOXELS}"
            raise VolumeError("image too large", self.source, why, "crop or resample it first")
        if self.is_packed and needed > BOMB_BYTES and needed > BOMB_RATIO * held:
            why = f"{held} bytes expand to {needed}, which no scan does"
            raise VolumeError("suspicious compression", self.source, why, "store the file uncompressed if you trust it")

    def _holds_more(self) -> VolumeError:
        why = f"after the {self.byte_count} bytes that the header claims, more than {MOST_TRAILING_BYTES} follow"
        return VolumeError("broken header", self.source, why, GET_AGAIN)

    def values(self) -> Array:
        """Return the voxels [X, Y, Z] in Fortran order: as stored where there is no scaling, else float32."""
        self.check()
        voxels = self._stored_voxels()
        if (self.slope, self.intercept) == (1.0, 0.0):
            return voxels
        scaled = to_float32(voxels)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled *= np.float32(self.slope)
            scaled += np.float32(self.intercept)
        return scaled

    def _stored_voxels(self) -> Array:
        buffer = np.empty(self.byte_count, dtype=np.uint8)
        try:
            with self.path.open("rb") as file:
                file.seek(self.start)
                pieces = expanded(file) if self.is_packed else _plain(file)
                filled = _fill(buffer, pieces, self.skip)
        except (EOFError, zlib.error) as problem:
            raise VolumeError("truncated or damaged file", self.source, str(problem), GET_AGAIN) from None
        except OSError as problem:
            raise VolumeError(
                "unreadable file", self.source, problem.strerror or str(problem), "check the file"
            ) from None
        if filled > buffer.size + MOST_TRAILING_BYTES:
            raise self._holds_more()
        if filled < buffer.size:
            why = f"it holds {max(filled, 0)} of {buffer.size} bytes of voxels"
            raise VolumeError("truncated file", self.source, why, GET_AGAIN)
        voxels = buffer.view(self.dtype).reshape(self.shape, order="F")
        return voxels if self.dtype.isnative else voxels.astype(self.dtype.newbyteorder("="))


def to_float32(voxels: Array) -> Array:
    """Return a float32 array; the same one where it is that already. What is too large for float32 becomes infinite."""
    with np.errstate(over="ignore"):
        return voxels.astype(np.float32, order="K", copy=False)


def first_bytes(path: Path, count: int) -> tuple[bytes, bool]:
    """Return up to `count` bytes of a file's beginning, expanded if it is gzip, and whether it is."""
    try:
        with path.open("rb") as file:
            beginning = file.read(count)
            if not beginning.startswith(GZIP_MAGIC):
                return beginning, False
            file.seek(0)
            beginning = b""
            for piece in expanded(file):
                beginning += piece[:count]
                if len(beginning) >= count:
                    break
    except (EOFError, zlib.error) as problem:
        raise VolumeError("truncated or damaged file", path, str(problem), GET_AGAIN) from None
    except OSError as problem:
        raise VolumeError("unreadable file", path, problem.strerror or str(problem), "check the file") from None
    return beginning[:count], True


def expanded(file: BinaryIO) -> Iterator[bytes]:
    """Yield the content of a gzip or zlib stream piece by piece; raise EOFError if it ends too early, zlib.error if damaged."""
    inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # 32: gzip or zlib, told by the header
    while packed := file.read(PIECE_BYTES):
        while packed:
            yield inflate.decompress(packed)
            if not inflate.eof:
                break
            packed = inflate.unused_data + file.read(PIECE_BYTES)
            if not packed.startswith(GZIP_MAGIC):
                return  # padding after the last member
            inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    if not inflate.eof:
        raise EOFError("the compressed data end too early")


def _plain(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(2**20):
        yield piece


def _fill(buffer: Array, pieces: Iterator[bytes], skip: int) -> int:
    """Fill `buffer` from the stream after `skip` bytes; return how many bytes came after those.

    The stream is read on to its end, where a compressed one has its checksum; far beyond the buffer that is given up.
    """
    position = -skip
    for piece in pieces:
        begin, end = max(position, 0), min(position + len(piece), buffer.size)
        if end > begin:
            buffer[begin:end] = np.frombuffer(piece, dtype=np.uint8)[begin - position : end - position]
        position += len(piece)
        if position > buffer.size + MOST_TRAILING_BYTES:
            break
    return position
