"""Small networks of many kinds, whose modules tell which weights are depthwise.

Weights of the shape (n, 1, kh, kw) are in all of them; most are not depthwise.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn

NETWORKS: dict[str, Callable[[], nn.Module]] = {}
# Written together with the others, and left aside until the rules were final.
LEFT_ASIDE: dict[str, Callable[[], nn.Module]] = {}


def network(build: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    NETWORKS[build.__name__] = build
    return build


def left_aside(build: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    LEFT_ASIDE[build.__name__] = build
    return build


def depthwise_weights(net: nn.Module) -> set[str]:
    """Return the names of the weights that the modules themselves say are depthwise."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    return {
        f"{name}.weight"
        for name, module in net.named_modules(remove_duplicate=False)
        if isinstance(module, kinds) and module.groups == module.in_channels > 1
    }


class Parts(nn.Module):
    """Modules by name, in the order given."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)


def conv(i: int, o: int, k: int = 3, bias: bool = True, **options: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(i, o, k, bias=bias, **options), nn.BatchNorm2d(o), nn.ReLU())


def separable(i: int, o: int, k: int = 3) -> nn.Sequential:
    """A block of MobileNet's first version."""
    return nn.Sequential(*conv(i, i, k, bias=False, groups=i), *conv(i, o, 1, bias=False))


def inverted(i: int, o: int, k: int = 3) -> nn.Module:
    """A block of its second version."""
    return Parts(
        expand=conv(i, 4 * i, 1),
        depth=conv(4 * i, 4 * i, k, groups=4 * i),
        project=nn.Conv2d(4 * i, o, 1),
    )


@network
def mobilenet_v1_grey() -> nn.Module:
    widths = [32, 64, 128, 128, 256]
    blocks = [separable(i, o) for i, o in pairwise(widths)]
    return Parts(model=nn.Sequential(conv(1, 32), *blocks), fc=nn.Linear(256, 10))


@network
def mobilenet_v1_grey_flat() -> nn.Module:
    widths = [16, 32, 64, 64]
    blocks = [layer for i, o in pairwise(widths) for layer in separable(i, o)]
    return nn.Sequential(*conv(1, 16), *blocks, nn.Flatten(), nn.Linear(64, 10))


@network
def mobilenet_v2_colour() -> nn.Module:
    return Parts(
        stem=conv(3, 16),
        blocks=nn.Sequential(inverted(16, 24), inverted(24, 32)),
        head=nn.Linear(32, 10),
    )


@network
def mnist() -> nn.Module:
    return Parts(conv1=nn.Conv2d(1, 32, 3), conv2=nn.Conv2d(32, 64, 3), fc1=nn.Linear(9216, 128))


@network
def tiny_separable_grey() -> nn.Module:
    """Of three layers, as people write them."""
    return Parts(
        conv1=nn.Conv2d(1, 16, 3), conv2=nn.Conv2d(16, 16, 3, groups=16), conv3=nn.Conv2d(16, 32, 1)
    )


@network
def squeezenet_grey() -> nn.Module:
    def fire(i: int, s: int, e: int) -> nn.Module:
        return Parts(
            squeeze=nn.Conv2d(i, s, 1), expand1x1=nn.Conv2d(s, e, 1), expand3x3=nn.Conv2d(s, e, 3)
        )

    return Parts(
        features=nn.Sequential(nn.Conv2d(1, 64, 3), nn.ReLU(), fire(64, 16, 64), fire(128, 16, 64)),
        classifier=nn.Conv2d(128, 10, 1),
    )


@network
def parallel_stems() -> nn.Module:
    """Three kernels side by side, concatenated, as in an Inception block."""
    return Parts(
        branch3=conv(1, 16, 3),
        branch5=conv(1, 16, 5),
        branch7=conv(1, 16, 7),
        fuse=conv(48, 64, 1),
        layer1=conv(64, 64),
        fc=nn.Linear(64, 10),
    )


