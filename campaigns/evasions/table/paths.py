# Other spellings of a path and of a method, and fields that servers take either from.

from campaigns.evasions.message import ADA, JSON, Attempt, Message

TARGETS: tuple[str | bytes, ...] = (
    *("/USERS", "/Users", "/%75sers", "/us%65rs", "/%75%73%65%72%73", "/%55SERS", "/users/", "/users?", "/users?x=1"),
    *(
        "//users",
        "///users",
        "/users//",
        "//users//",
        "/./users",
        "/users/.",
        "/x/../users",
        "/../users",
        "/users/x/..",
    ),
    *("/x/..//users", "/users/./", "/./././users", "/%2e/users", "/%2E%2e/users", "/.%2e/users", "/x/%2e%2e/users"),
    *("/users;", "/users;a=b", "/;/users", "/x;/../users", "/users/;", "/users%3Ba", "/users;.json", "/users;%2f"),
    *("/users%2f", "/users%2F", "/%2fusers", "/%2Fusers", "/x%2f..%2fusers", "/x/..%2fusers", "%2fusers", "/users%2f."),
    *("/%252e/users", "/%75%2573ers", "/users%252f", "/%252fusers", "/users%25", "/%2575sers"),
    *(
        "/users%00",
        "/users%00.json",
        "/users%2500",
        "/users%00/x",
        "/users%0a",
        "/users%0d%0a",
        "/users%09",
        "/users%20",
    ),
    *("/users%7f", "/users+", "/users%a0", "/users%c2%a0", "/users%e2%80%8b", "/users%ad", "/users%ff"),
    *("/users\\", "\\users", "/\\users", "/x\\..\\users", "/users%5c", "/%5cusers", "/..\\users", "\\\\users"),
    *(
        "/users#",
        "/users#x",
        "/#/../users",
        "#/users",
        "/x#/../users",
        "/users%23",
        "/users#?x",
        "/users%23x",
        "/users?#",
    ),
    *("/users%3f", "/users%3fx=1", "/users?/../x", "/users??", "/x?/../users", "?/users", "/?/users"),
    *(
        "http://api.example/users",
        "http://api.example//users",
        "HTTP://API.EXAMPLE/users",
        "http://api.example:80/users",
    ),
    *("http://other.example/users", "https://api.example/users", "http://api.example/./users", "//api.example/users"),
    *("http:/users", "http:users", "http:///users", "http://user@api.example/users", "http://api.example/x/../users"),
    *("http://api.example?/users", "http://api.example", "http://api.example#/users", "ftp://api.example/users"),
    *("http://api.example\\users", "http://[::1]/users", "ws://api.example/users", "///api.example/users", "x:/users"),
    *("/users.json", "/users.JSON", "/users.xml", "/users/.json", "/users.json/", "/users%2ejson", "/users.json;x"),
    *("/u%C5%BFers", "/%ef%bd%95sers", "/%C5%ABsers", "/users%cc%81", b"/u\xc5\xbfers", b"/users\xff", "/%c1%b5sers"),
    *(
        "/%u0075sers",
        "/%",
        "/users%",
        "/users%zz",
        "/users%2",
        "/&#117;sers",
        "/users&",
        "/users=",
        "/users,",
        "/users*",
    ),
    *("users", "*", "/users ", "/ users", "/users\t", "\t/users", b"/users\x0b", b"/users\x0c", b"/users\x00", ""),
    *("/.users", "/users..", "/users...", "/users/...", "/users~", "/users:80", "/users@x", "/users!", "/(users)"),
)
PLACES = (
    *(
        "/teams/%74<n>/places",
        "/teams/t<n>/places/",
        "/TEAMS/t<n>/PLACES",
        "/teams/t<n>%2f/places",
        "/teams/t<n>;x/places",
    ),
    *("/teams/t<n>%00/places", "/teams//t<n>/places", "/teams/./t<n>/places", "/teams/x/../t<n>/places"),
    *(
        "/teams/t<n>/x/../places",
        "/teams/t<n>%2fplaces",
        "/teams%2ft<n>/places",
        "/teams/t<n>%20/places",
        "/teams/t<n>\\places",
    ),
    *(
        "/teams/t<n>/places;v=1",
        "/teams/t<n>/places%00",
        "/teams/%2574<n>/places",
        "/teams/t<n>/places.json",
        "/teams/t<n>/./places",
    ),
)
ELSEWHERE: tuple[tuple[str, bytes], ...] = (
    *(("/x/users", line) for line in (b"SCRIPT_NAME: /x", b"script_name: /x", b"Script_Name: /x", b"SCRIPT-NAME: /x")),
    *(
        ("/x/users", line)
        for line in (b"SCRIPT_NAME : /x", b"SCRIPT_NAME\t: /x", b"SCRIPT.NAME: /x", b" SCRIPT_NAME: /x")
    ),
    *(
        ("/x/users", line)
        for line in (b"X-Script-Name: /x", b"X_Script_Name: /x", b"x_script-name: /x", b"HTTP_X_SCRIPT_NAME: /x")
    ),
    *(
        ("/x/users", line)
        for line in (b"X-Forwarded-Prefix: /x", b"X_Forwarded_Prefix: /x", b"X-Forwarded-Path: /users")
    ),
    *(
        ("/x", line)
        for line in (b"PATH_INFO: /users", b"path_info: /users", b"PATH-INFO: /users", b"REQUEST_URI: /users")
    ),
    *(("/x", line) for line in (b"RAW_URI: /users", b"PATH_TRANSLATED: /users", b"HTTP_PATH_INFO: /users")),
    *(("/x", line) for line in (b"X-Original-URL: /users", b"X_Original_URL: /users", b"X.Original.URL: /users")),
    *(("/x", line) for line in (b"X-Rewrite-URL: /users", b"X_Rewrite_URL: /users", b"x-rewrite_url: /users")),
    *(("/x", line) for line in (b"X-Original-URI: /users", b"X-Forwarded-URI: /users", b"X-Original-URL : /users")),
    *(("/x", line) for line in (b"X-Envoy-Original-Path: /users", b"Destination: /users", b"Content-Location: /users")),
    ("/x/users", b"A: b\r\n SCRIPT_NAME: /x"),
    ("/x/users", b"A: b\nSCRIPT_NAME: /x"),
    ("/x/users", b"A: b\rSCRIPT_NAME: /x"),
    ("/x/users", b"SCRIPT_NAME: /x\r\nConnection: SCRIPT_NAME"),
    ("/users/x", b"SCRIPT_NAME: /users"),
    ("/users", b"SCRIPT_NAME: "),
    ("/usersx", b"SCRIPT_NAME: /"),
)
METHODS = (
    b"post",
    b"Post",
    b"pOST",
    b"PoST",
    b"P%4fST",
    b"POST\x00",
    b"\rPOST",
    b"XPOST",
    b"PUT",
    b"QUERY",
    b"Pos\xc5\xa5",
)
OVERRIDES = (
    *(b"X-HTTP-Method-Override: POST", b"x-http-method-override: post", b"X_HTTP_Method_Override: POST"),
    *(
        b"X-HTTP-Method: POST",
        b"X-Method-Override: POST",
        b"X.HTTP.Method.Override: POST",
        b"HTTP_X_HTTP_METHOD_OVERRIDE: POST",
    ),
    *(b"X-HTTP-Method-Override : POST", b"X-HTTP-Method-Override: POST\r\nConnection: X-HTTP-Method-Override"),
    *(b"X-HTTP-Method-Override: GET\r\nX-HTTP-Method-Override: POST", b"REQUEST_METHOD: POST", b"Method: POST"),
    *(b"X-Original-Method: POST", b"X-Forwarded-Method: POST", b"_method: POST"),
)

ATTEMPTS = (
    *(Attempt("path", f"{target!r}", Message(target)) for target in TARGETS),
    *(Attempt("path", target, Message(target, (), b""), "places") for target in PLACES),
    *(Attempt("path", f"{path} with {line!r}", Message(path, (JSON, line))) for path, line in ELSEWHERE),
    *(Attempt("method", f"{method!r}", Message(method=method)) for method in METHODS),
    *(
        Attempt("method", f"{method.decode()} with {line!r}", Message("/users", (JSON, line), method=method))
        for line in OVERRIDES
        for method in (b"PUT", b"GET", b"POST")
    ),
    Attempt("method", "PUT with _method in the query", Message("/users?_method=POST", method=b"PUT")),
    Attempt("method", "PUT with _method in the body", Message(body=ADA[:-1] + b', "_method": "POST"}', method=b"PUT")),
)
