"""Tests of `ktor_client/mistakes/`."""
