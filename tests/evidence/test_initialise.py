"""Depthwise layers of a·f + b: what is set, what is learned, what is saved."""

import copy
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrize

from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence.initialise import initialise_depthwise
from kernelatlas.evidence.masterkeys import random_filters

KEYS_OF = {k: random_filters(8, k, 0).reshape(8, k, k) for k in (3, 5, 7)}
MODELS = {
    "convnext_atto": {"depths": (1, 1, 1, 1), "dims": (8, 8, 16, 16)},
    "mobilenetv3_small_050": {},
    "mixnet_s": {},
    "convmixer_768_32": {"depth": 2, "dim": 32},  # 7×7
    "mobilenetv1_100": {},
}


@pytest.mark.parametrize("name", MODELS)
def test_initialise_depthwise_of_timm_models(name: str) -> None:
    torch.manual_seed(0)
    builder = (
        timm.models.ConvMixer(kernel_size=7, **MODELS[name])
        if name.startswith("convmixer")
        else timm.create_model(name, pretrained=False, **MODELS[name])
    )
    model = builder.eval()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    done, skipped = initialise_depthwise(model, KEYS_OF, seed=1)
    modules = dict(model.named_modules())
    depthwise = [
        key for key, m in modules.items() if isinstance(m, nn.Conv2d) and m.groups > 1 and m.groups
    ]
    assert sorted([*done, *skipped]) == sorted(depthwise)
    assert done
    assert all(modules[key].kernel_size[0] not in KEYS_OF for key in skipped)
    for key, tensor in model.state_dict().items():
        if key.removesuffix(".weight") not in done:
            assert torch.equal(tensor, before[key]), key
            continue
        k = tensor.shape[-1]
        new, old = tensor.flatten(1).numpy(), before[key].flatten(1).numpy()
        norms = np.linalg.norm(old, axis=1)
        np.testing.assert_allclose(np.linalg.norm(new, axis=1), norms, rtol=1e-5)
        cosine = new / norms[:, None] @ KEYS_OF[k].reshape(8, -1).T
        np.testing.assert_allclose(np.abs(cosine).max(axis=1), 1, atol=1e-5)
        counts = np.bincount(np.abs(cosine).argmax(axis=1), minlength=8)
        assert counts.max() - counts.min() <= 1
        signs = cosine[np.arange(len(cosine)), np.abs(cosine).argmax(axis=1)] > 0
        assert len(signs) < 8 or 0 < signs.mean() < 1
    size = 64 if name != "convmixer_768_32" else 28
    with torch.no_grad():
        assert torch.isfinite(model(torch.randn(2, 3, size, size))).all()


def test_initialise_depthwise_with_a_multiplier_and_seeds() -> None:
    def network() -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3),  # groups and inputs are 1: not depthwise
            nn.Conv2d(8, 24, 3, groups=8),
            nn.Conv2d(24, 24, (1, 3), groups=24),
            nn.Conv2d(24, 24, 3, groups=12),
        )

    one, same, other = network(), network(), network()
    stem = one[0].weight.clone()
    assert initialise_depthwise(one, KEYS_OF) == (["1"], ["2"])
    assert torch.equal(one[0].weight, stem)
    initialise_depthwise(same, KEYS_OF, seed=0)
    initialise_depthwise(other, KEYS_OF, seed=1)
    assert torch.equal(one[1].weight, same[1].weight)
    assert not torch.equal(one[1].weight, other[1].weight)


def test_initialise_depthwise_refuses() -> None:
    with pytest.raises(KernelAtlasError, match="ResNet has no depthwise layer of 3×3, 5×5, 7×7"):
        initialise_depthwise(timm.create_model("resnet10t", pretrained=False), KEYS_OF)
    layer = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4))
    with pytest.raises(KernelAtlasError, match=r"others: 0"):
        initialise_depthwise(layer, {5: KEYS_OF[5]})
    with pytest.raises(KernelAtlasError, match=r"of 3×3: an array of shape \(8, 5, 5\)"):
        initialise_depthwise(layer, {3: KEYS_OF[5]})


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3),
        nn.Conv2d(16, 16, 7, padding=3, groups=16),
        nn.Conv2d(16, 32, 5, padding=2, groups=16),  # two kernels a channel
        nn.Conv2d(32, 4, 1),
    )


