"""Storages: what they keep, what they give up first, and what survives in a file."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ktor_client import Url
from ktor_client.plugins import Cookie, FileCookies, InMemoryCookies
from ktor_client.plugins.cookies import storage as storage_module
from ktor_client.plugins.cookies.storage import EXCESS, MAX_COOKIES, MAX_PER_DOMAIN

SITE = Url.parse("https://a.example.com/shop/")


class Time:
    """A clock that stands still unless a test sets it."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr(storage_module, "time", SimpleNamespace(time=clock))
    return clock


def kept(storage: InMemoryCookies) -> set[str]:
    return {cookie.name for cookie in storage}


def cookies(n: int, domain: str, *, secure: bool = False, first: int = 0) -> list[Cookie]:
    return [Cookie(f"c{i}", "v", domain, secure=secure) for i in range(first, first + n)]


# --- in memory ---


def test_what_may_go_with_a_url() -> None:
    storage = InMemoryCookies()
    storage.put(
        [
            Cookie("here", "1", "a.example.com"),
            Cookie("above", "2", "example.com", host_only=False),
            Cookie("top", "3", "com", host_only=False),
            Cookie("below", "4", "b.a.example.com"),
            Cookie("beside", "5", "xexample.com"),
        ]
    )
    assert {cookie.name for cookie in storage.get(SITE)} == {"here", "above", "top"}
    assert storage.get(Url.parse("http://127.0.0.1/")) == []


def test_the_same_cookie_takes_the_place_of_the_old() -> None:
    storage = InMemoryCookies()
    storage.put([Cookie("a", "1", "h.test"), Cookie("a", "2", "h.test")])
    assert [cookie.value for cookie in storage] == ["2"]
    storage.put(
        [
            Cookie("a", "3", "h.test", "/x"),
            Cookie("a", "4", "h.test", host_only=False),
            Cookie("A", "5", "h.test"),
            Cookie("a", "6", "g.test"),
        ]
    )
    assert len(storage) == 5


def test_an_expired_cookie_deletes() -> None:
    storage = InMemoryCookies()
    storage.put([Cookie("a", "1", "h.test"), Cookie("b", "2", "h.test")])
    storage.put([Cookie("a", "", "h.test", expires=0.0), Cookie("c", "", "h.test", expires=1.0)])
    assert kept(storage) == {"b"}
    storage.put([Cookie("b", "", "h.test", expires=0.0)])
    assert len(storage) == 0
    assert not storage._domains


def test_clear() -> None:
    storage = InMemoryCookies()
    storage.put(cookies(3, "h.test"))
    storage.clear()
    assert list(storage) == []
    assert storage.get(Url.parse("http://h.test/")) == []


def test_one_domain_gives_up_what_was_not_sent_for_longest() -> None:
    storage = InMemoryCookies()
    storage.put([Cookie("sent", "v", "h.test", "/sent"), Cookie("kept", "v", "h.test", "/kept")])
    storage.put([Cookie("unsent", "v", "h.test", "/unsent"), Cookie("elsewhere", "v", "g.test")])
    storage.put([Cookie(f"c{i}", "v", "h.test", "/c") for i in range(MAX_PER_DOMAIN - 3)])
    storage.get(Url.parse("http://h.test/sent"))
    storage.put([Cookie("kept", "v", "h.test", "/kept")])
    storage.put([Cookie("new", "v", "h.test")])
    assert len(storage) == MAX_PER_DOMAIN + 1
    assert {"sent", "kept", "new", "elsewhere", "c0"} <= kept(storage)
    assert "unsent" not in kept(storage)


def test_one_domain_gives_up_expired_ones_first_and_secure_ones_last(time: Time) -> None:
    storage = InMemoryCookies()
    storage.put(cookies(MAX_PER_DOMAIN - 2, "h.test", secure=True))
    storage.put(
        [Cookie("plain", "v", "h.test"), Cookie("short", "v", "h.test", expires=time() + 1)]
    )
    time.now += 1
    storage.put([Cookie("new1", "v", "h.test", secure=True)])
    assert "short" not in kept(storage)
    assert "plain" in kept(storage)
    storage.put([Cookie("new2", "v", "h.test", secure=True)])
    assert "plain" not in kept(storage)
    assert len(storage) == MAX_PER_DOMAIN
    storage.put([Cookie("new3", "v", "h.test", secure=True)])
    assert "c0" not in kept(storage)


