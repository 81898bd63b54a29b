import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from genlib.data.making.decode import Job, decode, fill, grey, upright_eight_bit
from genlib.pixels.fitting import FILTER
from genlib.pixels.sizes import MAX_PIXELS

RAMP = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R 601-2
# The modes in which each format keeps an image as it was given.
KEPT_EXACTLY = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"),
    "BMP": ("1", "L", "P", "RGB"),
    "GIF": ("1", "L", "P"),
}
CHANGED = {"JPEG": ("L", "RGB", "CMYK"), "WEBP": ("L", "RGB", "RGBA")}  # lossy
WITHOUT_ALPHA = ("BMP", "RGBA")
OTHERS = {"PPM": ("1", "L", "RGB"), "TGA": ("L", "RGB", "RGBA"), "PCX": ("1", "L", "RGB"), "JPEG2000": ("L", "RGB")}


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def known_image(mode, height=12, width=9):
    """An image, and what it looks like on white: float (height, width, 3), 0 to 255."""
    rng = np.random.default_rng(1)

    def draw(*channels):
        return rng.integers(0, 256, (height, width, *channels), dtype=np.uint8)

    def grey(values):
        return np.repeat(values[..., None], 3, -1).astype(float)

    def on_white(colours, alpha):
        return colours * (alpha[..., None] / 255) + 255 * (1 - alpha[..., None] / 255)

    if mode == "1":
        values = draw() > 127
        return Image.fromarray(values), grey(values * 255)
    if mode == "L":
        values = draw()
        return Image.fromarray(values), grey(values)
    if mode == "LA":
        values = draw(2)
        return Image.fromarray(values, "LA"), on_white(grey(values[..., 0]), values[..., 1])
    if mode == "P":
        values, palette = draw(), rng.integers(0, 256, (256, 3), dtype=np.uint8)
        image = Image.fromarray(values, "L").convert("P")
        image.putpalette(palette.tobytes())
        return image, palette[values].astype(float)
    if mode == "RGB":
        values = draw(3)
        return Image.fromarray(values), values.astype(float)
    if mode == "RGBA":
        values = draw(4)
        return Image.fromarray(values), on_white(values[..., :3].astype(float), values[..., 3])
    if mode == "I;16":
        values = rng.integers(0, 65536, (height, width), dtype=np.uint16)
        return Image.fromarray(values), grey(np.rint(values / 257))
    values = draw(4)
    ink = values.astype(float) / 255
    image = Image.frombytes("CMYK", (width, height), values.tobytes())
    return image, 255 * (1 - ink[..., :3]) * (1 - ink[..., 3:])


def matrix(formats):
    return [(kind, mode) for kind, modes in formats.items() for mode in modes]


def both_ways(data, tmp_path):
    """An image's bytes, and a file with them, which Pillow reads in another way (it may map it)."""
    file = tmp_path / "image"
    file.write_bytes(data)
    return data, str(file)


def centred_square(pixels):
    """Of (H, W, ...), which is higher than wide."""
    above = (pixels.shape[0] - pixels.shape[1]) // 2
    return pixels[above : above + pixels.shape[1]]


@pytest.mark.parametrize(("kind", "mode"), matrix(KEPT_EXACTLY))
@pytest.mark.parametrize("shape", [(9, 9), (13, 9)])
def test_every_mode_of_a_lossless_format_gives_the_colours_on_white_at_the_size_it_has(kind, mode, shape, tmp_path):
    image, seen = known_image(mode, *shape)
    seen = centred_square(seen)
    for given in both_ways(encoded(image, kind), tmp_path):
        np.testing.assert_allclose(decode(given, 9, 3).transpose(1, 2, 0), seen, atol=1.01)
        np.testing.assert_allclose(decode(given, 9, 1)[0], seen @ LUMA, atol=1.51)


