import numpy as np
import torch
from PIL import Image
from torch.testing import assert_close

from genlib.pixels import grid, to_uint8, to_unit, write_npz, write_png


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
