# Other spellings of paths with variables that hold encoded slashes, are a part of a segment, or all of an end.

from campaigns.evasions.message import Attempt, Message

AROUND = (
    *("{head}//{rest}", "/{head}/{rest}", "{head}/./{rest}", "{head}/x/../{rest}", "{head}/%2e/{rest}"),
    *("/.{head}/{rest}",),
    *("/x/..{head}/{rest}", "/x/%2e%2e{head}/{rest}", "/%2f{head}/{rest}", "{head};x/{rest}", "{head}/;/{rest}"),
    *("{head}%2f{rest}", "{head}%252f{rest}", "{head}\\{rest}", "{head}%5c{rest}", "{head}/{rest}/", "{head}/{rest}//"),
    *("{head}/{rest};x=1", "{head}/{rest}%00", "{head}/{rest}%2f", "{head}/{rest}?", "{head}/{rest}#x"),
    *("{head}/{rest}%23",),
    *("{head}/{rest}%3fx", "{head}/{rest}/.", "{head}/{rest}/x/..", "{head}/{rest}%20", "{head}/{rest}%0a"),
    *("{head}/{rest}\\",),
    *("http://api.example{head}/{rest}", "//api.example{head}/{rest}", "http:{head}/{rest}", "{head}/{rest}.json"),
    *("{head}/{rest}.", "{head}/{rest}%ff", "{head}/{rest}%c0%af", "{head}%c0%af{rest}", "{head}%ef%bc%8f{rest}"),
    *("{head}%e2%88%95{rest}", "{head}/%ef%bb%bf{rest}", "{head}/{rest}%e2%80%8b", "{head}//./{rest}"),
    *("%2f{head}/{rest}",),
    *("{head}/{rest}/%2e%2e/{rest}", "{head}/{rest}%2f..%2f{rest}", "{head}/%2f{rest}", "{head}/%u002f{rest}"),
    *("{head}/+{rest}",),
)  # fmt: skip
PROJECTS = (
    *("grp%2ft<n>", "grp%252Ft<n>", "grp%252ft<n>", "grp%25252Ft<n>", "g%72p%2Ft<n>", "grp%2F%74<n>"),
    *("%67%72%70%2F%74<n>",),
    *("GRP%2Ft<n>", "grp%2F%2Ft<n>", "grp%2F.%2Ft<n>", "grp%2Fx%2F..%2Ft<n>", "x%2F..%2Fgrp%2Ft<n>", "grp%2Ft<n>%2F"),
    *("%2Fgrp%2Ft<n>", "grp%2Ft<n>%2F.", "grp%5Ct<n>", "grp\\t<n>", "grp%2Ft<n>;x", "grp;x%2Ft<n>", "grp%3Bx%2Ft<n>"),
    *("grp%2Ft<n>%3Bx", "grp%2Ft<n>%00", "grp%2Ft<n>%00x", "grp%00%2Ft<n>", "grp%c0%aft<n>", "grp%e0%80%aft<n>"),
    *("grp%ef%bc%8ft<n>", "grp%2Ft<n>%20", "grp%2Ft<n>+", "grp%2Ft<n>%0a", "grp%2Ft<n>%23x", "grp%2Ft<n>%3Fx"),
    *("grp%2Ft<n>.",),
    *("grp%2Ft<n>%ff", "grp%2Ft<n>%25", "grp%25%32%46t<n>", "grp%2%46t<n>", "grp%u002ft<n>", "grp%2Ft<n>.json"),
    *("grp%2F;t<n>",),
    *("grp%2F%09t<n>", "gr%00p%2Ft<n>", "./grp%2Ft<n>", "x/../grp%2Ft<n>", "/grp%2Ft<n>", "grp%2Ft<n>/"),
    *("grp%2Ft<n>/.", ";/grp%2Ft<n>"),
    *("grp%2Ft<n>%2Fissues", "grp%2Ft<n>%2F..", "grp%2Ft<n>%cc%81", "gr%70%2Ft<n>", "grp%2Ft<n>%e2%80%8b"),
    *("grp&#47;t<n>", "grp%2Ft<n>%7f"),
)  # fmt: skip
QUEUES = (
    *("%2f/t<n>", "%252F/t<n>", "%252f/t<n>", "%2F/%74<n>", "%2F//t<n>", "%2F/./t<n>", "%2F/x/../t<n>", "//t<n>"),
    *("///t<n>",),
    *("%2F%2F/t<n>", "%2F%2Ft<n>", "/%2Ft<n>", "%2F/%2Ft<n>", "%2F/t<n>%2F", "%2F/t<n>/", "%2F/t<n>;x", "%2F;x/t<n>"),
    *("%2F/;/t<n>",),
    *("%2F%00/t<n>", "%2F/t<n>%00", "%2F/t<n>%00x", "%5C/t<n>", "\\/t<n>", "%2F\\t<n>", "%2F%5Ct<n>", "%c0%af/t<n>"),
    *("%ef%bc%8f/t<n>",),
    *("%2F./t<n>", ".%2F/t<n>", "%2F../t<n>", "..%2F/t<n>", "%2F/..%2Ft<n>", "%2F%2E/t<n>", "x%2F..%2F/t<n>"),
    *("%2F/t<n>.json", "%2F/t<n>%25"),
    *("%2F/%2574<n>", "%2F/t<n>%20", "%2F/t<n>%0a", "%2F/t<n>?x", "%2F/t<n>%3F", "%2F/t<n>#x", "%2F/t<n>%23x"),
    *("%2F/t<n>.", "%2F/t<n>%ff"),
    *("%25%32%46/t<n>", "%2%46/t<n>", "%u002f/t<n>", "%2F%3Bx/t<n>", "%3B%2F/t<n>", "%2F/T<n>", "%2F%09/t<n>"),
    *("%2F%20/t<n>", "%7f%2F/t<n>"),
)  # fmt: skip
FILES = (
    *("a/%74<n>", "%61/t<n>", "a//t<n>", "a/./t<n>", "a/x/../t<n>", "a/t<n>/", "a/t<n>//", "a/t<n>/.", "a/t<n>/x/.."),
    *("/a/t<n>",),
    *("a%2Ft<n>", "a%2ft<n>", "a%252Ft<n>", "a%5Ct<n>", "a\\t<n>", "a;x/t<n>", "a/t<n>;x", "a/;/t<n>", "a/t<n>%00"),
    *("a/t<n>%00x",),
    *("a/t<n>%3B", "a/t<n>%23", "a/t<n>%3F", "a/t<n>#x", "a/t<n>?x", "a/t<n>%20", "a/t<n>+", "a/t<n>%0a"),
    *("a/t<n>%7f", "a/%2e/t<n>"),
    *("a/%2e%2e/a/t<n>", "a/..%2Fa/t<n>", "../files/a/t<n>", "%2e%2e/files/a/t<n>", "a/%2574<n>", "a/t<n>%25"),
    *("a/t<n>%", "a/t<n>%zz"),
    *("a/t<n>%ff", "a/t<n>%c0%af", "a%c0%aft<n>", "a%ef%bc%8ft<n>", "a/%EF%BB%BFt<n>", "a/t<n>%cc%81", "A/t<n>"),
    *("a/T<n>", "a/t<n>."),
    *("a/t<n>.json", "%2Fa/t<n>", "./a/t<n>", ";/a/t<n>", "a%2F%2Ft<n>", "a/%2Ft<n>", "a/t<n>%2F", "a/t<n>/%2e"),
    *("%u0061/t<n>", "a%00/t<n>"),
)  # fmt: skip
NAMES = (
    *("%74<n>", "t<n>%20", "%20t<n>", "t<n>+", "t<n>%00", "t<n>%00x", "%00t<n>", "T<n>", "%2574<n>", "t<n>%25"),
    *("t<n>%", "t<n>%zz"),
    *("t<n>;x", ";xt<n>", "t<n>%3Bx", "t<n>%2F", "%2Ft<n>", "x%2Ft<n>", "x%2F..%2Ft<n>", "./t<n>", "x/../t<n>"),
    *("/t<n>", "t<n>/", "t<n>%5C"),
    *("\\t<n>", "t<n>\\", "t<n>%23", "t<n>#x", "t<n>%3F", "t<n>?", "t<n>%0a", "t<n>%0d%0a", "t<n>%09", "t<n>%7f"),
    *("t<n>%ff", "t<n>%c0%80"),
    *("%c1%b4<n>", "%ef%bd%94<n>", "t<n>%cc%81", "t<n>%e2%80%8b", "t<n>%c2%ad", "%EF%BB%BFt<n>", "t<n>.", "t<n>.."),
    *(".t<n>", "'t<n>'", "%27t<n>%27"),
    *("%u0074<n>", "&#116;<n>", "t<n>:", ":t<n>", "t<n>)", "(t<n>", "t<n>.json", "t<n>:undelete", "t<n>)/Orders"),
    *("t<n>%ef%bf%bd", "t<n>~", "t<n>,"),
)  # fmt: skip
WHOLES: tuple[tuple[str, str], ...] = (
    *(
        ("instances", f"/instances/t<n>{end}")
        for end in (
            *("%3Aundelete", "%3aundelete", ":UNDELETE", ":Undelete", ":un%64elete", "%253Aundelete", ":undelete/"),
            *(":undelete;x",),
            *(":undelete.json", ":undelete%00", ":undelete%20", ":undelete?", "%ef%bc%9aundelete", "::undelete"),
            *(":undelete:undelete",),
            *("/:undelete", "%2F:undelete", ":undelete%2F", ":undelete//", ":/undelete", ":undelet%65", ":undelete."),
            *(":undelete/.json",),
        )
    ),
    *(
        ("lines", f"/{path}")
        for path in (
            *("customers(t<n>)/orders", "CUSTOMERS(t<n>)/ORDERS", "Customers%28t<n>%29/Orders"),
            *("Customers%28t<n>)/Orders",),
            *("Customers(t<n>)/Orders/", "Customers(t<n>)//Orders", "Customers(t<n>)%2FOrders"),
            *("Customers(t<n>);x/Orders",),
            *("Customers(t<n>)/Orders.json", "Customers(t<n>)/Orders;x", "Customers(t<n>)/Orders%00"),
            *("Customers(t<n>)/./Orders",),
            *("Customers%2528t<n>%2529/Orders", "Customers(t<n>%29/Orders", "Customers/(t<n>)/Orders"),
            *("Customers (t<n>)/Orders",),
            *("Customers%20(t<n>)/Orders", "Customers(t<n>)%20/Orders", "Cu%73tomers(t<n>)/Orders"),
            *("Cu%C5%BFtomers(t<n>)/Orders",),
            *("Customers(t<n>)/Orders%20", "Customers\uff08t<n>\uff09/Orders", "Customers(t<n>)()/Orders"),
            *("Customers(t<n>))/Orders",),
        )
    ),
    *(
        ("docs", f"/docs/t<n>{end}")
        for end in (
            *(".JSON", ".Json", "%2ejson", "%2Ejson", "%252ejson", ".jso%6e", ".json/", ".json;x", ".json%00"),
            *(".json.json", ".json%20"),
            *(".json?", ".json#x", ".json.", "..json", "%2Fx/..%2F.json", "/.json", "%2F.json", ".j%C5%BFon"),
            *(".json%2F", ".json//", ";.json"),
            *(".json/.", ".json%0a", ".xml", "", "%ef%bc%8ejson", ".json%3f", ".json%23", "%00.json", "%20.json"),
            *(".json.xml", ".json~"),
        )
    ),
)  # fmt: skip
ENDS = {
    "projects": ("/projects", "grp%2Ft<n>/issues"),
    "queues": ("/queues", "%2F/t<n>"),
    "files": ("/files", "a/t<n>"),
    "instances": ("/instances", "t<n>:undelete"),
    "docs": ("/docs", "t<n>.json"),
}


def _targets() -> dict[tuple[str, str], None]:
    """Kind and path of each, once."""
    found = [
        *((kind, form.format(head=head, rest=rest)) for kind, (head, rest) in ENDS.items() for form in AROUND),
        *(("projects", f"/projects/{value}/issues") for value in PROJECTS),
        *(("projects", f"/projects/grp%2Ft<n>/{end}") for end in ("ISSUES", "issues.json", "issue%73", "i%2573sues")),
        *(("queues", f"/queues/{value}") for value in QUEUES),
        *(("files", f"/files/{value}") for value in FILES),
        *(("instances", f"/instances/{value}:undelete") for value in NAMES),
        *(("lines", f"/Customers({value})/Orders") for value in NAMES),
        *(("docs", f"/docs/{value}.json") for value in NAMES),
        *WHOLES,
    ]  # fmt: skip
    return dict.fromkeys(found)


ATTEMPTS = tuple(
    Attempt("encoded path", target, Message(target.encode(), (), b""), kind) for kind, target in _targets()
)
