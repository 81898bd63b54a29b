"""The methods: what is trained, and how."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from genlib.choices.choice import Chosen
from genlib.choices.section import (
    LARGEST_RATE,
    LARGEST_WEIGHT,
    MOST_DRAWS,
    MOST_LAYERS,
    MOST_STEPS,
    MOST_UNITS,
    Section,
)
from genlib.networks import Network
from genlib.networks.dcgan.config import DCGANConfig
from genlib.networks.mlp.config import MLPConfig

MOST_CODES = 2**18
LEAST_TEMPERATURE = 1e-3  # of drawing codes: far below it, logits over it are no numbers

if TYPE_CHECKING:
    AdversarialLossName = str
else:  # A loss is a file: a new one is known as soon as it is there.
    LOSSES = Path(__file__).parents[1] / "losses" / "adversarial"
    AdversarialLossName = Literal[tuple(sorted(file.stem for file in LOSSES.glob("[!_]*.py")))]


class OptimizerConfig(Section):
    """Adam (Kingma & Ba 2015), its weight decay decoupled (Loshchilov & Hutter 2019), or RMSprop."""

    algorithm: Literal["adam", "rmsprop"] = Field("adam", description="The update rule")
    learning_rate: float = Field(1e-3, gt=0, le=LARGEST_RATE, description="After the warm-up, before the schedule")
    beta1: float = Field(0.9, ge=0, lt=1, description="Of adam")
    beta2: float = Field(0.999, ge=0, lt=1, description="Of the squared gradients, for rmsprop too")
    epsilon: float = Field(1e-8, ge=1e-30, le=1, description="Added to the root of the squared gradients")
    weight_decay: float = Field(0.0, ge=0, le=LARGEST_RATE, description="Times the learning rate, in each step")
    warm_up_steps: int = Field(0, ge=0, le=MOST_STEPS, description="In which the learning rate rises from 0")
    schedule: Literal["constant", "linear", "cosine", "stages"] = Field(
        "constant", description="Of the learning rate after that; stages: 8, each three times as long as the last"
    )
    final_share: float = Field(0.1, gt=0, le=1, description="Of the learning rate, where a schedule ends")

    @property
    def moves(self) -> bool:
        """Whether the learning rate is not the same all the time."""
        return self.schedule != "constant" or self.warm_up_steps > 0


class MethodSection(Section):
    """What the rules of the configuration ask a method."""

    has_encoder: ClassVar[bool] = False
    has_likelihood: ClassVar[bool] = False  # so that images have a bound on their log-likelihood
    is_adversarial: ClassVar[bool] = False


class LatentsSection(MethodSection):
    """What the latents of a sample are drawn from."""

    has_encoder: ClassVar[bool] = True

    latents: Literal["normal", "gaussian", "mixture"] = Field(
        "normal",
        description="Samples come from N(0, I), or from a Gaussian or a mixture fitted to the train images' latents",
    )
    mixture_components: int = Field(10, ge=1, le=1000, description="Gaussians of latents: mixture")


class AutoencoderSection(LatentsSection):
    """An encoder and a decoder, trained by one optimizer."""

    network: Chosen[Network] = Field(MLPConfig(), description="Of encoder and decoder")
    latent_size: int = Field(16, ge=1, le=MOST_UNITS, description="Dimensions of the latents")
    conditioning: Literal["none", "concat", "batch_norm"] = Field(
        "none", description="How the decoder takes labels; the encoder takes them with its input"
    )
    optimizer: OptimizerConfig = Field(OptimizerConfig(), description="Of all weights")


class AutoencoderConfig(AutoencoderSection):
    """Deterministic autoencoder of squared error; with penalties the RAE-L2 (Ghosh et al. 2020)."""

    name: Literal["autoencoder"] = "autoencoder"
    latent_penalty: float = Field(
        0.0,
        ge=0,
        le=LARGEST_WEIGHT,
        description="Weight of |z|^2 / 2 beside the squared error of an image in [-1, 1], 4 times that in [0, 1]",
    )
    decoder_penalty: float = Field(0.0, ge=0, le=LARGEST_WEIGHT, description="Weight of the decoder's squared weights")


LikelihoodName = Literal[
    "gaussian", "gaussian_learned", "gaussian_optimal", "bernoulli", "continuous_bernoulli", "discretized_logistic"
]


class LikelihoodSection(AutoencoderSection):
    has_likelihood: ClassVar[bool] = True

    likelihood: LikelihoodName = Field("gaussian", description="p(image | latents)")
    sigma: float = Field(0.2, ge=1e-6, le=1000, description="Of likelihood: gaussian, on the scale of [-1, 1]")


class KLConfig(Section):
    """KL(q(z | x) || p(z)), weighted (Higgins et al. 2017), warmed up (Sonderby et al. 2016) or aimed at a capacity
    (Burgess et al. 2018)."""

    name: Literal["kl"] = "kl"
    beta: float = Field(1.0, ge=0, le=LARGEST_WEIGHT, description="Weight of the KL")
    warm_up_steps: int = Field(0, ge=0, le=MOST_STEPS, description="Over which beta rises from 0")
    capacity: float | None = Field(None, ge=0, le=1e6, description="Nats that the KL is held to; null: none")
    capacity_steps: int = Field(0, ge=0, le=MOST_STEPS, description="Over which the capacity rises from 0")
    free_bits: float = Field(0.0, ge=0, le=1e6, description="Nats of each latent dimension that cost nothing")


class BetaTCConfig(Section):
    """The KL in three parts (Chen et al. 2018): mutual information, total correlation, dimension-wise KL."""

    name: Literal["beta_tc"] = "beta_tc"
    alpha: float = Field(1.0, ge=0, le=LARGEST_WEIGHT, description="Weight of the mutual information")
    beta: float = Field(6.0, ge=0, le=LARGEST_WEIGHT, description="Weight of the total correlation")
    gamma: float = Field(1.0, ge=0, le=LARGEST_WEIGHT, description="Weight of the dimension-wise KL")


class MMDConfig(Section):
    """Maximum mean discrepancy between the aggregate posterior and the prior: WAE-MMD (Tolstikhin et al. 2018), and
    with a weight for the KL InfoVAE (Zhao et al. 2019)."""

    name: Literal["mmd"] = "mmd"
    weight: float = Field(
        10.0,
        ge=0,
        le=LARGEST_WEIGHT,
        description="Beside -log p(x | z). With likelihood: gaussian the paper's lambda, beside the squared error of "
        "pixels in [0, 1], is weight * sigma^2 / 2: the same for sigma 1.41421356. The authors' code takes 0.05 of the "
        "error, so that its lambda is 0.05 of this one",
    )
    kl_weight: float = Field(
        0.0, ge=0, le=LARGEST_WEIGHT, description="Of the KL, which InfoVAE has beside the discrepancy"
    )


class VAEConfig(LikelihoodSection):
    """Variational autoencoder (Kingma & Welling 2014)."""

    name: Literal["vae"] = "vae"
    divergence: Annotated[KLConfig | BetaTCConfig | MMDConfig, Field(discriminator="name")] = Field(
        KLConfig(), description="Between posterior and prior"
    )
    monte_carlo_samples: int = Field(1, ge=1, le=1000, description="Latents drawn for each image")


class IWAEConfig(LikelihoodSection):
    """Importance-weighted autoencoder (Burda et al. 2015)."""

    name: Literal["iwae"] = "iwae"
    importance_samples: int = Field(5, ge=1, le=MOST_DRAWS, description="k of the bound")
    gradient: Literal["reparameterized", "doubly_reparameterized"] = Field(
        "reparameterized", description="The second (Tucker et al. 2019) does not fade as k grows"
    )


class HierarchicalVAEConfig(MethodSection):
    """Two stochastic layers, trained on the importance-weighted bound (Burda et al. 2015, section 5)."""

    has_encoder: ClassVar[bool] = True
    has_likelihood: ClassVar[bool] = True

    name: Literal["hierarchical_vae"] = "hierarchical_vae"
    network: Chosen[Network] = Field(
        MLPConfig(hidden_sizes=[200, 200]), description="Of encoder and decoder next to the image"
    )
    latent_size: int = Field(100, ge=1, le=MOST_UNITS, description="Dimensions of the layer next to the image")
    upper_latent_size: int = Field(50, ge=1, le=MOST_UNITS, description="Dimensions of the layer above")
    upper_hidden_sizes: list[Annotated[int, Field(ge=1, le=MOST_UNITS)]] = Field(
        [100, 100], min_length=1, max_length=MOST_LAYERS, description="Units of each hidden layer between the two"
    )
    importance_samples: int = Field(1, ge=1, le=MOST_DRAWS, description="k of the bound")
    likelihood: LikelihoodName = Field("gaussian", description="p(image | latents)")
    sigma: float = Field(0.2, ge=1e-6, le=1000, description="Of likelihood: gaussian, on the scale of [-1, 1]")
    optimizer: OptimizerConfig = Field(OptimizerConfig(), description="Of all weights")


class CodePriorConfig(Section):
    """A causal transformer over the codes."""

    width: int = Field(128, ge=1, le=MOST_UNITS, description="Numbers that stand for a code")
    layers: int = Field(3, ge=1, le=MOST_LAYERS, description="Blocks of attention")
    heads: int = Field(4, ge=1, le=MOST_UNITS, description="Of each attention; they share the width evenly")
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of numbers left out in training")
    temperature: float = Field(1.0, ge=LEAST_TEMPERATURE, le=1000, description="Of sampling: below 1 likelier codes")
    top_k: int | None = Field(
        None, ge=1, le=MOST_CODES, description="Of sampling: from the likeliest k codes only; null: from all"
    )
    guidance: float = Field(
        1.0, ge=0, le=1000, description="Of sampling with a caption: above 1 codes that fit it better"
    )
    caption_weight: float = Field(0.125, ge=0, lt=1, description="Of the words in the loss; the rest is the codes'")
    caption_dropout: float = Field(0.1, ge=0, lt=1, description="Share of captions left out in training, for guidance")
    optimizer: OptimizerConfig = Field(OptimizerConfig(), description="Of the prior's weights")


class VQVAEConfig(MethodSection):
    """Vector-quantized autoencoder (van den Oord et al. 2017), its codes drawn from an autoregressive prior."""

    has_encoder: ClassVar[bool] = True

    name: Literal["vq_vae"] = "vq_vae"
    width: int = Field(64, ge=1, le=MOST_UNITS, description="Channels of the convolutions")
    residual_blocks: int = Field(2, ge=0, le=MOST_LAYERS, description="Of encoder and decoder, each")
    downsamplings: int = Field(2, ge=1, le=7, description="Halvings from the image to the map of codes")
    codes: int = Field(128, ge=2, le=MOST_CODES, description="Size of the codebook")
    code_size: int = Field(32, ge=1, le=MOST_UNITS, description="Dimensions of a code")
    commitment: float = Field(
        0.25,
        ge=0,
        le=LARGEST_WEIGHT,
        description="Weight of |z - e|^2 beside the squared error of pixels in [-1, 1], both means over all numbers; "
        "the authors' code divides the error by the data's variance",
    )
    decay: float = Field(0.99, ge=0, lt=1, description="Of the codebook's moving averages")
    least_usage: float = Field(
        0.1, ge=0, le=100, description="Share of even use below which a code is dead and starts anew"
    )
    autoencoder_share: float = Field(
        1.0, gt=0, le=1, description="Of the training's steps; then the autoencoder rests, and the prior learns alone"
    )
    output: Literal["tanh", "identity"] = Field(
        "tanh", description="Bounds pixels; identity for images that are mostly black or white, which saturate tanh"
    )
    conditioning: Literal["none", "concat"] = Field("none", description="concat: the prior begins with the label")
    prior: CodePriorConfig = Field(CodePriorConfig(), description="What codes are drawn from")
    optimizer: OptimizerConfig = Field(OptimizerConfig(), description="Of encoder and decoder")


class VAEGANConfig(LatentsSection):
    """A VAE whose reconstruction is measured in a discriminator's features (Larsen et al. 2016)."""

    is_adversarial: ClassVar[bool] = True

    name: Literal["vae_gan"] = "vae_gan"
    network: Chosen[Network] = Field(DCGANConfig(), description="Of encoder, decoder and discriminator")
    latent_size: int = Field(64, ge=1, le=MOST_UNITS, description="Dimensions of the latents")
    conditioning: Literal["none", "concat"] = Field(
        "none", description="How encoder, decoder, discriminator get labels"
    )
    beta: float = Field(1.0, ge=0, le=LARGEST_WEIGHT, description="Weight of the KL")
    gamma: float = Field(
        1e-3, ge=0, le=LARGEST_WEIGHT, description="Weight of the reconstruction against the adversarial loss"
    )
    encoder_optimizer: OptimizerConfig = Field(
        OptimizerConfig(learning_rate=3e-4), description="Of the encoder's weights"
    )
    decoder_optimizer: OptimizerConfig = Field(
        OptimizerConfig(learning_rate=3e-4), description="Of the decoder's weights"
    )
    discriminator_optimizer: OptimizerConfig = Field(
        OptimizerConfig(learning_rate=3e-4), description="Of the discriminator's weights"
    )


