# Other spellings of a customer in XML.

from campaigns.evasions.message import Attempt, Message, chunked, encoded, plain, shown, zipped
from campaigns.evasions.rules import XML

ADA = b"ada<n>@example.org"
EVE = b"eve<n>@example.org"
IN_ENTITY = b"<!ENTITY e 'ada<n>@example.org'>"

TEXTS = (
    *(b"%(ada)b", b" %(ada)b\n", b"<![CDATA[%(ada)b]]>", b"<!-- x -->%(ada)b", b"%(ada)b<!-- x -->", b"<?p x?>%(ada)b"),
    *(
        b"<!--%(eve)b-->%(ada)b",
        b"%(ada)b<![CDATA[]]>",
        b"<![CDATA[%(eve)b]]><!---->",
        b"<x>%(ada)b</x>",
        b"<x/>%(ada)b",
    ),
    *(
        b"%(ada)b<x>%(eve)b</x>",
        b"&#97;da<n>@example.org",
        b"&#x61;da<n>&#64;example.org",
        b"&#000097;da<n>@example.org",
    ),
    *(b"ADA<n>@EXAMPLE.ORG", b"%(ada)b&#32;", b"&#9;%(ada)b&#10;", b"%(ada)b&#13;", b"%(ada)b&#0;", b"%(ada)b\x00"),
    *(
        b"%(ada)b&nbsp;",
        b"&#xfeff;%(ada)b",
        b"&#x2003;%(ada)b&#xa0;",
        b"\xef\xbb\xbf%(ada)b",
        b"%(ada)b&#x200b;",
        b"%(ada)b\xff",
        b"%(ada)b&#x85;",
    ),
    *(
        b"<!--<n>-->",
        b" <!--<n>--> ",
        b"\xc1\xa1da<n>@example.org",
        b"%(ada)b&amp;",
        b"%(ada)b" + b" " * 2000,
        b"&amp;#97;da<n>@example.org",
    ),
)
CHILDREN = (
    *(b"<email>%(eve)b</email><email>%(ada)b</email>", b"<email>%(ada)b</email><email>%(eve)b</email>"),
    *(b"<email>%(ada)b</email><email>%(ada)b</email>", b"<email/><email>%(ada)b</email>", b"<Email>%(ada)b</Email>"),
    *(b"<email>%(eve)b</email><EMAIL>%(ada)b</EMAIL>", b"<q:email xmlns:q='u'>%(ada)b</q:email>"),
    *(b"<email>%(eve)b</email><q:email xmlns:q='u'>%(ada)b</q:email>", b"<email xmlns='u'>%(ada)b</email>"),
    *(
        b"<q:email>%(ada)b</q:email>",
        b"<email xmlns:q='u' q:nil='true'>%(ada)b</email>",
        b"<email a='b'>%(ada)b</email>",
    ),
    *(b"<x/>text<email>%(ada)b</email>tail", b"<email>%(eve)b</email><x><email>%(ada)b</email></x>"),
    *(b"<x><email>%(eve)b</email></x><email>%(ada)b</email>", b"<email email='%(eve)b'>%(ada)b</email>"),
    *(
        b"<name>x</name><email\n>%(ada)b</email\t>",
        b"<email type='xsd:string'>%(ada)b</email>",
        b"<email id='1'>%(ada)b</email>",
    ),
    *(b"<email href='#1'/><x id='1'>%(ada)b</x>", b"<email href='#1'>%(eve)b</email><m id='1'>%(ada)b</m>"),
    *(
        b"<!-- <email>%(eve)b</email> --><email>%(ada)b</email>",
        b"<![CDATA[<email>%(eve)b</email>]]><email>%(ada)b</email>",
    ),
    *(b"<email><email>%(ada)b</email></email>", b"<email>%(eve)b<email>%(ada)b</email></email>"),
    *(b"<x/>" * 9000 + b"<email>%(ada)b</email>", b"<x>" * 80 + b"</x>" * 80 + b"<email>%(ada)b</email>"),
    *(b"<email>%(ada)b</email><x>" + b"y" * 70_000 + b"</x>", b"<email>%(ada)b</Email>", b"<email>%(ada)b"),
    *(b"<email>%(ada)b</email><y:z/>", b"<e\xcc\x81mail>%(eve)b</e\xcc\x81mail><email>%(ada)b</email>"),
)
EMAIL = b"<email>%(ada)b</email>"
CUSTOMER = b"<Customer>" + EMAIL + b"</Customer>"
WHOLE = (
    *(b"<customer>" + EMAIL + b"</customer>", b"<c:Customer xmlns:c='u'>" + EMAIL + b"</c:Customer>"),
    *(b"<Customer xmlns='urn:x'>" + EMAIL + b"</Customer>", b"<Customer email='%(ada)b'/>"),
    *(b"<Customer email='%(ada)b'><email>%(eve)b</email></Customer>", b"<Customer Email='e'>" + EMAIL + b"</Customer>"),
    *(b"<Customer href='#x'>" + EMAIL + b"</Customer>", b"<Customer xmlns:i='u' i:nil='1'>" + EMAIL + b"</Customer>"),
    *(b"<x>" + CUSTOMER + b"</x>", CUSTOMER + b"<Customer/>"),
    *(CUSTOMER + b"<!-- x -->\n", b"\n" + CUSTOMER),
    *(CUSTOMER + b"x", CUSTOMER + b"\x00", b"x" + CUSTOMER),
    *(b"<?xml-stylesheet href='x'?>" + CUSTOMER, b"<!-- x -->" + CUSTOMER),
    *(b"\xef\xbb\xbf" + CUSTOMER, b"\xef\xbb\xbf" * 2 + CUSTOMER),
    b"<!DOCTYPE Customer>" + CUSTOMER,
    b"<!DOCTYPE Customer [" + IN_ENTITY + b"]><Customer><email>&e;</email></Customer>",
    b"<!DOCTYPE Customer SYSTEM 'file:///etc/hosts'>" + CUSTOMER,
    b"<!DOCTYPE Customer [<!ATTLIST Customer email CDATA '%(ada)b'>]><Customer/>",
    b"<!DOCTYPE Customer [<!ENTITY a 'aaa'><!ENTITY b '&a;&a;&a;'>]><Customer>" + EMAIL + b"<x>&b;</x></Customer>",
    b"<Customer><xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='x'/>" + EMAIL + b"</Customer>",
    *(b"<User>" + EMAIL + b"</User>", b"{\"Customer\": {\"email\": \"%(ada)b\"}}", b"email=%(ada)b", b"%(ada)b"),
    *(
        b"<?xml version=%b?>" % line + CUSTOMER
        for line in (
            *(b"'1.0'", b"'1.0' encoding='utf-8'", b"'1.0' encoding='UTF8'", b"'1.0' encoding='us-ascii'", b"'1.1'"),
            *(b"'1.0' encoding='iso-8859-1'", b"'1.0' encoding='utf-16'", b"'1.0' encoding='utf-7'", b"'2.0'"),
            *(b"'1.0' standalone='no'", b"'1.0' encoding='windows-1252'", b"'1.0' encoding=''"),
        )
    ),
)  # fmt: skip
TYPES = (
    *(
        b"application/xml",
        b"text/xml",
        b"Text/XML",
        b"application/soap+xml",
        b"application/vnd.x+xml",
        b"image/svg+xml",
    ),
    *(b"text/xml; charset=utf-8", b"text/xml; charset=utf-16", b"text/xml; charset=utf-7", b"text/xml; charset=latin1"),
    *(
        b"text/xml;",
        b"text/xml; x=y",
        b"text/xml, text/plain",
        b"text/xmlx",
        b"text/html",
        b"application/json",
        b"text/plain",
    ),
    *(b"application/xml; charset", b"application/xml; charset=utf-8; charset=utf-16", b"application/xhtml+xml", b""),
    *(b"application/x-www-form-urlencoded", b"multipart/related; type=text/xml; boundary=x", b"application/xml-dtd"),
)
TARGETS = ("?email=eve<n>@example.org", "?Customer[email]=eve<n>@example.org", "?x=ada<n>@example.org")
ORDINARY = b"<Customer><email>" + ADA + b"</email></Customer>"


