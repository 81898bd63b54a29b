"""Randomness as a function of where it is used, so that no generator's state is ever saved."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

LOW_BITS = 32  # of a seed, which is all that torch's generator for a CPU takes: the key of MT19937 has 624 such words
KEY = slice(3, 627)  # where the words of this key are in the generator's state, as int64


def seed_for(*position: int | str) -> int:
    """A 63-bit seed, the same on every machine, for a place such as ("batch order", seed, epoch)."""
    digest = hashlib.blake2b(repr(position).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator_for(*position: int | str, device: str | torch.device = "cpu") -> torch.Generator:
    """A private generator for a place; the global one is left alone.

    On a CPU it takes the low 32 bits of the place's seed, so that of n places n^2 / 2^33 pairs draw the same. This is
    for places that are few: choices that are made once, samples of a seed. Those of every step are for `stream_for`.
    """
    return torch.Generator(device).manual_seed(seed_for(*position))


def stream_for(*position: int | str, device: str | torch.device = "cpu") -> torch.Generator:
    """A private generator for a place, of all bits of the place's seed; the global one is left alone."""
    generator = torch.Generator(device)
    seed_wholly(generator, seed_for(*position))
    return generator


def seed_wholly(generator: torch.Generator, seed: int) -> None:
    """Seed a generator with all 64 bits of a seed; one below 2^32 gives the draws of `manual_seed`.

    On a CPU `manual_seed` drops the bits above: hundreds of thousands of seeds would not all draw differently. Here a
    hash of the seed fills the whole key of the Mersenne Twister.
    """
    generator.manual_seed(seed)
    if generator.device.type == "cpu" and seed >> LOW_BITS:
        state = generator.get_state()
        key = hashlib.shake_128(seed.to_bytes(8, "little")).digest(4 * (KEY.stop - KEY.start))
        state.view(torch.int64)[KEY] = torch.from_numpy(np.frombuffer(key, "<u4").astype(np.int64))
        generator.set_state(state)


def seed_draws(seed: int, device: torch.device) -> None:
    """Seed the global generators that draws on `device` come from, with all bits of the seed.

    torch.manual_seed would also queue a call, with a stack trace, for each kind of device that is not in use: slow, and
    a queue that grows with every training step.
    """
    if device.type == "cpu":
        seed_wholly(torch.default_generator, seed)
    elif device.type == "cuda":
        torch.default_generator.manual_seed(seed)
        torch.cuda.manual_seed(seed)
    else:
        torch.manual_seed(seed)
