"""Decoding a source into the files of a dataset folder."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib.format import open_memmap
from tqdm import tqdm

from genlib import __version__
from genlib.config import DataConfig
from genlib.data.decode import Filled, Job, fill
from genlib.data.folder import PARTS, Manifest, Part, images_file, labels_file
from genlib.data.sources import Rows, Source, hold_out
from genlib.data.workers import Workers, cores
from genlib.errors import UserError
from genlib.files import sha256_of_file, sha256_of_json, sync

SAMPLE_ROWS = 33  # decoded in this process first, to see how long the rest would take
WORTH_WORKERS_SECONDS = 1.0  # starting them costs a third of it
JOB_SECONDS = 0.1


class Decoded(NamedTuple):
    """What the rows of one part became."""

    images: int
    skipped: int
    sums: np.ndarray  # int64 (C,)
    squares: np.ndarray  # int64 (C,)


def build(config: DataConfig, source: Source, folder: Path, scratch: Path, progress: bool) -> None:
    """Write every file of a dataset folder and sync it to disk; the manifest last."""
    raw = source.read(config, scratch)
    for rows in (raw.train, raw.test):
        if rows and not len(rows.numbers):
            raise UserError(f"split '{rows.split}' of {config.source} is empty; name another, or mend the source.")
    train, test = (raw.train, raw.test) if raw.test else hold_out(raw.train, config.test_fraction)
    rows_of = dict(zip(PARTS, (train, test), strict=True))
    with Workers(cores()) as workers:
        parts = {part: decode_part(part, rows_of[part], config, folder, workers, progress) for part in PARTS}
    mean, std = mean_and_std(parts["train"], config.image_size**2)
    arrays = sorted(folder.glob("*.npy"))
    for file in arrays:
        sync(file)
    Manifest(
        source=config.source,
        revision=source.revision,
        request=config.model_dump(mode="json"),
        counts={part: parts[part].images for part in PARTS},
        skipped={part: parts[part].skipped for part in PARTS},
        shape=[config.channels, config.image_size, config.image_size],
        label_names=raw.label_names,
        mean=mean,
        std=std,
        content_hash=sha256_of_json({file.name: sha256_of_file(file) for file in arrays}),
        versions={"genlib": __version__} | {name: version(name) for name in ("numpy", "pillow", "datasets")},
        created=datetime.now(UTC).isoformat(),
    ).write(folder)


def decode_part(part: Part, rows: Rows, config: DataConfig, folder: Path, workers: Workers, progress: bool) -> Decoded:
    """Write one part's images and labels, without the corrupt rows; UserError if these are not to be skipped."""
    file, count = images_file(folder, part), len(rows.numbers)
    allocate(file, (count, config.channels, config.image_size, config.image_size))
    failures: dict[int, str] = {}
    sums = squares = np.zeros(config.channels, np.int64)
    disable = None if progress else True  # None: shown on a terminal only
    with tqdm(total=count, desc=f"decoding {part}", unit="images", disable=disable) as bar:
        for result in decoded(rows, file, workers):
            failures |= result.failures
            if failures and config.on_corrupt == "error":
                position, reason = next(iter(failures.items()))
                raise UserError(
                    f"the image in row {rows.numbers[position]} of split '{rows.split}' of {config.source} cannot be "
                    f"read ({reason}); mend it, or leave such rows out with data.on_corrupt=skip."
                )
            sums, squares = sums + result.sums, squares + result.squares
            bar.update(result.rows)
    kept = np.delete(np.arange(count), list(failures))
    if not len(kept):
        raise UserError(
            f"no image of split '{rows.split}' of {config.source} can be read (the first: {failures[0]}); "
            "name another split or image column."
        )
    if failures:
        keep_rows(file, kept)
    if rows.labels is not None:
        np.save(labels_file(folder, part), rows.labels[kept])
    return Decoded(len(kept), len(failures), sums, squares)


def decoded(rows: Rows, file: Path, workers: Workers) -> Iterator[Filled]:
    """Fill the file from the first row to the last, on all cores if that is worth while."""
    count = len(rows.numbers)

    def job(start: int, stop: int) -> Job:
        return Job(file, start, rows.read(rows.numbers[start:stop]))

    yield fill(job(0, 1))  # Pillow loads its readers
    started = time.perf_counter()
    sample = fill(job(1, SAMPLE_ROWS))
    seconds_each = (time.perf_counter() - started) / (SAMPLE_ROWS - 1)
    yield sample
    size = max(1, int(JOB_SECONDS / seconds_each))
    jobs = (job(start, start + size) for start in range(SAMPLE_ROWS, count, size))
    if workers.count > 1 and (workers.started or (count - SAMPLE_ROWS) * seconds_each > WORTH_WORKERS_SECONDS):
        yield from workers.fill(jobs)
    else:
        yield from map(fill, jobs)


def allocate(file: Path, shape: tuple[int, ...]) -> None:
    """An array file with its room on disk reserved: a full disk is an error now, not a killed worker later."""
    try:
        open_memmap(file, "w+", np.uint8, shape)
        if hasattr(os, "posix_fallocate"):
            with file.open("r+b") as opened:
                os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):  # a file system that cannot reserve
            return
        raise UserError(
            f"GENLIB_HOME has no room for {np.prod(shape) / 2**30:.1f} GiB of images ({error.strerror}); free some, "
            "or set it to a folder on another disk."
        ) from error


def keep_rows(file: Path, kept: np.ndarray) -> None:
    whole = np.load(file, mmap_mode="r")
    shorter = file.with_suffix(".kept")
    target = open_memmap(shorter, "w+", np.uint8, (len(kept), *whole.shape[1:]))
    for start in range(0, len(kept), 1024):
        target[start : start + 1024] = whole[kept[start : start + 1024]]
    os.replace(shorter, file)


def mean_and_std(decoded: Decoded, pixels_each: int) -> tuple[list[float], list[float]]:
    """Per channel, 0 to 255; the sums are exact, so only the last step rounds (float64)."""
    count = decoded.images * pixels_each
    totals, squares = decoded.sums.tolist(), decoded.squares.tolist()
    variances = [(count * square - total**2) / count**2 for total, square in zip(totals, squares, strict=True)]
    return [total / count for total in totals], [variance**0.5 for variance in variances]
