"""Bodies and messages as they may be shown: as text, without secrets, no longer than asked.

It works on the beginning of a text as well as on the whole: what is cut off in the middle of a
secret is hidden to the end. Which names are secret is `redaction.py`'s to say.
"""

from __future__ import annotations

import codecs
import re
from urllib.parse import unquote_plus

from ktor_client.http.headers import Headers
from ktor_client.http.redaction import HIDDEN, IsSecret, is_secret_name, redacted
from ktor_client.http.url import Url

__all__ = ["Redactor", "redacted_text", "visible"]

INDENT = "    "

_charset = re.compile(r'charset\s*=\s*"?([\w.:-]+)', re.IGNORECASE).search
_boundary = re.compile(r'boundary\s*=\s*(?:"([^"]+)"|([^\s;]+))', re.IGNORECASE).search
_part_name = re.compile(r'\bname\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;]+))', re.IGNORECASE).search
_is_no_text = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]").search
_unprintable = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_url = re.compile(r"\b(?:https?|wss?)://[^\s\"'<>\\]+", re.IGNORECASE)
_begun_authority = re.compile(r"(?<=://)[^\s/?#]*$")
"""What may be user and password, and would be known by the @ behind them."""
_scheme = re.compile(
    r"\b(Bearer|Basic|Digest|Negotiate)([ \t]+)"
    r"(?!\*\*\*|auth|tokens?\b|realm|scheme)[\w.~+/=-]{4,}",
    re.IGNORECASE,
)
_escape = r"\\+u[0-9a-fA-F]{4}"
_member = re.compile(
    rf"""(?P<q>\\{{0,15}}")(?P<double>(?:[^"\\\n]|{_escape})++)(?P=q)\s*+:\s*+"""
    rf"""|(?P<a>\\{{0,15}}')(?P<single>(?:[^'\\\n]|{_escape})++)(?P=a)\s*+:\s*+"""
    r"""|(?<![\w.%\\-])(?P<bare>[\w.%\[\]-]++)[ \t]*+(?P<sign>[=:])[ \t]*+"""
    # No name, for nothing follows: it is read once, and not from each of its brackets again.
    r"""|(?<![\w.%-])[\w.%-]*+[\[\]][\w.%\[\]-]*+(?![ \t]*+[=:])"""
)
_quote = re.compile(r"""\\{0,15}["']""").match
_plain_value = {
    "=": re.compile(r"""[^\s&;,"'<>)}\]]*"""),
    ":": re.compile(r"""[^\n,;}\]"']*"""),
    "": re.compile(r"[^\s,}\]]*"),
}
_harmless = frozenset({"null", "true", "false", "none", ""})
_brackets = re.compile(r"""["'{}\[\]]""")


class Redactor:
    """Shows URLs, headers, texts and bodies without secrets, no more than `limit` characters."""

    def __init__(self, limit: int, is_secret: IsSecret = is_secret_name) -> None:
        self.limit = limit
        self._is_secret = is_secret

    def url(self, url: Url) -> str:
        """Return a URL as it may be shown."""
        return visible(redacted(url, is_secret=self._is_secret))

    def headers(self, headers: Headers) -> str:
        """Return headers, each in a line of its own that begins with a line feed."""
        fields = redacted(headers, is_secret=self._is_secret).fields()
        return "".join(f"\n{INDENT}{name}: {visible(value)}" for name, value in fields)

    def text(self, text: str, media_type: str = "", *, is_cut: bool = False) -> str:
        """Return the beginning of a text, of which `is_cut` says that more has been cut off."""
        beginning = text[: 2 * self.limit + 200]  # what is hidden was longer
        if is_cut or len(beginning) < len(text):
            is_cut = True
            beginning = _begun_authority.sub("", beginning)
        shown = redacted_text(beginning, media_type, self._is_secret)
        if len(shown) <= self.limit and not is_cut:
            return visible(shown)
        return f"{visible(shown[: self.limit])}…"

    def body(self, data: bytes, media_type: str, *, is_cut: bool = False) -> str | None:
        """Return the beginning of a body as text; None where it is none."""
        if media_type.lower().startswith(("image/", "audio/", "video/", "font/")):
            return None
        found = _charset(media_type)
        charset = found[1] if found else "utf-8"
        try:
            "".encode(charset)  # which refuses codecs that are no charsets, such as "zlib"
            text = codecs.getincrementaldecoder(charset)().decode(data)
        except (LookupError, UnicodeError):
            return None
        return None if _is_no_text(text) else self.text(text, media_type, is_cut=is_cut)


