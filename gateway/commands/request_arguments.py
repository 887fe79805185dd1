# A request on the command line, given as to curl: for `explain`, and for `claims find`.

import argparse

from gateway.commands import curl_options
from gateway.guard.content import JSON_TYPE
from gateway.guard.form_type import URLENCODED

DEFAULT_METHOD = "POST"


def add_request(parser: argparse.ArgumentParser) -> None:
    """Say which arguments make a request."""
    parser.add_argument("target", metavar="PATH", help="the request's path, with its query")
    parser.add_argument(
        "-X", "--request", metavar="METHOD", type=curl_options.method, default=DEFAULT_METHOD, help="default: POST"
    )
    body = parser.add_mutually_exclusive_group()
    body.add_argument(
        *("-d", "--data", "--data-binary"),
        metavar="BODY",
        type=curl_options.data,
        default=b"",
        help="the body, or @FILE, or @- for stdin; line ends stay",
    )
    body.add_argument(
        "--data-urlencode",
        metavar="NAME=VALUE",
        type=curl_options.data_urlencode,
        action="append",
        default=[],
        help="a field of a form; NAME@FILE takes the value from a file",
    )
    body.add_argument(
        "-F",
        "--form",
        metavar="NAME=VALUE",
        type=curl_options.form_part,
        action="append",
        default=[],
        help="a field of a multipart form; NAME=@FILE is a file",
    )
    parser.add_argument(
        "-H",
        "--header",
        metavar="'NAME: VALUE'",
        type=curl_options.header,
        action="append",
        default=[],
        help="a header; Content-Type is application/json, or that of a form, unless one is given",
    )
    parser.add_argument(
        "--client",
        metavar="IP",
        type=curl_options.address,
        default="127.0.0.1",
        help="who connects; default: this host",
    )


def read_request(args: argparse.Namespace) -> tuple[list[tuple[str, str]], bytes]:
    """The headers and the body that were given, with a Content-Type where there is a body."""
    headers: list[tuple[str, str]] = list(args.header)
    body, content_type = args.data, JSON_TYPE
    if args.form:
        body, content_type = curl_options.multipart_body(args.form)
    elif args.data_urlencode:
        body, content_type = b"&".join(args.data_urlencode), URLENCODED
    if body and not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", content_type))
    return headers, body
