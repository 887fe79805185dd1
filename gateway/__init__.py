"""A reverse proxy that lets each create through once."""

__version__ = "0.1.0"
