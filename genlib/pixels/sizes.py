"""Image sizes that stride-2 networks can make. Free of torch, so that a configuration is checked at once."""

from __future__ import annotations

MAX_PIXELS = 178_956_970  # in a source's image; Pillow refuses more as a decompression bomb
BASE = 4  # pixels of the smallest map, at least; at most one less than twice as many


def doublings(image_size: int, base: int = BASE) -> int | None:
    """How often a map of `base` to 2 base - 1 pixels doubles to reach `image_size`; None if it never does (such as 30
    from 4 to 7).
    """
    count = 0
    while image_size >= 2 * base and image_size % 2 == 0:
        image_size //= 2
        count += 1
    return count if count > 0 and base <= image_size < 2 * base else None


def nearest_sizes(image_size: int, base: int = BASE, smallest: int = 8, largest: int = 128) -> list[int]:
    """The nearest size below and above that stride 2 can make, within the supported range."""
    possible = [size for size in range(smallest, largest + 1) if doublings(size, base) is not None]
    below = [size for size in possible if size < image_size][-1:]
    above = [size for size in possible if size > image_size][:1]
    return below + above


def stages(network: str, shape: tuple[int, ...], base: int = BASE) -> tuple[int, int]:
    """(pixels of the smallest map, number of doublings) of an image (C, H, W), the map having `base` to 2 base - 1
    pixels; ValueError where there are none.
    """
    _, height, width = shape
    count = doublings(height, base)
    if count is None or height != width:
        raise ValueError(
            f"{network} makes square images of {base} to {2 * base - 1} pixels doubled one or more times, not "
            f"{height}x{width}."
        )
    return height // 2**count, count


SCENE_SIDE, SMALLEST_THING = 3, 8  # cells along a scene's side; pixels of a thing's side


def scene_cell(image_size: int) -> int:
    """Pixels along the side of a scene's cell."""
    return image_size // SCENE_SIDE


def scene_thing(image_size: int) -> int:
    """Pixels along the side of a thing in a cell: an eighth of the cell is left to move in, a pixel at least unless the
    thing would be too small.
    """
    cell = scene_cell(image_size)
    return max(SMALLEST_THING, cell - max(1, cell // 8))
