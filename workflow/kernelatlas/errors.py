"""The one family of errors that a user of the project is meant to read."""


class KernelAtlasError(Exception):
    """Names the file, the value found and what to do about it."""
