"""The files of a dataset folder, made from an opened source."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tqdm import tqdm

from genlib import __version__
from genlib.data.config import DataConfig
from genlib.data.folder import SPLITS, Manifest, Split, images_file, labels_file
from genlib.data.making.arrays import CHUNK, PixelSums, allocate, keep_rows, pixel_sums
from genlib.data.making.decode import Failure, Filled, Job, fill
from genlib.data.making.derive import binarize, stack, stacked_names
from genlib.data.making.integrity import arrays_of, content_hash_of
from genlib.data.making.scenes import make_scenes
from genlib.data.making.workers import Workers
from genlib.data.reading.base import ImageSource, LeftOut, Rows, left_out
from genlib.data.reading.classes import missing_classes
from genlib.data.reading.splits import hold_out
from genlib.errors import UserError
from genlib.pixels.sizes import scene_thing
from genlib.runtime.cores import cores
from genlib.storage.files import sync

if TYPE_CHECKING:
    from genlib.data.reading.points import PointSource

SAMPLE_ROWS = 33  # decoded in this process first, to see how long the rest would take
WORTH_WORKERS_SECONDS = 1.0  # starting them costs a third of it
JOB_SECONDS = 0.1


class Decoded(NamedTuple):
    """The result of decoding one split."""

    images: int
    sums: PixelSums
    left_out: LeftOut  # corrupt images
    warning: str | None  # where its images are all alike


class Written(NamedTuple):
    """The facts about the array files that the manifest keeps."""

    counts: dict[str, int]  # by split
    skipped: dict[str, int]
    shape: list[int]
    label_names: list[str] | None
    mean: list[float]
    std: list[float]
    scenes: dict[str, Any] | None = None
    left_out: list[dict[str, Any]] | None = None
    warnings: list[str] | None = None


def build(config: DataConfig, source: ImageSource | PointSource, folder: Path, scratch: Path, progress: bool) -> None:
    """Write every file of a dataset folder and sync it to disk; the manifest last."""
    if isinstance(source, ImageSource):
        written = write_images(config, source, folder, scratch, progress)
    else:
        written = write_points(config, source, folder)
    for file in arrays_of(folder):
        sync(file)
    Manifest(
        source=config.source,
        revision=source.revision,
        request=config.request,
        **written._asdict(),
        content_hash=content_hash_of(folder),
        versions={"genlib": __version__} | {name: version(name) for name in ("numpy", "pillow", "datasets")},
        created=datetime.now(UTC).isoformat(),
    ).write(folder)


def write_points(config: DataConfig, source: PointSource, folder: Path) -> Written:
    drawn = dict(zip(SPLITS, source.draw(config), strict=True))
    for split, points in drawn.items():
        np.save(images_file(folder, split), points.points)
        if points.labels is not None:
            np.save(labels_file(folder, split), points.labels)
    train = drawn["train"].points.astype(np.float64)
    return Written(
        counts={split: len(points.points) for split, points in drawn.items()},
        skipped=dict.fromkeys(SPLITS, 0),
        shape=[2],
        label_names=source.point_set.label_names,
        mean=train.mean(0).tolist(),
        std=train.std(0).tolist(),
    )


def write_images(config: DataConfig, source: ImageSource, folder: Path, scratch: Path, progress: bool) -> Written:
    """Decode the source's images; stack them, make scenes of them and binarize them where `config` asks for it."""
    raw = source.read(config, scratch)
    for rows in (raw.train, raw.test):
        if rows and not len(rows.numbers):
            raise UserError(f"split '{rows.split}' of {config.source} is empty; name another, or repair the source.")
    train, test = (raw.train, raw.test) if raw.test else hold_out(raw.train, config.test_fraction)
    rows_of = dict(zip(SPLITS, (train, test), strict=True))
    names = raw.label_names
    new_names = stacked_names(names, config.source) if names and config.stacked else names
    derived = bool(config.stacked or config.scenes)
    target, channels = scratch / "parts" if derived else folder, 1 if config.stacked else config.channels
    size = scene_thing(config.image_size) if config.scenes else config.image_size
    target.mkdir(exist_ok=True)
    with Workers(cores()) as workers:
        shape = (channels, size, size)
        decoded_splits = {
            split: decode_split(split, rows_of[split], config, shape, target, workers, progress) for split in SPLITS
        }
    labels: dict[str, np.ndarray | None] = {split: kept_labels(target, split) for split in SPLITS}
    without_images = missing_classes(names, labels, config.source) if names else []
    scenes = None
    counts: dict[str, int] = {split: decoded.images for split, decoded in decoded_splits.items()}
    if config.stacked:
        counts["train"] = config.stacked
        for split in SPLITS:
            stack(split, target, counts[split], len(names or ()), folder)
    if config.scenes:
        scenes = make_scenes(target, names, config.source, config.scenes, config.image_size, folder)
        counts = {split: len(np.load(images_file(folder, split), mmap_mode="r")) for split in SPLITS}
        new_names = None
    if config.binarize == "fixed":
        for split in SPLITS:
            binarize(split, folder)
    untouched = target == folder and config.binarize != "fixed"
    sums = decoded_splits["train"].sums if untouched else pixel_sums(images_file(folder, "train"))
    mean, std = sums.mean_and_std()
    not_taken = [*raw.left_out, *(decoded.left_out for decoded in decoded_splits.values() if decoded.left_out.count)]
    of_all = [decoded.warning for decoded in decoded_splits.values() if decoded.warning]
    return Written(
        counts=counts,
        skipped={split: decoded.left_out.count for split, decoded in decoded_splits.items()},
        shape=[3 if config.stacked else channels, config.image_size, config.image_size],
        label_names=new_names,
        mean=mean,
        std=std,
        scenes=scenes,
        left_out=[asdict(group) for group in not_taken],
        warnings=[*(group.sentence(config.source) for group in not_taken), *of_all, *without_images],
    )


