"""Voxels stored as one block of bytes, plain or compressed: the header's claims are checked against the file before anything is read."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from anymod.arrays import Array
from anymod.errors import VolumeError
from anymod.volumes.formats.parsed import ParsedImage

GZIP_MAGIC = b"\x1f\x8b"
GET_AGAIN = "get the file again from its source"

MOST_VOXELS = 2**30  # 1024 x 1024 x 1024, 4 GiB as float32
DEFLATE_RATIO = 1032  # deflate cannot expand its input more than this
# A large file that expands this much is a bomb: scans reach a ratio of 20, and sparse label maps that exceed it are small.
BOMB_BYTES = 2**28
BOMB_RATIO = 250
MOST_TRAILING_BYTES = 2**24
# One piece expands to at most 16 MiB, which bounds the memory for decompression.
PIECE_BYTES = 2**14


@dataclass(frozen=True, eq=False)
class StoredVoxels:
    """Place and type of the voxels in a file, according to its header.

    Attributes:
        source: The image's file, for messages.
        path: The file that holds the voxels; it differs from `source` for a detached header.
        shape: Three sizes; the first axis varies fastest in the file.
        dtype: Type of a stored voxel, with byte order.
        start: Byte of the file where the voxels, or the compressed stream that contains them, begin.
        skip: Bytes of the decompressed stream before the voxels.
        is_compressed: Whether the stream is compressed (gzip or zlib).
        slope, intercept: value = stored * slope + intercept.
    """

    source: Path
    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype
    start: int = 0
    skip: int = 0
    is_compressed: bool = False
    slope: float = 1.0
    intercept: float = 0.0

    @property
    def byte_count(self) -> int:
        """Number of bytes that the voxels take."""
        return math.prod(self.shape) * self.dtype.itemsize

    def at_end(self) -> StoredVoxels:
        """Return the same voxels as the last bytes of the file, but not before `start`."""
        return replace(self, start=max(self.start, self.path.stat().st_size - self.byte_count))

    def image(self, affine: Array, notes: tuple[str, ...] = ()) -> ParsedImage:
        """Return the image with this affine [4, 4]; raise VolumeError if the file cannot hold what its header claims."""
        self._check()
        files = (self.source,) if self.path == self.source else (self.source, self.path)
        return ParsedImage(self.shape, affine, files, self.read, notes)

    def _check(self) -> None:
        size = self.path.stat().st_size
        held = size - self.start
        needed = self.skip + self.byte_count
        if held <= 0 or (not self.is_compressed and held <= self.skip):
            where = f"its voxels start at byte {self.start + self.skip}, past the end ({size} bytes)"
            raise VolumeError("truncated file", self.source, where, GET_AGAIN)
        if needed > held * (DEFLATE_RATIO if self.is_compressed else 1):
            why = f"the header claims {needed} bytes of voxels and the file cannot hold them ({size} bytes)"
            raise VolumeError("truncated file or broken header", self.source, why, GET_AGAIN)
        if not self.is_compressed and held - needed > MOST_TRAILING_BYTES:
            raise self._holds_more()
        if math.prod(self.shape) > MOST_VOXELS:
            why = f"{' x '.join(map(str, self.shape))} voxels are more than {MOST_VOXELS}"
            raise VolumeError("image too large", self.source, why, "crop or resample it first")
        if self.is_compressed and needed > BOMB_BYTES and needed > BOMB_RATIO * held:
            why = f"{held} bytes expand to {needed}, which no scan does"
            raise VolumeError("suspicious compression", self.source, why, "store the file uncompressed if you trust it")

    def _holds_more(self) -> VolumeError:
        why = f"after the {self.byte_count} bytes that the header claims, more than {MOST_TRAILING_BYTES} follow"
        return VolumeError("broken header", self.source, why, GET_AGAIN)

    def read(self) -> Array:
        """Return the voxels [X, Y, Z] in Fortran order: in the stored type without scaling, else as float32."""
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
                filled = _fill(buffer, expanded(file) if self.is_compressed else _pieces(file), self.skip)
        except (EOFError, zlib.error) as problem:
            raise VolumeError("truncated or damaged file", self.source, str(problem), GET_AGAIN) from None
        if filled > buffer.size + MOST_TRAILING_BYTES:
            raise self._holds_more()
        if filled < buffer.size:
            why = f"it holds {max(filled, 0)} of {buffer.size} bytes of voxels"
            raise VolumeError("truncated file", self.source, why, GET_AGAIN)
        voxels = buffer.view(self.dtype).reshape(self.shape, order="F")
        return voxels if self.dtype.isnative else voxels.astype(self.dtype.newbyteorder("="))


def to_float32(voxels: Array) -> Array:
    """Return the voxels as float32, without a copy if they are float32 already; values too large for float32 become infinite."""
    with np.errstate(over="ignore"):
        return voxels.astype(np.float32, order="K", copy=False)


def first_bytes(path: Path, count: int) -> tuple[bytes, bool]:
    """Return up to `count` bytes from the start of a file, decompressed if it is gzip, and whether it is gzip."""
    try:
        with path.open("rb") as file:
            start = file.read(count)
            if not start.startswith(GZIP_MAGIC):
                return start, False
            file.seek(0)
            start = b""
            for piece in expanded(file):
                start += piece[:count]
                if len(start) >= count:
                    break
    except (EOFError, zlib.error) as problem:
        raise VolumeError("truncated or damaged file", path, str(problem), GET_AGAIN) from None
    return start[:count], True


def expanded(file: BinaryIO) -> Iterator[bytes]:
    """Yield the content of a gzip or zlib stream piece by piece; raise EOFError if it ends too early, zlib.error if it is damaged."""
    inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # 32: gzip or zlib, whichever the stream's header says
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


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(2**20):
        yield piece


def _fill(buffer: Array, pieces: Iterator[bytes], skip: int) -> int:
    """Fill `buffer` from the stream after `skip` bytes; return how many bytes followed them.

    The stream is read to its end, where a compressed one has its checksum, but not far beyond the end of the buffer.
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
