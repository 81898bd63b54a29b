"""A trained sampler on its own: exported, loaded without the training code, drawn from."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from genlib.choices.problems import validated
from genlib.conditions.build import build_condition
from genlib.conditions.captions import Captions
from genlib.config.run import RunConfig
from genlib.errors import UserError, did_you_mean
from genlib.layers.base import DataSpec, ImageShape
from genlib.layers.batch_norm import reestimate_batch_norm
from genlib.methods.vq_vae.sampler import CodeDecoder
from genlib.models.sampler import Sampler
from genlib.pixels.scale import to_stored, to_uint8
from genlib.runtime.randomness import generator_for
from genlib.sampling.description import SamplerDescription
from genlib.sampling.requests import check_memory, finite, shown, whole
from genlib.storage.files import read_json, rename_into_place, sha256_of_file, write_bytes, write_json

CHUNK = 256  # images whose latents come from one generator
NORM_BATCHES = 16  # chunks of fixed latents that batch-norm statistics are estimated from
LEAST_TRUNCATION, MOST_TRUNCATION = 1e-3, 10.0  # below, all latents are as good as 0; above, N(0, 1) has no values
MOST_COLUMNS, POINTS_FOR_AN_IMAGE, SAMPLES_SHOWN = 10, 32, 6  # of what is shown; the last of one context


def draw_latents(latent_size: int, seed: int, chunk: int, truncation: float | None = None) -> Tensor:
    """N(0, I), float (256, latent_size), from (seed, chunk) alone; on the CPU, so that every device draws the same.

    With `truncation` t, 0.001 to 10, each value is from N(0, 1) restricted to [-t, t] (Brock et al. 2019, section
    3.1).
    """
    generator = generator_for("latents", seed, chunk)
    if not truncation:
        return torch.randn(CHUNK, latent_size, generator=generator)
    inside = torch.erf(torch.tensor(truncation / 2**0.5, dtype=torch.float64))  # the mass within [-t, t]
    uniform = 2 * torch.rand(CHUNK, latent_size, generator=generator, dtype=torch.float64) - 1
    return (2**0.5 * torch.erfinv(uniform * inside)).float().clamp_(-truncation, truncation)


def draw_labels(shares: list[float], seed: int, chunk: int) -> Tensor:
    """Labels as often as in the data, int64 (256,), from (seed, chunk) alone."""
    generator = generator_for("labels", seed, chunk)
    return torch.multinomial(torch.tensor(shares), CHUNK, replacement=True, generator=generator)


@torch.no_grad()
def estimate_norms(sampler: Sampler, label_shares: list[float] | None = None) -> None:
    """Batch-norm statistics under the sampler's present weights, from fixed latents; leaves it in eval mode."""
    device = next(sampler.parameters()).device

    def inputs(chunk: int) -> tuple[Tensor, Tensor | None]:
        labels = draw_labels(label_shares, 0, chunk).to(device) if sampler.classes and label_shares else None
        return draw_latents(sampler.latent_size, 0, chunk).to(device), labels

    chunks = range(-NORM_BATCHES, 0)  # latents that no sample is drawn from
    reestimate_batch_norm(sampler, lambda chunk: sampler(*inputs(chunk)), chunks)


class Exhibit(NamedTuple):
    """Samples to be shown, in rows."""

    images: Tensor  # as TrainedSampler.images gives them
    columns: int | None  # None: as the picture likes


