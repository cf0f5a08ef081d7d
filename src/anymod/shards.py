"""Shards: shares of a verb's subjects that run as jobs of their own, and are merged when all are finished."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import BeforeValidator

from anymod.configuration import option
from anymod.errors import ConfigurationError, OutputError
from anymod.files import json_text, read_json, write_json

RECORD = "shard.json"  # written last: a shard that has one is finished

Item = TypeVar("Item")
logger = logging.getLogger(__name__)


class Shard(NamedTuple):
    """Number `number` of `total` shares, from 1."""

    number: int
    total: int

    def share(self, items: Sequence[Item]) -> list[Item]:
        """Return every `total`-th item, beginning with the `number`-th; raise ConfigurationError if there are fewer than shards."""
        if self.total > len(items):
            why = f"there are {self.total} shards and {len(items)} subjects"
            raise ConfigurationError("empty shard", f"--shard {self}", why, "use fewer shards")
        return list(items[self.number - 1 :: self.total])

    def folder(self, out: Path) -> Path:
        """Return the folder of the share's result, beside `out`."""
        return out.absolute().with_name(f"{out.absolute().name}.shard-{self.number}-of-{self.total}")

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"


def _parsed(value: object) -> object:
    if not isinstance(value, str):
        return value
    parts = re.fullmatch(r"(\d{1,6})/(\d{1,6})", value)
    if parts is None or not 1 <= int(parts[1]) <= int(parts[2]):
        raise ValueError(f"'{value}' is not I/N with I from 1 to N, such as 1/8")
    return Shard(int(parts[1]), int(parts[2]))


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """Which share of the subjects to do, or how many shares to merge; neither: all subjects."""

    shard: Annotated[
        Annotated[Shard, BeforeValidator(_parsed)] | None,
        option("Do only the Ith of N shares of the subjects; the result is DIR.shard-I-of-N.", "I/N"),
    ] = None
    merge: Annotated[
        int | None, option("Merge N finished shards into --out; the other options must be theirs.", "N", ge=1, le=10**6)
    ] = None

    def __post_init__(self) -> None:
        if self.shard is not None and self.merge is not None:
            raise ValueError("--shard and --merge exclude each other: merge when all shards are finished")


@dataclass(frozen=True)
class Part:
    """The finished result of a shard: its folder, and what was written into its record."""

    folder: Path
    content: dict[str, Any]


def is_finished(shard: Shard, out: Path, request: Mapping[str, Any]) -> bool:
    """Return whether the shard of this request is finished, so that a repeated job has nothing to do."""
    record = read_json(shard.folder(out) / RECORD)
    finished = isinstance(record, dict) and record.get("request") == _plain(request)
    if finished:
        logger.info("shard %s is finished: %s", shard, shard.folder(out))
    return finished


def finish(folder: Path, request: Mapping[str, Any], subjects: Sequence[str], content: Mapping[str, Any]) -> None:
    """Write the record of a shard into its folder: the request, the subjects it did, and what the merge needs to know."""
    write_json(folder / RECORD, {"request": request, "subjects": list(subjects), "content": content})


def read_parts(out: Path, count: int, request: Mapping[str, Any], subjects: Sequence[str]) -> list[Part]:
    """Return all shards of `out`.

    Raises:
        OutputError: A shard is missing, has other options or input, or the shards do not have all subjects.
    """
    shards = [Shard(number, count) for number in range(1, count + 1)]
    records = {shard: read_json(shard.folder(out) / RECORD) for shard in shards}
    missing = [str(shard) for shard, record in records.items() if not isinstance(record, dict)]
    if missing:
        why = f"{len(missing)} of {count} shards are not finished: {', '.join(missing[:20])}"
        raise OutputError("cannot merge", out, why, "run them with --shard, then merge again")
    for shard, record in records.items():
        if record["request"] != _plain(request):
            why = "it was made with other options, input or version of the input"
            raise OutputError("cannot merge", shard.folder(out), why, "give the options of the shards, or run it again")
    done = {name for record in records.values() for name in record["subjects"]}
    gaps = [name for name in subjects if name not in done]
    if gaps:
        why = f"no shard has {', '.join(gaps[:20])}"
        raise OutputError("cannot merge", out, why, "run the shards again with today's subjects")
    return [Part(shard.folder(out), record["content"]) for shard, record in records.items()]


def gather(part: Part, place: str, folder: Path) -> None:
    """Put a folder of a shard into the merged folder, as links to the same files where the file system can; nothing if it has none."""
    if (part.folder / place).is_dir():
        shutil.copytree(part.folder / place, folder / place, copy_function=_linked, dirs_exist_ok=True)


def discard(parts: Sequence[Part]) -> None:
    """Remove the folders of merged shards."""
    for part in parts:
        shutil.rmtree(part.folder, ignore_errors=True)


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)


def _plain(request: Mapping[str, Any]) -> Any:
    return json.loads(json_text({"request": request}))["request"]
