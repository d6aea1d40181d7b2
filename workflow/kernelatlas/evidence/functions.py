"""Analytic functions that kernels are fitted by, and where their parameters are searched.

A kernel w is modelled as a·f(θ) + b, where f is centred and has unit norm. For any
shape parameters θ the best a = ⟨w, f⟩ and b = mean(w) are known, and so are the weight γ of a
surround, the angle of a first derivative and the phase of a wave, so that only the others are
searched (variable projection: Golub & Pereyra, SIAM J. Numer. Anal. 10, 1973), and
R² = cos²(w − mean(w), f).

x runs to the right and y upwards, in pixels from the kernel's centre; angles are in
radians, anticlockwise from x. With the Gaussian g of standard deviation σ the functions are

gaussian   g(σ)
dog        g(σ) − γ·g(ρσ), isotropic
elongated  the same of an elliptic g, σ across and aspect·σ along the angle, with ρ = 1.6 (Marr &
           Hildreth, Proc. R. Soc. B 207, 1980): more parameters are not identifiable
first      −∂g/∂x cos θ − ∂g/∂y sin θ, which increases in the direction θ
second     the second derivative of g along θ
cross      max(g(x; σ)·g(y; ρσ), g(x; ρσ)·g(y; σ)), the union of two bars, as of templates
square     a box of some width about (x, y), smoothed by g(σ)
shifted    g(σ) about (x, y)
gabor      g(σ)·cos(ω·(x cos θ + y sin θ) − φ)
shifted dog, shifted first, shifted second   the same about (x, y), the DoG with ρ = 1.6

each in two forms. The continuous one is sampled at the pixels' centres. The discrete one is
built from the discrete Gaussian T(n; σ) = exp(−σ²) I_n(σ²) (Lindeberg, PAMI 12, 1990) with
central differences δ for ∂, δxx for ∂²/∂x²; of an ellipse from the kernel of the discrete
affine scale-space (Lindeberg, JMIV 2017), of transform exp(−C_xx(1 − cos u) − C_yy(1 − cos v)
− C_xy sin u sin v); boxes and shifted centres cover pixels by shares. T and the ellipses are
evaluated by their Fourier series on a ring of pixels a few times as wide as the kernel.
"""

import math
from functools import cache, partial

import numpy as np

from kernelatlas.errors import KernelAtlasError
from kernelatlas.evidence import formulas
from kernelatlas.evidence.formulas import SURROUND, Function, products
from kernelatlas.names import SMALLEST_FIT

FREE = 3  # degrees of freedom that a fit must leave, at least
SINGLE, DOUBLE = ((0, 0),), ((0, 0), (1, 1))  # one product, and two of factors of their own
NARROW = ("sigma", 0.0, 0.5)  # their place tells how much of them pixels see


def _geometric(low: float, high: float, n: int) -> tuple[float, ...]:
    return tuple(np.geomspace(low, high, n).tolist())


def _turns(n: int, whole: float) -> tuple[float, ...]:
    return tuple(whole * i / n for i in range(n))


def check_size(k: int) -> None:
    """Refuse kernels that are too small for fits."""
    if k < SMALLEST_FIT:
        raise KernelAtlasError(
            f"{k}×{k} kernels have too few pixels for analytic fits: fit those from 3×3"
        )


