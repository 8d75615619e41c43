"""HTTP values: URL, headers, method, request, response, attributes. No I/O, no engine."""

from ktor_client.http.attributes import AttributeKey, Attributes
from ktor_client.http.blocks import (
    accept,
    basic_auth,
    bearer_auth,
    content_type,
    cookie,
    expect_success,
    header,
    parameter,
)
from ktor_client.http.body import Body, BytesBody, RequestBody, ResponseBody, WrappedBody
from ktor_client.http.headers import Headers, HeadersBuilder
from ktor_client.http.method import HttpMethod
from ktor_client.http.multipart import FilePart
from ktor_client.http.progress import on_download, on_upload
from ktor_client.http.redaction import redacted
from ktor_client.http.request import (
    HttpRequest,
    HttpRequestBuilder,
    RequestBlock,
)
from ktor_client.http.response import HttpResponse
from ktor_client.http.url import Url, UrlBuilder

__all__ = [
    "AttributeKey",
    "Attributes",
    "Body",
    "BytesBody",
    "FilePart",
    "Headers",
    "HeadersBuilder",
    "HttpMethod",
    "HttpRequest",
    "HttpRequestBuilder",
    "HttpResponse",
    "RequestBlock",
    "RequestBody",
    "ResponseBody",
    "Url",
    "UrlBuilder",
    "WrappedBody",
    "accept",
    "basic_auth",
    "bearer_auth",
    "content_type",
    "cookie",
    "expect_success",
    "header",
    "on_download",
    "on_upload",
    "parameter",
    "redacted",
]
