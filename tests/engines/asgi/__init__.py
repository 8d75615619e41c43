"""Tests of TestEngine."""
