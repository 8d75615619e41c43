"""The engine without Chromium, over a browser that does what the test says: rare paths."""
