# How the gateway speaks TLS to an API: what it trusts, and what it shows. Knows ssl and files, and no sockets.

import ssl

from gateway.config.schema import UpstreamTlsConfig


def client_context(tls: UpstreamTlsConfig) -> ssl.SSLContext:
    """Make the context for connections to an https: URL: TLS 1.2 or newer, the certificate and its name verified.

    Raises OSError or ssl.SSLError for files that gateway.tls.certificates says something against.
    """
    context = ssl.create_default_context(cafile=tls.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key, password="")  # never ask the terminal for one
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