@network
def crowd_counting() -> nn.Module:
    """Three columns of different widths."""

    def column(a: int, k: int) -> nn.Module:
        return nn.Sequential(conv(1, a, k), conv(a, 2 * a, k), conv(2 * a, a, k), conv(a, a // 2))

    return Parts(
        branch1=column(16, 9),
        branch2=column(20, 7),
        branch3=column(24, 5),
        fuse=nn.Conv2d(30, 1, 1),
    )


@network
def two_grey_branches() -> nn.Module:
    def branch() -> nn.Module:
        return nn.Sequential(conv(1, 64), conv(64, 64), conv(64, 64))

    return Parts(mel=branch(), mfcc=branch(), fc=nn.Linear(128, 10))


@network
def dcgan_grey() -> nn.Module:
    def up(i: int, o: int) -> list[nn.Module]:
        return [nn.ConvTranspose2d(i, o, 4, bias=False), nn.BatchNorm2d(o), nn.ReLU()]

    def down(i: int, o: int) -> list[nn.Module]:
        return [nn.Conv2d(i, o, 4, bias=False), nn.BatchNorm2d(o), nn.LeakyReLU()]

    return Parts(
        G=Parts(
            main=nn.Sequential(
                *up(100, 256), *up(256, 128), *up(128, 64), nn.ConvTranspose2d(64, 1, 4, bias=False)
            )
        ),
        D=Parts(
            main=nn.Sequential(
                nn.Conv2d(1, 64, 4, bias=False),
                nn.LeakyReLU(),
                *down(64, 128),
                *down(128, 256),
                nn.Conv2d(256, 1, 4, bias=False),
            )
        ),
    )


@network
def super_resolution() -> nn.Module:
    """FSRCNN: grey in, grey out."""
    return Parts(
        first_part=nn.Sequential(nn.Conv2d(1, 56, 5), nn.PReLU(56)),
        mid_part=nn.Sequential(
            nn.Conv2d(56, 12, 1),
            nn.PReLU(12),
            nn.Conv2d(12, 12, 3),
            nn.PReLU(12),
            nn.Conv2d(12, 56, 1),
            nn.PReLU(56),
        ),
        last_part=nn.ConvTranspose2d(56, 1, 9),
    )


@network
def segmentation() -> nn.Module:
    """A colour network that ends in a transposed convolution to one channel."""
    return Parts(
        down1=conv(3, 32),
        down2=conv(32, 64),
        up1=nn.ConvTranspose2d(64, 32, 2),
        conv1=conv(64, 32),
        up2=nn.ConvTranspose2d(32, 1, 2),
    )


@network
def depth_and_colour() -> nn.Module:
    """Two encoders, the second for depth maps."""

    def encoder(i: int) -> nn.Module:
        return Parts(
            conv1=nn.Conv2d(i, 64, 7, bias=False),
            bn1=nn.BatchNorm2d(64),
            layer1=conv(64, 64),
            layer2=conv(64, 128),
            layer3=conv(128, 256),
        )

    return Parts(rgb_encoder=encoder(3), depth_encoder=encoder(1), fuse=nn.Conv2d(512, 256, 1))


@network
def audio_tagging() -> nn.Module:
    """A norm of 64 mel bands comes before the first layer of 64 channels."""

    def block(i: int, o: int) -> nn.Module:
        return Parts(
            conv1=nn.Conv2d(i, o, 3, bias=False),
            conv2=nn.Conv2d(o, o, 3, bias=False),
            bn1=nn.BatchNorm2d(o),
            bn2=nn.BatchNorm2d(o),
        )

    return Parts(
        bn0=nn.BatchNorm2d(64),
        conv_block1=block(1, 64),
        conv_block2=block(64, 128),
        fc1=nn.Linear(128, 128),
    )


@network
def transposed_depthwise() -> nn.Module:
    return Parts(
        stem=conv(3, 32),
        block=separable(32, 64),
        up=nn.ConvTranspose2d(64, 64, 4, groups=64),
        head=nn.Conv2d(64, 10, 1),
    )


@left_aside
def eeg() -> nn.Module:
    """EEGNet: a grey stem along time, then a depthwise layer of multiplier 2."""
    return Parts(
        block1=nn.Sequential(
            nn.Conv2d(1, 8, (1, 64), bias=False),
            nn.BatchNorm2d(8),
            nn.Conv2d(8, 16, (22, 1), groups=8, bias=False),
            nn.BatchNorm2d(16),
        ),
        block2=nn.Sequential(
            nn.Conv2d(16, 16, (1, 16), groups=16, bias=False),
            nn.Conv2d(16, 16, 1, bias=False),
            nn.BatchNorm2d(16),
        ),
        classify=nn.Linear(256, 4),
    )


@left_aside
def text_recognition() -> nn.Module:
    """CRNN."""
    cnn = nn.Sequential()
    widths = [1, 64, 128, 256, 256, 512]
    for i, (a, b) in enumerate(pairwise(widths)):
        cnn.add_module(f"conv{i}", nn.Conv2d(a, b, 3))
        if i in (2, 4):
            cnn.add_module(f"batchnorm{i}", nn.BatchNorm2d(b))
    return Parts(cnn=cnn, rnn=nn.LSTM(512, 256, bidirectional=True), fc=nn.Linear(512, 37))


@left_aside
def sound_with_inverted_blocks() -> nn.Module:
    stages = nn.Sequential(inverted(16, 16), inverted(16, 24), inverted(24, 24), inverted(24, 40))
    return Parts(
        in_c=nn.Sequential(conv(1, 8), conv(8, 16)),
        stages=stages,
        feed_forward=nn.Conv2d(40, 10, 1),
    )


@left_aside
def convnext_grey() -> nn.Module:
    def block(n: int) -> nn.Module:
        return Parts(
            filter=nn.Conv2d(n, n, 7, groups=n),
            norm=nn.LayerNorm(n),
            pwconv1=nn.Linear(n, 4 * n),
            pwconv2=nn.Linear(4 * n, n),
        )

    return Parts(
        downsample_layers=nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(1, 24, 4), nn.GroupNorm(1, 24)),
                nn.Sequential(nn.GroupNorm(1, 24), nn.Conv2d(24, 48, 2)),
            ]
        ),
        stages=nn.ModuleList(
            [nn.Sequential(block(24), block(24)), nn.Sequential(block(48), block(48))]
        ),
        head=nn.Linear(48, 10),
    )


