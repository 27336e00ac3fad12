"""The root of all errors of Ringback, which stands here because an app may use the catalog alone."""


class RingbackError(Exception):
    """The base class of every error that Ringback raises on purpose."""


class CatalogError(RingbackError, ValueError):
    """A row of the catalog or of overrides is wrong. The message names the place, the value, the rule, the remedy."""
