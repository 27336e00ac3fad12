"""The root of the family of errors; it stands here because the catalog is usable alone."""


class RingbackError(Exception):
    """Anything Ringback raises on purpose."""


class CatalogError(RingbackError, ValueError):
    """A catalog or override row that cannot be: names the place, the value, the rule, the remedy."""
