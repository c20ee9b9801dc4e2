"""Time stamps and numbers as people write them, to what the api reads. Pure; refuses what could mean two things.

ISO text with a time of day is left as it is: the api reads it and checks that its time zones agree.
"""

import pyarrow as pa
import pyarrow.compute as pc

from pulse_resources.errors import ConfigError

DAY = r"(?P<day>\d{1,2})"
DATES = (
    (rf"\d{{4}}-\d{{1,2}}-{DAY}", "%Y-%m-%d"),
    (rf"\d{{4}}/\d{{1,2}}/{DAY}", "%Y/%m/%d"),
    (rf"{DAY}\.\d{{1,2}}\.\d{{4}}", "%d.%m.%Y"),
    (rf"{DAY}/\d{{1,2}}/\d{{4}}", "%d/%m/%Y"),
    (rf"\d{{1,2}}/{DAY}/\d{{4}}", "%m/%d/%Y"),
    (rf"{DAY}-[A-Za-z]{{3,9}}-\d{{4}}", "%d-%b-%Y"),
    (rf"{DAY} [A-Za-z]{{3,9}} \d{{4}}", "%d %b %Y"),
    (rf"[A-Za-z]{{3,9}} {DAY}, \d{{4}}", "%b %d, %Y"),
    (r"(?P<day>\d{4})-\d{1,2}", "%Y-%m"),
    (r"[A-Za-z]{3,9} (?P<day>\d{4})", "%b %Y"),
)
"""Patterns of dates and their formats; the group that must come back is the day, or the year where there is none."""
TIMES = (("", ""), (r" \d{1,2}:\d{2}", " %H:%M"), (r" \d{1,2}:\d{2}:\d{2}", " %H:%M:%S"))
ISO = r"^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?\s?(Z|UTC|[+-]\d{2}:?\d{2})?)?$"
DAY_NUMBER = r"^(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$"
QUARTER = r"^(\d{4})[- ]?[Qq]%d$"
DIGITS = r"^[+-]?\d{1,18}$"
"""Whole numbers that 64 bits hold."""
NUMBER = r"^[+-]?(\d+([.,]\d+)*|[.,]\d+)([eE][+-]?\d+)?$"
WHOLE = r"^[+-]?(\d{1,3}(\.\d{3})+|\d+)$"
DECIMAL_COMMA = r"^[+-]?(\d{1,3}(\.\d{3})+|\d*),\d+$"
GROUPED = r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"
MISSING = ("", "-", ".", "na", "n/a", "#n/a", "nan", "null", "none")
"""How tables write that there is no value, in lower case."""
EPOCHS = ((10**11, "s"), (10**14, "ms"), (10**17, "us"), (10**20, "ns"))


def is_text(column: pa.ChunkedArray) -> bool:
    """Return whether a column holds text."""
    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))


def trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text without blanks around it, null where it says that there is no value."""
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.is_in(pc.utf8_lower(text), pa.array(MISSING)), pa.scalar(None, pa.string()), text)


def stamps(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Return time stamps as the forecast api reads them: timestamps, whole numbers, or ISO text.

    Parameters
    ----------
    column
        Timestamps, dates, whole numbers, or text such as ``2024-01-31``, ``31.01.2024``, ``20240131``, ``2024Q1``.
        Whole numbers of eight digits that are dates, and seconds (or milliseconds …) since 1970, become timestamps;
        others, such as years, stay.
    name
        Of the column, for messages.

    Raises
    ------
    ConfigError
        The text may be read in two ways.

    Examples
    --------
    >>> stamps(pa.chunked_array([["31.01.2024", "1.2.2024"]]), "day").cast(pa.date32()).to_pylist()[1].isoformat()
    '2024-02-01'
    """
    if pa.types.is_integer(column.type):
        return _whole(column)
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        return _local_days(column)
    if not is_text(column):
        return column
    column = trimmed(column)
    if column.null_count == len(column):
        return column
    if _all_match(column, DIGITS):
        return _whole(pc.replace_substring_regex(column, r"^\+", "").cast(pa.int64()))
    codes = column.combine_chunks().dictionary_encode()
    moments = _moments(codes.dictionary, name)
    return column if moments is None else pa.chunked_array([moments.take(codes.indices)])


def _moments(text: pa.Array, name: str) -> pa.Array | None:
    """Return timestamps where all of the text can be read in one way alone, None where it is ISO text."""
    plain = text
    for quarter in (1, 2, 3, 4):
        plain = pc.replace_substring_regex(plain, QUARTER % quarter, rf"\1-{3 * quarter - 2:02}")
    readings = [_read(plain, date + time, form + clock) for date, form in DATES for time, clock in TIMES]
    whole = [moments for moments in readings if not moments.null_count]
    if len(whole) > 1:
        raise ConfigError(
            f"column {name!r} may be read as day/month or as month/day, for example {text[0].as_py()!r}; "
            "write dates as 2024-01-31"
        )
    if whole:
        return whole[0]
    iso = pc.and_(
        pc.match_substring_regex(text, ISO), pc.or_(pc.greater(pc.utf8_length(text), 10), readings[0].is_valid())
    )
    if pc.all(iso).as_py():
        return None
    good = max((iso, *(moments.is_valid() for moments in readings)), key=lambda mask: pc.sum(mask).as_py())
    odd = text[pc.index(good, False).as_py()].as_py()
    raise ConfigError(f"column {name!r} must hold times such as 2024-01-31 or 2024-01-31 13:00; came {odd!r}")


