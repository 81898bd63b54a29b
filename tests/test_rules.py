"""What does not go together is refused before any work, with the reason and the remedy."""

import pytest

from genlib.config.load import load_config
from genlib.config.rules import all_rules
from genlib.config.run import RunConfig
from genlib.errors import UserError
from tests.conftest import CONFIGS

GRADIENTS = "method.penalty={name: r1, weight: 1}"
BAD = {
    "strides_reach_the_image_size": [
        (
            "dcgan_digits",
            ["data.image_size=30"],
            "dcgan's strides, which double 2 to 3 pixels; use 24",
        ),
        ("hinge_sngan_cifar10", ["data.image_size=33"], "cannot be made by resnet's strides"),
        ("gan_minimax_mnist", ["method.discriminator_network={name: r3gan}", "data.image_size=18"], "r3gan's strides"),
    ],
    "codes_are_of_images": [
        ("vq_vae_digits", ["data.source=ring8"], "vq_vae's convolutions need images"),
    ],
    "halvings_divide_the_image_size": [
        ("vq_vae_digits", ["data.image_size=9"], "divisible by 2 to the power of method.downsamplings (1); use 8"),
    ],
    "one_of_both_learns": [
        (
            "captions_digits",
            ["method.autoencoder_share=0.25", "method.prior.start_share=0.5"],
            "nothing learns between method.autoencoder_share (0.25), when the autoencoder rests, and "
            "method.prior.start_share (0.5); use 0.25 for both",
        ),
    ],
    "heads_share_the_width": [
        (
            "vq_vae_digits",
            ["method.prior.heads=6"],
            "must divide method.prior.width (64); use 2, or a width of 66",
        ),
        ("captions_digits", ["method.prior.heads=3"], "(3) must divide method.prior.width (128); use 1, or"),
    ],
    "patches_fit_the_image_size": [
        (
            "inpainting_gan_digits",
            ["method.network.discriminator_layers=4"],
            "method.network.discriminator_layers (4) cannot halve data.image_size (8) so often; use 3",
        ),
        (
            "inpainting_gan_digits",
            ["method.discriminator_network={name: unet, discriminator_layers: 7}"],
            "method.discriminator_network.discriminator_layers (7) cannot halve data.image_size (8) so often; use 3",
        ),
    ],
    "points_are_vectors": [
        (
            "r3gan_ring8",
            ["method.network={name: dcgan}"],
            "and dcgan needs images; use method.network with the name mlp",
        ),
    ],
    "augmentations_alter_pixels": [
        ("r3gan_ring8", ["method.augmentation.name=diffaugment"], "alters pixels, and data.source ring8 has none"),
    ],
    "augmentations_leave_conditions": [
        ("inpainting_gan_digits", ["method.augmentation={name: diffaugment}"], "use method.augmentation.name=none"),
    ],
    "points_have_a_likelihood": [
        ("vae_pinwheel", ["method.likelihood=bernoulli"], "is one of pixels, and data.source pinwheel is points"),
    ],
    "only_images_are_stacked_or_binarized": [
        ("vae_pinwheel", ["data.binarize=fixed"], "leave out data.stacked and data.binarize"),
        ("dcgan_digits", ["data.stacked=100"], "makes images of 3 channels, data.channels is 1; use 3"),
    ],
    "binary_pixels_have_a_probability": [
        ("vae_digits", ["data.binarize=draw"], "method.likelihood (gaussian) is no probability of; use bernoulli"),
    ],
    "labels_need_a_place": [
        ("vae_digits", ["method.conditioning=batch_norm"], "mlp network has none there; use method.network.norm=batch"),
        (
            "r3gan_cifar10",
            ["method.conditioning=batch_norm"],
            "r3gan network has none there; use",
        ),
    ],
    "labels_stay_out_of_latents": [
        ("rae_digits", ["method.conditioning=concat"], "whose samples would not follow it; use vae"),
    ],
    "labels_need_a_kl": [
        ("cvae_digits", ["method.divergence={name: mmd}"], "set method.divergence.kl_weight"),
    ],
    "scores_have_the_signs_that_are_read": [
        ("ada_dcgan_cifar10", ["method.loss=relativistic"], "sees only differences of scores"),
    ],
    "projection_needs_labels": [
        ("dcgan_digits", ["method.discriminator_conditioning=projection"], "but method.conditioning is none"),
        ("cgan_mnist", ["method.pack=2"], "a projection is onto one label; use method.pack=1"),
    ],
    "packs_fill_micro_batches": [
        ("pacgan_ring8", ["training.batch_size=510"], "method.pack (4) must divide a micro-batch (510 images)"),
        ("pacgan_ring8", ["training.batch_size=8", "training.micro_batches=4"], "must divide a micro-batch (2 images)"),
    ],
    "gradient_norms_are_per_image": [
        ("dcgan_digits", [GRADIENTS], "use method.network.discriminator_norm=none"),
        ("dcgan_digits", [GRADIENTS, "method.discriminator_network={name: dcgan}"], "discriminator_network.discr"),
    ],
    "spectral_norms_need_weights": [
        ("r3gan_cifar10", ["method.spectral_norm=true"], "r3gan's residual branches begin at 0; use a penalty"),
    ],
    "clipped_weights_are_not_rescaled": [
        (
            "wgan_gp_cifar10",
            ["method.spectral_norm=true", "method.penalty={name: weight_clipping}"],
            "limits nothing; use one of the two",
        ),
    ],
    "slopes_are_limited": [
        ("dcgan_digits", ["method.loss=wasserstein"], "grows without end unless its slope is limited"),
        ("dcgan_digits", ["method.loss=wasserstein", "method.spectral_norm=true"], "batch norm undoes what"),
    ],
    "decompositions_need_company": [
        ("beta_tc_vae_digits", ["training.batch_size=4", "training.micro_batches=4"], "of a micro-batch, which has 1"),
    ],
    "batch_norms_have_company": [
        (
            "vae_digits",
            ["method.network.norm=batch", "training.batch_size=2", "training.micro_batches=2"],
            "is over a micro-batch, which has 1",
        ),
    ],
    "names_its_file": [
        (
            "dcgan_digits",
            ["evaluation.features=inception", "registry.metric=fid"],
            "needs evaluation.inception",
        ),
    ],
    "fits_the_data": [
        ("r3gan_ring8", ["evaluation.features=random"], "is of images, and data.source ring8 is points; use points"),
        ("dcgan_digits", ["evaluation.features=points"], "data.source digits is images; use classifier"),
    ],
    "nodes_share_the_processes": [
        (
            "vae_digits",
            ["training.processes=3", "launcher={name: torchrun, endpoint: 'a:1'}", "training.batch_size=126"],
            "training.processes (3) must be divisible by launcher.nodes (2), which share them; use 4, or auto.",
        ),
    ],
    "metric_is_measured": [
        ("inpainting_vae_digits", ["registry.metric=bits_per_dim"], "use log_likelihood"),
        ("vae_digits", ["registry.metric=caption_places"], "of images drawn for captions, and condition is none"),
        ("vae_digits", ["registry.metric=condition_psnr"], "and condition is none; use fd_classifier"),
        ("cvae_digits", ["condition.name=label", "registry.metric=fd_pairs"], "and condition is label"),
        ("dcgan_digits", ["registry.metric=fid"], "is not measured by evaluation.features 'classifier'"),
        ("dcgan_digits", ["registry.metric=elbo"], "needs an encoder and a likelihood, which a gan has not"),
        ("vae_gan_digits", ["registry.metric=elbo"], "which a vae_gan has not"),
        ("dcgan_digits", ["registry.metric=psnr"], "of images that an encoder and a decoder bring back"),
        ("dcgan_digits", ["registry.metric=energy_distance"], "is not measured on data.source digits; use fd_classif"),
        ("vae_pinwheel", ["registry.metric=reverse_kl"], "is not measured on data.source pinwheel; use energy_dist"),
        ("vae_pinwheel", ["registry.metric=modes"], "needs modes, which pinwheel has not"),
        ("r3gan_ring8", ["registry.metric=class_kl"], "needs a classifier of images; use energy_distance"),
        (
            "r3gan_ring8",
            [
                "registry.metric=label_accuracy",
                "method.conditioning=concat",
                "method.discriminator_conditioning=concat",
            ],
            "needs a classifier of images; use energy_distance",
        ),
        ("vae_pinwheel", ["registry.metric=bits_per_dim"], "needs a density over pixels"),
        ("dcgan_digits", ["registry.metric=label_accuracy"], "is of samples with a label; set method.conditioning"),
        ("inpainting_vae_digits", ["registry.metric=bits_per_dim"], "use log_likelihood"),
        ("vae_digits", ["registry.metric=caption_places"], "of images drawn for captions, and condition is none"),
        ("vae_digits", ["registry.metric=condition_psnr"], "and condition is none; use fd_classifier"),
        ("cvae_digits", ["condition.name=label", "registry.metric=fd_pairs"], "and condition is label"),
    ],
    "baseline_is_measured": [
        (
            "vae_digits",
            ["registry.baseline=require", "registry.metric=elbo"],
            "the baseline, a Gaussian mixture, has no elbo (registry.metric); use warn or ignore",
        ),
        (
            "cvae_digits",
            ["registry.baseline=require", "registry.metric=label_accuracy"],
            "has no label_accuracy (registry.metric)",
        ),
        (
            "inpainting_vae_digits",
            ["registry.baseline=require", "registry.metric=fd_classifier"],
            "draws without a condition, and condition is masked; use warn or ignore",
        ),
    ],
    "needs_a_method_that_takes_labels": [
        ("vae_digits", ["condition.name=label"], "it says how a label is taken; use method.conditioning=concat"),
    ],
    "takes_the_place_of_labels": [
        (
            "super_resolution_vae_digits",
            ["method.conditioning=concat"],
            "method.conditioning takes labels; use one of the two",
        ),
    ],
    "is_made_from_images": [
        ("vae_pinwheel", ["condition.name=low_resolution"], "is points in the plane; use condition.name=none"),
    ],
    "needs_a_method_that_takes_images": [
        ("vq_vae_digits", ["condition.name=masked"], "which vq_vae does not take; use method.name gan, iwae or vae"),
    ],
    "condition_images_are_there": [
        ("dcgan_digits", ["method.network={name: unet}"], "and there is none; set condition, or use dcgan"),
        ("dcgan_digits", ["method.discriminator_network={name: unet}"], "method.discriminator_network is unet"),
    ],
    "condition_images_are_taken": [
        ("dcgan_digits", ["condition.name=masked"], "this dcgan takes no condition that is an image"),
        (
            "super_resolution_vae_digits",
            ["method.network={name: mlp, norm: batch}"],
            "use method.network={name: unet}, or an mlp without batch norm",
        ),
    ],
    "squares_fill_the_image": [
        (
            "super_resolution_vae_digits",
            ["condition.factor=3"],
            "condition.factor (3) must divide data.image_size (8); use 2",
        ),
    ],
    "needs_colour": [
        ("super_resolution_vae_digits", ["condition={name: greyscale}"], "data.channels is 1; use 3"),
    ],
    "learned_priors_take_a_kl": [
        ("inpainting_vae_digits", ["method.divergence={name: mmd}"], "each has its own; use kl"),
    ],
    "learned_priors_take_one_gradient": [
        (
            "inpainting_vae_digits",
            ["method={name: iwae, gradient: doubly_reparameterized}"],
            "for a prior that is not learned, and with condition masked it is; use reparameterized",
        ),
    ],
    "learned_priors_are_sampled_themselves": [
        ("inpainting_vae_digits", ["method.latents=mixture"], "one density for all images"),
    ],
    "reconstructions_need_an_image": [
        ("dcgan_digits", ["method.reconstruction_weight=1"], "condition is no image; set it to 0"),
    ],
    "packs_have_no_condition_image": [
        ("inpainting_gan_digits", ["method.pack=2"], "condition is masked; use 1"),
    ],
    "guidance_is_towards_captions": [
        ("vq_vae_digits", ["method.prior.guidance=2"], "and condition is none; use 1"),
        ("captions_digits", ["method.prior.caption_dropout=0"], "caption_dropout 0 none are learned; use 0.1"),
    ],
    "needs_captions": [
        ("vq_vae_digits", ["condition.name=caption"], "and the data has none; set data.scenes"),
    ],
    "needs_a_method_that_takes_captions": [
        (
            "vae_digits",
            ["condition.name=caption", "data.scenes=100", "data.image_size=28"],
            "which vae does not take; use method.name vq_vae",
        ),
    ],
    "scenes_have_room": [
        ("captions_digits", ["data.image_size=16"], "side by side; use 24 or more"),
        ("vae_pinwheel", ["data.scenes=100"], "is points in the plane, and data.scenes are of images"),
        ("captions_digits", ["data.stacked=100", "data.channels=3"], "leave one of the two out"),
        ("cvae_digits", ["data.scenes=100", "data.image_size=28"], "scenes have captions in their place; use none"),
    ],
    "only_images_without_captions_are_mirrored": [
        ("captions_digits", ["data.mirror=true"], "left and right, which the captions of data.scenes name; leave one"),
        ("r3gan_ring8", ["data.mirror=true"], "data.source ring8 is points in the plane, which data.mirror is not for"),
    ],
}
CASES = [(rule, *case) for rule, cases in BAD.items() for case in cases]