@cache
def functions(k: int) -> dict[str, Function]:
    """Return the functions that can be fitted to k×k kernels, by name.

    Raises
    ------
    KernelAtlasError
        If k is below 3.
    """
    check_size(k)
    widest = k / 2
    sigma, ratio = (0.2, widest), (1.1, 4.0)
    any_angle, shift = (-math.inf, math.inf), (-1.5, 1.5)
    fine, sigmas, few = (_geometric(0.25, widest, n) for n in (32, 16, 8))
    # Sampled ones that are narrower are the same kernels: their next pixel has less than 0.4 %.
    moved, broad = (0.3, widest), _geometric(0.35, widest, 8)
    ratios, shares = (1.2, 1.5, 2.0, 2.7, 3.7), (0.0, 0.4, 0.7, 0.9, 1.0, 1.1, 1.3, 1.5)
    widths = tuple(np.arange(1.5, min(k - 0.5, 6.5), 0.5).tolist())
    shifts = tuple(np.linspace(-1.5, 1.5, 13).tolist())
    coarse, places = (tuple(np.linspace(-1.5, 1.5, n).tolist()) for n in (9, 7))
    every = {
        "gaussian": Function(
            ("sigma",),
            (sigma,),
            (_geometric(0.2, widest, 100),),
            of=("sigma",),
            terms=SINGLE,
            evaluate=formulas.gaussian,
            symmetry="square",
        ),
        "dog": Function(
            ("sigma", "ratio", "surround"),
            (sigma, ratio, SURROUND),
            (sigmas, ratios, shares),
            (0.4, math.inf),
            (("sigma", 0.6), ("ratio", 1.2)),
            closed="surround",
            of=("sigma", "ratio"),
            terms=DOUBLE,
            evaluate=formulas.dog,
            symmetry="square",
        ),
        "elongated": Function(
            ("sigma", "surround", "aspect", "angle"),
            ((0.2, widest / 2), SURROUND, (0.25, 4.0), any_angle),
            (
                _geometric(0.3, widest / 2, 7),
                shares,
                (1.3, 1.8, 2.6, 3.6),
                _turns(12, math.pi),
            ),
            closed="surround",
            of=("sigma", "aspect", "angle"),
            evaluate=formulas.elongated,
            symmetry="even",
        ),
        "first": Function(
            ("sigma", "angle"),
            (sigma, any_angle),
            (fine, (0.0,)),
            terms=products(1),
            closed="angle",
            mix=formulas.first,
            of=("sigma",),
            evaluate=partial(formulas.derivatives, order=1),
            symmetry="odd",
        ),
        "second": Function(
            ("sigma", "angle"),
            (sigma, any_angle),
            (fine, _turns(32, math.pi)),
            terms=products(2),
            mix=formulas.second,
            of=("sigma",),
            evaluate=partial(formulas.derivatives, order=2),
            symmetry="even",
        ),
        "cross": Function(
            ("sigma", "ratio"),
            (sigma, (1.2, 8.0)),
            (fine, _geometric(1.2, 8.0, 12)),
            of=("sigma", "ratio"),
            evaluate=formulas.cross,
            symmetry="square",
        ),
        "square": Function(
            ("sigma", "width", "x", "y"),
            ((0.1, 1.0), (1.0, k - 1.0), shift, shift),
            ((0.1, 0.5, 1.0), widths, coarse, coarse),
            (0.35, 0.6),
            (("sigma", 0.5),),
            of=("sigma", "width", "y"),
            terms=SINGLE,
            evaluate=formulas.square,
        ),
        "shifted": Function(
            ("sigma", "x", "y"),
            (moved, shift, shift),
            (broad, shifts, shifts),
            of=("sigma", "y"),
            terms=SINGLE,
            evaluate=formulas.moved,
        ),
    }
    if k > SMALLEST_FIT:  # on nine pixels they describe four of five kernels of white noise
        every |= {
            "shifted dog": Function(
                ("sigma", "surround", "x", "y"),
                ((0.3, widest / 2), SURROUND, shift, shift),
                (_geometric(0.35, widest / 2, 7), (0.4, 0.8, 1.1, 1.5), coarse, coarse),
                closed="surround",
                delicate=NARROW,
                of=("sigma", "y"),
                terms=DOUBLE,
                evaluate=formulas.moved_dog,
            ),
            "shifted first": Function(
                ("sigma", "angle", "x", "y"),
                (moved, any_angle, shift, shift),
                (broad, (0.0,), shifts, shifts),
                terms=products(1),
                closed="angle",
                mix=formulas.first,
                delicate=NARROW,
                of=("sigma", "y"),
                evaluate=partial(formulas.moved, order=1),
            ),
            "shifted second": Function(
                ("sigma", "angle", "x", "y"),
                (moved, any_angle, shift, shift),
                (broad, _turns(10, math.pi), places, places),
                terms=products(2),
                mix=formulas.second,
                delicate=NARROW,
                of=("sigma", "y"),
                evaluate=partial(formulas.moved, order=2),
            ),
            "gabor": Function(
                ("sigma", "frequency", "angle", "phase"),
                (sigma, (0.3, math.pi), any_angle, any_angle),
                (few, _geometric(0.5, 3.0, 8), _turns(16, math.pi), (0.0,)),
                terms=((0, 0), (1, 1), (1, 0), (0, 1)),
                closed="phase",
                mix=formulas.waves,
                delicate=("frequency", 2.5, math.pi),  # near one wave in two pixels
                of=("sigma", "frequency", "angle"),
                evaluate=formulas.gabor,
            ),
        }
    return {
        name: function
        for name, function in every.items()
        if k * k - len(function.parameters) - 2 >= FREE
    }
