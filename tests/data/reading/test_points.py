"""The point sets: their draws against their densities, their densities against themselves, and their folders."""

import shutil

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from genlib.data.folder import open_dataset
from genlib.data.making.prepare import prepare
from genlib.data.sources import SourceOfPoints, point_set_of, sources
from genlib.errors import UserError

# Half the side of a square with all but 1e-6 of each set, and points closer than its narrowest place is wide.
GRIDS = {
    "ring8": (1.1, 0.01),
    "grid25": (4.4, 0.05),
    "two_moons": (4.4, 0.1),
    "swiss_roll": (5.0, 0.1),
    "checkerboard": (4.4, 0.1),
    "pinwheel": (6.0, 0.05),
}
# Of the first version, with 50 train points.
MEAN_OF_50 = {
    "ring8": (-0.066661, 0.247118),
    "grid25": (0.606797, 0.328036),
    "two_moons": (-0.145215, 0.110545),
    "swiss_roll": (0.684419, 0.133074),
    "checkerboard": (0.087967, -0.251926),
    "pinwheel": (0.014381, -0.182435),
}
CELL = 0.4  # of a histogram
POINT_SOURCES = {name: source for name, source in sources().items() if isinstance(source, SourceOfPoints)}
POINTS = tuple(GRIDS)


def density_on_grid(name):
    """Points in the middle of small squares, their log density, and the area of a square."""
    half, step = GRIDS[name]
    count = round(2 * half / step)
    axis = (np.arange(count) + 0.5) * (2 * half / count) - half
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    return points, point_set_of(name).log_density(points), (2 * half / count) ** 2


def draw(name, count=20_000, seed=5):
    return point_set_of(name).draw(count, np.random.RandomState(seed))


def test_a_set_says_that_it_is_a_mixture_where_it_has_centres():
    assert {name: source.mixture for name, source in POINT_SOURCES.items()} == {
        name: point_set_of(name).centres is not None for name in POINTS
    }


@pytest.mark.parametrize("name", POINTS)
def test_a_density_integrates_to_one(name):
    _, log_density, area = density_on_grid(name)
    assert log_density.dtype == np.float64
    assert np.exp(log_density).sum() * area == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", POINTS)
def test_draws_fill_the_cells_of_a_histogram_as_the_density_says(name):
    """Pearson's chi-squared statistic has a mean of its degrees of freedom, and twice that as variance."""
    points, log_density, area = density_on_grid(name)
    cell = GRIDS[name][0] / 22 if name == "ring8" else CELL
    drawn, _ = draw(name)
    low, cells = -GRIDS[name][0], round(2 * GRIDS[name][0] / cell)
    edges = np.linspace(low, -low, cells + 1)
    expected, *_ = np.histogram2d(*points.T, bins=edges, weights=np.exp(log_density) * area * len(drawn))
    found, *_ = np.histogram2d(*drawn.T.astype(np.float64), bins=edges)
    common = expected > 5
    degrees = common.sum()
    statistic = ((found - expected)[common] ** 2 / expected[common]).sum()
    assert degrees > 20 and statistic < degrees + 5 * np.sqrt(2 * degrees)
    assert expected[common].sum() > 0.97 * len(drawn)


@pytest.mark.parametrize("name", POINTS)
def test_the_mean_log_density_of_draws_is_minus_the_entropy(name):
    _, log_density, area = density_on_grid(name)
    density = np.exp(log_density)
    entropy = -(density[density > 0] * log_density[density > 0]).sum() * area
    of_draws = point_set_of(name).log_density(draw(name)[0].astype(np.float64))
    error = of_draws.std() / np.sqrt(len(of_draws)) + 1e-4
    assert of_draws.mean() == pytest.approx(-entropy, abs=4 * error)


@pytest.mark.parametrize(("name", "count", "std"), [("ring8", 8, 0.01), ("grid25", 25, 0.05)])
def test_the_mixtures_are_those_of_pacgan(name, count, std):
    if name == "ring8":
        centres = [(np.cos(np.pi / 4 * k), np.sin(np.pi / 4 * k)) for k in range(8)]
    else:
        centres = [(x, y) for y in (-4, -2, 0, 2, 4) for x in (-4, -2, 0, 2, 4)]
    truth = MixtureSameFamily(
        Categorical(torch.ones(count).double()),
        Independent(Normal(torch.tensor(centres, dtype=torch.float64), torch.tensor(std, dtype=torch.float64)), 1),
    )
    points, labels = draw(name, 500)
    near = points.astype(np.float64)
    np.testing.assert_allclose(point_set_of(name).log_density(near), truth.log_prob(torch.from_numpy(near)), rtol=1e-9)
    np.testing.assert_allclose(point_set_of(name).centres, centres, atol=1e-12)
    assert point_set_of(name).std == std and len(point_set_of(name).label_names) == count
    assert np.abs(points - np.array(centres)[labels]).max() < 5 * std


