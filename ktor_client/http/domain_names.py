"""Domain names of all scripts as ASCII: UTS 46, non-transitional, as browsers have it.

By the browser itself or the `idna` package. Without either, Python's own codec (IDNA 2003) for
names that mean the same in both; it would send `faß.de` to `fass.de`, somebody else's domain.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from importlib import import_module
from typing import Any

__all__ = ["to_ascii"]

_ZERO_WIDTH_NON_JOINER, _ZERO_WIDTH_JOINER = "\u200c", "\u200d"
_MAX_LABEL = 63  # RFC 1035 2.3.4
_UNICODE_3_2 = unicodedata.ucd_3_2_0
"""The Unicode of IDNA 2003 (RFC 3491 4): of later characters it knows neither case nor variants."""
_is_unlike_2003 = re.compile(
    "[ßς\u200c\u200d"  # kept, where IDNA 2003 maps them to others, or to nothing
    "\u115f\u1160\u17b4\u17b5\u1806\u3164\uffa0"  # what is ignored, and what is not
    "\u13a0-\u13f4"  # Cherokee, which had one case only
    "\U0002f868\U0002f874\U0002f91f\U0002f95f\U0002f9bf]"  # whose variants were corrected
).match
_dots = re.compile("[.\u3002\uff0e\uff61]").split  # RFC 3490 3.1


def to_ascii(name: str) -> str:
    """Return a domain name with each label that is not ASCII in its `xn--` form.

    Other characters can come out of compatible ones, `@` and `/` among them: check the result.

    Raises:
        UnicodeError: it is no domain name, or what is installed here cannot tell which; the
            message, a clause, does not repeat it.
    """
    if sys.platform == "emscripten":
        return _by_browser(name)
    try:
        import idna
    except ImportError:
        return _by_python(name)
    try:
        mapped = idna.uts46_remap(name, std3_rules=False, transitional=False)
        return ".".join(
            label if label.isascii() else _a_label(idna, label) for label in mapped.split(".")
        )
    except idna.IDNAError as error:
        raise UnicodeError(f"a character or its place is not allowed (UTS 46): {error}") from None


def _a_label(idna: Any, label: str) -> str:
    """Check a mapped label as UTS 46 4.1 does (symbols are fine, as in browsers) and encode it."""
    idna.check_nfc(label)
    idna.check_initial_combiner(label)
    idna.check_bidi(label)
    for position, character in enumerate(label):
        if character in (_ZERO_WIDTH_NON_JOINER, _ZERO_WIDTH_JOINER):
            if not idna.valid_contextj(label, position):
                raise UnicodeError("it has a joiner where none is allowed")
    return _encoded(label)


def _encoded(label: str) -> str:
    if label.startswith("xn--"):
        raise UnicodeError("a label starts with xn--, and is not ASCII")
    encoded = "xn--" + label.encode("punycode").decode("ascii")
    if len(encoded) > _MAX_LABEL:
        raise UnicodeError(f"a label is longer than {_MAX_LABEL} characters")
    return encoded


def _by_browser(name: str) -> str:
    """Ask `new URL(...)`, which a page's own requests go through anyway."""
    url: Any = import_module("js").URL
    try:
        return str(url.new(f"http://{name}/").hostname)
    except Exception as error:
        raise UnicodeError("the browser does not take it") from error


def _by_python(name: str) -> str:
    for character in name:
        if _is_unlike_2003(character) or _UNICODE_3_2.category(character) == "Cn":
            raise UnicodeError(
                f"{character!a} needs the package idna, without which it could become another "
                "domain; try: pip install idna"
            )
    labels = [
        label if label.isascii() else label.encode("idna").decode("ascii") for label in _dots(name)
    ]
    if any("." in label for label in labels):  # of a character such as U+2488
        raise UnicodeError("one of its characters would be mapped to a dot and another")
    return ".".join(labels)