def visible(text: str) -> str:
    """Return a text with its control characters made visible.

    Lines after the first are indented, so that none of them passes for a line of the log.
    """
    text = text.replace("\r\n", "\n")
    text = _unprintable.sub(lambda found: repr(found[0])[1:-1], text)
    return text.replace("\n", f"\n{INDENT}")


def redacted_text(text: str, media_type: str = "", is_secret: IsSecret = is_secret_name) -> str:
    """Return a text with the values of secrets hidden: of form fields, JSON members, parameters."""
    kind = media_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        # and then as any text, for not all that is sent as a form is one
        text = "&".join(_field(pair, is_secret) for pair in text.split("&"))
    elif kind.startswith("multipart/") and (found := _boundary(media_type)) is not None:
        return _multipart(text, found[1] or found[2], is_secret)
    return _anything(text, is_secret)


def _field(pair: str, is_secret: IsSecret) -> str:
    name, equals, value = pair.partition("=")
    return f"{name}={HIDDEN}" if equals and value and is_secret(unquote_plus(name)) else pair


def _multipart(text: str, boundary: str, is_secret: IsSecret) -> str:
    shown: list[str] = []
    for part in re.split(f"(^|\n)(?=--{re.escape(boundary)})", text):
        head, blank, content = _split_head(part)
        name = _part_name(head)
        if blank and name is not None and is_secret(name[1] or name[2]):
            content = HIDDEN + ("\r" if content.endswith("\r") else "")
        elif blank:
            content = _anything(content, is_secret)
        shown.append(f"{head}{blank}{content}")
    return "".join(shown)


def _split_head(part: str) -> tuple[str, str, str]:
    return part.partition("\r\n\r\n" if "\r\n\r\n" in part else "\n\n")


def _anything(text: str, is_secret: IsSecret) -> str:
    text = _url.sub(lambda found: redacted(found[0], is_secret=is_secret), text)
    text = _scheme.sub(lambda found: f"{found[1]}{found[2]}{HIDDEN}", text)
    shown: list[str] = []
    done = position = 0
    while (found := _member.search(text, position)) is not None:
        position = found.end()
        name = found["double"] or found["single"] or found["bare"]
        if name is None or not is_secret(_unescaped(name)):
            continue
        end, value = _hidden_value(text, position, found["sign"] or "")
        shown.append(text[done:position] + value)
        done = position = end
    return "".join([*shown, text[done:]])


def _unescaped(name: str) -> str:
    if "\\" in name:
        name = re.sub(r"\\+u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), name)
    return unquote_plus(name) if "%" in name else name


def _hidden_value(text: str, start: int, sign: str) -> tuple[int, str]:
    """Return where a secret's value ends, and what stands in its place."""
    quote = _quote(text, start)
    if quote is not None:
        end = _end_of_string(text, quote.end(), quote[0])
        return end, f"{quote[0]}{HIDDEN}{quote[0] if end <= len(text) else ''}"
    if text.startswith(("{", "["), start):
        return _end_of_nested(text, start), HIDDEN
    plain = _plain_value[sign].match(text, start)
    assert plain is not None
    value = plain[0]
    return plain.end(), value if value.strip().lower() in _harmless else HIDDEN


def _end_of_string(text: str, start: int, quote: str) -> int:
    """Return the position behind a string's end; more than there are characters if it has none.

    A string in a string, as JSON in JSON has them, ends at a quote with just as many backslashes
    as its first one; more of them belong to quotes inside.
    """
    escapes, mark = len(quote) - 1, quote[-1]
    position = start
    while (position := text.find(mark, position)) >= 0:
        before = position
        while before > start and text[before - 1] == "\\":
            before -= 1
        if (position - before) % (2 * (escapes + 1)) == escapes:
            return position + 1
        position += 1
    return len(text) + 1


def _end_of_nested(text: str, start: int) -> int:
    depth = 0
    position = start
    while (found := _brackets.search(text, position)) is not None:
        position = found.end()
        if found[0] in "\"'":
            before = found.start()
            while before > start and text[before - 1] == "\\":
                before -= 1
            position = _end_of_string(text, position, text[before:position])
        elif found[0] in "{[":
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                return position
    return len(text)
