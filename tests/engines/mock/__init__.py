"""Tests of MockEngine."""
