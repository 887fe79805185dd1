# The TLS client context for connections to an API: trusted CAs and client certificate. Reads files, opens no sockets.

import ssl

from gateway.config.schema_upstreams import UpstreamTlsConfig


def client_context(tls: UpstreamTlsConfig) -> ssl.SSLContext:
    """Create the context for an https: URL: TLS 1.2 or newer, certificate and host name verified.

    Raises OSError or ssl.SSLError for files in which gateway.tls.certificates finds a problem.
    """
    context = ssl.create_default_context(cafile=tls.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key, password="")  # never prompt for a passphrase
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
