"""Images that anybody made: read as they are, from folders and arrays, and what is refused before any work."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genlib.errors import UserError
from genlib.evaluation.images import open_images
from genlib.pixels.pictures import write_npz
from genlib.sampling.draw import CHUNK

GREY, COLOUR = (1, 6, 8), (3, 6, 8)


def random_pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def as_pillow(pixels: np.ndarray) -> Image.Image:
    """uint8 (1 or 3, H, W) => L or RGB."""
    return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


def refused(path: Path, shape: tuple[int, int, int], match: str) -> None:
    """By open_images, on one line."""
    with pytest.raises(UserError, match=match) as raised:
        open_images(path, shape)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_a_folder_is_read_chunk_by_chunk_in_the_order_of_its_names(shape: tuple[int, int, int], tmp_path: Path) -> None:
    pixels = random_pixels(CHUNK + 5, *shape)
    for number in reversed(range(len(pixels))):
        file = tmp_path / f"{number // 100}" / f"{number:04}{('.png', '.bmp', '.PNG')[number % 3]}"
        file.parent.mkdir(exist_ok=True)
        as_pillow(pixels[number]).save(file)
    images = open_images(tmp_path, shape)
    assert (images.path, images.count, images.shape) == (tmp_path, CHUNK + 5, shape)
    assert images.chunk(0).dtype == torch.uint8
    np.testing.assert_array_equal(images.chunk(0).numpy(), pixels[:CHUNK])
    np.testing.assert_array_equal(images.chunk(1).numpy(), pixels[CHUNK:])


def test_other_and_hidden_files_are_no_images_and_contents_decide_without_a_suffix(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    as_pillow(random_pixels(*GREY)).save(tmp_path / "a.png")
    as_pillow(random_pixels(*GREY)).save(tmp_path / "b", "PNG")
    (tmp_path / ".a.png").write_bytes(b"hidden")
    (tmp_path / "notes.txt").write_text("not an image")
    assert open_images(tmp_path, GREY).count == 2
    assert "files that are no images are left out, 1 in all (.txt: 1): notes.txt" in caplog.text


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_an_array_is_read_chunk_by_chunk(suffix: str, tmp_path: Path) -> None:
    pixels = random_pixels(CHUNK + 5, *COLOUR)
    path = tmp_path / f"images{suffix}"
    if suffix == ".npz":
        write_npz(path, torch.from_numpy(pixels))
    else:
        np.save(path, pixels)
    images = open_images(path, COLOUR)
    assert (images.path, images.count, images.shape) == (path, CHUNK + 5, COLOUR)
    np.testing.assert_array_equal(images.chunk(0).numpy(), pixels[:CHUNK])
    np.testing.assert_array_equal(images.chunk(1).numpy(), pixels[CHUNK:])
    images.chunk(0).zero_()  # the caller's own, not the file's
    np.testing.assert_array_equal(images.chunk(0).numpy(), pixels[:CHUNK])
    assert images.content_hash == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_hash_is_that_of_the_files_bytes_in_order(tmp_path: Path) -> None:
    for number in range(3):
        as_pillow(random_pixels(*GREY, seed=number)).save(tmp_path / f"{number}.png")
    content = b"".join((tmp_path / f"{number}.png").read_bytes() for number in range(3))
    assert open_images(tmp_path, GREY).content_hash == hashlib.sha256(content).hexdigest()
    (tmp_path / "0.png").rename(tmp_path / "3.png")
    assert open_images(tmp_path, GREY).content_hash != hashlib.sha256(content).hexdigest()


def test_pixels_are_not_decoded_until_a_chunk_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_pillow(random_pixels(*COLOUR)).save(tmp_path / "a.png")
    with monkeypatch.context() as patched:
        patched.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
        images = open_images(tmp_path, COLOUR)
    assert images.chunk(0).shape == (1, *COLOUR)


@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_palettes_are_looked_up(shape: tuple[int, int, int], tmp_path: Path) -> None:
    colours = random_pixels(16, shape[0]).repeat(3 // shape[0], 1)
    indices = random_pixels(*shape[1:]) % 16
    image = Image.fromarray(indices)
    image.putpalette(colours.tobytes())
    image.save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode == "P"
    expected = colours[indices].transpose(2, 0, 1)[None, : shape[0]]
    np.testing.assert_array_equal(open_images(tmp_path, shape).chunk(0).numpy(), expected)


def test_bits_become_black_and_white(tmp_path: Path) -> None:
    bits = random_pixels(*GREY[1:]) > 127
    Image.fromarray(bits).save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode == "1"
    np.testing.assert_array_equal(open_images(tmp_path, GREY).chunk(0)[0, 0].numpy(), bits * np.uint8(255))


def test_a_colour_file_with_a_grey_image_is_grey(tmp_path: Path) -> None:
    pixels = random_pixels(*GREY)
    as_pillow(pixels.repeat(3, 0)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(open_images(tmp_path, GREY).chunk(0)[0].numpy(), pixels)


def test_a_coloured_image_is_no_grey_one(tmp_path: Path) -> None:
    pixels = random_pixels(*GREY).repeat(3, 0)
    pixels[2, 3, 3] ^= 1
    as_pillow(pixels).save(tmp_path / "a.png")
    images = open_images(tmp_path, GREY)
    with pytest.raises(UserError, match="a.png is coloured, the dataset's images are grey; save it as grey first"):
        images.chunk(0)


@pytest.mark.parametrize("name", ["absent", "absent.npz"])
def test_a_path_that_is_not_there_is_refused(name: str, tmp_path: Path) -> None:
    refused(tmp_path / name, GREY, f"{name} does not exist; name a folder of images, or a .npz or .npy file")


def test_a_file_that_is_no_array_is_refused(tmp_path: Path) -> None:
    as_pillow(random_pixels(*GREY)).save(tmp_path / "a.png")
    refused(tmp_path / "a.png", GREY, "a.png is neither a folder of images nor a .npz or .npy file; name one")


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none here")
    refused(tmp_path, GREY, r"holds no images \(.*\.png.*\); name a folder with some")


def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "absent.png")
    refused(tmp_path, GREY, r"a.png cannot be read \(No such file or directory\); mend or remove it")


@pytest.mark.parametrize(
    ("found", "wanted"),
    [((1, 6, 9), GREY), ((1, 8, 6), GREY), ((3, 7, 8), GREY), ((3, 12, 16), COLOUR), ((1, 6, 8), COLOUR)],
)
def test_another_shape_is_refused_and_nothing_resized(
    found: tuple[int, int, int], wanted: tuple[int, int, int], tmp_path: Path
) -> None:
    (tmp_path / "b").mkdir()
    as_pillow(random_pixels(*wanted)).save(tmp_path / "a.png")
    as_pillow(random_pixels(*found)).save(tmp_path / "b" / "c.png")
    shapes = rf"\({found[0]}, {found[1]}, {found[2]}\), the dataset's .* \({wanted[0]}, {wanted[1]}, {wanted[2]}\)"
    refused(tmp_path, wanted, rf"b/c.png has the shape {shapes} .*; resize and save them without loss first")


def with_transparent_index() -> Image.Image:
    image = Image.fromarray(random_pixels(6, 8) % 4)
    image.putpalette(random_pixels(4, 3).tobytes())
    image.info["transparency"] = 0
    return image


UNFIT: dict[str, tuple[Callable[[], Image.Image], str]] = {
    "rgba.png": (lambda: Image.new("RGBA", (8, 6)), r"has transparency \(mode RGBA\)"),
    "la.png": (lambda: Image.new("LA", (8, 6)), r"has transparency \(mode LA\)"),
    "palette.png": (with_transparent_index, r"has transparency \(mode P\)"),
    "palette.gif": (with_transparent_index, r"has transparency \(mode P\)"),
    "sixteen.png": (lambda: Image.new("I;16", (8, 6)), "is of 16 bits, and L or RGB of 8 bits is needed"),
    "float.tif": (lambda: Image.new("F", (8, 6)), "is of mode F, and L or RGB of 8 bits is needed"),
    "cmyk.jpg": (lambda: Image.new("CMYK", (8, 6)), "is of mode CMYK, and L or RGB of 8 bits is needed"),
}


@pytest.mark.parametrize("name", UNFIT)
@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_what_is_neither_grey_nor_colour_of_8_bits_is_refused(
    name: str, shape: tuple[int, int, int], tmp_path: Path
) -> None:
    make, match = UNFIT[name]
    make().save(tmp_path / name)
    refused(tmp_path, shape, f"{name} {match}")


def test_colours_of_16_bits_are_refused(tmp_path: Path) -> None:
    """Pillow reads them as RGB, and writes none: a PNG by hand."""
    rows = b"".join(b"\0" + bytes(8 * 6) for _ in range(6))
    header = struct.pack(">IIBBBBB", 8, 6, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    content = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(content))
    assert Image.open(tmp_path / "a.png").mode == "RGB"
    refused(tmp_path, COLOUR, "a.png is of 16 bits, and L or RGB of 8 bits is needed")


def test_a_file_of_several_pictures_is_refused(tmp_path: Path) -> None:
    first, second = (as_pillow(random_pixels(*GREY, seed=seed)) for seed in (0, 1))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    refused(tmp_path, GREY, "a.gif holds several pictures; save each in a file of its own")


def test_a_file_stored_rotated_is_refused(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    as_pillow(random_pixels(*COLOUR)).save(tmp_path / "a.jpg", exif=exif)
    refused(tmp_path, COLOUR, "a.jpg is stored rotated or mirrored .* save it upright")


def test_a_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"something else")
    refused(tmp_path, GREY, r"a.png cannot be decoded \(no image format that Pillow knows\); replace or remove it")


def test_a_damaged_image_is_named_when_it_is_decoded(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    as_pillow(random_pixels(*COLOUR)).save(file)
    file.write_bytes(file.read_bytes()[:-60])
    images = open_images(tmp_path, COLOUR)
    with pytest.raises(UserError, match=r"a.png cannot be decoded \(.*truncated.*\); replace or remove it"):
        images.chunk(0)


def test_an_image_that_changed_since_is_refused(tmp_path: Path) -> None:
    as_pillow(random_pixels(*COLOUR)).save(tmp_path / "a.png")
    images = open_images(tmp_path, COLOUR)
    as_pillow(random_pixels(3, 9, 9)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a.png has the shape \(3, 9, 9\)"):
        images.chunk(0)


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.zeros((2, *GREY), np.float32), r"holds float32 \(2, 1, 6, 8\); save uint8 \(N, C, H, W\)"),
        (np.zeros((2, 6, 8), np.uint8), r"holds uint8 \(2, 6, 8\); save uint8 \(N, C, H, W\)"),
        (np.zeros((2, 6, 8, 1), np.uint8), r"shape \(6, 8, 1\), the dataset's are \(1, 6, 8\) \(C, H, W\); resize"),
        (np.zeros((0, *GREY), np.uint8), "holds no images; name a file with some"),
        (np.array([{"pickled": 1}]), r"cannot be read as a NumPy file \(.*\); write it with numpy.save"),
    ],
)
def test_an_array_of_something_else_is_refused(suffix: str, array: np.ndarray, match: str, tmp_path: Path) -> None:
    path = tmp_path / f"images{suffix}"
    if suffix == ".npz":
        np.savez(path, images=array)
    else:
        np.save(path, array)
    refused(path, GREY, match)


def test_an_archive_without_images_is_refused_with_what_it_has(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", np.zeros((2, *GREY), np.uint8))
    refused(tmp_path / "a.npz", GREY, "a.npz has no array 'images', but arr_0; call it 'images'")


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
@pytest.mark.parametrize("content", [b"", b"something else", b"PK\x03\x04 cut short"])
def test_a_damaged_array_file_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, GREY, f"{name} cannot be read as a NumPy file")


@pytest.mark.parametrize(("suffix", "dtype"), [(".npz", np.float32), (".npy", np.float64)])
def test_points_are_read_from_arrays_as_float32(suffix: str, dtype: type, tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(CHUNK + 5, 2)).astype(dtype)
    path = tmp_path / f"points{suffix}"
    if suffix == ".npz":
        write_npz(path, torch.from_numpy(points))
    else:
        np.save(path, points)
    found = open_images(path, (2,))
    assert found.count == CHUNK + 5 and found.chunk(1).dtype == torch.float32
    np.testing.assert_array_equal(torch.cat([found.chunk(0), found.chunk(1)]).numpy(), points.astype(np.float32))


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.zeros((5, 2), np.uint8), r"holds uint8 \(5, 2\); save points as float32 or float64 \(N, 2\)"),
        (np.zeros((5, 3), np.float32), r"holds float32 \(5, 3\); save points"),
        (np.zeros((0, 2), np.float32), "holds no points, or some that are not finite; leave these out"),
        (np.array([[0.0, np.nan]]), "holds no points, or some that are not finite; leave these out"),
    ],
)
def test_an_array_of_no_points_is_refused(array: np.ndarray, match: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    refused(tmp_path / "a.npy", (2,), match)


def test_a_folder_or_an_archive_of_images_is_refused_where_the_data_is_points(tmp_path: Path) -> None:
    refused(tmp_path, (2,), "is no .npz or .npy file, and the dataset is points in the plane; name one of")
    np.savez(tmp_path / "a.npz", images=np.zeros((2, *GREY), np.uint8))
    refused(tmp_path / "a.npz", (2,), "a.npz has no array 'points', but images; call it 'points'")
