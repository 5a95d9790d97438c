"""The routes of the contract: each checks its input, asks one part, and writes the answer."""

from __future__ import annotations

from starlette.convertors import StringConvertor, register_url_convertor


class IdConvertor(StringConvertor):
    """The rest of a path, whatever is in it: slashes, and the line breaks that are then refused by name."""

    regex = "(?s:.*)"


register_url_convertor("id", IdConvertor())
