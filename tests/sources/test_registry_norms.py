"""Which norm follows a depthwise layer, seen while a network runs."""

import pytest
import torch
from torch import nn

from kernelatlas.sources.registry_norms import following_norms


class Network(nn.Module):
    """A depthwise convolution, a norm, and what is made of them."""

    def __init__(self, forward):
        super().__init__()
        self.dw = nn.Conv2d(3, 3, 3, padding=1, groups=3)
        self.again = nn.Conv2d(3, 3, 3, padding=1, groups=3)
        self.norm, self.other = nn.BatchNorm2d(3, eps=1e-3), nn.BatchNorm2d(3)
        self.group = nn.GroupNorm(1, 3)
        self.pick = forward

    def forward(self, x):
        return self.pick(self, x)


@pytest.mark.parametrize(
    ("forward", "found"),
    [
        (lambda net, x: net.norm(net.dw(x)), {"dw": ("norm", 1e-3)}),
        (lambda net, x: net.norm(nn.Identity()(net.dw(x))), {"dw": ("norm", 1e-3)}),
        (lambda net, x: net.norm(net.dw(x)[:, :]), {}),
        (lambda net, x: net.norm(net.dw(x).relu()), {}),
        (lambda net, x: net.dw(net.norm(x)), {}),
        (lambda net, x: net.group(net.dw(x)), {}),
        (lambda net, x: (lambda y: y + net.norm(y))(net.dw(x)), {}),
        (lambda net, x: (lambda y: torch.cat([y, net.norm(y)]))(net.dw(x)), {}),
        (lambda net, x: (lambda y: net.norm(y) * y.shape[1])(net.dw(x)), {"dw": ("norm", 1e-3)}),
        (lambda net, x: net.norm(net.dw(net.norm(net.dw(x)))), {"dw": ("norm", 1e-3)}),
        (lambda net, x: net.other(net.dw(net.norm(net.dw(x)))), {}),
        (lambda net, x: net.dw(net.norm(net.dw(x))), {}),
        (
            lambda net, x: net.other(net.again(x)) + net.norm(net.dw(x)),
            {"dw": ("norm", 1e-3), "again": ("other", 1e-5)},
        ),
    ],
)
def test_a_norm_follows_if_it_alone_uses_the_result(forward, found):
    with torch.device("meta"):
        net = Network(forward)
    assert following_norms(net, ["dw", "again"], (3, 8, 8)) == found


def test_a_norm_of_the_batch_itself_is_no_factor():
    with torch.device("meta"):
        net = nn.Sequential(
            nn.Conv2d(3, 3, 3, groups=3), nn.BatchNorm2d(3, track_running_stats=False)
        )
    assert following_norms(net, ["0"], (3, 8, 8)) == {}
