"""Differentiable augmentations of what a discriminator sees."""
