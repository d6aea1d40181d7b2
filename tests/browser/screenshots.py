"""Pictures of the explorer's page for docs/, by the browser of its tests.

`python tests/browser/screenshots.py results/explorer` writes docs/explorer/*.png.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import chromium
from pages import Page
from PIL import Image

DOCS = Path(__file__).parents[2] / "docs"
# Picture: place in the page, height of the window, theme.
PICTURES = {
    "shapes": ("shapes?size=7x7", 860, "light"),
    "kernel": ("kernel/convnextv2_mini/stages.1.blocks.0.conv_dw/5", 940, "light"),
    "curve": ("curve?size=7x7&seed=0&point=410", 860, "dark"),
}
WIDTH = 1200


def main(explorer: str) -> None:
    command = [sys.executable, "-m", "kernelatlas", "explore", explorer, "--port=0", "--no-browser"]
    server = subprocess.Popen(command, text=True, stdout=subprocess.PIPE)
    with tempfile.TemporaryDirectory() as scratch:
        driver = chromium.start(Path(scratch))
        try:
            line = server.stdout.readline()
            page = Page(driver, "http://" + line.partition("http://")[2].split()[0])
            for name, (place, height, theme) in PICTURES.items():
                page.resize(WIDTH, height)
                page.media(prefers_color_scheme=theme)
                page.show(place)
                path = Path(scratch) / f"{name}.png"
                driver.save_screenshot(str(path))
                picture = Image.open(path).convert("RGB")
                picture.save(DOCS / "explorer" / f"{name}.png", optimize=True)
        finally:
            driver.quit()
            server.terminate()


if __name__ == "__main__":
    main(sys.argv[1])