@pytest.mark.parametrize(("kind", "mode"), [*matrix(KEPT_EXACTLY | CHANGED | OTHERS), WITHOUT_ALPHA])
def test_every_format_gives_the_pixels_that_pillow_loads_at_above_and_below_the_size_it_has(kind, mode, tmp_path):
    data = encoded(known_image(mode, 12, 12)[0], kind)
    for size in (12, 24, 8, 9):
        for channels, given in [(1, given) for given in both_ways(data, tmp_path)] + [(3, data)]:
            loaded = Image.open(io.BytesIO(data))
            loaded.load()
            if loaded.mode.startswith("I;16"):
                loaded = Image.fromarray(np.rint(np.asarray(loaded) / 257).astype(np.uint8))
            if loaded.has_transparency_data:
                loaded = loaded.convert("RGBA")
                loaded = Image.alpha_composite(Image.new("RGBA", loaded.size, "white"), loaded)
            loaded = loaded.convert("L" if channels == 1 else "RGB").resize((size, size), FILTER)
            expected = np.asarray(loaded).reshape(size, size, channels).transpose(2, 0, 1)
            np.testing.assert_array_equal(decode(given, size, channels), expected)


def test_a_photo_of_128_pixels_is_read_at_128():
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8))
    data = encoded(photo, "JPEG", quality=95)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(decode(data, 128, 3).transpose(1, 2, 0), expected)


@pytest.mark.parametrize(
    ("mode", "expected"), [("1", "L"), ("L", "L"), ("I;16", "L"), ("LA", "LA"), ("P", "RGB"), ("CMYK", "RGB")]
)
def test_the_whole_image_is_given_upright_with_its_transparency(mode, expected):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by 90 degrees to see it upright
    image, _ = known_image(mode)
    upright = upright_eight_bit(encoded(image, "TIFF" if mode == "CMYK" else "PNG", exif=exif))
    assert upright.mode == expected and upright.size == (12, 9)
    if mode == "LA":
        np.testing.assert_array_equal(np.asarray(upright), np.rot90(np.asarray(image), -1))


def test_grey_and_colour_pixels_are_kept_exactly_when_nothing_is_asked_of_them():
    colours = np.stack([RAMP, RAMP.T, 255 - RAMP], axis=-1)
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(RAMP)), 8, 1), RAMP[None])
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(colours)), 8, 3), colours.transpose(2, 0, 1))
    np.testing.assert_array_equal(decode(RAMP, 8, 3), np.stack([RAMP] * 3))


def test_colours_become_grey_by_their_luma():
    red = encoded(Image.new("RGB", (8, 8), (255, 0, 0)))
    assert decode(red, 8, 1)[0, 0, 0] == round(255 * 0.299)  # ITU-R 601-2


def test_two_level_images_become_black_and_white():
    bits = np.eye(8, dtype=bool)
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(bits)), 8, 1)[0], np.where(bits, 255, 0))


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA"])
def test_transparency_shows_white(mode):
    grey, alpha = 100, 51  # one fifth opaque
    image = Image.new("RGBA", (8, 8), (grey, grey, grey, alpha))
    if mode == "PA":  # only TIFF keeps it
        image = Image.new("PA", (8, 8), (7, alpha))
        image.putpalette([grey] * 768)
    data = encoded(image, "TIFF") if mode == "PA" else encoded(image.convert(mode))
    assert Image.open(io.BytesIO(data)).mode == mode
    expected = grey * 0.2 + 255 * 0.8
    assert abs(int(decode(data, 8, 1)[0, 0, 0]) - expected) <= 1
    assert abs(int(decode(data, 8, 3)[2, 0, 0]) - expected) <= 1


def test_the_transparent_colour_of_a_palette_or_a_grey_image_shows_white():
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.putpixel((0, 0), 0)
    pixels = decode(encoded(palette, transparency=0), 8, 3)
    assert pixels[:, 0, 0].tolist() == [255, 255, 255]
    assert pixels[:, 1, 1].tolist() == [10, 20, 30]
    grey = decode(encoded(Image.fromarray(RAMP), transparency=int(RAMP[0, 1])), 8, 1)
    assert grey[0, 0, 1] == 255 and grey[0, 0, 2] == RAMP[0, 2]