class NoPenalty(Section):
    """None."""

    name: Literal["none"] = "none"


class WeightClippingConfig(Section):
    """Every weight of the discriminator is held within limits (Arjovsky et al. 2017, Algorithm 1)."""

    name: Literal["weight_clipping"] = "weight_clipping"
    limit: float = Field(0.01, gt=0, le=LARGEST_WEIGHT, description="Largest absolute value of a weight")


class GradientPenaltySection(Section):
    weight: float = Field(10.0, gt=0, le=LARGEST_WEIGHT, description="Of the penalty in the loss")
    every: int = Field(
        1, ge=1, le=MOST_STEPS, description="Steps from one to the next; the weight is that of a penalty each step"
    )


class GradientPenaltyConfig(GradientPenaltySection):
    """Gradient norms near 1 between reals and fakes (Gulrajani et al. 2017, eq. 3)."""

    name: Literal["gradient_penalty"] = "gradient_penalty"


class R1Config(GradientPenaltySection):
    """Half the squared gradient norm at reals (Mescheder et al. 2018, eq. 9)."""

    name: Literal["r1"] = "r1"


class R2Config(GradientPenaltySection):
    """Half the squared gradient norm at fakes (Mescheder et al. 2018, eq. 10)."""

    name: Literal["r2"] = "r2"


