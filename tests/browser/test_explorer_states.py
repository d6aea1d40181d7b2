"""placeholder"""
import pytest

@pytest.mark.parametrize("place", ["", "shapes?size=7x7", "curve?size=7x7", "networks", "kernels?size=7x7", "find?size=7x7","networks/convnextv2_mini?size=7x7", "kernel/convnextv2_mini/0/0"])
def test_every_view_shows(page, place, tmp_path):
    page.driver.get("about:blank"); page.driver.get(page.address+"#/"+place); page.wait()
    print(page.driver.title, page.alerts, page.text("main")[:300])
    page.collect(); print(page.moved, page.console, len(page.requested))
    page.driver.save_screenshot(f"/tmp/xserve/shot_{place.split('?')[0].replace('/','_')}.png")
