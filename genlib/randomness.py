"""Randomness as a function of where it is used, so that no generator's state is ever saved."""

from __future__ import annotations

import hashlib

import torch


def seed_for(*position: int | str) -> int:
    """A 63-bit seed, the same on every machine, for a place such as ("batch order", seed, epoch)."""
    digest = hashlib.blake2b(repr(position).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator_for(*position: int | str, device: str | torch.device = "cpu") -> torch.Generator:
    """A private generator for a place; the global one is left alone."""
    return torch.Generator(device).manual_seed(seed_for(*position))


def seed_draws(seed: int, device: torch.device) -> None:
    """Seed the global generators that draws on `device` come from.

    torch.manual_seed would also queue a call, with a stack trace, for each kind of device that is not in use: slow, and
    a queue that grows with every training step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type != "cpu":
        torch.manual_seed(seed)
