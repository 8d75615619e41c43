"""`ktor_client/_twin.py`, the one door to the compiled core: which twin runs, and who says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ktor_client
from ktor_client import _twin

CORE = """
__version__ = "9"
INTERFACE = {interface}
adopted = []
adopt = adopted.append
claim = lambda: {claim}
forget_keys = adopted.clear
mask_bytes = take_plain = take_copied = "compiled"
new_text = new_binary = new_room = "compiled"
"""
SHOW = "from ktor_client import _twin; print(_twin.implementation, '|', _twin.reason)"


def run(
    program: str, folder: Path, wish: str | None = None, *, warnings: str = "error"
) -> subprocess.CompletedProcess[str]:
    """Run a program where the compiled core, if there is one, is in `folder`."""
    environment = {k: v for k, v in os.environ.items() if k != _twin.VARIABLE}
    paths = [str(folder), str(Path(ktor_client.__file__).parent.parent)]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    if wish is not None:
        environment[_twin.VARIABLE] = wish
    return subprocess.run(
        [sys.executable, "-W", warnings, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def nothing(tmp_path: Path) -> Path:
    """A folder that hides an installed core."""
    (tmp_path / "ktor_client_speedups.py").write_text(
        "raise ModuleNotFoundError('it is not there')"
    )
    return tmp_path


@pytest.fixture
def core(tmp_path: Path) -> Path:
    """A folder with a core that does nothing but fit."""
    (tmp_path / "ktor_client_speedups.py").write_text(
        CORE.format(interface=_twin.INTERFACE, claim="True")
    )
    return tmp_path


def test_this_process_says_which_twin_runs() -> None:
    assert ktor_client.implementation in ("pure", "compiled")
    assert ktor_client.implementation == _twin.implementation
    assert (_twin._core is None) == (_twin.implementation == "pure")


def test_without_the_core_the_pure_twin_runs(nothing: Path) -> None:
    done = run(SHOW, nothing)
    assert (done.stdout, done.stderr) == ("pure | ktor-client-speedups is not installed\n", "")


def test_a_folder_that_was_left_behind_is_no_core(tmp_path: Path) -> None:
    (tmp_path / "ktor_client_speedups").mkdir()
    hides_it = (
        f"import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p]; {SHOW}"
    )
    done = run(hides_it, tmp_path)
    assert (done.stdout, done.stderr) == ("pure | ktor-client-speedups is not installed\n", "")


@pytest.mark.parametrize("wish", [None, "", "0"])
def test_with_it_the_compiled_one_does(core: Path, wish: str | None) -> None:
    done = run(SHOW, core, wish)
    assert (done.stdout, done.stderr) == ("compiled | ktor-client-speedups 9\n", "")


def test_it_stands_in_for_what_is_marked(core: Path) -> None:
    done = run(
        "import ktor_client_speedups as core\n"
        "from ktor_client.protocol import decoder, masking, plain\n"
        "from ktor_client import DefaultWebSocketSession, _twin\n"
        "print(decoder.take_plain, masking.mask_bytes, sorted(_twin.references))\n"
        "print(_twin.references['mask_bytes'](b'a', b'bcde'), _twin.forget_keys())\n"
        "print(len(core.adopted))",
        core,
    )
    names = "['mask_bytes', 'new_binary', 'new_room', 'new_text', 'take_copied', 'take_plain']"
    assert (done.stdout, done.stderr) == (f"compiled compiled {names}\nb'\\x03' None\n0\n", "")


def test_it_can_be_turned_off(core: Path) -> None:
    done = run(SHOW, core, "1")
    assert (done.stdout, done.stderr) == ("pure | KTOR_CLIENT_PURE=1\n", "")


def test_it_can_be_demanded(nothing: Path) -> None:
    done = run(SHOW, nothing, "0")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ImportError: KTOR_CLIENT_PURE=0 demands the compiled core, but ktor-client-speedups is "
        "not installed; pip install --upgrade ktor-client-speedups"
    )


def test_another_wish_is_refused(core: Path) -> None:
    done = run(SHOW, core, "yes")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ValueError: KTOR_CLIENT_PURE is 1 (pure Python), 0 (the compiled core or an error) or not "
        "set, not 'yes'"
    )


def test_receivers_run_within_reads_where_that_is_asked_for(
    core: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = "from ktor_client import _twin; print(_twin.is_eager)"
    for wish, found in (("1", "True"), ("0", "False"), ("", "False")):
        monkeypatch.setenv(_twin.EAGER, wish)
        assert run(show, core).stdout == f"{found}\n"
        assert run(show, core, "1").stdout == "False\n"  # pure Python would gain nothing
    monkeypatch.setenv(_twin.EAGER, "yes")
    assert run(show, core).stderr.splitlines()[-1] == (
        "ValueError: KTOR_CLIENT_EAGER is 1 (receivers run within the read), 0 (at the loop's next "
        "turn) or not set, not 'yes'"
    )


def test_another_interface_means_pure_python_and_one_warning(core: Path) -> None:
    (core / "ktor_client_speedups.py").write_text(CORE.format(interface=99, claim="True"))
    done = run(SHOW, core, warnings="default")
    why = f"the installed ktor-client-speedups has interface 99, not {_twin.INTERFACE}"
    assert done.stdout == f"pure | {why}\n"
    told = f"pure Python runs: {why}; pip install --upgrade ktor-client-speedups"
    assert done.stderr.count("Warning") == 1
    assert f"RuntimeWarning: {told}\n" in done.stderr


def test_another_copy_of_the_package_leaves_it_alone(core: Path) -> None:
    (core / "ktor_client_speedups.py").write_text(
        CORE.format(interface=_twin.INTERFACE, claim="False")
    )
    assert run(SHOW, core).stdout == "pure | another copy of ktor_client has it\n"


def test_a_core_that_does_not_load_means_pure_python(core: Path) -> None:
    (core / "ktor_client_speedups.py").write_text("raise ImportError('wrong ELF class')")
    done = run(SHOW, core)
    assert (done.stdout, done.stderr) == ("pure | wrong ELF class\n", "")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("sys.implementation.name = 'other'", "other is not CPython"),
        (
            "sys._is_gil_enabled = bool; sysconfig.get_config_vars()['Py_GIL_DISABLED'] = 1",
            "this Python is free-threaded",
        ),
    ],
    ids=["another interpreter", "free-threaded"],
)
def test_where_it_cannot_run_the_pure_twin_does(core: Path, change: str, why: str) -> None:
    done = run(f"import sys, sysconfig; {change}; {SHOW}", core)
    assert (done.stdout, done.stderr) == (f"pure | {why}\n", "")


def test_the_command_says_it_last(nothing: Path) -> None:
    program = "import sys; sys.argv[1:] = ['engines']; from ktor_client.cli import main; main()"
    done = run(program, nothing, warnings="default")
    assert done.stdout.endswith("\ncore: pure Python (ktor-client-speedups is not installed)\n")
