import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from genlib.conditions.greyscale.condition import LUMA, lightness
from genlib.conditions.greyscale.config import GreyscaleCondition
from genlib.conditions.low_resolution.config import LowResolutionCondition
from genlib.conditions.masked.config import MaskedCondition
from genlib.conditions.masked.holes import HOLES
from genlib.conditions.none import NoCondition
from genlib.data.context_files import read_contexts
from genlib.errors import UserError
from genlib.pixels.scale import to_uint8, to_unit

CONDITIONS = {
    "low_resolution": LowResolutionCondition(factor=2),
    "low_resolution by 4": LowResolutionCondition(factor=4),
    **{kind: MaskedCondition(kind=kind) for kind in HOLES},
    "greyscale": GreyscaleCondition(),
}
SHAPE = (3, 16, 16)
every_condition = pytest.mark.parametrize("name", CONDITIONS)


def condition_of(name):
    return CONDITIONS[name].build(SHAPE)


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count=7, seed=0):
    return to_unit(torch.randint(256, (count, *SHAPE), dtype=torch.uint8, generator=draws(seed)))


@every_condition
def test_a_context_has_its_shape_and_the_steps_of_uint8(name):
    condition = condition_of(name)
    context = condition.context(images(), draws())
    assert context.shape == (7, *condition.shape)
    assert_close(to_unit(to_uint8(context)), context, atol=0, rtol=0)


@every_condition
def test_a_context_is_a_function_of_image_and_generator(name):
    condition = condition_of(name)
    first, again = condition.context(images(), draws()), condition.context(images(), draws())
    assert torch.equal(first, again)
    assert torch.equal(condition.context(images()[:3], draws())[:1, :1], first[:1, :1]) or name in HOLES


@every_condition
def test_what_is_kept_agrees_with_the_context_and_stays_in_range(name):
    condition = condition_of(name)
    context = condition.context(images(), draws())
    for others in (images(seed=1), torch.ones(7, *SHAPE), -torch.ones(7, *SHAPE)):
        kept = condition.keep(others, context)
        assert kept.abs().max() <= 1 + 1e-6
        assert condition.deviation(kept, context).max() < 1e-3
        assert condition.deviation(to_unit(to_uint8(kept)), context).max() < 0.51
        assert (condition.deviation(others, context) > 10).all()


@every_condition
def test_an_image_that_agrees_is_left_as_it_is(name):
    condition = condition_of(name)
    context = condition.context(images(), draws())
    kept = condition.keep(images(), context)
    assert (kept - images()).abs().max() < 0.05  # the context is rounded to steps of uint8
    assert_close(condition.keep(kept, context), kept, atol=1e-5, rtol=0)


def test_low_resolution_is_the_average_over_squares():
    context = condition_of("low_resolution").context(images(), draws())
    expected = images().unflatten(3, (8, 2)).unflatten(2, (8, 2)).mean((3, 5))
    assert_close(context, expected, atol=0.51 / 127.5, rtol=0)


def test_greyscale_is_pillows():
    image = torch.randint(256, SHAPE, dtype=torch.uint8, generator=draws())
    theirs = np.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L"))
    ours = to_uint8(condition_of("greyscale").context(to_unit(image)[None], draws()))[0, 0]
    assert np.abs(ours.numpy().astype(int) - theirs).max() <= 1
    assert sum(LUMA) == pytest.approx(1)
    assert_close(lightness(torch.full((1, *SHAPE), 0.3)), torch.full((1, 1, 16, 16), 0.3))


