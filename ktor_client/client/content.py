"""The arguments of a call that say what its request's body is; what bodies are is `http/`'s."""

from __future__ import annotations

from typing import Any

from ktor_client.errors import UnsafeHeaderError
from ktor_client.http import HttpRequestBuilder
from ktor_client.http.content import BodyLike, form_body
from ktor_client.http.multipart import FilesLike
from ktor_client.http.parameters import ParametersLike
from ktor_client.http.typed_json import to_json
from ktor_client.unset import UNSET

__all__ = ["NOTHING", "Content", "content_of"]


class Content:
    """The body of a call's request, given as one of `body`, `json`, or `form` and `files`."""

    __slots__ = ("_body", "_content_type", "_has_boundary")

    _body: BodyLike
    _content_type: str | None

    def __init__(
        self,
        body: BodyLike = None,
        json: Any = UNSET,
        form: ParametersLike | None = None,
        files: FilesLike | None = None,
    ) -> None:
        """Take it.

        Raises:
            TypeError: more than one, or something that is no form or no file.
            OSError: a file that is not there.
        """
        given = [
            name
            for name, is_given in (
                ("body=", body is not None),
                ("json=", json is not UNSET),
                ("form= and files=", form is not None or files is not None),
            )
            if is_given
        ]
        if len(given) > 1:
            raise TypeError(f"give either {' or '.join(given)}, not both")
        self._body, self._content_type = body, None
        if json is not UNSET:
            self._body, self._content_type = to_json(json), "application/json"
        elif form is not None or files is not None:
            self._body, self._content_type = form_body(form, files)
        self._has_boundary = files is not None

    def put_into(self, builder: HttpRequestBuilder) -> None:
        """Give a request the body, and its content type unless the caller has set one.

        Raises:
            UnsafeHeaderError: the caller's is multipart, and does not know the boundary.
        """
        builder.body = self._body
        if self._content_type is not None and "content-type" not in builder.headers:
            builder.headers.set("Content-Type", self._content_type)
        elif self._has_boundary:
            raise UnsafeHeaderError(
                "files= sets the header 'Content-Type', which has the boundary of the parts in "
                "it; leave the header out"
            )


NOTHING = Content()


def content_of(
    body: BodyLike, json: Any, form: ParametersLike | None, files: FilesLike | None
) -> Content:
    """Return what a call gives, `NOTHING` as a rule. Raises what `Content` raises."""
    if body is None and json is UNSET and form is None and files is None:
        return NOTHING
    return Content(body, json, form, files)
