# What Chromium sends for a page's fetch, XMLHttpRequest, sendBeacon and forms.

_AGENT = b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
_ALWAYS = (
    b"Host: api.example",
    b"Connection: keep-alive",
    b"%b",
    b'sec-ch-ua-platform: "Linux"',
    b"User-Agent: " + _AGENT,
    b'sec-ch-ua: "Chromium";v="140", "Not=A?Brand";v="24"',
    b"sec-ch-ua-mobile: ?0",
    b"Origin: https://app.example",
    b"Referer: https://app.example/",
    b"Accept-Encoding: gzip, deflate, br, zstd",
    b"Accept-Language: en-GB,en;q=0.9,de-DE;q=0.8",
    b'Cookie: theme=dark; _ga=GA1.2.1; prefs={"a":1}; name=Ada%20L',
)
_SCRIPT = (b"Accept: */*", b"Sec-Fetch-Site: same-site", b"Sec-Fetch-Mode: cors", b"Sec-Fetch-Dest: empty")
_PAGE = (
    b"Cache-Control: max-age=0",
    b"Upgrade-Insecure-Requests: 1",
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
    b"Sec-Fetch-Site: same-origin",
    b"Sec-Fetch-Mode: navigate",
    b"Sec-Fetch-User: ?1",
    b"Sec-Fetch-Dest: document",
)
_BOUNDARY = b"----WebKitFormBoundary7MA4YWxkTrZu0gW"
_PARTS = (
    b"--%b\r\n"
    b'Content-Disposition: form-data; name="email"\r\n\r\n'
    b"ada@example.org\r\n"
    b"--%b\r\n"
    b'Content-Disposition: form-data; name="photo"; filename="ada.png"\r\n'
    b"Content-Type: image/png\r\n\r\n"
    b"\x89PNG\r\n"
    b"--%b--\r\n"
) % (_BOUNDARY, _BOUNDARY, _BOUNDARY)


def _sent(target: bytes, content_type: bytes, body: bytes, others: tuple[bytes, ...]) -> bytes:
    head = b"\r\n".join(
        [b"POST " + target + b" HTTP/1.1", *_ALWAYS, *others, b"Content-Type: " + content_type, b"", b""]
    )
    return head.replace(b"%b", b"Content-Length: %d" % len(body)) + body


BROWSERS: tuple[tuple[str, bytes], ...] = (
    ("Chromium fetch, JSON", _sent(b"/users", b"application/json", b'{"email":"fetch@example.org"}', _SCRIPT)),
    (
        "Chromium XMLHttpRequest, JSON",
        _sent(b"/users", b"application/json;charset=UTF-8", b'{"email":"xhr@example.org"}', _SCRIPT),
    ),
    ("Chromium fetch, text", _sent(b"/signups?ref=text", b"text/plain;charset=UTF-8", b"ada@example.org", _SCRIPT)),
    (
        "Chromium fetch, URLSearchParams",
        _sent(
            b"/signups?ref=search",
            b"application/x-www-form-urlencoded;charset=UTF-8",
            b"email=ada%40example.org&name=Ada+L",
            _SCRIPT,
        ),
    ),
    (
        "Chromium form",
        _sent(b"/signups?ref=form", b"application/x-www-form-urlencoded", b"email=ada%40example.org&name=Ada+L", _PAGE),
    ),
    (
        "Chromium form in parts",
        _sent(b"/signups?ref=parts", b"multipart/form-data; boundary=" + _BOUNDARY, _PARTS, _PAGE),
    ),
    ("Chromium form as text", _sent(b"/signups?ref=plain", b"text/plain", b"email=ada@example.org\r\n", _PAGE)),
    (
        "Chromium sendBeacon",
        _sent(b"/signups?ref=beacon", b"text/plain;charset=UTF-8", b'{"email":"ada@example.org"}', _SCRIPT),
    ),
)