@pytest.mark.parametrize(("rule", "name", "overrides", "message"), CASES)
def test_what_makes_no_sense_is_refused_with_the_reason(rule, name, overrides, message):
    with pytest.raises(UserError) as error:
        load_config(CONFIGS / f"{name}.yaml", overrides)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_every_rule_is_tried_and_says_what_it_is():
    assert set(BAD) == set(all_rules(RunConfig))
    assert all(all_rules(RunConfig).values())


def test_a_key_of_another_choice_is_named_as_such():
    for name, override, message in (
        ("autoencoder_digits", "method.prior.width=8", "which is one of vq_vae and not of autoencoder"),
        ("vae_digits", "method.pack=2", "which is one of gan and not of vae"),
        ("dcgan_digits", "method.network.hidden_sizes=[8]", "which is one of mlp and not of dcgan"),
    ):
        with pytest.raises(UserError, match=message):
            load_config(CONFIGS / f"{name}.yaml", [override])


def test_a_remedy_for_packs_is_one():
    with pytest.raises(UserError) as error:
        load_config(CONFIGS / "pacgan_ring8.yaml", ["training.batch_size=510"])
    remedy = str(error.value).rsplit(" ", 1)[-1].rstrip(".")
    load_config(CONFIGS / "pacgan_ring8.yaml", [f"training.batch_size={remedy}"])
