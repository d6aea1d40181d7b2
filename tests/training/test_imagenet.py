"""Pictures prepared for networks, against timm's own transform, and answers against torch's."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

from kernelatlas.errors import KernelAtlasError
from kernelatlas.training import imagenet
from kernelatlas.training.imagenet import Prepared, open_picture, ranks

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return timm.create_model("mobilenetv3_small_050").eval()


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return pictures of several sizes and modes."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    modes = [("RGB", "png"), ("L", "png"), ("RGBA", "png"), ("CMYK", "jpg"), ("RGB", "jpg")]
    for number, (mode, suffix) in enumerate(modes * 2):
        shape = (*(int(n) for n in rng.integers(60, 400, 2)), 4)
        noise = Image.fromarray(rng.integers(0, 256, shape, np.uint8), "RGBA")
        noise.convert("RGB").convert(mode).save(folder / f"{number}.{suffix}")
    return sorted(folder.iterdir())


def test_pictures_are_prepared_as_timm_does(network: torch.nn.Module, paths: list[Path]) -> None:
    transform = create_transform(**resolve_model_data_config(network), is_training=False)
    expected = torch.stack([transform(Image.open(path).convert("RGB")) for path in paths])
    with Prepared(network, paths) as prepared:
        for _ in range(2):  # as often as wanted
            found = torch.cat(list(prepared.batches(CPU)))
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_batches_do_not_change_answers(
    network: torch.nn.Module, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = [5 * n for n in range(len(paths))]
    with Prepared(network, paths) as prepared:
        whole = ranks(network, prepared, labels)
        monkeypatch.setattr(imagenet, "BATCH_CPU", 3)
        assert [len(batch) for batch in prepared.batches(CPU)] == [3, 3, 3, 1]
        assert np.array_equal(ranks(network, prepared, labels), whole)
    with Prepared(network, paths[::-1]) as prepared:
        assert np.array_equal(ranks(network, prepared, labels[::-1]), whole[::-1])


def test_answers_are_those_of_topk(network: torch.nn.Module, paths: list[Path]) -> None:
    with Prepared(network, paths) as prepared, torch.no_grad():
        best = network(next(prepared.batches(CPU))).topk(1000).indices
        places = [0, 1, 4, 5, 9, 20, 100, 500, 998, 999]
        labels = [int(best[row, place]) for row, place in enumerate(places)]
        assert ranks(network, prepared, labels).tolist() == places


def test_a_network_that_prefers_no_class_is_never_right(paths: list[Path]) -> None:
    class Constant(torch.nn.Module):
        def __init__(self, score: float) -> None:
            super().__init__()
            self.score = torch.nn.Parameter(torch.tensor(score))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.score.expand(len(images), 1000)

    network = timm.create_model("mobilenetv3_small_050")
    with Prepared(network, paths) as prepared:
        for score in (0.0, float("nan"), float("inf")):
            assert (ranks(Constant(score), prepared, [0] * len(paths)) == 999).all()


@pytest.mark.parametrize("content", [b"", b"no picture", b"%!PS-Adobe-3.0 EPSF-3.0\n", None])
def test_a_file_that_is_no_picture_is_named(
    network: torch.nn.Module, paths: list[Path], tmp_path: Path, content: bytes | None
) -> None:
    broken = tmp_path / "broken.jpg"
    whole = paths[-1].read_bytes()
    broken.write_bytes(whole[: len(whole) // 2] if content is None else content)
    message = r"broken\.jpg: cannot be read as a picture \(.*\): remove it"
    with pytest.raises(KernelAtlasError, match=message), Prepared(network, [paths[0], broken]):
        pass


def test_a_huge_picture_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("1", (12_000, 9_000)).save(tmp_path / "huge.png")
    with pytest.raises(KernelAtlasError, match=r"huge\.png: a picture of 12000×9000 pixels"):
        open_picture(tmp_path / "huge.png")
    Image.new("1", (20_000, 9_000)).save(tmp_path / "bomb.png")
    with pytest.raises(KernelAtlasError, match=r"bomb\.png: cannot be read as a picture"):
        open_picture(tmp_path / "bomb.png")