def test_half_circles_around_one_centre_would_make_a_circle_s_density():
    """A circle's is the Rice distribution's, with a Bessel function; where the other moon adds nothing, one moon and
    its mirror image at its own centre line make such a circle.
    """
    from scipy.special import ive

    centre, radius, std = np.array([-1.0, -0.5]), 2.0, 0.2
    places = centre + np.array([[-2.0, 0.2], [-2.1, 0.0], [-1.5, 1.2], [-2.0, -0.3]])
    mirrored = 2 * centre * [0, 1] + places * [1, -1]
    log_density = point_set_of("two_moons").log_density
    both = np.exp(log_density(places)) + np.exp(log_density(mirrored))
    far = np.linalg.norm(places - centre, axis=1)
    bessel = ive(0, far * radius / std**2) * np.exp(-((far - radius) ** 2) / (2 * std**2)) / (2 * np.pi * std**2)
    np.testing.assert_allclose(both, bessel, rtol=1e-9)  # half of the points, on half of the circle


def test_labels_are_the_moon_and_the_square_that_points_come_from():
    points, labels = draw("two_moons")
    assert (points[labels == 0, 1] > -1.5).all() and (points[labels == 1, 1] < 1.5).all()
    assert points[labels == 0, 0].mean() < -0.9 and points[labels == 1, 0].mean() > 0.9
    points, labels = draw("checkerboard")
    squares = np.floor((points.astype(np.float64) + 4) / 2)
    assert (squares.sum(1) % 2 == 0).all()
    assert {label: len(np.unique(squares[labels == label], axis=0)) for label in range(8)} == dict.fromkeys(range(8), 1)
    assert draw("swiss_roll")[1] is None


@pytest.mark.parametrize("name", POINTS)
def test_far_away_a_density_is_nothing_and_no_error(name):
    assert (point_set_of(name).log_density(np.array([[1e4, -1e4], [0.0, 1e3]])) < -100).all()


def test_a_folder_of_points(home, config):
    folder = prepare(config("two_moons", points=500))
    train, labels, manifest = folder.images("train"), folder.labels("train"), folder.manifest
    assert train.shape == (500, 2) and train.dtype == np.float32 and folder.images("test").shape == (100, 2)
    assert manifest.shape == [2] and folder.is_points and not folder.stacked
    assert labels.dtype == np.int64 and manifest.label_names == ["0", "1"]
    np.testing.assert_allclose(manifest.mean, train.astype(np.float64).mean(0), rtol=1e-12)
    np.testing.assert_allclose(manifest.std, train.astype(np.float64).std(0), rtol=1e-12)
    assert not {bytes(row) for row in train} & {bytes(row) for row in folder.images("test")}
    unlabelled = prepare(config("swiss_roll", points=10))
    assert unlabelled.labels("train") is None and unlabelled.manifest.label_names is None
    assert unlabelled.manifest.counts == {"train": 10, "test": 10}
    np.save(folder.path / "train_images.npy", np.zeros((500, 2)))
    with pytest.raises(UserError, match="train images are float64"):
        open_dataset(folder.path)


def test_points_are_the_same_each_time_and_settings_of_images_do_not_matter(home, config):
    first = prepare(config("grid25", points=50))
    content = first.manifest.content_hash
    assert prepare(config("grid25", points=50, image_size=64, channels=3)).path == first.path
    assert prepare(config("grid25", points=51)).path != first.path
    shutil.rmtree(first.path)
    assert prepare(config("grid25", points=50)).manifest.content_hash == content


@pytest.mark.parametrize("name", POINTS)
def test_the_points_of_this_version_are_what_they_were(home, config, name):
    """A changed stream or definition would give a run other data under the same name, unless VERSION is raised."""
    np.testing.assert_allclose(prepare(config(name, points=50)).manifest.mean, MEAN_OF_50[name], atol=1e-5)


def test_the_number_of_points_does_not_matter_to_images(home, config):
    assert prepare(config("digits", points=50)).path == prepare(config("digits", points=70)).path


def test_test_points_are_held_out_when_there_is_no_test_split(home, config):
    whole = prepare(config("pinwheel", points=40))
    folder = prepare(config("pinwheel", points=40, test_split=None, test_fraction=0.25))
    assert folder.manifest.counts == {"train": 30, "test": 10}
    np.testing.assert_array_equal(
        np.concatenate([folder.images("train"), folder.images("test")]), whole.images("train")
    )
    np.testing.assert_array_equal(
        np.concatenate([folder.labels("train"), folder.labels("test")]), whole.labels("train")
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"revision": "main"}, "data.revision is 'main', but ring8 has none; set data.revision=null"),
        ({"subset": "small"}, "data.subset is 'small', but ring8 has none"),
        ({"test_split": "validation"}, "'validation' is not in ring8, which has: train, test"),
        ({"train_split": "all"}, "'all' is not in ring8, .*use data.train_split=train"),
    ],
)
def test_what_points_do_not_have_is_refused(home, config, settings, message):
    with pytest.raises(UserError, match=message):
        prepare(config("ring8", **settings))
