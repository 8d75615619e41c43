"""`tools/venv.sh`, the first step of every verb of the Makefile: a good Python, or one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "tools" / "venv.sh"
TOO_OLD = "#!/bin/sh\ncase $2 in *print*) echo 3.10.13 ;; *) exit 2 ;; esac\n"
NO_VENV = "#!/bin/sh\ncase $2 in *print*) echo 3.12.1 ;; *) exit 3 ;; esac\n"
BROKEN = "#!/bin/sh\ncase $1$2 in -mvenv) mkdir $3; exit 1 ;; *print*) echo 3.12.1 ;; esac\n"
GOOD = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'


def set_up(folder: Path, **pythons: str) -> subprocess.CompletedProcess[str]:
    """Run the script where these are all the Pythons there are; `folder` has the venv."""
    programs = folder / "bin"
    programs.mkdir()
    for name in ("rm", "mkdir"):
        found = next(path for path in (Path("/bin"), Path("/usr/bin")) if (path / name).exists())
        (programs / name).symlink_to(found / name)
    for name, text in pythons.items():
        program = programs / name.replace("_", ".")
        program.write_text(text)
        program.chmod(0o755)
    return subprocess.run(
        ["/bin/sh", str(SCRIPT), "venv"],
        cwd=folder,
        env={"PATH": str(programs)} | {k: v for k, v in os.environ.items() if k == "HOME"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("pythons", "sentence"),
    [
        ({}, "ktor-client needs Python 3.11 or newer, but python3 does not run here: "),
        (
            {"python3": TOO_OLD},
            "ktor-client needs Python 3.11 or newer, but python3 is 3.10.13: install a newer one",
        ),
        (
            {"python3": TOO_OLD, "python3_12": NO_VENV},
            "python3.12 (3.12.1) has no venv module: install it (Debian, Ubuntu: apt install ",
        ),
        ({"python3": BROKEN}, "python3 (3.12.1) could not create venv for the reason above: "),
    ],
    ids=["none", "too old", "no venv", "broken"],
)
def test_one_sentence_says_what_is_missing(
    tmp_path: Path, pythons: dict[str, str], sentence: str
) -> None:
    done = set_up(tmp_path, **pythons)
    assert done.returncode == 1
    assert done.stderr.startswith(sentence)
    assert done.stderr.endswith("make PYTHON=/path/to/python3\n")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "venv").exists()


def test_the_first_python_that_is_good_is_taken_once(tmp_path: Path) -> None:
    done = set_up(tmp_path, python3=TOO_OLD, python3_11=GOOD)
    version = ".".join(map(str, sys.version_info[:3]))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Creating venv with python3.11 ({version})\n"
    assert (tmp_path / "venv" / "bin" / "python").exists()
    (tmp_path / "bin").rename(tmp_path / "gone")
    done = set_up(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")  # it is there


def test_a_folder_of_somebody_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "diary").write_text("dear")
    done = set_up(tmp_path, python3=GOOD)
    assert done.returncode == 1
    assert done.stderr.startswith("venv exists and is not a virtual environment: move it away")
    assert (tmp_path / "venv" / "diary").read_text() == "dear"
