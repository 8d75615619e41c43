"""This library with its compiled core; `ImportError` where that is neither installed nor built."""

from __future__ import annotations

from importlib import import_module
from typing import ClassVar

from benchmarks.contenders.ours import OursCio

import_module("ktor_client_speedups")


class OursCioCompiled(OursCio):
    packages: ClassVar = ("ktor-client", "ktor-client-speedups")
    environment: ClassVar = {"KTOR_CLIENT_PURE": "0"}


class OursCioEager(OursCioCompiled):
    """Receivers run within the read; see `KTOR_CLIENT_EAGER`."""

    environment: ClassVar = {**OursCioCompiled.environment, "KTOR_CLIENT_EAGER": "1"}
