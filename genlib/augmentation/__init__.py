"""Differentiable augmentations of what a discriminator sees, reals and fakes alike."""

from genlib.augmentation.ada import AdaptiveAugment
from genlib.augmentation.diffaugment import DiffAugment

__all__ = ["AdaptiveAugment", "DiffAugment"]
