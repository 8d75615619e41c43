"""HTTP values: URL, headers, method, request, response, attributes. No I/O, no engine."""

from ktor_client.http.attributes import AttributeKey, Attributes
from ktor_client.http.body import BytesBody, RequestBody, ResponseBody
from ktor_client.http.headers import Headers, HeadersBuilder
from ktor_client.http.method import HttpMethod
from ktor_client.http.request import (
    HttpRequest,
    HttpRequestBuilder,
    RequestBlock,
    bearer_auth,
    header,
    parameter,
)
from ktor_client.http.response import HttpResponse
from ktor_client.http.url import Url, UrlBuilder

__all__ = [
    "AttributeKey",
    "Attributes",
    "BytesBody",
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
    "bearer_auth",
    "header",
    "parameter",
]
