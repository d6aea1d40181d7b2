"""The page of a kernel, against its rows of the tables."""

import re
from urllib.parse import quote

import numpy as np
import pytest
from truth import CANVAS, eight_bits, keys_of, normalised, number, of_size, shares_of_colours

from analytic import formula
from kernelatlas.clustering.curve import Curve
from kernelatlas.evidence.fits import render


def chosen(kernels):
    """Kernels of every size and of every reason, hostile names among them."""
    live = kernels[kernels["label"].notna() & ~kernels["degenerate"]]
    rows = list(live[live["identified"]].drop_duplicates("size").index)
    rows += list(live[~live["identified"]].drop_duplicates("reason").index)
    rows += list(live[live["model"] == "hostile-1.0_x"].drop_duplicates("layer").index)
    return kernels.loc[sorted(set(rows))]


def show(page, kernel):
    path = "/".join(quote(str(part), safe="") for part in kernel[["model", "layer", "channel"]])
    return page.go(f"kernel/{path}")


def facts(page):
    return dict(zip(page.texts(".facts dt"), page.texts(".facts dd"), strict=True))


def test_numbers_label_codes_and_fit_of_kernels_are_those_of_the_tables(
    page, kernels, index, zoo, explorer
):
    page.show()
    sizes = {name: of_size(kernels, name, index, zoo) for name in index["sizes"]}
    for _, kernel in chosen(kernels).iterrows():
        show(page, kernel)
        weights = np.array([[number(text) for text in row] for row in page.table("table.weights")])
        stored = kernel["weights"].reshape(kernel["kh"], kernel["kw"])
        assert np.abs(weights - stored).max() <= 1.2 * np.abs(stored).max() / 127
        place(page, kernel)
        label(page, kernel, index)
        own = sizes[kernel["size"]]
        codes(page, own[own["index"] == kernel.name], index, zoo, explorer)
        fit(page, kernel, index)


def place(page, kernel):
    found = facts(page)
    assert found["Family"] == kernel["family"]
    assert (found["Network"], found["Layer"]) == (kernel["model"], kernel["layer"])
    assert found["Channel"].startswith(f"{kernel['channel']} ")
    assert found["Number of the layer"] == str(kernel["layer_index"])
    for name in ("stride", "dilation"):
        known = kernel[name] == kernel[name]
        assert found[name.title()] == (str(int(kernel[name])) if known else "not known")


def label(page, kernel, index):
    why = page.text(".why")
    assert why.startswith(kernel["label"].replace(" -", " −"))
    if kernel["identified"]:
        assert "Identified: " in why
    else:
        assert f"Not identified, {kernel['reason']}: " in why
    agreeing = round(kernel["agreement"] * len(index["seeds"]))
    assert facts(page)["Agreement"] == f"{agreeing} of {len(index['seeds'])} seeds"
    step = index["sizes"][kernel["size"]]["dissimilarity"]["step"]
    told = re.search(r"to the curves, ([\d.]+),", why)
    assert abs(float(told[1]) - kernel["dissimilarity"]) <= step


def codes(page, kernel, index, zoo, explorer):
    """The nearest points to the weights of 8 bits, which can be others than those of all bits."""
    table = page.table("section[aria-labelledby=codes] table")[1:]
    assert [int(row[0]) for row in table] == index["seeds"]
    unit = normalised(eight_bits(kernel, explorer))[0]
    for seed, row in zip(index["seeds"], table, strict=True):
        k = int(kernel["kh"].iloc[0])
        curve = Curve.load(zoo.folder / f"autoencoders/k{k}_seed{seed}.safetensors")
        cosines = curve.points.astype(float) @ unit
        shown = round(float(row[1]) * len(curve.points) - 0.5)
        assert float(row[1]) == pytest.approx((shown + 0.5) / len(curve.points), abs=6e-5)
        assert cosines[shown] >= cosines.max() - 1e-4  # points are rounded too: to 16 bits
        assert float(row[3]) == pytest.approx(1 - cosines[shown], abs=6e-4)


def fit(page, kernel, index):
    size = index["sizes"][kernel["size"]]
    rows = dict(page.table("section[aria-labelledby=fit] table"))
    values = {name.split()[0]: text for name, text in rows.items()}
    text = page.text("section[aria-labelledby=fit] p")
    assert text.startswith(f"{kernel['function']}, {kernel['form']}: ")
    assert abs(number(values["R²"]) - kernel["r2"]) <= 0.01
    described = next(
        fit for fit in size["fits"]
        if fit and (fit["function"], fit["form"]) == (kernel["function"], kernel["form"])
    )  # fmt: skip
    for parameter in described["parameters"]:
        shown, own = number(values[parameter["name"]]), float(kernel[parameter["name"]])
        if parameter["unit"] == "rad":
            turn = np.degrees(parameter["high"]) if parameter["scale"] == "turn" else np.inf
            off = abs(shown - np.degrees(own))
            assert min(off, abs(turn - off)) <= np.degrees(parameter["high"]) / 255 / 2 + 0.6
        elif parameter["scale"] == "log":
            ratio = (parameter["high"] / parameter["low"]) ** (0.5 / 255)
            assert abs(shown / own - 1) <= ratio - 1 + 0.006
        else:
            step = (parameter["high"] - parameter["low"]) / 255
            assert abs(shown - own) <= step / 2 + 0.006 * abs(own) + 1e-6
    pictures(page, kernel, index)


