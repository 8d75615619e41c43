"""The grammar of `WWW-Authenticate`, and what careless servers make of it (RFC 9110 11.6.1)."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktor_client.plugins import Challenge
from ktor_client.plugins.auth.challenge import parse_challenges, parse_parameters, quoted

Seen = list[tuple[str, str | Mapping[str, str]]]


def seen(*fields: str) -> Seen:
    return [(one.scheme, one.token or dict(one.parameters)) for one in parse_challenges(fields)]


@pytest.mark.parametrize(
    ("field", "challenges"),
    [
        ("Basic", [("basic", {})]),
        ('Basic realm="simple"', [("basic", {"realm": "simple"})]),
        ('BASIC Realm="simple"', [("basic", {"realm": "simple"})]),
        ("Bearer realm=simple", [("bearer", {"realm": "simple"})]),
        ('Basic realm=""', [("basic", {"realm": ""})]),
        ('Basic\t realm \t=\t "x"', [("basic", {"realm": "x"})]),
        (
            'Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"',
            [
                ("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}),
                ("basic", {"realm": "simple"}),
            ],
        ),
        (
            'Digest realm="a, b=c, Basic", qop="auth,auth-int", nonce=x',
            [("digest", {"realm": "a, b=c, Basic", "qop": "auth,auth-int", "nonce": "x"})],
        ),
        ('Basic realm="\\\\ \\x"', [("basic", {"realm": "\\ x"})]),
        ("Negotiate", [("negotiate", {})]),
        ("Negotiate abc+/-._~12==", [("negotiate", "abc+/-._~12==")]),
        (
            'Negotiate abc==,  Basic realm="x" ,Bearer',
            [("negotiate", "abc=="), ("basic", {"realm": "x"}), ("bearer", {})],
        ),
        (
            'Negotiate, NTLM, Basic realm="x"',
            [("negotiate", {}), ("ntlm", {}), ("basic", {"realm": "x"})],
        ),
        (', ,Basic realm="x",, ,charset="UTF-8",', [("basic", {"realm": "x", "charset": "UTF-8"})]),
        ('Basic realm="a", realm="b"', [("basic", {"realm": "a"})]),
        ("", []),
        (" , ,", []),
        # What is not legal is read as far as it can be understood.
        ("Basic realm=My Server, Bearer", [("basic", {"realm": "My Server"}), ("bearer", {})]),
        ('Digest realm="x" nonce="y"', [("digest", {"realm": "x", "nonce": "y"})]),
        (
            'Digest realm="x" Basic realm="y"',
            [("digest", {"realm": "x"}), ("basic", {"realm": "y"})],
        ),
        ('"junk" , Basic realm="x"', [("basic", {"realm": "x"})]),
        ('ü realm="q, r", Basic realm="x"', [("basic", {"realm": "x"})]),
        ('Basic realm="x', [("basic", {"realm": '"x'})]),
        ("Basic realm=", [("basic", "realm=")]),
        ("Basic realm=, charset=UTF-8", [("basic", "realm=")]),
    ],
)
def test_one_field(field: str, challenges: Seen) -> None:
    assert seen(field) == challenges


def test_several_fields() -> None:
    fields = ['Basic realm="a"', 'Digest realm="b", nonce="n"', "Bearer"]
    assert seen(*fields) == seen(", ".join(fields))
    assert seen(*fields) == [
        ("basic", {"realm": "a"}),
        ("digest", {"realm": "b", "nonce": "n"}),
        ("bearer", {}),
    ]


def test_a_challenge_as_a_value() -> None:
    [one] = parse_challenges(['Basic realm="a"'])
    assert one == Challenge("basic", {"realm": "a"})
    assert (one.realm, one.token) == ("a", None)
    assert Challenge("negotiate", token="x").realm is None


def test_parameters_without_a_scheme() -> None:
    assert dict(parse_parameters('nextnonce="a,b", qop=auth, rspauth="x"')) == {
        "nextnonce": "a,b",
        "qop": "auth",
        "rspauth": "x",
    }


TOKENS = st.text("abcXYZ019-._~", min_size=1)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f"))
CHALLENGES = st.lists(
    st.tuples(TOKENS, st.dictionaries(TOKENS.map(str.lower), VALUES, max_size=4)), max_size=4
)


@given(CHALLENGES)
def test_what_is_written_is_read(challenges: list[tuple[str, dict[str, str]]]) -> None:
    text = ", ".join(
        f"{scheme} {', '.join(f'{n}={quoted(v)}' for n, v in parameters.items())}".rstrip()
        for scheme, parameters in challenges
    )
    assert seen(text) == [(scheme.lower(), parameters) for scheme, parameters in challenges]


@given(st.text())
def test_no_text_is_an_error(text: str) -> None:
    for one in parse_challenges([text, f'Basic realm="{text}']):
        assert one.scheme


@pytest.mark.parametrize(
    "evil",
    [
        "A " * 20_000,
        "a=" * 20_000,
        'Basic realm="' + "\\" * 40_000,
        "Basic " + "x" * 20_000 + " " * 20_000 + "y",
        "," * 40_000,
        '"' * 40_000,
        'a="b' * 10_000,
        "Basic " + "=" * 40_000,
    ],
)
def test_a_hostile_field_takes_no_time(evil: str) -> None:
    parse_challenges([evil])  # quadratic, it would take minutes
