"""Decorators for the routes of single frameworks, each in the module named after it; docs/frameworks.md compares them.

Nothing is imported here. ASGI frameworks do without: the middleware stands before any of them.
"""
