"""Pages of lists: how many they may hold, and where they begin."""

from resolvers.errors import BadInput

LARGEST_PAGE = 500


def wrong_cursor() -> BadInput:
    """What to raise where ``after`` names no place of the list."""
    return BadInput("This is no cursor of this list; take endCursor from a page of it.", field="after")


def page_size(first: int) -> int:
    """The size of a page, where it is one; raises BadInput."""
    if not 1 <= first <= LARGEST_PAGE:
        raise BadInput(f"first is between 1 and {LARGEST_PAGE}.", field="first")
    return first


def page_start(first: int, after: str | None, *, digits: int = 9) -> int | None:
    """The number that a cursor is, None at the beginning of a list; raises BadInput, also for the size of a page."""
    page_size(first)
    if after is None:
        return None
    if not (after.isascii() and after.isdigit() and len(after) <= digits):
        raise wrong_cursor()
    return int(after)
