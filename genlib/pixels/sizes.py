"""Image sizes that stride-2 networks can make. Free of torch, so that a configuration is checked at once."""

from __future__ import annotations

MAX_PIXELS = 178_956_970  # in a source's image; Pillow refuses more as a decompression bomb
SMALLEST_BASE, LARGEST_BASE = 4, 7


def doublings(image_size: int) -> int | None:
    """How often a base map of 4 to 7 pixels doubles to reach `image_size`; None if it never does (such as 30)."""
    count = 0
    while image_size > LARGEST_BASE and image_size % 2 == 0:
        image_size //= 2
        count += 1
    return count if count > 0 and SMALLEST_BASE <= image_size <= LARGEST_BASE else None


def nearest_sizes(image_size: int, smallest: int = 8, largest: int = 128) -> list[int]:
    """The nearest size below and above that stride 2 can make, within the supported range."""
    possible = [size for size in range(smallest, largest + 1) if doublings(size) is not None]
    below = [size for size in possible if size < image_size][-1:]
    above = [size for size in possible if size > image_size][:1]
    return below + above


def stages(network: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """(pixels of the base map, number of doublings) of an image (C, H, W); ValueError where there are none."""
    _, height, width = shape
    count = doublings(height)
    if count is None or height != width:
        raise ValueError(
            f"{network} makes square images of 4 to 7 pixels doubled one or more times, not {height}x{width}."
        )
    return height // 2**count, count


SCENE_SIDE, SMALLEST_THING = 3, 8  # cells along a scene's side; pixels of a thing's side


def scene_cell(image_size: int) -> int:
    """Pixels along the side of a scene's cell."""
    return image_size // SCENE_SIDE


def scene_thing(image_size: int) -> int:
    """Pixels along the side of a thing in a cell: an eighth of the cell, a pixel at least, is left to move in."""
    cell = scene_cell(image_size)
    return cell - max(1, cell // 8)
