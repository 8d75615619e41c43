"""Which domains have no single owner, so that no site may set a cookie for all of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

__all__ = ["is_public_suffix"]


def is_public_suffix(domain: str) -> bool:
    """Whether a domain is a public suffix, such as "com", "co.uk" or "github.io".

    Names of one label always are. The others are known where `publicsuffixlist` is installed:
    `pip install publicsuffixlist`.
    """
    return "." not in domain.removesuffix(".") or _known()(domain)


@lru_cache(1)
def _known() -> Callable[[str], bool]:
    try:
        from publicsuffixlist import PublicSuffixList
    except ImportError:
        return lambda domain: False
    listed: Callable[[str], bool] = PublicSuffixList().is_public
    return listed