def test_all_domains_together() -> None:
    storage = InMemoryCookies()
    for i in range(MAX_COOKIES - 100):
        storage.put([Cookie("c", "v", f"h{i}.test")])
    storage.put(cookies(100, "many.test"))
    assert len(storage) == MAX_COOKIES
    for i in range(60):
        storage.put([Cookie("c", "v", f"new{i}.test")])
    # The domain with more than its share has paid down to that, the rest is taken from the oldest.
    assert len(storage) == MAX_COOKIES
    domains = [cookie.domain for cookie in storage]
    assert domains.count("many.test") == EXCESS
    assert [f"h{i}.test" in domains for i in range(11)] == [False] * 10 + [True]


def test_repr_shows_no_values() -> None:
    cookie = Cookie("sid", "TOPSECRET", "h.test")
    storage = InMemoryCookies()
    storage.put([cookie])
    assert "TOPSECRET" not in repr(cookie) + repr(storage)
    assert repr(storage) == "<InMemoryCookies with 1 cookies>"


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "", "value": ""},
        {"name": "a=b"},
        {"name": "a;b"},
        {"value": "a;b"},
        {"value": "a\r\nb"},
        {"value": "\x00"},
        {"value": "\ud800"},
        {"value": "x" * 4097},
        {"domain": ""},
        {"domain": ".h.test"},
        {"domain": "H.test"},
        {"path": "x"},
        {"same_site": "Sometimes"},
    ],
)
def test_cookies_that_cannot_be(fields: dict[str, str]) -> None:
    whole = {"name": "a", "value": "b", "domain": "h.test", **fields}
    with pytest.raises(ValueError, match="cookie"):
        Cookie(**whole)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "fields",
    [
        {"name": 1},
        {"value": None},
        {"value": b"x"},
        {"secure": "yes"},
        {"host_only": 1},
        {"expires": "tomorrow"},
        {"expires": float("nan")},
        {"expires": True},
        {"created": None},
    ],
)
def test_cookies_of_wrong_types(fields: dict[str, object]) -> None:
    whole: dict[str, object] = {"name": "a", "value": "b", "domain": "h.test", **fields}
    with pytest.raises(TypeError, match="of a cookie"):
        Cookie(**whole)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- in a file ---


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cookies.json"


EVERYTHING = Cookie("sid", "ü\t", "h.test", "/x", False, True, True, "Lax", 3e9, 123.5)


async def test_cookies_survive_a_restart(path: Path) -> None:
    before = FileCookies(path)
    await before.put([EVERYTHING, Cookie("session", "s", "h.test")])
    await before.put([Cookie("gone", "s", "h.test")])
    await before.put([Cookie("gone", "", "h.test", expires=0.0)])
    after = FileCookies(str(path))
    assert list(after) == [EVERYTHING, Cookie("session", "s", "h.test")]
    assert [cookie.created for cookie in after] == [123.5, 0.0]
    await after.clear()
    assert list(FileCookies(path)) == []


async def test_what_has_expired_meanwhile_is_not_read(path: Path, time: Time) -> None:
    await FileCookies(path).put([Cookie("a", "b", "h.test", expires=time() + 1), EVERYTHING])
    time.now += 1
    assert list(FileCookies(path)) == [EVERYTHING]


async def test_session_cookies_can_be_left_out(path: Path) -> None:
    storage = FileCookies(path, keep_session_cookies=False)
    await storage.put([EVERYTHING, Cookie("session", "s", "h.test")])
    assert len(storage) == 2
    assert list(FileCookies(path)) == [EVERYTHING]


async def test_only_the_owner_may_read_it(path: Path) -> None:
    path.write_text(json.dumps({"format": "ktor-client cookies 1", "cookies": []}))
    path.chmod(0o644)
    await FileCookies(path).put([EVERYTHING])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == [path.name]


async def test_nothing_is_written_where_nothing_changes(path: Path) -> None:
    storage = FileCookies(path)
    await storage.put([EVERYTHING])
    written = path.stat().st_ino
    await storage.put([EVERYTHING])
    storage.get(SITE)
    assert path.stat().st_ino == written
    await storage.put([Cookie("a", "b", "h.test")])
    assert path.stat().st_ino != written