@pytest.mark.parametrize("size", [8, 9, 28, 32, 128])
@pytest.mark.parametrize("kind", HOLES)
def test_every_mask_hides_something_and_not_all(kind, size):
    hidden = HOLES[kind](200 if size < 100 else 20, size, size, draws())
    shares = hidden.flatten(1).float().mean(1)
    assert shares.min() > 0 and shares.max() < 1
    assert 0.05 < shares.mean() < 0.6
    if kind == "half":
        assert shares.min() > 0.4 and shares.max() < 0.6
    assert len({mask.numpy().tobytes() for mask in hidden}) > (3 if kind == "half" else len(hidden) // 4)


@pytest.mark.parametrize("kind", HOLES)
def test_known_pixels_are_kept_bit_by_bit(kind):
    condition = condition_of(kind)
    context = condition.context(images(), draws())
    kept = to_uint8(condition.keep(torch.tanh(torch.randn(7, *SHAPE, generator=draws(1))), context))
    known = (context[:, -1:] > 0).expand(-1, 3, -1, -1)
    assert torch.equal(kept[known], to_uint8(images())[known])
    assert torch.equal(condition.counted(context).bool(), ~known[:, :1])


def test_conditions_that_are_no_images_build_none():
    assert NoCondition().build(SHAPE) is None


@pytest.mark.parametrize(
    ("config", "shape", "match"),
    [
        (LowResolutionCondition(factor=3), SHAPE, r"condition\.factor \(3\) must divide"),
        (GreyscaleCondition(), (1, 16, 16), "3 channels, not 1"),
    ],
)
def test_images_that_a_condition_cannot_be_of_are_refused(config, shape, match):
    with pytest.raises(UserError, match=match):
        config.build(shape)


@every_condition
def test_contexts_come_back_from_their_files(name, tmp_path):
    condition = condition_of(name)
    contexts = to_uint8(condition.context(images(), draws()))
    np.save(tmp_path / "all.npy", contexts.numpy())
    assert torch.equal(read_contexts(tmp_path / "all.npy", condition), contexts)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for position, context in enumerate(contexts):
        pixels = context.permute(1, 2, 0).squeeze(2).numpy() if len(context) == 1 else context.permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / f"{position}.png")
    assert torch.equal(read_contexts(folder, condition), contexts)
    assert torch.equal(read_contexts(folder / "2.png", condition), contexts[2:3])


def test_what_is_below_a_mask_does_not_matter(tmp_path):
    condition = condition_of("box")
    contexts = to_uint8(condition.context(images(), draws()))
    dirty = contexts.clone()
    dirty[:, :-1][(contexts[:, -1:] == 0).expand(-1, 3, -1, -1)] = 200
    np.save(tmp_path / "dirty.npy", dirty.numpy())
    assert torch.equal(read_contexts(tmp_path / "dirty.npy", condition), contexts)


def save(path, array, mode=None):
    Image.fromarray(array, mode).save(path)
    return path


@pytest.mark.parametrize(
    ("name", "made", "match"),
    [
        ("low_resolution", np.zeros((9, 8, 3), np.uint8), "is 8x9 pixels, and condition low_resolution takes 8x8"),
        ("greyscale", np.full((16, 16, 3), (0, 0, 1), np.uint8), "is in colour"),
        ("box", np.zeros((16, 16, 3), np.uint8), "has no transparent pixels"),
        ("box", np.full((16, 16, 4), 255, np.uint8), "hides nothing"),
        ("box", np.zeros((16, 16, 4), np.uint8), "hides all"),
    ],
)
def test_pictures_that_are_no_contexts_are_refused(name, made, match, tmp_path):
    with pytest.raises(UserError, match=match):
        read_contexts(save(tmp_path / "given.png", made), condition_of(name))


@pytest.mark.parametrize(
    ("made", "match"),
    [
        (np.zeros((2, 1, 8, 8), np.uint8), "uint8 of shape 2x1x8x8, and condition low_resolution takes .* nx3x8x8"),
        (np.zeros((2, 3, 8, 8), np.float32), "float32 of shape"),
        (np.zeros((0, 3, 8, 8), np.uint8), "0x3x8x8"),
    ],
)
def test_arrays_that_are_no_contexts_are_refused(made, match, tmp_path):
    np.save(tmp_path / "given.npy", made)
    with pytest.raises(UserError, match=match):
        read_contexts(tmp_path / "given.npy", condition_of("low_resolution"))


def test_files_that_are_nothing_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "text.npy").write_text("no array")
    for file in ("empty", "text.png", "text.npy", "absent.png", "absent.npy"):
        with pytest.raises(UserError, match=file):
            read_contexts(tmp_path / file, condition_of("box"))


GREY_SHAPE = (1, 8, 8)
GREY = np.arange(64, dtype=np.uint8).reshape(8, 8) * 3
EXIF = Image.Exif()
EXIF[0x0112] = 6  # turn clockwise by 90 degrees to see it upright


def with_hole(grey, hole, high=255):
    alpha = np.full(grey.shape, high, np.uint8)
    alpha[hole] = 0
    return alpha


def grey_pictures():
    """Of the same grey image: the picture, and what it is saved with."""
    rgb = np.repeat(GREY[..., None], 3, 2)
    return {
        "grey.png": (Image.fromarray(GREY), {}),
        "equal_channels.png": (Image.fromarray(rgb), {}),
        "opaque.png": (Image.fromarray(np.dstack([rgb, np.full_like(GREY, 255)])), {}),
        "palette.gif": (Image.fromarray(GREY).convert("P"), {}),
        "sixteen_bit.png": (Image.fromarray(GREY.astype(np.uint16) * 257), {}),
        "turned.png": (Image.fromarray(np.rot90(GREY).copy()), {"exif": EXIF}),
        "upper.TIFF": (Image.fromarray(GREY), {}),
        "grey.jfif": (Image.fromarray(GREY), {"format": "BMP"}),
    }


