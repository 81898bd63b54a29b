"""genlib sample."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genlib.cli.command import leaving, whole_output
from genlib.errors import UserError
from genlib.storage.paths import check_writable, output_path, user_path

if TYPE_CHECKING:
    from torch import Tensor

    from genlib.sampling.grid import Grid
    from genlib.sampling.sampler import TrainedSampler


def sample_options(parser: ArgumentParser) -> None:
    parser.add_argument("run_dir", type=user_path, metavar="RUN_DIR")
    parser.add_argument("--count", type=int, help="images (default 64)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same images (default 0)")
    parser.add_argument(
        "--truncation", type=float, help="restrict latents to [-t, t]: typical rather than varied images"
    )
    parser.add_argument(
        "--labels",
        metavar="L,L,...",
        action="append",
        help="of a conditional sampler: names, in turn, or indices from 0 where no name is a number; repeatable, for "
        "a name with a comma in it",
    )
    parser.add_argument(
        "--condition",
        metavar="FILE_OR_TEXT",
        help="the condition: an image (transparent where it is to be filled), a folder of images, an .npy array; or a "
        "caption, or a .txt file of them; --count samples of each (default 6)",
    )
    parser.add_argument("--resize", action="store_true", help="with --condition: scale the centre of other sizes")
    parser.add_argument("--complete", metavar="TEXT", help="print --count captions (default 6) that begin so")
    parser.add_argument("--temperature", type=float, help="of codes: below 1 likelier ones")
    parser.add_argument("--top-k", type=int, metavar="K", help="of codes: from the likeliest K only")
    parser.add_argument("--guidance", type=float, help="of codes for a caption: above 1 those that fit it better")
    parser.add_argument("--output", type=output_path, help="grid.png (default) or samples.npz")


@whole_output
@leaving("interrupted.")
def sample(options: Namespace) -> int:
    output = options.output or output_path("grid.png")
    if options.complete is None:
        check_output(output)
    from genlib.pixels.pictures import check_grid, picture, write_npz, write_png
    from genlib.runs.folder import RunFolder
    from genlib.sampling.codes import completions, draw_otherwise
    from genlib.sampling.grid import SAMPLES_SHOWN, Grid
    from genlib.sampling.load import load_sampler

    sampler = load_sampler(RunFolder(options.run_dir).sampler)
    draw_otherwise(sampler, options.temperature, options.top_k, options.guidance)
    if options.complete is not None:
        alone = {"--condition": options.condition, "--labels": options.labels, "--truncation": options.truncation}
        alone |= {"--top-k": options.top_k, "--guidance": options.guidance, "--output": options.output}
        if others := [option for option, value in alone.items() if value is not None]:
            raise UserError(f"--complete writes captions, and takes no {' and no '.join(others)}; leave it out.")
        each = SAMPLES_SHOWN if options.count is None else options.count
        print("\n".join(completions(sampler, options.complete, each, options.seed)))
        return 0
    if sampler.condition and options.condition is None:
        raise UserError(
            f"{options.run_dir} draws under a condition ({sampler.condition.name}); name with --condition "
            f"{sampler.condition.form()}."
        )
    as_grid = output.suffix.lower() == ".png"
    if options.condition is not None:
        shown, images = of_condition(sampler, options, as_grid)
    else:
        if options.resize:
            raise UserError("--resize scales the images that --condition names; leave it out.")
        count = 64 if options.count is None else options.count
        if as_grid:
            check_grid(count, sampler.image_shape)
        labels = labels_listed(sampler, options.labels, count) if options.labels else None
        images = sampler.images(count, options.seed, options.truncation, labels)
        shown = Grid(images, None)
    if as_grid:
        write_png(output, picture(shown.images, columns=shown.columns))
    else:
        write_npz(output, images)
    print(output)
    return 0


def check_output(output: Path) -> None:
    """UserError, before anything is drawn, for a file that could not be written, or of an unknown kind."""
    if output.suffix.lower() not in (".png", ".npz"):
        raise UserError(f"--output {output} must end in .png (a grid) or .npz (an array named 'images').")
    if output.is_dir():
        raise UserError(f"--output {output} is a folder; name a file in it, such as {output / 'grid.png'}.")
    if not output.absolute().parent.is_dir():
        raise UserError(f"--output {output}: its folder does not exist; make it first.")
    check_writable(output)


def labels_listed(sampler: TrainedSampler, lists: Sequence[str], count: int) -> Tensor:
    """The labels of lists with commas; a list that is a name as a whole is that name."""
    names = sampler.label_names or []
    return sampler.labels_named(
        [name for given in lists for name in ([given] if given in names else given.split(","))], count
    )


def of_condition(sampler: TrainedSampler, options: Namespace, as_grid: bool) -> tuple[Grid, Tensor]:
    """Rows of contexts, each followed by its samples; and the samples alone."""
    from genlib.data.context_files import read_contexts
    from genlib.pixels.pictures import check_grid
    from genlib.sampling.grid import SAMPLES_SHOWN, grid_of_contexts

    if sampler.condition is None:
        raise UserError(
            f"{options.run_dir} was trained without a condition that is an image or a caption; leave out --condition."
        )
    if options.labels:
        raise UserError("--labels and --condition do not go together; this sampler takes --condition.")
    contexts = read_contexts(options.condition, sampler.condition, options.resize)
    each = SAMPLES_SHOWN if options.count is None else options.count
    if as_grid:
        check_grid(len(contexts) * (1 + each), sampler.image_shape)
    samples = sampler.images_of_contexts(contexts, each, options.seed, options.truncation)
    return grid_of_contexts(sampler, contexts, samples), samples
