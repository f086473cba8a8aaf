"""The one exception that means "the input is wrong, and here is what would be right"."""


class InputError(Exception):
    """Bad params, data or files. The message names the file, key, row or value and says what would be right."""
