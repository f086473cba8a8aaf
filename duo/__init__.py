"""A laboratory for adaptive computation in language models: routes, enumeration, oracles, routers and their
statistics.
"""

__version__ = "0.1.0"
