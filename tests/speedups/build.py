"""Build the compiled core with the C compiler alone: `python -m tests.speedups.build FOLDER`.

For tests and sanitizers; users and wheels take `pip install ./speedups`, which needs setuptools.
What is compiled, and with which macros, is written in `speedups/pyproject.toml`.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sysconfig
import tomllib
from pathlib import Path

__all__ = ["build", "compiler"]

PROJECT = Path(__file__).parent.parent.parent / "speedups"
WARNINGS = (
    *("-Wall", "-Wextra", "-Werror"),
    # What CPython's own headers and its way of declaring methods bring with them.
    *("-Wno-unused-parameter", "-Wno-cast-function-type", "-Wno-missing-field-initializers"),
)
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-O1")


def compiler() -> str | None:
    """Return the C compiler, or None where there is none."""
    named = shlex.split(sysconfig.get_config_var("CC") or "")[:1]
    return next(filter(None, map(shutil.which, [*named, "cc", "gcc", "clang"])), None)


def build(folder: Path, *, sanitize: bool = False) -> None:
    """Put the package `ktor_client_speedups` into `folder`."""
    found = compiler()
    if found is None:
        raise SystemExit("there is no C compiler here (Debian, Ubuntu: apt install gcc)")
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]
    (module,) = settings["ext-modules"]
    source = PROJECT / "src" / "ktor_client_speedups"
    package = folder / source.name
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("*.c", "*.h", "__pycache__"))
    subprocess.run(
        [
            *(found, "-shared", "-fPIC", "-g", *WARNINGS),
            *(SANITIZERS if sanitize else ("-O3", "-DNDEBUG")),
            *(f"-D{name}={value}" for name, value in module["define-macros"]),
            f"-I{sysconfig.get_path('include')}",
            *(str(PROJECT / name) for name in module["sources"]),
            *("-o", str(package / "_core.abi3.so")),
        ],
        check=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.speedups.build", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sanitize", action="store_true", help="with ASan and UBSan")
    options = parser.parse_args()
    build(options.folder, sanitize=options.sanitize)


if __name__ == "__main__":
    main()
