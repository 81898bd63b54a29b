import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from genlib.pixels.pictures import DARK_BLUE, PALE_GREY, grid, picture, write_npz, write_png
from genlib.pixels.scale import binarized, mirrored, to_stored, to_uint8, to_unit


def test_every_pixel_value_comes_back():
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_unit(values)), values)
    assert_close(to_unit(values)[[0, 255]], torch.tensor([-1.0, 1.0]))


def test_what_lies_outside_is_clamped_and_the_rest_rounded():
    assert to_uint8(torch.tensor([-5.0, 5.0, 0.0])).tolist() == [0, 255, 128]


def test_a_grid_holds_its_images_row_by_row():
    images = torch.arange(6, dtype=torch.uint8)[:, None, None, None].expand(6, 1, 8, 8) * 10
    picture = grid(images, columns=3, tile=16, gap=2)
    assert picture.shape == (3, 2 * 18 + 2, 3 * 18 + 2)
    assert picture[:, 2:18, 20:36].unique().tolist() == [10]
    assert picture[:, 20:36, 2:18].unique().tolist() == [30]
    assert picture[:, 0].unique().tolist() == [255]


def test_pictures_and_arrays_are_written_whole(tmp_path):
    images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    write_png(tmp_path / "grid.png", grid(images, tile=8))
    assert np.array(Image.open(tmp_path / "grid.png")).shape == (22, 22, 3)
    write_npz(tmp_path / "samples.npz", images)
    assert np.array_equal(np.load(tmp_path / "samples.npz")["images"], images.numpy())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grid.png", "samples.npz"]


def test_points_pass_through_unchanged_and_images_become_bytes():
    points = torch.tensor([[-3.5, 200.0], [0.1, 1e-9]])
    assert torch.equal(to_unit(points), points) and torch.equal(to_stored(points), points)
    assert to_stored(points.double()).dtype == torch.float32
    images = torch.linspace(-1, 1, 256).reshape(4, 1, 8, 8)
    assert torch.equal(to_stored(images), torch.arange(256, dtype=torch.uint8).reshape(4, 1, 8, 8))


def test_binarized_pixels_are_white_with_their_grey_as_probability_and_the_generator_decides():
    greys = torch.tensor([-1.0, -0.6, 0.0, 0.5, 1.0])
    images = greys.repeat(20_000, 1)
    drawn = binarized(images, torch.Generator().manual_seed(3))
    assert drawn.unique().tolist() == [-1, 1]
    probability = (greys + 1) / 2
    errors = (probability * (1 - probability) / 20_000).sqrt()
    assert ((drawn > 0).float().mean(0) - probability).abs().le(5 * errors).all()
    assert torch.equal(drawn, binarized(images, torch.Generator().manual_seed(3)))
    assert not torch.equal(drawn, binarized(images, torch.Generator().manual_seed(4)))


def places_of(picture, colour):
    """Rows and columns of the pixels of a colour; (K, 2)"""
    return (picture == torch.tensor(colour, dtype=torch.uint8)[:, None, None]).all(0).nonzero()


def test_a_picture_of_images_is_their_grid():
    images = torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8)
    assert torch.equal(picture(images), grid(images))
    assert torch.equal(picture(images, columns=2), grid(images, columns=2))


def test_a_picture_of_points_shows_samples_on_real_points_with_up_as_up():
    real = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    drawn = picture(torch.tensor([[-1.0, 1.0], [50.0, 0.0], [float("nan"), 0.0]]), real)
    assert drawn.shape == (3, 512, 512) and drawn.dtype == torch.uint8
    left, right = round(512 * 0.1 / 2.2), round(512 * 2.1 / 2.2)  # the frame is [-1.1, 1.1]
    blue, grey = places_of(drawn, DARK_BLUE), places_of(drawn, PALE_GREY)
    assert len(blue) == 9 and (blue - torch.tensor([left, left])).abs().max() <= 2
    corners = torch.tensor([[right, left], [left, right]])  # row, column
    assert len(grey) == 18 and all((grey - corner).abs().amax(1).le(2).sum() == 9 for corner in corners)
    assert (drawn == 255).all(0).sum() == 512**2 - 27
    assert len(places_of(picture(real, real), PALE_GREY)) == 0


def test_without_real_points_the_frame_is_that_of_the_central_samples():
    samples = torch.rand(10_000, 2, generator=torch.Generator().manual_seed(0))
    samples[0] = 1e6
    blue = places_of(picture(samples), DARK_BLUE)
    assert 512 * 0.02 < blue.min() < 512 * 0.06 and blue.max() > 512 * 0.94 and len(blue) > 50_000


def test_a_frame_keeps_the_proportions_of_a_set_wider_than_high():
    real = torch.tensor([[-2.0, -0.5], [2.0, 0.5]])
    places = places_of(picture(torch.zeros(0, 2), real), PALE_GREY)
    spread = places.max(0).values - places.min(0).values
    assert spread.tolist() == pytest.approx([512 / 4.4 + 2, 512 * 4 / 4.4 + 2], abs=1)


@pytest.mark.parametrize("samples", [torch.full((5, 2), 3.0), torch.full((5, 2), float("nan")), torch.zeros(0, 2)])
def test_points_without_any_range_make_a_picture_too(samples):
    assert len(places_of(picture(samples), DARK_BLUE)) == (9 if samples.isfinite().all() and len(samples) else 0)


def test_arrays_of_points_are_called_points(tmp_path):
    points = torch.randn(7, 2)
    write_npz(tmp_path / "samples.npz", points)
    with np.load(tmp_path / "samples.npz") as arrays:
        assert arrays.files == ["points"] and np.array_equal(arrays["points"], points.numpy())


def test_half_of_the_images_are_mirrored_and_no_pixel_changes_its_row():
    images = torch.arange(2 * 3 * 4, dtype=torch.uint8).view(1, 2, 3, 4).repeat(2000, 1, 1, 1)
    found = mirrored(images, torch.Generator().manual_seed(0))
    exchanged = (found == torch.from_numpy(images.numpy()[..., ::-1].copy())).flatten(1).all(1)
    assert (exchanged | (found == images).flatten(1).all(1)).all() and found.dtype == torch.uint8
    assert exchanged.float().mean().item() == pytest.approx(0.5, abs=0.05)  # 4 standard deviations
    assert torch.equal(mirrored(images, torch.Generator().manual_seed(0)), found)
