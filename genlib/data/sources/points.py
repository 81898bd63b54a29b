"""Points in the plane, drawn from known densities, so that samples can be compared with the density itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genlib.data.sources import SourceOfPoints

if TYPE_CHECKING:
    from genlib.data.reading.points import PointSet


def ring8() -> PointSet:
    """8 Gaussians (Srivastava et al. 2017, section 4; Lin et al. 2018, section 4.1)."""
    import numpy as np

    from genlib.data.reading.points import circle, gaussians

    return gaussians(circle(np.arange(8) * np.pi / 4), std=0.01)


def grid25() -> PointSet:
    """25 Gaussians (Srivastava et al. 2017, section 4; Lin et al. 2018, section 4.1)."""
    import numpy as np

    from genlib.data.reading.points import gaussians

    axis = np.arange(-4.0, 5, 2)
    return gaussians(np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2), std=0.05)


def two_moons() -> PointSet:
    """Two half circles of radius 2, one open below and one above, that reach into each other."""
    import numpy as np

    from genlib.data.reading.points import circle, noisy_curves

    moons = [lambda t: 2 * circle(t) - [1.0, 0.5], lambda t: [1.0, 0.5] - 2 * circle(t)]
    return noisy_curves(moons, 0, np.pi, std=0.2)


def swiss_roll() -> PointSet:
    """A spiral of one and a half turns, from radius 4/3 to 4."""
    import numpy as np

    from genlib.data.reading.points import circle, noisy_curves

    return noisy_curves([lambda t: circle(t) * t[:, None] * (4 / (4.5 * np.pi))], 1.5 * np.pi, 4.5 * np.pi, std=0.1)


def checkerboard() -> PointSet:
    """The 8 black squares of a board of 4x4 squares of side 2."""
    from genlib.data.reading.points import checkerboard

    return checkerboard()


def pinwheel() -> PointSet:
    """Five Gaussian arms, wound up (after Johnson et al. 2016)."""
    from genlib.data.reading.points import pinwheel

    return pinwheel()


RING8 = SourceOfPoints(name="ring8", description="8 Gaussians on a circle", point_set=ring8, mixture=True)
GRID25 = SourceOfPoints(name="grid25", description="25 Gaussians on a grid", point_set=grid25, mixture=True)
TWO_MOONS = SourceOfPoints(name="two_moons", description="two half circles with noise", point_set=two_moons)
SWISS_ROLL = SourceOfPoints(name="swiss_roll", description="a spiral with noise", point_set=swiss_roll)
CHECKERBOARD = SourceOfPoints(
    name="checkerboard", description="the black squares of a board of 4x4", point_set=checkerboard
)
PINWHEEL = SourceOfPoints(name="pinwheel", description="five wound-up Gaussian arms", point_set=pinwheel)
