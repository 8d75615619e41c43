"""Tests that run inside the browser, in a page and in a Web Worker, by pytest under Pyodide."""