def _read(text: pa.Array, pattern: str, form: str) -> pa.Array:
    """Return timestamps, null for text of another form, and for a 31st of February, which strptime takes for March."""
    parts = pc.extract_regex(text, pattern=f"^{pattern}$")
    moments = pc.strptime(
        pc.if_else(parts.is_valid(), text, pa.scalar(None, text.type)), form, "us", error_is_null=True
    )
    written = pc.struct_field(parts, "day").cast(pa.int64())
    came = pc.day(moments) if "%d" in form else pc.year(moments)
    return pc.if_else(pc.equal(written, came), moments, pa.scalar(None, moments.type))


def _local_days(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return days where each stamp is midnight in its own time zone: in UTC they would fall on the day before."""
    local = pc.local_timestamp(column)
    midnight = pc.all(pc.equal(pc.floor_temporal(local, unit="day"), local), min_count=0).as_py()
    return local if midnight else column


def _whole(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return dates for ``20240131`` and moments for seconds since 1970; other numbers are steps."""
    if column.null_count == column.length():
        return column
    ends = pc.min_max(column)
    low, high = ends["min"].as_py(), ends["max"].as_py()
    if low >= 19_000_101 and high <= 21_001_231:
        days = _read(column.cast(pa.string()).combine_chunks(), rf"\d{{6}}{DAY}", "%Y%m%d")
        return column if days.null_count > column.null_count else pa.chunked_array([days])
    unit = next((unit for limit, unit in EPOCHS if low >= 10**8 and high < limit), None)
    return column if unit is None else column.cast(pa.int64()).cast(pa.timestamp(unit)).cast(pa.timestamp("us"), False)


def numbers(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Return values as float64, null where there is none.

    Parameters
    ----------
    column
        Numbers, or text: with decimal points, decimal commas (``1.234,5``) or grouped digits (``1,234.5``).
    name
        Of the column, for messages.

    Raises
    ------
    ConfigError
        Text that is no number, or numbers that may be read in two ways.

    Examples
    --------
    >>> numbers(pa.chunked_array([["1,5", "NA"]]), "sales").to_pylist()
    [1.5, None]
    """
    if not is_text(column):
        try:
            return column.cast(pa.float64())
        except pa.ArrowException as error:
            raise ConfigError(f"column {name!r} must hold numbers; came {column.type}") from error
    text = trimmed(column)
    try:
        return text.cast(pa.float64())
    except pa.ArrowInvalid:
        return _with_commas(text, name).cast(pa.float64())


def _with_commas(text: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    bad = pc.invert(pc.fill_null(pc.match_substring_regex(text, NUMBER), True))
    commas = text.filter(pc.match_substring(text, ","))
    plain = text.filter(pc.invert(pc.match_substring(text, ",")))
    decimal = _all_match(commas, DECIMAL_COMMA) and _all_match(plain, WHOLE)
    grouped = len(commas) > 0 and _all_match(commas, GROUPED)
    if pc.any(bad).as_py() or not (decimal or grouped):
        odd = bad if pc.any(bad).as_py() else pc.fill_null(pc.match_substring(text, ","), False)
        row = pc.index(odd, True).as_py()
        raise ConfigError(f"column {name!r} must hold numbers; row {row + 1} holds {text[row].as_py()!r}")
    if decimal and grouped:
        raise ConfigError(
            f"column {name!r} holds {commas[0].as_py()!r}: a decimal comma or grouped digits? Write 1.234 or 1234"
        )
    if decimal:
        return pc.replace_substring(pc.replace_substring(text, ".", ""), ",", ".")
    return pc.replace_substring(text, ",", "")


def _all_match(text: pa.ChunkedArray | pa.Array, pattern: str) -> bool:
    """Return whether all text that is there has a form; true where there is none."""
    return bool(pc.all(pc.match_substring_regex(text, pattern), min_count=0).as_py())


def share_that_match(text: pa.ChunkedArray, pattern: str) -> float:
    """Return which share of the first thousand values that are there has a form, 0 where there are none."""
    first = trimmed(text.filter(pc.not_equal(text, "")).slice(0, 1_000)).drop_null()
    return float(pc.mean(pc.match_substring_regex(first, pattern).cast(pa.float64())).as_py() or 0.0)


def looks_like_time(column: pa.ChunkedArray) -> bool:
    """Return whether most of a column are dates or moments; plain numbers are not, unless they are eight digits."""
    if pa.types.is_temporal(column.type):
        return not pa.types.is_duration(column.type)
    if pa.types.is_integer(column.type):
        return share_that_match(column.slice(0, 1_000).cast(pa.string()), DAY_NUMBER) >= 0.5
    if not is_text(column):
        return False
    patterns = [ISO, DAY_NUMBER, r"^\d{4}[- ]?[Qq][1-4]$", *(f"^{date}( \\d.*)?$" for date, _ in DATES)]
    return max(share_that_match(column, pattern) for pattern in patterns) >= 0.5


def looks_like_numbers(column: pa.ChunkedArray) -> bool:
    """Return whether most of a column are numbers."""
    if is_text(column):
        return share_that_match(column, NUMBER) >= 0.5
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(kind(column.type) for kind in kinds)