def plant(model: nn.Module, seed: int = 3) -> dict[str, tuple[np.ndarray, ...]]:
    """Make the depthwise kernels a·f + b with a little noise; return key, a and b of each."""
    rng = np.random.default_rng(seed)
    known = {}
    for name, layer in model.named_modules():
        if not isinstance(layer, nn.Conv2d) or layer.groups == 1:
            continue
        n, k = layer.out_channels, layer.kernel_size[0]
        key, b = rng.integers(8, size=n), rng.normal(size=n)
        a = rng.uniform(0.5, 2, n) * rng.choice((-1.0, 1.0), n)
        noise = rng.normal(0, 0.01, (n, k, k))
        values = a[:, None, None] * KEYS_OF[k][key] + b[:, None, None] + noise
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(values)[:, None])
        known[name] = key, a, b
    return known


def used(model: nn.Module, name: str) -> np.ndarray:
    return model.get_submodule(name).weight.detach().numpy()[:, 0]


@pytest.mark.parametrize("source", ["module", "state dict", "checkpoint"])
@pytest.mark.parametrize("bias", [False, True])
def test_keys_signs_and_means_are_those_of_the_trained_network(
    source: str, bias: bool, tmp_path: Path
) -> None:
    trained = network(1)
    known = plant(trained)
    model = network(2)
    save_file(trained.state_dict(), tmp_path / "net.safetensors")
    given = {
        "module": trained,
        "state dict": trained.state_dict(),
        "checkpoint": tmp_path / "net.safetensors",
    }[source]
    before = copy.deepcopy(model.state_dict())
    assert initialise_depthwise(model, KEYS_OF, assign_from=given, bias=bias) == (["1", "2"], [])
    for name, (key, a, b) in known.items():
        k = model.get_submodule(name).kernel_size[0]
        expected = a[:, None, None] * KEYS_OF[k][key] + b[:, None, None]
        np.testing.assert_allclose(used(model, name), expected, atol=0.06)
        # Exactly a·f + b: what is left without the mean is along the key.
        centred = used(model, name) - used(model, name).mean(axis=(1, 2), keepdims=True)
        along = np.einsum("nij,nij->n", centred, KEYS_OF[k][key])
        np.testing.assert_allclose(along**2, (centred**2).sum(axis=(1, 2)), rtol=1e-4)
        assert (np.sign(along) == np.sign(a)).all()
    for other in ("0.weight", "0.bias", "1.bias", "3.weight"):
        assert torch.equal(model.state_dict()[other], before[other])


def test_least_squares_finds_no_better_a_and_b() -> None:
    torch.manual_seed(0)
    trained, model = network(5), network(6)
    initialise_depthwise(model, KEYS_OF, assign_from=trained)
    for name, k in (("1", 7), ("2", 5)):
        for kernel, found in zip(used(trained, name), used(model, name), strict=True):
            errors = [
                np.linalg.lstsq(
                    np.column_stack([key.ravel(), np.ones(k * k)]), kernel.ravel(), rcond=None
                )[1][0]
                for key in KEYS_OF[k]
            ]
            assert ((kernel - found) ** 2).sum() == pytest.approx(min(errors), rel=1e-3)


def test_a_layer_computes_what_a_plain_one_with_that_weight_does() -> None:
    model = network()
    initialise_depthwise(model, KEYS_OF, assign_from=network(1), bias=True)
    layer = model[1]
    a, b = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    with torch.no_grad():
        b += torch.linspace(-1, 1, len(b))
        a *= -2
    plain = nn.Conv2d(16, 16, 7, padding=3, groups=16)
    filters = layer.parametrizations.weight[0].filters
    with torch.no_grad():
        plain.bias.copy_(layer.bias)
        for channel in range(16):
            plain.weight[channel] = a[channel] * filters[channel] + b[channel]
    maps = torch.randn(2, 16, 9, 9)
    torch.testing.assert_close(layer(maps), plain(maps))
    parametrize.remove_parametrizations(layer, "weight")
    assert isinstance(layer.weight, nn.Parameter)
    torch.testing.assert_close(layer(maps), plain(maps))


