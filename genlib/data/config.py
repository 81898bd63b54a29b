"""The data section."""

from __future__ import annotations

import os
from typing import Any, Literal

from pydantic import Field, field_validator

from genlib.choices.section import Section
from genlib.data.sources import source_of
from genlib.pixels.sizes import MAX_PIXELS

MOST_ROWS = 10**8  # beyond it, positions and indices need other types


class DataConfig(Section):
    """The images or points. The prepared folder's name depends on every field but validation_fraction and mirror."""

    source: str = Field(
        "digits",
        description="Name of a built-in source, name of a dataset on the Hugging Face hub, or path of a file or folder",
    )
    revision: str | None = Field(None, description="Commit, tag or branch of a hub dataset")
    subset: str | None = Field(None, description="Configuration name of a hub dataset that has several")
    train_split: str = Field("train", description="Name of the train split")
    test_split: str | None = Field(
        "test", description="Name of the test split; null: hold out test_fraction of the train split"
    )
    test_fraction: float = Field(0.1, gt=0, lt=1, description="Share (of each class) held out when test_split is null")
    image_column: str | None = Field(None, description="Column of images; null: the only one of type Image")
    label_column: str | None = Field(
        None, description="Column of labels; null: the only one of type ClassLabel, if any"
    )
    image_size: int = Field(32, ge=8, le=128, description="Height and width in pixels; ignored for points")
    channels: Literal[1, 3] = Field(3, description="Channels of an image, 1 or 3; ignored for points")
    points: int = Field(
        50_000,
        ge=10,
        le=MOST_ROWS,
        description="Number of train points of a 2-D source; the test split has a fifth as many",
    )
    stacked: int | None = Field(
        None,
        ge=2,
        le=MOST_ROWS,
        description="Number of train images, each three random ones as red, green and blue (Stacked MNIST: 128000)",
    )
    scenes: int | None = Field(
        None,
        ge=10,
        le=MOST_ROWS,
        description="Number of train images, each one to three images of the source in a frame, with a caption",
    )
    binarize: Literal["none", "fixed", "draw"] = Field(
        "none",
        description="Binarization of pixels with their grey value as probability of 1: once, or at every draw",
    )
    mirror: bool = Field(
        False,
        description="Exchange of left and right in half of the training images, drawn anew for each batch: for data "
        "whose images may be mirrored, not for text or digits; evaluations take images as they are",
    )
    on_corrupt: Literal["error", "skip"] = Field(
        "error", description="Behaviour at an image that cannot be read: the preparation ends, or the image is left out"
    )
    folders: Literal["splits", "classes", "ignored"] | None = Field(
        None, description="Meaning of an image folder's top folders; null: told by their names, refused where unclear"
    )
    max_pixels: int = Field(
        MAX_PIXELS,
        ge=64,
        le=2**31 - 1,
        description="Limit of width times height of a source's image; a larger image counts as corrupt",
    )
    validation_fraction: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of the train split that is left out of training to choose the best checkpoint, where "
        "evaluation.every is set and registry.metric needs held-out images or a condition; 0: the test split chooses",
    )

    @property
    def is_points(self) -> bool:
        """Whether the data are points in the plane, not images."""
        return source_of(self.source).is_points

    @property
    def request(self) -> dict[str, Any]:
        """The settings that the prepared folder depends on, not those of the training alone."""
        return self.model_dump(mode="json", exclude={"validation_fraction", "mirror"})

    @field_validator("channels", mode="before")
    @classmethod
    def counts_channels(cls, channels: object) -> object:
        if isinstance(channels, bool):  # it equals 0 or 1, and would pass
            raise ValueError(f"data.channels is {channels}, but it must be 1 or 3")
        return channels

    @field_validator("source")
    @classmethod
    def absolute_if_local(cls, source: str) -> str:
        if not source.strip():
            raise ValueError(f"data.source is {source!r}; name a path, a hub dataset such as ylecun/mnist, or digits")
        path = os.path.expanduser(source)  # os.path: a name that no file can have is no error
        return os.path.realpath(path) if source_of(source).answers_to and os.path.exists(path) else source