def png_of(samples, depth, transparent):
    """A PNG as Pillow does not write them: grey (H, W) or colour (H, W, 3) of 2, 4, 8 or 16 bits with one transparent
    value.
    """
    height, width = samples.shape[:2]
    colour = samples.ndim == 3
    bits = samples.reshape(height, -1, 1) >> np.arange(depth - 1, -1, -1) & 1
    rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, depth, 2 if colour else 0, 0, 0, 0)
    value = np.atleast_1d(transparent).astype(">u2").tobytes()
    content = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", header), chunk(b"tRNS", value), chunk(b"IDAT", content), chunk(b"IEND", b"")]
    )


@pytest.mark.parametrize("depth", [2, 4, 8, 16])
@pytest.mark.parametrize("colour", [False, True])
def test_the_transparent_value_shows_white_at_every_depth(depth, colour):
    if colour and depth < 8:
        return  # PNG has no such colours
    samples = np.arange(64).reshape(8, 8) * 1021 % 2**depth
    samples = np.stack([samples, samples.T, samples[::-1]], -1) if colour else samples
    transparent = samples[2, 3]
    is_clear = (samples == transparent).reshape(8, 8, -1).all(-1)
    assert 0 < is_clear.sum() < 64
    scale = 255 / (2**depth - 1)
    expected = np.where(is_clear.reshape(8, 8, *(1,) * colour), 255, samples * scale)
    pixels = decode(png_of(samples, depth, transparent), 8, 3)
    expected = expected if colour else np.stack([expected] * 3, -1)
    np.testing.assert_allclose(pixels.transpose(1, 2, 0), expected, atol=1 if colour else 0.51)


def test_neighbours_of_a_transparent_value_of_sixteen_bits_stay_as_they_are():
    samples = np.array([[1000, 1001], [1000, 999]], np.uint16)
    assert decode(png_of(samples, 16, 1000), 2, 1).tolist() == [[[255, 4], [255, 4]]]


def test_sixteen_bits_of_a_mode_i_image_keep_their_transparent_value():
    image = Image.fromarray(np.array([[0, 65535], [30000, 257]], np.int32))
    image.info["transparency"] = 0
    assert grey(image, 65535).mode == "LA"
    assert np.asarray(grey(image, 65535)).tolist() == [[[0, 0], [255, 255]], [[117, 255], [1, 255]]]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_damaged_exif_leaves_the_pixels_as_they_are(kind):
    plain, damaged = (encoded(Image.fromarray(RAMP), kind, **options) for options in ({}, {"exif": b"Exif\0\0rubbish"}))
    np.testing.assert_array_equal(decode(damaged, 8, 1), decode(plain, 8, 1))


def test_our_limit_of_pixels_stands_for_pillow_s_own(monkeypatch):
    assert MAX_PIXELS == 2 * Image.MAX_IMAGE_PIXELS
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)  # Pillow would warn from 5 pixels on, and refuse 9
    data = encoded(Image.fromarray(RAMP))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(decode(data, 8, 1, max_pixels=64), RAMP[None])
        with pytest.raises(ValueError, match=r"8x8 pixels, more than data\.max_pixels=63"):
            decode(data, 8, 1, max_pixels=63)
    assert Image.MAX_IMAGE_PIXELS == 4


def test_a_palette_without_transparency_gives_its_colours():
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    assert decode(encoded(palette), 8, 3)[:, 3, 3].tolist() == [10, 20, 30]


def test_cyan_ink_takes_red_away():
    ink = encoded(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "TIFF")
    assert decode(ink, 8, 3)[:, 0, 0].tolist() == [0, 255, 255]
    paper = encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "JPEG")
    assert decode(paper, 8, 1).min() >= 254


