"""Global response normalisation (Woo et al., CVPR 2023) in fewer passes over memory.

timm's layer takes half of the time of a ConvNeXt V2 on a processor. With N(X_c) = ‖X_c‖ / mean_c
‖X_c‖, the layer γ·X·N(X) + β + X is here computed as X·(1 + γ·N(X)) + β: one pass for the norms
and one for the result, which differs by rounding alone.
"""

import torch
from timm.layers.grn import GlobalResponseNorm
from torch import Tensor, nn


class ResponseNorm(GlobalResponseNorm):
    """timm's layer, computed as above."""

    def forward(self, x: Tensor) -> Tensor:
        norm = x.square().sum(dim=self.spatial_dim, keepdim=True).sqrt()
        norm = norm / (norm.mean(dim=self.channel_dim, keepdim=True) + self.eps)
        gain = 1 + self.weight.view(self.wb_shape) * norm
        return torch.addcmul(self.bias.view(self.wb_shape), x, gain)


def replace_response_norms(network: nn.Module) -> None:
    """Let the layers of a network that is only evaluated be computed as here."""
    for layer in network.modules():
        if type(layer) is GlobalResponseNorm:
            layer.__class__ = ResponseNorm