def pictures(page, kernel, index):
    """Weights, function and residual, read back from their pixels."""
    stored = kernel["weights"].astype(float)
    mean, limit = stored.mean(), np.abs(stored - stored.mean()).max()
    fitted = render(kernel.to_frame().T.infer_objects(), kernel["kh"])[0].astype(float)
    expected = [(stored - mean) / limit, (fitted - mean) / limit, (stored - fitted) / limit]
    for title, values in zip(["Weights", "Fitted function", "Residual"], expected, strict=True):
        canvas = page.one(f"[role=img][aria-label='{title}'] canvas")
        shape = (int(kernel["kh"]), int(kernel["kw"]))
        found = shares_of_colours(page, CANVAS, canvas, shape, index["kernel_map"]).ravel()
        error = np.abs(found - np.clip(values, -1, 1))
        assert np.sqrt((error**2).mean()) < 0.03, (title, kernel["function"], error.max())


EVALUATE = """const [fits, done] = arguments;
import(new URL('fits.js', document.baseURI)).then(({evaluate}) => done(fits.map(
  ([name, form, parameters, k]) => Array.from(evaluate({function: name, form}, parameters, k))
)), (error) => done(String(error)));"""


def test_fitted_functions_follow_formulas_written_once_more(page, kernels):
    fitted = kernels[kernels["function"].notna()]
    names = ["sigma", "ratio", "surround", "aspect", "frequency", "phase", "angle", "width"]
    names += ["x", "y"]
    asked, expected = [], []
    for (k, _, _), own in fitted.groupby(["kh", "function", "form"]):
        for _, row in own[:: -(-len(own) // 5)].iterrows():
            known = {name: float(row[name]) for name in names if row[name] == row[name]}
            kind = row["function"], row["form"]
            asked.append([*kind, known, int(k)])
            if kind == ("elongated", "discrete"):  # a series, that of the library is tested there
                drawn = render(row.to_frame().T.infer_objects(), k)[0].astype(float)
                values = (drawn - row["offset"]) / row["amplitude"]
            else:
                values = formula(*kind, k, known).ravel()
            centred = values - values.mean()
            expected.append(centred / np.linalg.norm(centred))
    page.show()
    found = page.driver.execute_async_script(EVALUATE, asked)
    assert len(found) > 100
    for one, own, wanted in zip(asked, found, expected, strict=True):
        _, _, known, k = one
        # A little of what is wider than the kernel wraps around the ring that fits evaluate it on.
        most = 2e-5 if known["sigma"] * known.get("ratio", 1.6) <= k else 2e-4
        assert np.abs(np.array(own) - wanted).max() < most, one


def test_a_kernel_without_a_shape_says_why(page, kernels):
    page.show()
    for channel, words in enumerate(["are zero", "are all the same", "not finite", "not finite"]):
        kernel = kernels[(kernels["layer"] == "degenerate") & (kernels["channel"] == channel)]
        show(page, kernel.iloc[0])
        assert "Not identified, degenerate: " in page.text(".why")
        assert words in page.text(".why")
        assert page.all(".nearest a.kernel") == []
        wrong = np.isfinite(kernel["weights"].iloc[0]).reshape(7, 7) == False  # noqa: E712
        shown = np.array(page.table("table.weights")) == "not finite"
        assert np.array_equal(shown, wrong)


def test_a_kernel_of_a_size_that_is_not_studied_has_no_label(page, kernels):
    kernel = kernels[kernels["layer"] == "strips"].iloc[2]
    show(page.show(), kernel)
    assert "kernels of 3×11 are not studied" in page.text(".why")
    assert np.array(page.table("table.weights")).shape == (3, 11)
    assert page.all("section[aria-labelledby=fit]") == []


@pytest.mark.parametrize("size", ["7x7", "3x3"])
def test_the_nearest_kernels_are_those_of_brute_force(page, kernels, size, index, zoo, explorer):
    own = of_size(kernels, size, index, zoo)
    own = eight_bits(own[~own["degenerate"]], explorer)
    kernel = own[own["identified"] & (own["trained"])].iloc[7]
    others = own[own["model"] != kernel["model"]]
    cosines = normalised(others) @ normalised(own.loc[[kernel.name]])[0]
    show(page.show(), kernel)
    found = page.until(
        lambda: (
            page.all(".nearest a.kernel")
            and page.all(".nearest a.kernel[data-placed]") == page.all(".nearest a.kernel")
            and page.all(".nearest a.kernel")
        ),
        "places of the nearest kernels are missing",
    )
    assert len(found) == 24
    shown = [number(text) for text in page.texts(".nearest .mosaic .below")]
    assert shown == sorted(shown, reverse=True)
    of = dict(zip(keys_of(others), cosines, strict=True))
    for link, cosine in zip(page.attributes(".nearest a.kernel", "hash"), shown, strict=True):
        assert abs(of[parts_of(link)] - cosine) < 6e-4
    assert np.sort(cosines)[-24] <= shown[-1] + 6e-4


def parts_of(link):
    from urllib.parse import unquote

    _, _, model, layer, channel = link.split("/")
    return model, unquote(layer), int(channel)
