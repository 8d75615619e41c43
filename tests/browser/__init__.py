"""The browser lane: the client in a real Chromium, in a page and in a Web Worker.

`lane.py` finds what the lane needs, `site.py` serves pages and peers, `harness.py` runs both that
and Chromium, `page/` is what the browser loads, `in_page/` are tests that run inside it. The other
test files drive the browser from outside; `alone/` runs without one.
"""
