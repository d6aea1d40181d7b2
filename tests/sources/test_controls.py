"""The untrained controls of the default zoo are drawn apart from each other."""

import itertools
from pathlib import Path

from safetensors.numpy import load_file

from kernelatlas.sources.zoo import load_zoo
from kernelatlas.training.architectures import write_untrained

ROOT = Path(__file__).parents[2]


def test_no_two_untrained_controls_are_the_same_kernels(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    kernels = {}
    for model in load_zoo("workflow/zoos/embedded.yaml"):
        if model.init:
            path = tmp_path / f"{model.name}.safetensors"
            write_untrained(path, model.init, model.seed, dict(model.arguments))
            kernels[model.name] = {weights.tobytes() for weights in load_file(path).values()}
    assert len(kernels) == 9
    for (one, first), (other, second) in itertools.combinations(kernels.items(), 2):
        assert not first & second, (one, other)