@pytest.mark.parametrize("name", grey_pictures())
def test_grey_pictures_are_read_as_prepare_reads_them(name, tmp_path):
    from genlib.data.making.decode import decode

    image, options = grey_pictures()[name]
    image.save(tmp_path / name, **options)
    condition = LowResolutionCondition(factor=2).build((1, 16, 16))
    found = read_contexts(tmp_path / name, condition)
    assert np.array_equal(found[0, 0], GREY)
    assert np.array_equal(found[0], decode(str(tmp_path / name), 8, 1))


def test_a_jpeg_that_needs_no_conversion_is_read(tmp_path):
    Image.fromarray(np.full((8, 8, 3), 50, np.uint8)).save(tmp_path / "exact.jpg", quality=95)
    found = read_contexts(tmp_path / "exact.jpg", condition_of("low_resolution"))
    assert found.shape == (1, 3, 8, 8) and (found.int() - 50).abs().max() <= 1


@pytest.mark.parametrize("form", ["LA", "RGBA", "transparent grey", "transparent palette"])
def test_holes_of_every_form_are_found(form, tmp_path):
    hole = np.s_[2:6, 3:5]
    grey = GREY + 1
    file = tmp_path / "hole.png"
    if form in ("LA", "RGBA"):
        planes = [grey] * (3 if form == "RGBA" else 1)
        Image.fromarray(np.dstack([*planes, with_hole(grey, hole)])).save(file)
    else:
        grey[hole] = 0
        image = Image.fromarray(grey)
        (image if form == "transparent grey" else image.convert("P")).save(file, transparency=0)
    condition = MaskedCondition(kind="box").build(GREY_SHAPE)
    pixels, known = read_contexts(file, condition)[0].numpy()
    assert np.array_equal(known, with_hole(grey, hole))
    assert np.array_equal(pixels, np.where(known > 0, grey, 0))


def test_a_hole_keeps_its_place_at_another_size_and_hides_its_colours(tmp_path):
    planes = np.full((64, 96, 4), (100, 100, 100, 255), np.uint8)
    planes[16:48, 32:64] = (255, 0, 0, 0)  # of the centred square the middle, under which there is a colour
    planes[63, 79] = (255, 0, 0, 0)  # a pixel of the last of the 64 cells
    Image.fromarray(planes).save(tmp_path / "wide.png")
    condition = MaskedCondition(kind="box").build(GREY_SHAPE)
    with pytest.raises(UserError, match="is 96x64 pixels, and condition masked takes 8x8; give --resize"):
        read_contexts(tmp_path / "wide.png", condition)
    pixels, known = read_contexts(tmp_path / "wide.png", condition, resize=True)[0].numpy()
    expected = with_hole(np.empty((8, 8)), np.s_[2:6, 2:6])
    expected[7, 7] = 0
    assert np.array_equal(known, expected)
    assert np.array_equal(pixels, np.where(known > 0, 100, 0))


def test_a_picture_of_another_size_is_scaled_as_prepare_scales_it(tmp_path):
    from genlib.data.making.decode import decode

    save(tmp_path / "wide.png", np.random.default_rng(0).integers(0, 256, (40, 60), dtype=np.uint8))
    condition = LowResolutionCondition(factor=2).build((1, 16, 16))
    found = read_contexts(tmp_path / "wide.png", condition, resize=True)
    assert np.array_equal(found[0], decode(str(tmp_path / "wide.png"), 8, 1))


def test_what_is_no_image_in_a_folder_is_counted_and_named(tmp_path, caplog):
    save(tmp_path / "a.png", GREY)
    for name in ("notes.txt", "b.xcf"):
        (tmp_path / name).write_text("")
    (tmp_path / "more").mkdir()
    condition = LowResolutionCondition(factor=2).build((1, 16, 16))
    assert len(read_contexts(tmp_path, condition)) == 1
    assert "files that are no images are left out, 3 in all" in caplog.text
    assert "b.xcf, more, notes.txt" in caplog.text


def test_of_several_arrays_the_one_called_images_is_read(tmp_path):
    condition = LowResolutionCondition(factor=2).build((1, 16, 16))
    np.savez(tmp_path / "two.npz", labels=np.zeros(2), images=GREY[None, None])
    assert np.array_equal(read_contexts(tmp_path / "two.npz", condition)[0, 0], GREY)
    np.savez(tmp_path / "others.npz", a=GREY, b=GREY)
    with pytest.raises(UserError, match="holds the arrays a, b; call the one with contexts 'images'"):
        read_contexts(tmp_path / "others.npz", condition)
