"""Every way in which a connection fails, as one of our errors that says what happened and where."""

from __future__ import annotations