@left_aside
def multi_scale_input() -> nn.Module:
    """A U-Net that is given the grey image again at each scale."""

    def down(i: int, o: int) -> nn.Module:
        return Parts(side=conv(1, o), conv=conv(i, o), conv2=conv(o, o))

    return Parts(
        down1=conv(1, 32),
        down2=down(32, 64),
        down3=down(128, 128),
        up1=nn.ConvTranspose2d(256, 64, 2),
        out=nn.Conv2d(64, 2, 1),
    )


@left_aside
def sensors() -> nn.Module:
    """Four branches of one shape, one for each sensor."""
    branches = [
        nn.Sequential(nn.Conv2d(1, 32, (1, 5)), nn.ReLU(), nn.Conv2d(32, 32, (1, 5)))
        for _ in range(4)
    ]
    return Parts(branches=nn.ModuleList(branches), fc=nn.Linear(128, 6))


@left_aside
def variational_autoencoder_grey() -> nn.Module:
    return Parts(
        encoder=nn.Sequential(nn.Conv2d(1, 32, 4), nn.ReLU(), nn.Conv2d(32, 64, 4)),
        mu=nn.Linear(1024, 20),
        logvar=nn.Linear(1024, 20),
        fc=nn.Linear(20, 1024),
        decoder=nn.Sequential(
            nn.ConvTranspose2d(64, 32, 4), nn.ReLU(), nn.ConvTranspose2d(32, 1, 4)
        ),
    )


@left_aside
def saliency() -> nn.Module:
    """Maps of one channel are refined by convolutions inside a colour network."""

    def refine(n: int) -> nn.Module:
        return Parts(
            score=nn.Conv2d(n, 1, 1),
            conv0=nn.Conv2d(1, 64, 3),
            bn0=nn.BatchNorm2d(64),
            conv1=nn.Conv2d(64, 64, 3),
            conv_d=nn.Conv2d(64, 1, 3),
        )

    return Parts(
        enc1=conv(3, 64),
        enc2=conv(64, 128),
        enc3=conv(128, 256),
        ref3=refine(256),
        ref2=refine(128),
        ref1=refine(64),
    )


@left_aside
def segmentation_with_separable_decoder() -> nn.Module:
    """Fast-SCNN-like."""
    return Parts(
        learning_to_downsample=Parts(
            conv=conv(3, 32), dsconv1=separable(32, 48), dsconv2=separable(48, 64)
        ),
        bottleneck=nn.Sequential(inverted(64, 64), inverted(64, 96)),
        fusion=Parts(
            dwconv=conv(96, 96, groups=96),
            conv_lower=nn.Conv2d(96, 128, 1),
            conv_higher=nn.Conv2d(64, 128, 1),
        ),
        classifier=nn.Sequential(separable(128, 128), separable(128, 128), nn.Conv2d(128, 19, 1)),
    )


@left_aside
def siamese_change_detection() -> nn.Module:
    """One grey encoder, and a decoder with depthwise layers, in a wrapper."""
    return Parts(
        net=Parts(
            enc=nn.Sequential(conv(1, 16), conv(16, 32), conv(32, 64)),
            dec=nn.Sequential(separable(64, 32, 5), separable(32, 16, 5)),
            out=nn.Conv2d(16, 1, 1),
        )
    )


def shapes_of(build: Callable[[], nn.Module]) -> tuple[dict[str, tuple[int, ...]], set[str]]:
    """Return the shapes of a network's state dict, and the names of its depthwise weights."""
    with torch.device("meta"):
        net = build()
    return {k: tuple(v.shape) for k, v in net.state_dict().items()}, depthwise_weights(net)