def kept_labels(folder: Path, split: Split) -> np.ndarray | None:
    file = labels_file(folder, split)
    return np.load(file) if file.exists() else None


def decode_split(
    split: Split,
    rows: Rows,
    config: DataConfig,
    shape: tuple[int, int, int],
    folder: Path,
    workers: Workers,
    progress: bool,
) -> Decoded:
    """Write one split's images and labels without corrupt rows; UserError where data.on_corrupt is error."""
    file, count = images_file(folder, split), len(rows.numbers)
    allocate(file, (count, *shape))
    failures: dict[int, Failure] = {}
    sums = squares = np.zeros(shape[0], np.int64)
    disable = None if progress else True  # None: shown on a terminal only
    with tqdm(total=count, desc=f"decoding {split}", unit="images", disable=disable) as bar:
        for result in with_memory(decoded(rows, file, config.max_pixels, workers), rows, config):
            failures |= result.failures
            if failures and config.on_corrupt == "error":
                position, failure = next(iter(failures.items()))
                raise UserError(
                    f"the image in row {rows.numbers[position]} of split '{rows.split}' of {config.source} cannot be "
                    f"read ({failure}); repair it, or leave such rows out with data.on_corrupt=skip."
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
        np.save(labels_file(folder, split), rows.labels[kept])
    return Decoded(
        len(kept),
        PixelSums(len(kept) * shape[1] * shape[2], sums, squares),
        unreadable(f"unreadable {split} images (split '{rows.split}')", rows, failures, config.source),
        monotony(file, f"{split} images of {config.source}"),
    )


def with_memory(results: Iterator[Filled], rows: Rows, config: DataConfig) -> Iterator[Filled]:
    """The same results; UserError where this process has too little memory to decode an image."""
    try:
        yield from results
    except MemoryError as error:
        raise UserError(
            f"this machine has not enough memory to decode an image of split '{rows.split}' of {config.source}; free "
            f"some, or set data.max_pixels below {config.max_pixels} and data.on_corrupt=skip to leave large ones out."
        ) from error


def unreadable(what: str, rows: Rows, failures: dict[int, Failure], source: str) -> LeftOut:
    """The corrupt images, counted by reason; reasons that differ in numbers alone are one kind, named by the first."""

    def shape(failure: Failure) -> str:
        return re.sub(r"\d+", "0", failure.reason)

    kinds: dict[str, str] = {}
    named = {}
    for position, failure in failures.items():
        kinds.setdefault(shape(failure), failure.reason)
        name = failure.file.removeprefix(f"{source}/") if failure.file else f"row {rows.numbers[position]}"
        named[name] = failure
    return left_out(what, list(named), lambda name: kinds[shape(named[name])])


def monotony(file: Path, images: str) -> str | None:
    """A sentence where nothing can be learned from an array file's images: all the same, or each of a single colour.

    It reads no further than the first that differs.
    """
    pixels = np.load(file, mmap_mode="r")
    same = each_plain = len(pixels) > 1
    for start in range(0, len(pixels), CHUNK):
        chunk = pixels[start : start + CHUNK]
        same = same and bool((chunk == pixels[0]).all())
        each_plain = each_plain and bool((chunk == chunk[..., :1, :1]).all())
        if not (same or each_plain):
            return None
    colour = "of a single colour"
    if same:
        return f"all {len(pixels):,} {images} are the same{f', {colour}' if each_plain else ''}"
    return f"each of the {len(pixels):,} {images} is {colour}"


def decoded(rows: Rows, file: Path, max_pixels: int, workers: Workers) -> Iterator[Filled]:
    """Fill the file from the first row to the last, on all cores where that is faster."""
    count = len(rows.numbers)

    def job(start: int, stop: int) -> Job:
        return Job(file, start, rows.read(rows.numbers[start:stop]), max_pixels)

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
