"""The wheel as people get it: installed by micropip, alone, and found by `HttpClient()`."""

import pytest

from .harness import Harness
from .lane import CACHE, LaneAbsentError, lane_is_required, wheels
from .test_page_life import page_at

INSTALL = """
import importlib.util, json
import pyodide_js

await pyodide_js.loadPackage("{micropip}")
import micropip

await micropip.install("{wheel}")
from importlib.metadata import version
from ktor_client import HttpClient, install
from ktor_client.plugins import WebSockets

async with HttpClient(None, install(WebSockets)) as client:
    async with client.web_socket("{echo}") as session:
        await session.send("hello")
        heard = await session.receive_text()

json.dumps({{
    "version": version("ktor-client"),
    "heard": heard,
    "packages": sorted(micropip.list()),
    "engines": [name for name in ("aiohttp", "httpx") if importlib.util.find_spec(name)],
}})
"""


@pytest.mark.timeout(300)
def test_micropip_installs_the_wheel_and_nothing_else(harness: Harness) -> None:
    try:
        ours, micropip = wheels()
    except LaneAbsentError as absent:
        line = f"browser lane, wheel: {absent}"
        if lane_is_required():
            pytest.fail(line, pytrace=False)
        pytest.skip(line)
    assert ours.name.endswith("-py3-none-any.whl")
    code = INSTALL.format(
        micropip=f"{harness.base}/cache/{micropip.relative_to(CACHE)}",
        wheel=f"{harness.base}/cache/{ours.relative_to(CACHE)}",
        echo=f"{harness.base.replace('http', 'ws', 1)}/ws/echo",
    )
    with page_at(harness, f"{harness.base}/page/boot.html?bare") as page:
        told = harness.call(harness.run_python(page, code))
    assert told == (
        '{"version": "0.1.0", "heard": "hello", '
        '"packages": ["ktor-client", "micropip"], "engines": []}'
    )