class R1R2Config(GradientPenaltySection):
    """Both (Huang et al. 2024, section 3)."""

    name: Literal["r1_r2"] = "r1_r2"


PenaltyConfig = Annotated[
    NoPenalty | WeightClippingConfig | GradientPenaltyConfig | R1Config | R2Config | R1R2Config,
    Field(discriminator="name"),
]


class NoAugmentation(Section):
    """None."""

    name: Literal["none"] = "none"


class DiffAugmentConfig(Section):
    """Differentiable augmentation of reals and fakes alike (Zhao et al. 2020)."""

    name: Literal["diffaugment"] = "diffaugment"
    policy: list[Literal["color", "translation", "cutout"]] = Field(
        ["color", "translation", "cutout"], min_length=1, max_length=3, description="Applied one after another"
    )


class ADAConfig(Section):
    """Augmentation whose probability follows the discriminator's overfitting (Karras et al. 2020)."""

    name: Literal["ada"] = "ada"
    target: float = Field(0.6, ge=-1, le=1, description="Mean sign of the scores of reals")
    speed_images: int = Field(
        500_000, ge=1, le=10**12, description="Images over which the probability can go from 0 to 1"
    )


GAN_OPTIMIZER = OptimizerConfig(learning_rate=2e-4, beta1=0.5)  # Radford et al. 2015, section 4