@pytest.mark.parametrize("freeze", [False, True])
def test_with_a_bias_only_a_and_b_are_learned_and_frozen_only_b(freeze: bool) -> None:
    model = network()
    initialise_depthwise(model, KEYS_OF, assign_from=network(1), bias=True, freeze=freeze)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    model(torch.randn(2, 3, 11, 11)).square().mean().backward()
    optimiser.step()
    changed = {n for n, t in model.state_dict().items() if not torch.equal(t, before[n])}
    parts = {f"{n}.parametrizations.weight" for n in "12"}
    expected = {f"{part}.original1" for part in parts}
    expected |= set() if freeze else {f"{part}.original0" for part in parts}
    assert {name for name in changed if "parametrizations" in name} == expected
    assert {"0.weight", "1.bias", "3.weight"} < changed
    for part in parts:  # what moved is only the mean of each kernel, and its size
        assert torch.equal(model.state_dict()[f"{part}.0.filters"], before[f"{part}.0.filters"])


def test_without_a_bias_the_weight_is_plain_and_learned_unless_frozen() -> None:
    for freeze in (False, True):
        model = network()
        keys = list(model.state_dict())
        initialise_depthwise(model, KEYS_OF, freeze=freeze)
        assert list(model.state_dict()) == keys
        assert model[1].weight.requires_grad is model[2].weight.requires_grad is not freeze
        assert model[0].weight.requires_grad
        assert model[1].bias.requires_grad


def test_the_state_dict_goes_round(tmp_path: Path) -> None:
    one, other = network(0), network(1)
    initialise_depthwise(one, KEYS_OF, assign_from=network(2), bias=True, freeze=True)
    initialise_depthwise(other, KEYS_OF, seed=9, bias=True)
    names = [name for name in one.state_dict() if name.startswith("1.")]
    assert sorted(names) == [
        "1.bias",
        "1.parametrizations.weight.0.filters",
        "1.parametrizations.weight.original0",
        "1.parametrizations.weight.original1",
    ]
    torch.save(one.state_dict(), tmp_path / "state.pt")
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    maps = torch.randn(2, 3, 11, 11)
    assert torch.equal(one(maps), other(maps))
    assert torch.equal(copy.deepcopy(one)(maps), one(maps))


def test_a_parametrised_network_is_initialised_again_and_copied_from() -> None:
    first, again, copied = network(0), network(0), network(4)
    initialise_depthwise(first, KEYS_OF, seed=1)
    initialise_depthwise(again, KEYS_OF, seed=5, bias=True, freeze=True)
    norms = [layer.weight.detach().flatten(1).norm(dim=1) for layer in (again[1], again[2])]
    initialise_depthwise(again, KEYS_OF, seed=1)
    assert not parametrize.is_parametrized(again[1])
    for name, norm in zip("12", norms, strict=True):
        np.testing.assert_allclose(used(first, name), used(again, name), atol=1e-5)
        torch.testing.assert_close(again[int(name)].weight.flatten(1).norm(dim=1), norm)
    initialise_depthwise(again, KEYS_OF, bias=True)
    initialise_depthwise(copied, KEYS_OF, assign_from=again)
    for name in "12":
        np.testing.assert_allclose(used(copied, name), used(again, name), atol=1e-5)


def test_trained_kernels_without_a_shape_become_their_mean() -> None:
    trained, model = network(1), network(2)
    with torch.no_grad():
        trained[1].weight[3] = 0.25
        trained[1].weight[4] = float("nan")
    initialise_depthwise(model, KEYS_OF, assign_from=trained, bias=True)
    np.testing.assert_allclose(used(model, "1")[3], 0.25, atol=1e-6)
    assert np.isfinite(used(model, "1")).all()


def test_refusals_leave_the_network_as_it_is() -> None:
    model = network()
    before = copy.deepcopy(model.state_dict())
    other = nn.Sequential(*list(network())[:2], nn.Conv2d(16, 16, 5, groups=16))
    for given, message in (
        (other, r"assign_from \(Sequential\): '2' has shape \(16, 1, 5, 5\), and here \(32, 1, 5"),
        ({"1.weight": before["1.weight"]}, r"assign_from \(dict\): no depthwise layer '2'"),
        ("nowhere.pt", "nowhere.pt"),
    ):
        with pytest.raises(KernelAtlasError, match=message):
            initialise_depthwise(model, KEYS_OF, assign_from=given, bias=True)
    flat = np.stack([KEYS_OF[7][0], np.full((7, 7), 0.3)])
    with pytest.raises(KernelAtlasError, match="7×7: number 2 is constant"):
        initialise_depthwise(model, {7: flat})
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())