async def test_a_link_stays_a_link(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(path)
    await FileCookies(link).put([EVERYTHING])
    assert link.is_symlink()
    assert list(FileCookies(path)) == [EVERYTHING]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        "[]",
        "null",
        "{}",
        '{"format": "ktor-client cookies 1"}',
        '{"format": "ktor-client cookies 2", "cookies": []}',
        '{"format": "ktor-client cookies 1", "cookies": 5}',
        '{"format": "ktor-client cookies 1", "cookies": ["sid=TOPSECRET"]}',
        '{"format": "ktor-client cookies 1", "cookies": [{"name": "sid", "value": "TOPSECRET"}]}',
        '{"format": "ktor-client cookies 1", "cookies": [{"name": "sid", "value": "TOPSECRET;", '
        '"domain": "h.test"}]}',
        '{"format": "ktor-client cookies 1", "cookies": [{"name": "sid", "value": "TOPSECRET", '
        '"domain": "h.test", "expires": "never"}]}',
        '{"format": "ktor-client cookies 1", "cookies": [{"name": "sid", "value": "TOPSECRET", '
        '"domain": "h.test", "expires": NaN}]}',
        '{"format": "ktor-client cookies 1", "cookies": [{"name": "sid", "value": "TOPSECRE',
        "[" * 100_000,
        "# Netscape HTTP Cookie File\nexample.com\tFALSE\t/\tFALSE\t0\tsid\tTOPSECRET\n",
    ],
)
def test_a_damaged_file(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ValueError, match=r"cookies\.json' is not a file of FileCookies") as caught:
        FileCookies(path)
    assert "TOPSECRET" not in str(caught.value)
    assert path.read_text() == text


def test_a_file_that_is_no_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is not a file of FileCookies"):
        FileCookies(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=str(tmp_path)):
        FileCookies(tmp_path)


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    storage = FileCookies(tmp_path / "absent" / "cookies.json")
    with pytest.raises(FileNotFoundError):
        await storage.put([EVERYTHING])
    (tmp_path / "absent").mkdir()
    await storage.clear()
    assert os.listdir(tmp_path / "absent") == ["cookies.json"]


async def test_a_file_that_cannot_be_replaced_leaves_no_litter(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    storage = FileCookies(tmp_path / "cookies.json")
    storage._path = tmp_path / "folder"
    with pytest.raises(OSError, match="folder"):
        await storage.put([EVERYTHING])
    assert os.listdir(tmp_path) == ["folder"]


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Semaphore]:
    """A disk that takes the next file only when the test lets it."""
    lets = threading.Semaphore(0)
    sync = os.fsync

    def slowly(descriptor: int) -> None:
        assert lets.acquire(timeout=30)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", slowly)
    yield lets
    lets.release(100)


async def test_the_newest_state_is_what_stays(path: Path, slow_disk: threading.Semaphore) -> None:
    storage = FileCookies(path)
    puts = [asyncio.create_task(storage.put([Cookie("a", str(i), "h.test")])) for i in range(5)]
    await asyncio.sleep(0)
    slow_disk.release(5)
    await asyncio.gather(*puts)
    assert [cookie.value for cookie in FileCookies(path)] == ["4"]


async def test_an_older_state_that_comes_late_is_not_written(path: Path) -> None:
    storage = FileCookies(path)
    await storage.put([EVERYTHING])
    storage._write(0, "old")
    assert list(FileCookies(path)) == [EVERYTHING]


async def test_a_cancelled_put_is_kept(path: Path, slow_disk: threading.Semaphore) -> None:
    storage = FileCookies(path)
    put = asyncio.create_task(storage.put([EVERYTHING]))
    await asyncio.sleep(0)
    put.cancel()
    with pytest.raises(asyncio.CancelledError):
        await put
    slow_disk.release(2)
    await storage.put([Cookie("b", "2", "h.test")])
    assert list(FileCookies(path)) == [EVERYTHING, Cookie("b", "2", "h.test")]


def test_file_cookies_shows_its_path_and_no_values(path: Path) -> None:
    assert repr(FileCookies(path)) == f"<FileCookies {str(path)!r} with 0 cookies>"


def test_options_of_the_wrong_type(path: Path) -> None:
    with pytest.raises(TypeError, match="keep_session_cookies is True or False, not 1"):
        FileCookies(path, keep_session_cookies=1)  # type: ignore[arg-type]  # pyright: ignore
    with pytest.raises(TypeError):
        FileCookies(None)  # type: ignore[arg-type]  # pyright: ignore
