#!/bin/sh
# Installs what the browser lane needs beyond Python where that is missing and apt-get may be used;
# what it may not install it names. Pyodide itself is fetched by npm when the lane runs.
set -eu
missing=''
command -v chromium >/dev/null || command -v chromium-browser >/dev/null ||
    command -v google-chrome >/dev/null || missing="$missing chromium"
command -v node >/dev/null || missing="$missing nodejs"
command -v npm >/dev/null || missing="$missing npm"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    # shellcheck disable=SC2086  # one word a package
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing
else
    echo "The browser lane needs:$missing (Debian, Ubuntu: sudo apt-get install$missing)" >&2
    exit 1
fi