class GANConfig(MethodSection):
    """Generative adversarial network (Goodfellow et al. 2014)."""

    is_adversarial: ClassVar[bool] = True

    name: Literal["gan"] = "gan"
    network: Chosen[Network] = Field(DCGANConfig(), description="Of the generator")
    discriminator_network: Chosen[Network] | None = Field(None, description="null: as the generator's")
    latent_size: int = Field(100, ge=1, le=MOST_UNITS, description="Dimensions of the latents")
    conditioning: Literal["none", "concat", "batch_norm"] = Field("none", description="How the generator takes labels")
    discriminator_conditioning: Literal["concat", "projection"] = Field(
        "concat", description="How the discriminator takes them"
    )
    loss: AdversarialLossName = Field("non_saturating", description="Of discriminator and generator")
    penalty: PenaltyConfig = Field(NoPenalty(), description="Of the discriminator's slope")
    spectral_norm: bool = Field(False, description="In the discriminator (Miyato et al. 2018)")
    augmentation: Annotated[NoAugmentation | DiffAugmentConfig | ADAConfig, Field(discriminator="name")] = Field(
        NoAugmentation(), description="Of what the discriminator sees"
    )
    pack: int = Field(1, ge=1, le=1024, description="Images that are judged together (Lin et al. 2018)")
    reconstruction_weight: float = Field(
        0.0,
        ge=0,
        le=LARGEST_WEIGHT,
        description="Of the mean absolute difference to the image that a condition was taken of",
    )
    discriminator_steps: int = Field(
        1, ge=1, le=1000, description="Updates of the discriminator for one of the generator: Algorithm 1's k"
    )
    generator_optimizer: OptimizerConfig = Field(GAN_OPTIMIZER, description="Of the generator's weights")
    discriminator_optimizer: OptimizerConfig = Field(GAN_OPTIMIZER, description="Of the discriminator's weights")

    @property
    def judging_network(self) -> Network:
        return self.discriminator_network or self.network


MethodConfig = Annotated[
    AutoencoderConfig | VAEConfig | IWAEConfig | HierarchicalVAEConfig | VQVAEConfig | VAEGANConfig | GANConfig,
    Field(discriminator="name"),
]
