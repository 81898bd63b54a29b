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
