#!/bin/sh
# Creates the virtual environment $1 with the Python named in $PYTHON, else with the first one on
# PATH that is new enough and can create one. What is missing is said in one sentence.
set -eu
dir=$1

# 0: usable, 2: too old, 3: cannot create virtual environments, else: not a Python that runs
probe() {
    "$1" -c '
import sys
if sys.version_info < (3, 11):
    sys.exit(2)
try:
    import ensurepip, venv
except ImportError:
    sys.exit(3)
' >/dev/null 2>&1
}

version() {
    "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])'
}

if [ -x "$dir/bin/python" ] && probe "$dir/bin/python" && "$dir/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0 # somebody made a good one already
fi
if [ -d "$dir" ] && [ ! -e "$dir/pyvenv.cfg" ]; then
    echo "$dir exists and is not a virtual environment: move it away, or name another place: make VENV=/path" >&2
    exit 1
fi

if [ -n "${PYTHON:-}" ]; then
    set -- "$PYTHON"
else
    set -- python3 python3.14 python3.13 python3.12 python3.11 python
fi
too_old='' no_venv=''
for python in "$@"; do
    status=0
    probe "$python" || status=$?
    case $status in
        0)
            echo "Creating $dir with $python ($(version "$python"))"
            rm -rf "$dir"
            if "$python" -m venv "$dir"; then
                exit 0
            fi
            rm -rf "$dir"
            echo "$python ($(version "$python")) could not create $dir for the reason above: mend that, or name another Python: make PYTHON=/path/to/python3" >&2
            exit 1
            ;;
        2) too_old=${too_old:-$python} ;;
        3) no_venv=${no_venv:-$python} ;;
    esac
done

if [ -n "$no_venv" ]; then
    echo "$no_venv ($(version "$no_venv")) has no venv module: install it (Debian, Ubuntu: apt install python3-venv) or name another Python: make PYTHON=/path/to/python3" >&2
elif [ -n "$too_old" ]; then
    echo "ktor-client needs Python 3.11 or newer, but $too_old is $(version "$too_old"): install a newer one, or name it: make PYTHON=/path/to/python3" >&2
else
    echo "ktor-client needs Python 3.11 or newer, but $1 does not run here: install Python, or name it: make PYTHON=/path/to/python3" >&2
fi
exit 1
