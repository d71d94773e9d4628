"""In which order the tokens of a frame are decoded: passes, each a list of tokens 0..N-1.

Raster: one token after the other. Parallel: all at once. Diagonal (DiagD, arXiv 2503.14070): a row
starts when the row above has `lag` tokens, and all rows that have started give one token a pass.
"""

DECODINGS = ("raster", "diagonal", "parallel")


def passes(decoding: str, rows: int, columns: int, lag: int) -> list[list[int]]:
    """The tokens of each pass, in raster order."""
    if decoding == "parallel":
        return [list(range(rows * columns))]
    if decoding == "raster":
        lag = columns
    count = columns + (rows - 1) * lag
    found = (
        [r * columns + now - r * lag for r in range(rows) if 0 <= now - r * lag < columns]
        for now in range(count)
    )
    return [tokens for tokens in found if tokens]
