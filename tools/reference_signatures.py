"""What the reference says of names, as an extension of griffe that mkdocs.yml names.

Defaults are numbers instead of constants, twins such as `ws` have the signature of what they are
twins of, and names in docstrings are links. Nothing of this runs outside a build of the site.
"""

# pyright: basic, reportMissingImports=false
# griffe comes with the docs extra, which type checkers run without.

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from griffe import (
    AliasResolutionError,
    Attribute,
    CyclicAliasError,
    Docstring,
    ExprName,
    Extension,
    Function,
)

_code = re.compile(r"(?<!`)`(\w+)`(?!`)")
UNRESOLVED = (AliasResolutionError, CyclicAliasError, KeyError)


class ReferenceSignatures(Extension):  # type: ignore[misc]  # griffe is not there to be checked
    """Rewrites what griffe has read, before mkdocstrings shows it."""

    def on_package(self, *, pkg: Any, loader: Any, **_: Any) -> None:
        """Rewrite a package once all of it is read."""
        for part in _parts(pkg):
            _show_second_names(part)
        found = loader.modules_collection
        own = list(_objects(pkg))
        for one in own:
            for parameter in getattr(one, "parameters", ()):
                parameter.default = _value(parameter.default, found)
            if one.is_attribute and one.parent.is_class:
                one.value = _value(one.value, found)
        for one in own:
            if one.is_attribute and one.parent.is_class:
                _show_twin(one)
        public = _public(pkg)
        calls = {name: one.canonical_path for name, one in pkg["HttpClient"].all_members.items()}
        for one in own:
            if one.docstring is not None:
                linked = partial(_link, one, public | calls if _is_call(one) else public)
                one.docstring.value = _code.sub(linked, one.docstring.value)


def _objects(parent: Any) -> Iterator[Any]:
    yield parent
    for member in list(getattr(parent, "members", {}).values()):
        if not member.is_alias:
            yield from _objects(member)


def _value(default: Any, found: Any) -> Any:
    """Return what a constant of ours stands for; `...` where only the docstring can say it."""
    path = str(getattr(default, "canonical_path", ""))
    name = path.rpartition(".")[2]
    if name == "UNSET":
        return "..."
    if not name.startswith("DEFAULT_"):
        return default
    try:
        constant = found[path]
        value = (constant.final_target if constant.is_alias else constant).value
    except UNRESOLVED:
        return default
    if str(getattr(value, "function", "")) == "Unset":
        return value.arguments[0]
    return value


def _show_twin(one: Any) -> None:
    """Show `ws = web_socket` and `sse_session = opened(sse)` as the functions that they are."""
    call = getattr(one.value, "arguments", None)
    model = one.parent.members.get(str(call[0] if call else one.value))
    if model is None or model.is_alias or not model.is_function:
        return
    returns = model.returns
    if call and str(one.value.function) == "opened":
        session = getattr(returns, "slice", None)
        returns = session or ExprName(str(returns).replace("Statement", "Session"), one.parent)
    twin = Function(
        one.name,
        parameters=model.parameters,
        returns=returns,
        lineno=one.lineno,
        endlineno=one.endlineno,
        docstring=one.docstring,
    )
    if call and str(one.value.function) == "opened":
        twin.labels.add("async")
    one.parent.set_member(one.name, twin)


def _parts(pkg: Any) -> list[Any]:
    return [pkg, *(pkg.members[name] for name in ("plugins", "engines", "testing"))]


def _show_second_names(part: Any) -> None:
    """Show a second name of a class, such as `CIO`, as one line that leads to the class."""
    for name in map(str, part.exports or ()):
        member = part.members[name]
        first = member.target_path.rpartition(".")[2] if member.is_alias else name
        if first != name and first in part.members:
            words = Docstring(f"`{first}` by another name.")
            part.set_member(name, Attribute(name, value=first, docstring=words))


def _public(pkg: Any) -> dict[str, str]:
    """Return where the names of the package and of its public parts are defined."""
    paths: dict[str, str] = {}
    for part in _parts(pkg):
        for name in part.exports or ():
            try:
                paths[str(name)] = part[str(name)].canonical_path
            except UNRESOLVED:
                continue
    return paths


def _is_call(one: Any) -> bool:
    """Whether this belongs to a class that is mixed into `HttpClient`, such as `WebSocketCalls`."""
    return one.parent is not None and one.parent.name.endswith("Calls")


def _link(one: Any, public: dict[str, str], span: re.Match[str]) -> str:
    """Return a name in a docstring as a link, if the site has a place for it."""
    name = span[1]
    scope = one if one.is_class else one.parent
    if name == one.name or (one.is_function and name in {each.name for each in one.parameters}):
        return span[0]
    if scope is not None and scope.is_class and name in scope.members:
        path = f"{scope.path}.{name}"
    elif name in public:
        path = public[name]
    else:
        return span[0]
    return f'<autoref identifier="{path}" optional>{span[0]}</autoref>'
