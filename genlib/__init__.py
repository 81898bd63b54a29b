"""genlib: train, evaluate and sample generative models (VAE and GAN variants)."""

__version__ = "0.1.0"
