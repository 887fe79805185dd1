# Other spellings of what a rule's conditions ask for: the API would create, and the gateway see a request that is not
# guarded.

from campaigns.evasions.message import ADA, JSON, Attempt, Message, chunked, deflate, encoded, plain, shown, zipped
from campaigns.evasions.rules import ORDINARY
from campaigns.evasions.table.values import TEXTS

DRY_RUNS = (
    *("dryRun=All", "dryRun=", "dryRun", "dryrun=All", "DRYRUN=All", "dryRun[]=All", "[dryRun]=All", "dryRun]=All"),
    *("dry%52un=All", "dryRun%00=All", "%00dryRun=All", "dryRun%00x=All", "+dryRun=All", "dryRun+=All", "x;dryRun=All"),
    *(";dryRun=All", "x=1;dryRun=All", "x=1%3bdryRun=All", "x=1%26dryRun=All", "x=1&amp;dryRun=All", "dryRun;=All"),
    *("#dryRun=All", "x=1#&dryRun=All", "x#?dryRun=All", "x=1%23&dryRun=All", "#&dryRun=All", "&#&dryRun=All"),
    *("?dryRun=All", "x=?dryRun=All", "x?dryRun=All", "/?dryRun=All", "x.dryRun=All", "dryRun.x=All", "dryRun.=All"),
    *("x[dryRun]=All", "dryRun[x]=All", "dryRun[=All", "dry_Run=All", "dry.Run=All", "dryRun:list=All", "dryRun=%"),
    *("dryRun=%ff", "dryRun=%00", "%ffdryRun=All", "dryRun%ff=All", "%ff=1&dryRun=All", "dryRun%3dAll", "=dryRun=All"),
    *("%64%72%79%52%75%6e=All", "%u0064ryRun=All", "%2564ryRun=All", "dryRun%=All", "x=%&dryRun=All", "dryRun%20=All"),
    *("x[a]" + "[a]" * 40 + "=1&dryRun=All", "x=1&" * 1200 + "dryRun=All", "x=1&" * 998 + "dryRun=All"),
    *("x=" + "y" * 7000 + "&dryRun=All", "dr%C4%B1yRun=All", "dryRun%E2%80%8b=All", "dryRun%0a=All", "%0adryRun=All"),
    *("dryRun%09=All", "&dryRun=All", "&&dryRun=All", "dryRun=All&dryRun=", "dryRun=&dryRun=All", "dryRun=\\"),
    *("\\dryRun",),
    *('"dryRun"=All', "'dryRun'=All", "dryRun=All\t", "%EF%BB%BFdryRun=All", "x=1,dryRun=All", "x=1|dryRun=All"),
)
STAGES = (
    *("stage=final", "stage=final&stage=x", "stage=x&stage=final", "stage=&stage=final", "stage&stage=final"),
    *("stage=final&stage", "stage=final&stage=final", "Stage=final", "stage=x&Stage=final", "STAGE=final&stage=x"),
    *("st%61ge=final", "stage=fin%61l", "stage=x&st%61ge=final", "stage=%66%69%6e%61%6c", "stage=Final", "stage=FINAL"),
    *("+stage=final", "%20stage=final", "stage+=final", "stage=+final", "stage=final+", "stage=final%20"),
    *("stage=%09final",),
    *("stage[]=final", "[stage]=final", "stage]=final", "stage[0]=final", "stage[x]=final", "stage=x&stage[]=final"),
    *("stage%00=final", "stage%00x=final", "stage=final%00", "stage=final%00x", "stage=final%0a", "stage=%00final"),
    *("stage=x;stage=final", "stage=final;x", "stage=final;", ";stage=final", "x;stage=final", "x=1;stage=final"),
    *("stage=final%3b", "stage=x%3bstage=final", "stage=final#", "stage=final#x", "stage=x#&stage=final"),
    *("#stage=final",),
    *("stage=final?", "?stage=final", "??stage=final", "x?stage=final", "stage==final", "stage=final="),
    *("stage%3dfinal",),
    *("&stage=final", "&&stage=final", "stage=final&", "x&stage=final", "x=%&stage=final", "stage=final&x=%ff"),
    *("stage=final%", "stage=fin%zz", "stage=%u0066inal", "stage=%2566inal", "stage=final%ff", "stage=%c1%a6inal"),
    *("x=1&amp;stage=final", "x=1%26stage=final", "stage=x%26stage=final", "stage=x&amp;stage=final"),
    *("x=1,stage=final",),
    *("stage='final'", 'stage="final"', "stage=final\\", "stage=final/../x", "x[stage]=final", "x.stage=final"),
    *("stage=final&x=1" + "&x=1" * 1200, "x=1&" * 1200 + "stage=final", "x=1&" * 998 + "stage=final"),
    *("stage=x[]=final",),
    *("stage=%EF%BB%BFfinal", "stage=final%E2%80%8b", "stage=final%C2%A0", "%73%74%61%67%65=final", "stage:x=final"),
    *("stage%0d%0a=final", "stage=\uff46inal".encode().decode("latin-1"), "stage=x&x=%3d&stage=final"),
)  # fmt: skip
TARGETS = (
    *(b"X-Target: Store.Put", b"x-target: Store.Put", b"X-TARGET:Store.Put", b"X-Target: \t Store.Put \t"),
    *(b"X-Target: x\r\nX-Target: Store.Put", b"X-Target: Store.Put\r\nX-Target: x"),
    *(b"X-Target: \r\nX-Target: Store.Put",),
    *(b"X-Target: Store.Put\r\nX-Target: Store.Put", b"X_Target: Store.Put", b"x_target: Store.Put"),
    *(b"X.Target: Store.Put",),
    *(b"X-Target: x\r\nX_Target: Store.Put", b"X_Target: x\r\nX-Target: Store.Put", b"X-Target : Store.Put"),
    *(b"X-Target\t: Store.Put", b"HTTP_X_TARGET: Store.Put", b"X-Target:\r\n Store.Put", b"X-Target: x\r\n Store.Put"),
    *(b"X-Target: Store\r\n .Put", b" X-Target: Store.Put", b"A: b\nX-Target: Store.Put", b"A: b\rX-Target: Store.Put"),
    *(b"X-Target: Store.Put\x0b", b"X-Target: Store.Put\x0c", b"X-Target: Store.Put\xa0", b"X-Target: \xa0Store.Put"),
    *(b"X-Target: Store.Put\x85", b"X-Target: Store.Put\x00", b"X-Target: Store.Put\xc2\xa0"),
    *(b"X-Target: Store.Put\x1f",),
    *(b"X-Target: Store.Put,", b"X-Target: ,Store.Put", b"X-Target: x, Store.Put", b'X-Target: "Store.Put"'),
    *(b"X-Target: store.put", b"X-Target: STORE.PUT", b"X-Target: Store%2ePut", b"X-Target: =?utf-8?q?Store.Put?="),
    *(b"X-Target: Store.Put; x", b"X-Target: Store.Put #", b"X-Target: Store.Put (x)"),
    *(b"X-Target: \xef\xbb\xbfStore.Put",),
    *(b"X-Target: Store.Put\r\nConnection: X-Target", b"X-Target: x\r\nConnection: close, x-target"),
    *(b"X-Target\x00: Store.Put", b"X-T\xc3\xa4rget: Store.Put", b"X Target: Store.Put", b"X--Target: Store.Put"),
    *(b"X-Target\xa0: Store.Put", b"\xc2\xadX-Target: Store.Put", b":X-Target: Store.Put", b"X-Target:: Store.Put"),
    *(b"Trailer: X-Target", b"X-Target*: utf-8''Store.Put", b"X-Target: Store.Put\rX", b"X-Target;: Store.Put"),
    *(b"X_TARGET: Store.Put\r\nX-Target: Store.Get", b"X-Target: Store.Get\r\nHTTP_X_TARGET: Store.Put"),
)  # fmt: skip
ACTIONS = (
    *(b'"urn:Create"', b"urn:Create", b"'urn:Create'", b'"urn:Create', b'urn:Create"', b'""urn:Create""'),
    *(b'" urn:Create"',),
    *(b'"urn:Create" ', b'"urn:Create "', b'"urn:create"', b'"urn:Cre\\ate"', b'"urn:Create";', b'"urn:Create", "x"'),
    *(b"x",),
    *(b'"x"\r\nSOAPAction: "urn:Create"', b'"urn:Create"\r\nSOAPAction: "x"', b'\r\nSOAPAction: "urn:Create"', b'""'),
    *(b'\t"urn:Create"', b'"urn:Create"\x0b', b'"urn:Create"\xa0', b'"urn%3aCreate"', b"<urn:Create>"),
    *(b'"x"\r\n "urn:Create"',),
    *(b'x\r\nSOAP_Action: "urn:Create"', b'x\r\nSOAP-Action: "urn:Create"', b'"URN:Create"', b'"urn:Create"#'),
    *(b'\\"urn:Create\\"',),
)  # fmt: skip
TRIALS = (
    *(b"X-Dry-Run: 1", b"X-Dry-Run:", b"x-dry-run: 1", b"X_Dry_Run: 1", b"X-Dry_Run: 1", b"X-Dry-Run : 1"),
    *(b"X.Dry.Run: 1",),
    *(b"X-Dry-Run: 1\r\nConnection: X-Dry-Run", b"X-Dry-Run: 1\r\nConnection: x-dry-run, close", b"HTTP_X_DRY_RUN: 1"),
    *(b"X-Dry-Run: 1\r\nX-Dry-Run: 2", b"X-Dry-Run: \xff", b"A: b\nX-Dry-Run: 1", b"A: b\rX-Dry-Run: 1"),
    *(b"A: b\r\n X-Dry-Run: 1",),
    *(b" X-Dry-Run: 1", b"X-Dry-Run\x00: 1", b"X-Dry-Run\xa0: 1", b"X--Dry-Run: 1", b"X-Dry-Run-: 1"),
    *(b"\tX-Dry-Run: 1",),
    *(b"X-Dry-Run: 1\r\nConnection: x_dry_run", b"X-Dry-Run: 1\r\nKeep-Alive: X-Dry-Run"),
    *(b"X-Dry-Run: 1\r\nTE: trailers",),
    *(b"X-Dry-Run: 1\r\nX_Dry_Run: 2", b"X-Dry-Run", b"X-Dry-Run: 1\x00", b"X-Dry-Run: \x0b", b"X-Dry-Run;x: 1"),
    *(b"X-Dry-R\xc3\xbcn: 1",),
    *(b"Proxy-Connection: X-Dry-Run\r\nX-Dry-Run: 1", b"X-Dry-Run: 1\r\nConnection: \"X-Dry-Run\""),
    *(b"x-Dry-run:1\r\nConnection: close",),
)  # fmt: skip
BASKETS = (
    *(b"mode=live", b'mode="live"', b"mode=%6cive", b'mode="\\154ive"', b"mode=\\live", b"mode='live'", b'mode="live'),
    *(b'mode=live"', b"mode=x; mode=live", b"mode=live; mode=x", b"mode=live; mode=live", b"mode=; mode=live"),
    *(b"mode; mode=live", b"mode=live; mode", b"mode =live", b"mode= live", b"mode=live ", b"MODE=live"),
    *(b"mode\t=live",),
    *(b"mode=x; Mode=live", b"Mode=live; mode=x", b" mode=live", b";mode=live", b"mode=live;", b"mode=live,x"),
    *(b"a=b,mode=live", b"a=b, mode=live", b"mode=live,mode=x", b"mode=x,mode=live", b"a=b;\tmode=live"),
    *(b"a=b;mode=live",),
    *(b"$Version=1; mode=live", b"$Version=1; mode=live; $Path=/", b'$Version="1"; mode="live"', b"mode=live="),
    *(b"mode==live", b'a="; mode=live; b="', b'mode=x; a="; mode=live"', b'a="\\"; mode=live', b"a[b]=c; mode=live"),
    *(b"a; mode=live", b"=; mode=live", b"(a)=b; mode=live", b"a=\xff; mode=live", b"\xff=a; mode=live"),
    *(b"mode=live\xa0", b"mode=live\x0b", b"mode=live\xc2\xa0", b'"mode"=live', b"mo%64e=live", b"a=b mode=live"),
    *(b"a=b\tmode=live", b"a=b; ; mode=live", b"a=b&mode=live", b"mode=live&x=1", b"mode=live; a=b c; d"),
    *(b"$mode=live",),
    *(b"mode[]=live", b"[mode]=live", b"mode[x]=live", b"mode.x=live", b"+mode=live", b"mode=live x", b"mode=live/"),
    *(b"mode=x\r\nCookie: mode=live", b"mode=live\r\nCookie: mode=x", b"a=b\r\nCookie: mode=live"),
    *(b"a\r\nCookie2: mode=live",),
    *(b"mode=live\r\nConnection: Cookie", b"a=b; path=/; mode=live", b"a=x, 01-Jan; mode=live", b"HttpOnly; mode=live"),
    *(b"mode=x; mode =live", b"mode=x;mode =live", b'mode=x; "mode"=live', b"mode=\"li\\ve\"", b"mode=live\x0c"),
    *(b"\x0bmode=live",),
    *(b"a={\"b\":1}; mode=live", b"mode=x a; mode=live", b"mode=li%76e", b"mode=live; $Port=\"1\"", b"mode=%22live%22"),
    *(b"mode=j:\"live\"", b"mode=s:live.x", b"mode=live\r\nCookie: a=b", b"a=b;\x0bmode=live", b"a=b;\xa0mode=live"),
    *(b"a=b;\xc2\xa0mode=live", b"\xc2\xa0mode=live", b"mode\xa0=live", b"a=b\x00mode=live", b"mode=live\x1f"),
    *(b"mode=\xa0live",),
)  # fmt: skip
DRAFTS = (
    *(b"draft=1", b"draft=", b"draft", b'a="; draft=1; b="', b'a="; draft=1"', b'a="\\"; draft=1', b"a[b]=c; draft=1"),
    *(b"(a)=b; draft=1", b"a; draft=1", b"=; draft=1", b"a=\xff; draft=1", b"\xff=a; draft=1", b"a=b,draft=1"),
    *(b"a=b draft=1",),
    *(b"DRAFT=1", b"draft =1", b"\tdraft=1", b"$draft=1", b"a={\"b\": 1}; draft=1", b"a={b}; draft=1"),
    *(b"a=b c; draft=1",),
    *(b'a="b"c; draft=1', b'a=b"c; draft=1', b'a="b; draft=1', b"a=b\\; draft=1", b"a=b\\\\; draft=1"),
    *(b'a="b\\"; draft=1; c="d"',),
    *(b"$Path=/; draft=1", b"$Version=1; draft=1", b"path=/; draft=1", b"a=b; path=/x; draft=1", b"HttpOnly; draft=1"),
    *(b"secure; draft=1", b"a=b; secure; draft=1", b"expires=1; draft=1", b"a=b; Domain=x; draft=1"),
    *(b"draft=1; a=\xff",),
    *(b"draft=1\r\nConnection: cookie", b"a=b\r\nCookie: draft=1", b"draft=1\r\nCookie: a=b", b"a\r\nCookie2: draft=1"),
    *(b"dr%61ft=1", b'"draft"=1', b"draft[]=1", b"draft\x00=1", b"draft\x0b=1", b";draft=1", b"a=b;;draft=1"),
    *(b"a=b; ;draft=1",),
    *(b"a=b\r\n draft=1", b"draft=\xff", b"draft=%", b'draft="', b"draft=\\", b"a@b=c; draft=1", b"a/b=c; draft=1"),
    *(b"a:b=c; draft=1",),
    *(b"draft=1; draft=2", b"a=b\x0b; draft=1", b"a=b\xc2\xa0; draft=1", b"a=b;\xa0draft=1", b"draft\xa0=1"),
    *(b"a,b=c; draft=1",),
    *(b"a=" + b"b" * 5000 + b"; draft=1", b"a=b; " * 300 + b"draft=1", b"draft=1; " + b"a" * 4000, b"{a}=b; draft=1"),
    *(b"draft=1 x",),
)  # fmt: skip
CALLS = (
    *(b'{"method": "x", "method": "user.create", %b}', b'{"method": "user.create", "method": "x", %b}'),
    *(b'{"method": "x", "Method": "user.create", %b}', b'{"Method": "user.create", %b}'),
    *(b'{"METHOD": "user.create", %b}',),
    *(b'{"Method": "x", "method": "user.create", %b}', b'{"method": null, "method": "user.create", %b}'),
    *(b'{"method": "\\u0075ser.create", %b}', b'{"m\\u0065thod": "user.create", %b}'),
    *(b'{"method": "x", "m\\u0065thod": "user.create", %b}',),
    *(b'{"method": "user\\u002ecreate", %b}', b'{"method": "user.create\\u0000", %b}'),
    *(b'{"method": " user.create", %b}',),
    *(b'{"method": "user.create\\n", %b}', b'{"method": "USER.CREATE", %b}', b'{"method": ["user.create"], %b}'),
    *(b'{"method": {"": "user.create"}, %b}', b'{"method": 1, %b}', b'{"method": true, %b}', b'{"method": null, %b}'),
    *(b'{"method": "user.create\\ud800", %b}', b'{"method": "\\ud800", "x": 1, "method": "user.create", %b}'),
    *(b'{"meth\\u017fod": "x", "method": "user.create", %b}', b'{"\\u006dethod": "user.create", %b}'),
    *(b'{"method": "us\xc3\xa9r.create", %b}',),
    *(b'{"method\\u0000": "user.create", %b}', b'{" method": "user.create", %b}'),
    *(b'{"method": "x", " method": "user.create", %b}',),
    *(b'[{"method": "user.create", %b}]', b'[[{"method": "user.create", %b}]]'),
    *(b'{"x": {"method": "user.create", %b}}',),
    *(b'{"x": {"method": "x"}, "method": "user.create", %b}', b'{"method": "user.create", %b} {"method": "x"}'),
    *(b'{"method": "x"} {"method": "user.create", %b}', b'{"method": "x"}\n{"method": "user.create", %b}'),
    *(b'{/* */"method": "user.create", %b}',),
    *(b'{"method": "x" /*, */, "method": "user.create", %b}', b'{"method": "user.create", %b,}'),
    *(b"{'method': 'user.create', %b}",),
    *(b'{method: "user.create", %b}', b'\xef\xbb\xbf{"method": "user.create", %b}'),
    *(b'{"method": "user.create", "x": NaN, %b}',),
    *(b'{"method": "user.create", "x": 1e999, %b}', b'{"method": "user.create", "x": "\xff", %b}'),
    *(b'{"method": "user.create", "x": "\x01", %b}',),
    *(b'{"method": "user.create", "x": ' + b"[" * 70 + b"]" * 70 + b", %b}",),
    *(b'{"x": "' + b"y" * 20_000 + b'", "method": "user.create", %b}',),
    *(b'{"x": "' + b"y" * 20_000 + b'", "Method": "user.create", %b}',),
    *(b'{"method": "x", "x": "' + b"y" * 20_000 + b'", "method": "user.create", %b}',),
    *(b"{" + b"".join(b'"k%d": 1, ' % at for at in range(11_000)) + b'"method": "user.create", %b}',),
    *(b'{"method": "' + b"x" * 17_000 + b'", "Method": "user.create", %b}',),
    *(b'{"method": "user.create", "jsonrpc": "2.0", "id": 1, %b}', b'{"__proto__": {"method": "user.create"}, %b}'),
    *(b'\x0c{"method": "user.create", %b}',),
    *(b'{"method": "user.create", "x": "\\x41", %b}', b'{"method": "user.\\create", %b}'),
    *(b'{"method": "user.create" "x": 1, %b}', b'\x00{"method": "user.create", %b}'),
)  # fmt: skip
BODY_TYPES = (
    *(b"text/plain", b"", b"application/json; charset=utf-16", b"application/json; charset=latin1", b"text/json"),
    *(b"application/xml", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x"),
    *(b"application/json;",),
    *(b"application/vnd.x+json", b"application/json, text/plain", b"application/jsonx", b"APPLICATION/JSON", b"json"),
    *(b"application/json; charset=utf-8; charset=utf-16", b"application/x-ndjson", b"application/msgpack", b"*/*"),
)
CODINGS = (
    ("gzip", (b"Content-Encoding: gzip",), zipped),
    ("gzip in capitals", (b"Content-Encoding: GZIP",), zipped),
    ("gzip that is none", (b"Content-Encoding: gzip",), plain),
    ("gzip, not said", (), zipped),
    ("deflate", (b"Content-Encoding: deflate",), deflate),
    ("identity", (b"Content-Encoding: identity",), plain),
    ("two codings", (b"Content-Encoding: identity", b"Content-Encoding: gzip"), zipped),
    ("chunked", (b"Transfer-Encoding: chunked",), chunked),
    *((f"in {name}", (), encoded(name)) for name in ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7")),
)
ARGUMENTS = {"calls": (b"method", b"user.create", b"params"), "graphs": (b"operationName", b"CreateUser", b"variables")}


def _body(kind: str, text: bytes) -> bytes:
    """A body of `calls`, as it is of a kind."""
    key, value, arguments = ARGUMENTS[kind]
    if kind != "calls":
        for old, new in (
            (b"method", key),
            (b"user.create", value),
            (b"Method", b"OperationName"),
            (b"METHOD", key.upper()),
        ):
            text = text.replace(old, new)
    return text.replace(b"%b", b'"%b": %b' % (arguments, ADA))


ATTEMPTS = (
    *(Attempt("when query", shown(f"?{query}"), Message(f"/maps?{query}"), "maps") for query in DRY_RUNS),
    *(Attempt("when query", shown(f"?{query}"), Message(f"/stages?{query}"), "stages") for query in STAGES),
    *(Attempt("when header", shown(line), Message("/targets", (JSON, line)), "targets") for line in TARGETS),
    *(
        Attempt("when header", shown(line), Message("/soaps", (JSON, b"SOAPAction: " + line)), "soaps")
        for line in ACTIONS
    ),
    *(Attempt("when header", shown(line), Message("/trials", (JSON, line)), "trials") for line in TRIALS),
    *(
        Attempt("when cookie", shown(line), Message(f"/{kind}", (JSON, b"Cookie: " + line)), kind)
        for kind, lines in (("baskets", BASKETS), ("drafts", DRAFTS))
        for line in lines
    ),
    *(
        Attempt("when body", f"{kind} {at}: {shown(text)}", Message(f"/{kind}", body=_body(kind, text)), kind)
        for kind in ARGUMENTS
        for at, text in enumerate(CALLS)
    ),
    *(
        Attempt(
            "when body", f"as {kind!r}", Message("/calls", (b"Content-Type: " + kind,), ORDINARY["calls"].body), "calls"
        )
        for kind in BODY_TYPES
    ),
    *(
        Attempt("when body", name, Message("/calls", (JSON, *lines), ORDINARY["calls"].body, coding), "calls")
        for name, lines, coding in CODINGS
    ),
    *(
        Attempt("when body", f"text: {name}", Message("/calls", body=text), "calls")
        for name, text in (
            (
                name,
                text.replace(b'"email": "ada', b'"method": "user.create", "params": {"email": "ada', 1).replace(
                    b'.org"', b'.org"}', 1
                ),
            )
            for name, text in TEXTS
        )
        if b"params" in text
    ),
    Attempt(
        "when body",
        "the method in the query",
        Message("/calls?method=user.create", body=b'{"params": %b}' % ADA),
        "calls",
    ),
)
