"""Global response normalisation, against timm's own layer."""

import timm
import torch
from timm.layers.grn import GlobalResponseNorm

from kernelatlas.training.response_norm import ResponseNorm, replace_response_norms


def test_a_network_with_replaced_layers_answers_as_before():
    torch.manual_seed(0)
    for conv_mlp in (True, False):  # channels before, or after, the pixels
        network = timm.create_model(
            "convnextv2_atto", depths=(1, 1, 1, 1), dims=(8, 16, 16, 16), conv_mlp=conv_mlp
        ).eval()
        for layer in network.modules():
            if isinstance(layer, GlobalResponseNorm):  # timm starts from zeros, which do nothing
                torch.nn.init.normal_(layer.weight)
                torch.nn.init.normal_(layer.bias)
        pictures = torch.randn(2, 3, 64, 64)
        with torch.no_grad():
            before = network(pictures)
            replace_response_norms(network)
            after = network(pictures)
        assert sum(type(layer) is ResponseNorm for layer in network.modules()) == 4
        assert before.std() > 0.01
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-6)
