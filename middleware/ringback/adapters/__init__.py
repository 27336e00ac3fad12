"""How does another framework bring a request? One module has the decorator of one framework, see docs/frameworks.md.

This package imports none of the modules. ASGI frameworks need no adapter, because the middleware wraps any ASGI app.
"""
