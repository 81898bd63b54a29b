import io

import numpy as np
import pytest
from PIL import Image

from genlib.data.decode import Job, decode, fill

RAMP = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


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
    assert result.failures[2] == "the image is missing"
    assert result.failures[3] == "no image format that Pillow knows"
    assert "truncated" in result.failures[4] and "absent.png" in result.failures[6]
    images = np.load(file)
    assert (images[0] == 3).all()
    np.testing.assert_array_equal(images[[1, 5], 0], [RAMP, RAMP.T])
    whole = images[1:].astype(int)
    assert result.rows == 6 and result.sums.tolist() == [whole.sum()] and result.squares.tolist() == [(whole**2).sum()]