@pytest.mark.parametrize("byte_order", ["<u2", ">u2"])
def test_sixteen_bits_are_scaled_and_rounded_not_clipped(byte_order):
    values = np.linspace(0, 65535, 64).round().astype(np.uint16).reshape(8, 8)
    values[0, :4] = [0, 128, 129, 257]
    image = Image.fromarray(values.astype(byte_order).view(byte_order))
    data = encoded(image, "TIFF") if byte_order == ">u2" else encoded(image)
    assert Image.open(io.BytesIO(data)).mode.startswith("I;16")
    np.testing.assert_array_equal(decode(data, 8, 1)[0], np.rint(values * 255.0 / 65535))
    assert decode(data, 8, 3)[1, 0, :4].tolist() == [0, 0, 1, 1]


def test_thirty_two_bit_integers_are_read_as_sixteen_bits():
    values = np.linspace(0, 65535, 64).round().astype(np.int32).reshape(8, 8)
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(values), "TIFF"), 8, 1)[0], np.rint(values / 257))
    with pytest.raises(ValueError, match="outside 0 to 65535"):
        decode(encoded(Image.fromarray(values + 1), "TIFF"), 8, 1)


def test_floats_run_to_one_or_to_255():
    values = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    for scaled in (values, values * 255):
        pixels = decode(encoded(Image.fromarray(scaled), "TIFF"), 8, 1)[0]
        np.testing.assert_allclose(pixels, values * 255, atol=0.51)
    for bad in (values - 1, values * 256, values * np.nan):
        with pytest.raises(ValueError, match="outside"):
            decode(encoded(Image.fromarray(bad), "TIFF"), 8, 1)


def test_the_camera_s_rotation_is_undone():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by 90 degrees to see it upright
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(RAMP), exif=exif), 8, 1)[0], np.rot90(RAMP, -1))


def test_a_fine_checkerboard_shrinks_to_its_mean():
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    pixels = decode(board, 8, 1)
    assert pixels[0].shape == (8, 8)
    np.testing.assert_allclose(pixels, 127.5, atol=1.5)  # every eighth pixel alone would be all 0


def test_a_linear_ramp_stays_the_same_ramp():
    ramp = np.broadcast_to(np.arange(128, dtype=np.uint8), (128, 128))
    centres = (np.arange(16) + 0.5) * 8 - 0.5  # of the 16 cells, in pixels of the ramp
    np.testing.assert_allclose(decode(np.array(ramp), 16, 1)[0, 8, 2:-2], centres[2:-2], atol=0.51)


@pytest.mark.parametrize("upright", [False, True])
def test_the_centred_square_is_what_remains(upright):
    wide = np.zeros((20, 60), np.uint8)
    wide[:, 16:44] = 200  # beyond the square, as far as the filter reaches
    np.testing.assert_array_equal(decode(np.array(wide.T) if upright else wide, 10, 1), np.full((1, 10, 10), 200))


def test_small_images_grow():
    assert decode(np.full((3, 5), 9, np.uint8), 16, 3).tolist() == np.full((3, 16, 16), 9).tolist()


def test_a_job_fills_its_rows_sums_them_and_names_those_that_failed(tmp_path):
    file = tmp_path / "images.npy"
    np.save(file, np.full((7, 1, 8, 8), 3, np.uint8))
    good, other = encoded(Image.fromarray(RAMP)), encoded(Image.fromarray(RAMP.T))
    result = fill(Job(file, 1, [good, None, b"nonsense", good[:50], other, str(tmp_path / "absent.png")]))
    assert set(result.failures) == {2, 3, 4, 6}
    assert str(result.failures[2]) == "the image is missing"
    assert str(result.failures[3]) == "no image format that Pillow knows"
    assert "truncated" in str(result.failures[4]) and "absent.png" in str(result.failures[6])
    images = np.load(file)
    assert (images[0] == 3).all()
    np.testing.assert_array_equal(images[[1, 5], 0], [RAMP, RAMP.T])
    whole = images[1:].astype(int)
    assert result.rows == 6 and result.sums.tolist() == [whole.sum()] and result.squares.tolist() == [(whole**2).sum()]