class TrainedSampler:
    """Images from a sampler in eval mode: image i of a seed is the same whatever else is asked for.

    A conditional sampler draws labels as often as the data has them (`label_shares`), or takes those it is given. One
    that images are given to takes those that it is asked with, or of the image's chunk those that `contexts` gives.
    """

    contexts: Callable[[int], Tensor] | None = None  # the chunk's number => (256, *condition.shape), as stored

    def __init__(
        self,
        module: Sampler,
        image_shape: ImageShape,
        label_shares: list[float] | None = None,
        label_names: list[str] | None = None,
        info: dict[str, Any] | None = None,
    ) -> None:
        self.module = module.eval()
        self.image_shape = image_shape
        self.latent_size = module.latent_size
        self.classes = module.classes
        self.condition = module.condition
        self.label_shares = label_shares
        self.label_names = label_names
        self.info = info or {}
        self.device = next(module.parameters()).device

    def labels(self, index: int, seed: int = 0) -> Tensor | None:
        """What the images of a seed's chunk are asked to be, int64 (256,); None without labels."""
        if not self.classes:
            return None
        return draw_labels(self.label_shares or [1 / self.classes] * self.classes, seed, index)

    def given(self, index: int, seed: int = 0) -> Tensor | None:
        """What a seed's chunk is of: labels int64 (256,), contexts as networks take them, or nothing.

        UserError for a sampler that takes images and has none.
        """
        if not self.condition:
            return self.labels(index, seed)
        if self.contexts is None:
            raise UserError(
                f"this sampler makes images of what is given (condition {self.condition.name}); give "
                f"{self.condition.form()}."
            )
        return self.condition.taken(self.contexts(index))

    def chunk(
        self,
        index: int,
        seed: int = 0,
        count: int = CHUNK,
        truncation: float | None = None,
        given: Tensor | None = None,
    ) -> Tensor:
        """The first `count` of a seed's images 256 * index .. 256 * index + 255; uint8 (count, C, H, W), or float32
        (count, 2).
        """
        latents = draw_latents(self.latent_size, seed, index, truncation)[:count]
        given = self.given(index, seed) if given is None else given
        with torch.inference_mode():
            chosen = None if given is None else given[:count].to(self.device)
            return to_stored(self.module(latents.to(self.device), chosen)).cpu()

    def images(
        self,
        count: int,
        seed: int = 0,
        truncation: float | None = None,
        labels: Tensor | None = None,
        contexts: Tensor | None = None,
    ) -> Tensor:
        """uint8 (count, C, H, W), or float32 (count, 2), on the CPU; of `labels`, int64 (count,), or `contexts`
        (count, *condition.shape), as stored, if they are given.

        UserError where `count` is not positive or more than memory holds, `seed` is not 0 to 2^63 - 1, `truncation` is
        neither 0 (none) nor 0.001 to 10, or what is given is not what the sampler takes.
        """
        count, seed = whole(count, "count", 1), whole(seed, "seed")
        check_memory(count, self.image_shape)
        if truncation is not None:
            self.check_truncation(truncation)
        if labels is not None:
            self.check_labels(labels, count)
        if contexts is not None:
            self.check_contexts(contexts, count)
        given = (
            labels if contexts is None or not self.condition else self.condition.taken(self.condition.cleaned(contexts))
        )
        images = torch.empty(count, *self.image_shape, dtype=torch.uint8 if len(self.image_shape) == 3 else torch.float)
        for start in range(0, count, CHUNK):
            places = slice(start, min(start + CHUNK, count))
            images[places] = self.chunk(
                start // CHUNK, seed, places.stop - start, truncation, None if given is None else given[places]
            )
        return images

    def check_truncation(self, truncation: float) -> None:
        """UserError unless it is 0 (none), or a bound that latents of this sampler can be restricted to."""
        if finite(truncation, "truncation", 0, MOST_TRUNCATION) == 0:
            return
        finite(truncation, "truncation", LEAST_TRUNCATION, MOST_TRUNCATION)
        if isinstance(self.module.network, CodeDecoder):
            raise UserError(
                f"truncation ({truncation}) is of latents, and this sampler draws codes; give a temperature below 1 or "
                "top_k instead (genlib sample --temperature, --top-k)."
            )

    def check_contexts(self, contexts: Tensor, count: int) -> None:
        """UserError unless there is a context for each image, of the type and shape that the sampler takes."""
        if not self.condition:
            raise UserError("this sampler makes images of nothing that is given; ask for a count only.")
        found = tuple(contexts.shape[1:])
        if found != self.condition.shape or contexts.dtype != self.condition.dtype:
            raise UserError(
                f"what is given is {str(contexts.dtype)[6:]} of shape {found}, and this sampler (condition "
                f"{self.condition.name}) takes {str(self.condition.dtype)[6:]} of shape {self.condition.shape}: "
                f"{self.condition.form()}."
            )
        if len(contexts) != count:
            raise UserError(f"{len(contexts)} {self.condition.name} contexts for {count} samples; give one for each.")
        if fault := self.condition.fault(contexts):
            raise UserError(fault)

    def check_labels(self, labels: Tensor, count: int) -> None:
        """UserError unless there is a known label for each image."""
        self.check_takes_labels()
        if len(labels) != count:
            raise UserError(f"{len(labels)} labels for {count} images; give one for each.")
        if labels.is_floating_point() or labels.dtype == torch.bool:
            raise UserError(f"labels are {str(labels.dtype)[6:]}; give int64.")
        wrong = labels[(labels < 0) | (labels >= self.classes)]
        if len(wrong):
            raise UserError(f"label {int(wrong[0])} is unknown; use 0 to {self.classes - 1}.")

    def check_takes_labels(self) -> None:
        if not self.classes:
            raise UserError("this sampler was trained without labels; ask for a count only.")

    def labels_named(self, given: Sequence[object], count: int) -> Tensor:
        """The labels that these names stand for, in turn, int64 (count,).

        Each is a name; where no name reads as a number it may also be an index from 0 to classes - 1. UserError for
        others, and for more of them than images.
        """
        self.check_takes_labels()
        if not given:
            raise UserError(f"no label is named; use {self._known_labels()}.")
        if len(given) > count:
            raise UserError(f"{len(given)} labels for {count} images; ask for {len(given)} images at least.")
        names = self.label_names or []
        known = {name.strip(): label for label, name in enumerate(names)} | {
            name: label for label, name in enumerate(names)
        }
        labels = torch.tensor([self._label_of(one, known) for one in given])
        return labels.repeat(-(-count // len(labels)))[:count]

    def _label_of(self, given: object, known: dict[str, int]) -> int:
        text = as_text(given)
        for name in (text, text.strip()):
            if name in known:
                return known[name]
        if self.takes_indices and INDEX.fullmatch(text.strip()) and int(text) < self.classes:
            return int(text)
        raise UserError(f"label {shown(given)} is unknown{did_you_mean(text, known)}; use {self._known_labels()}.")

    @property
    def takes_indices(self) -> bool:
        """Whether an index can stand for a label's name: not where a name could be mistaken for one."""
        return not any(reads_as_number(name) for name in self.label_names or [])

    def _known_labels(self) -> str:
        names = self.label_names or []
        more = len(names) - MOST_COLUMNS
        listed = ", ".join(names[:MOST_COLUMNS]) + (f" (and {more} more)" if more > 0 else "")
        if not self.takes_indices:
            return f"a name: {listed}"
        return f"0 to {self.classes - 1}" + (f", or a name such as {listed}" if names else "")

    def exhibit(self, count: int, seed: int = 0) -> Exhibit:
        """Samples that show what the sampler can do: of a conditional one a column for each of up to ten labels; many
        points instead of a few images.
        """
        if len(self.image_shape) == 1:
            return Exhibit(self.images(count * POINTS_FOR_AN_IMAGE, seed), None)
        if self.condition:
            return self._exhibit_of_contexts(max(1, count // (1 + SAMPLES_SHOWN)), seed)
        if not self.classes:
            return Exhibit(self.images(count, seed), None)
        columns = min(self.classes, MOST_COLUMNS)
        rows = max(1, count // columns)
        return Exhibit(self.images(rows * columns, seed, labels=torch.arange(columns).repeat(rows)), columns)

    def _exhibit_of_contexts(self, rows: int, seed: int) -> Exhibit:
        """A row for each context: what is given, and samples."""
        assert self.contexts is not None, "the sampler has nothing to show"
        return self.of_contexts(self.contexts(0)[:rows], SAMPLES_SHOWN, seed)[0]

    def of_contexts(
        self, contexts: Tensor, each: int, seed: int = 0, truncation: float | None = None
    ) -> tuple[Exhibit, Tensor]:
        """Rows of a context (n, *condition.shape), if it is a picture, and `each` samples of it; and the samples alone,
        uint8 (n * each, C, H, W), those of a context one after another. UserError as of `images`.
        """
        each = whole(each, "count", 1)
        check_memory(len(contexts) * each, self.image_shape)
        repeated = contexts.repeat_interleave(each, 0)
        samples = self.images(len(repeated), seed, truncation, contexts=repeated)
        assert self.condition
        shown = self.condition.shown(self.condition.taken(contexts))
        if shown is None:
            return Exhibit(samples, each), samples
        rows = torch.cat([to_uint8(shown)[:, None], samples.unflatten(0, (-1, each))], dim=1)
        return Exhibit(rows.flatten(0, 1), 1 + each), samples


INDEX = re.compile("[0-9]{1,9}")


def as_text(label: object) -> str:
    """A label as a name is written: text as it is, 3 and 3.0 as '3', 0.5 as '0.5'; others as Python shows them."""
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label)


def reads_as_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def export_sampler(
    folder: Path, sampler: TrainedSampler, config: RunConfig, names: list[str] | None, info: dict[str, Any]
) -> None:
    """Write weights.safetensors and config.json, the whole folder or nothing; a former export is replaced.

    OSError where the disk does not take it.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    content = save({name: tensor.contiguous() for name, tensor in sampler.module.state_dict().items()})
    description = {
        "method": config.method.model_dump(mode="json"),
        "condition": config.condition.model_dump(mode="json"),
        "image_shape": list(sampler.image_shape),
        "label_names": names,
        "scene_names": sampler.condition.names if isinstance(sampler.condition, Captions) else None,
        "label_shares": sampler.label_shares,
        "info": {**info, "weights_sha256": hashlib.sha256(content).hexdigest()},
    }
    try:
        partial.mkdir()
        write_bytes(partial / "weights.safetensors", content)
        write_json(partial / "config.json", description)
        if folder.exists():
            shutil.rmtree(folder)
        rename_into_place(partial, folder)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def load_tensors(file: Path, device: str = "cpu") -> dict[str, Tensor]:
    """UserError where the file is something else; nothing is ever unpickled."""
    try:
        return load_file(file, device=device)
    except SafetensorError as error:
        raise UserError(f"{file} is no safetensors file ({error}); restore the one that genlib wrote.") from error


def load_weights(module: nn.Module, file: Path, device: str = "cpu") -> None:
    """Put a file's tensors into a module; UserError if they are those of another one, or none."""
    try:
        module.load_state_dict(load_tensors(file, device))
    except RuntimeError as error:
        raise UserError(
            f"{file} does not fit the method that its configuration describes: it was made by another version of "
            "genlib. Use that version, or train anew in another run folder."
        ) from error


def load_sampler(folder: str | Path, device: str | torch.device = "cpu") -> TrainedSampler:
    """The sampler that export_sampler wrote; UserError where it is absent or its weights have changed."""
    folder = Path(folder)
    weights = folder / "weights.safetensors"
    if not (folder / "config.json").exists() or not weights.exists():
        raise UserError(f"{folder} holds no sampler (config.json and weights.safetensors); train the run to its end.")
    file = folder / "config.json"
    description = validated(SamplerDescription, read_json(file), f"{file} is damaged, export it anew")
    expected, actual = description.info.weights_sha256, sha256_of_file(weights)
    if actual != expected:
        raise UserError(
            f"{weights} has changed since it was exported (SHA-256 {actual[:12]}, config.json says {expected[:12]}); "
            "restore it, or export the run anew with genlib train."
        )
    shape, shares = description.image_shape, description.label_shares
    try:
        condition = build_condition(description.condition, shape, description.scene_names)
        spec = DataSpec(shape, len(shares or ()), condition=condition)
        # On the meta device nothing is allocated: what a stranger's config.json asks for may be more than memory holds.
        with torch.device("meta"):
            module = description.method.build_sampler(spec)
    except (ArithmeticError, ValueError, RuntimeError, TypeError, UserError) as error:
        reason = str(error).partition("\n")[0]  # torch's go on with their own stack
        raise UserError(f"{file} describes no sampler ({reason}); export it anew.") from error
    take_weights(module, load_tensors(weights), weights)
    module.to(device).requires_grad_(False)
    return TrainedSampler(
        module, shape, shares, description.label_names, description.info.model_dump(exclude_unset=True)
    )


def take_weights(module: nn.Module, tensors: dict[str, Tensor], file: Path) -> None:
    """Make these tensors the parameters and buffers of a module on the meta device.

    UserError, before anything is allocated, where names, shapes or types are those of another module, and where a
    parameter is not finite: all images would be black.
    """
    expected = module.state_dict()
    for name in expected | tensors:
        needed, found = (form_of(state.get(name)) for state in (expected, tensors))
        if needed != found:
            raise UserError(
                f"{file} does not fit the config.json beside it: of {shown(name)} there is {found}, and the method "
                f"needs {needed}; restore both, or export the run anew with genlib train."
            )
    for name, _ in module.named_parameters():
        if not tensors[name].isfinite().all():
            raise UserError(f"{file} holds NaN or infinity in {name}; restore an earlier export, or train anew.")
    # Copies, since safetensors' own tensors are views of the file, which may go away.
    module.load_state_dict({name: tensor.clone() for name, tensor in tensors.items()}, assign=True)


def form_of(tensor: Tensor | None) -> str:
    return "none" if tensor is None else f"{str(tensor.dtype)[6:]} of shape {tuple(tensor.shape)}"
