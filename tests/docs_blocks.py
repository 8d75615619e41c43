"""Reads Markdown for the tests of the documentation: code blocks, headings, links."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
)

_FENCE = re.compile(r"^( *)```(\S*)(.*)$")
_COMMENT = re.compile(r"^ *<!-- (not run: .+|output) -->$")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


class Block(NamedTuple):
    page: str
    line: int
    language: str
    title: str | None
    mark: str
    """The comment right before it: "not run: reason", "output", or nothing."""
    text: str

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_run(self) -> bool:
        return not self.mark.startswith("not run: ")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks_of(page: str) -> list[Block]:
    found: list[Block] = []
    mark = indent = ""
    inside: list[str] | None = None
    opening: tuple[int, str, str | None] = 0, "", None
    for number, line in enumerate(text_of(page).splitlines(), 1):
        fence = _FENCE.match(line)
        if inside is not None:
            if fence is not None and not fence[2]:
                at, language, title = opening
                text = "\n".join(inside) + "\n"
                found.append(Block(page, at, language, title, mark, text))
                inside, mark = None, ""
            else:
                inside.append(line.removeprefix(indent))
        elif fence is not None:
            named = re.search(r'title="([^"]+)"', fence[3])
            indent, inside = fence[1], []
            opening = number, fence[2], named[1] if named else None
        elif comment := _COMMENT.match(line):
            mark = comment[1]
        elif line.strip():
            mark = ""
    assert inside is None, f"{page}: a code block has no end"
    return found


def links_of(page: str) -> list[str]:
    text = re.sub(r"^ *```.*?^ *```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    return _LINK.findall(re.sub(r"`[^`]*`", "", text))


def anchors_of(page: str) -> set[str]:
    """The anchors of a page's headings, as the site makes them."""
    text = re.sub(r"^ *```.*?^ *```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\s-]", "", plain).strip().lower()
        slug = re.sub(r"[-\s]+", "-", slug)
        found.add(slug)
    return found
