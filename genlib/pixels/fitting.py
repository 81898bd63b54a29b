"""Pillow images at another size, and on white; free of torch."""

from __future__ import annotations

from PIL import Image, ImageOps

# Pillow's bicubic widens its support when it shrinks, so nothing aliases; it rings less than Lanczos at the hard edges
# of digits and text; and it is the filter of the published FID protocol (Parmar et al. 2022, clean-fid).
FILTER = Image.Resampling.BICUBIC


def on_white(image: Image.Image) -> Image.Image:
    """The image without transparency: white is what pages and viewers put behind cut-out images."""
    if not image.mode.endswith("A"):
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))


def fitted(image: Image.Image, size: tuple[int, int], resampling: Image.Resampling = FILTER) -> Image.Image:
    """The centre of an image, in the shape that `size` (width, height) has, scaled to it."""
    return image if image.size == size else ImageOps.fit(image, size, resampling)
