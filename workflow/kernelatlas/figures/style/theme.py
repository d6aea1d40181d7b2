"""The theme of all figures: sizes of texts, colours that are not shapes, matplotlib's settings."""

import matplotlib

SMALL, NORMAL, LARGE = 6.5, 7.5, 10.0  # points
LINE = 1.35  # distance of lines, in font sizes
FONT = "DejaVu Sans"
INK, FAINT, CONTROL, GRID = "#333333", "#9A9A9A", "#BDBDBD", "#E5E5E5"

# seaborn, which takes as long to import as most figures to draw, is left to those that need it.
matplotlib.rcParams.update(
    {
        "font.family": FONT,
        "font.size": NORMAL,
        "axes.titlesize": NORMAL + 0.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": NORMAL,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
        "legend.fontsize": SMALL,
        "legend.title_fontsize": NORMAL,
        "figure.titlesize": LARGE,
        "figure.titleweight": "bold",
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 3,
        "ytick.major.size": 3,
        "hatch.linewidth": 0.5,
        "axes.axisbelow": True,
        "lines.linewidth": 1.2,
        "lines.markersize": 4.8,
        "lines.solid_capstyle": "round",
        "patch.linewidth": 0.8,
        "patch.edgecolor": "white",
        "patch.force_edgecolor": True,
        "xtick.minor.size": 3.2,
        "ytick.minor.size": 3.2,
        "xtick.minor.width": 0.8,
        "ytick.minor.width": 0.8,
        "legend.frameon": False,
        "pdf.fonttype": 42,
    }
)