def _filled(text: bytes) -> bytes:
    return text.replace(b"%(ada)b", ADA).replace(b"%(eve)b", EVE)


def _attempt(name: str, message: Message) -> Attempt:
    return Attempt("xml", name, message, "customers")


def _of(at: int, body: bytes) -> Attempt:
    return _attempt(f"{at}: {shown(body)}", Message("/customers", (XML,), _filled(body)))


BODIES = (
    *(b"<Customer><email>" + text + b"</email></Customer>" for text in TEXTS),
    *(b"<Customer>" + children + b"</Customer>" for children in CHILDREN),
    *WHOLE,
)
ATTEMPTS = (
    *(_of(at, body) for at, body in enumerate(BODIES)),
    *(_attempt(f"as {kind!r}", Message("/customers", (b"Content-Type: " + kind,), ORDINARY)) for kind in TYPES),
    _attempt("without a type", Message("/customers", (), ORDINARY)),
    *(_attempt(f"to {target}", Message(f"/customers{target}", (XML,), ORDINARY)) for target in TARGETS),
    *(
        _attempt(
            f"in {name}{' and said so' * bool(line)}", Message("/customers", (XML,), line + ORDINARY, encoded(name))
        )
        for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "cp500")
        for line in (b"", b"<?xml version='1.0' encoding='%b'?>" % name.encode())
    ),
    *(
        _attempt(name, Message("/customers", (XML, line), ORDINARY, coding))
        for name, line, coding in (
            ("gzip", b"Content-Encoding: gzip", zipped),
            ("said to be gzip", b"Content-Encoding: gzip", plain),
            ("chunked", b"Transfer-Encoding: chunked", chunked),
            ("another action", b'SOAPAction: "urn:<n>"', plain),
        )
    ),
)
