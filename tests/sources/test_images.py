"""Folders of ImageNet pictures in both forms, against timm's list of classes."""

import os
from pathlib import Path

import pytest
from PIL import Image
from timm.data import ImageNetInfo

from kernelatlas.errors import KernelAtlasError
from kernelatlas.sources.images import chosen, class_numbers, digest, list_pictures

IDS = ImageNetInfo("imagenet-1k").label_names()


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)


def test_numbers_are_those_of_timm() -> None:
    assert list(class_numbers()) == IDS
    assert list(class_numbers().values()) == list(range(1000))


def test_both_forms_are_read(tmp_path: Path) -> None:
    for number in (999, 0, 7):
        picture(tmp_path / "folders" / IDS[number] / "one.JPEG")
        picture(tmp_path / "folders" / IDS[number] / "two.png")
        picture(tmp_path / "files" / f"{IDS[number]}_{number}.JPEG")
    (tmp_path / "folders/README.md").write_text("not a picture")
    (tmp_path / "files/.hidden.png").write_text("nor this")
    found = list_pictures(tmp_path / "folders")
    assert [(p.file, p.label) for p in found] == sorted(
        (f"{IDS[n]}/{name}", n) for n in (0, 7, 999) for name in ("one.JPEG", "two.png")
    )
    assert {(p.file, p.label) for p in list_pictures(tmp_path / "files")} == {
        (f"{IDS[n]}_{n}.JPEG", n) for n in (0, 7, 999)
    }


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (None, "cannot be read"),
        ("notes.txt", "has no pictures"),
        ("ILSVRC2012_val_00000001.JPEG", "'ILSVRC2012_val_00000001.JPEG' does not begin with a"),
        ("dogs/1.png", "'dogs/' does not begin with a WordNet id"),
        ("val/n01440764/1.png", "the folder 'val' has no pictures: name the folder with"),
        ("n00000001/1.png", "is of n00000001, which is no class of ImageNet-1k"),
        ("n014407645/1.png", "'n014407645/' does not begin with"),
    ],
)
def test_other_folders_are_refused(tmp_path: Path, file: str | None, message: str) -> None:
    if file:
        picture(tmp_path / "p" / Path(file).with_suffix(".png"))
        (tmp_path / "p" / Path(file).with_suffix(".png")).rename(tmp_path / "p" / file)
    with pytest.raises(KernelAtlasError, match=r"^images: ") as caught:
        list_pictures(tmp_path / "p")
    assert message in str(caught.value)
    assert str(tmp_path / "p") in str(caught.value)


def test_a_digest_changes_with_names_sizes_and_times(tmp_path: Path) -> None:
    first = tmp_path / "a" / f"{IDS[3]}_a.png"
    picture(first)
    seen = {digest(list_pictures(tmp_path / "a"))}
    (tmp_path / "a").rename(tmp_path / "moved")
    first = tmp_path / "moved" / first.name
    assert digest(list_pictures(tmp_path / "moved")) in seen  # wherever the folder lies
    os.utime(first, (1, 1))
    seen.add(digest(list_pictures(tmp_path / "moved")))
    first.write_bytes(first.read_bytes() + b" ")
    os.utime(first, (1, 1))
    seen.add(digest(list_pictures(tmp_path / "moved")))
    first.rename(first.with_name(f"{IDS[3]}_b.png"))
    seen.add(digest(list_pictures(tmp_path / "moved")))
    picture(tmp_path / "moved" / f"{IDS[4]}_a.png")
    seen.add(digest(list_pictures(tmp_path / "moved")))
    assert len(seen) == 5


def test_a_choice_is_at_random_but_always_the_same(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{IDS[number]}.png").touch()
    found = list_pictures(tmp_path)
    some = chosen(found, 10)
    assert some == sorted(some) == chosen(found, 10)
    assert len(set(some)) == 10
    assert some != found[:10]
    assert chosen(found, 10, seed=1) != some
    assert chosen(found, 40) == chosen(found, 99) == found
