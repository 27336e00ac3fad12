"""How people write phone numbers: rows of the table of private text, without their kind."""

from __future__ import annotations

from ringback.privacy.written import BLANK, INVISIBLE, escaped

# The next digit of a number, behind signs that may join digits. No raw id, time, GUID or date begins with this digit.
_JOIN = rf"(?:[ .()/{BLANK}{escaped('/')}{INVISIBLE}-]|\+(?!\d{{7}}))"
_OTHER = r"(?:\d{1,2}:[\w+]|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-|(?:19|20)\d\d-\d\d-\d\d)"
DIGIT = rf"(?:{_JOIN}{{1,4}}(?!{_OTHER})\d|\d)"
# A bracket that opens before an area code alone belongs to the number.
_APART = r"(?:(?<!\w)|(?=\())"
_BRACKET = r"(?:\((?=[\d ]{2,6}\)))?"
# A number ends where its word ends, or where the next private text begins.
END = r"(?! (?!(?i:sips?:|tel:|(?:Bearer|Basic|SharedKey)\s)|eyJ) \w )".replace(" ", "")

# National numbers without a 0. Groups of digits alone prove no number: "404 486 487" are statuses, "8522 8534"
# subcodes, "16 17 18 31" causes of Q.850.
_GAP = rf"[ {BLANK}-]"
_BLANK = rf"[ {BLANK}]"
_ALONE = r"(?:(?<![\w.-])|(?=\())"
_STATUS = r"(?:[1-6]0|[12]8|38|4\d|51|55|58)\d"
_COUNTRY = "20|27|3[0-469]|4[013-9]|5[1-8]|6[0-6]|7|8[1246]|9[0-58]"
_NATIONAL = (
    (
        "South America, Russia or Italy",
        "0-9(",
        rf"(?=(?:[^\d\n]{{0,3}}\d){{9}})"
        rf"(?:\d{{1,3}}[ {BLANK}.-]?)?\(\d{{2,5}}\)[ {BLANK}.-]?\d{{2,5}}(?:[ {BLANK}.-]\d{{2,5}}){{1,4}}",
    ),
    ("China", "1", rf"1[3-9]\d{_GAP}\d{{4}}{_GAP}\d{{4}}"),
    ("Australia", "1", rf"1[38]00{_GAP}\d{{3}}{_GAP}\d{{3}}"),
    ("Spain", "6-9", rf"[6-9]\d\d(?:{_GAP}\d\d){{3}}(?!{_GAP}\d)"),
    ("India", "6-9", rf"[6-9]\d{{4}}{_BLANK}(?!10\d{{3}})\d{{5}}(?!{_GAP}\d{{4,7}}(?!\d))"),
    (
        "Poland or Czechia",
        "5-8",
        rf"(?!{_STATUS}{_GAP}{_STATUS}{_GAP}{_STATUS})[5-8]\d\d{_GAP}\d{{3}}{_GAP}\d{{3}}(?!{_GAP}\d{{3}}(?!\d))",
    ),
    (
        "anyone who leaves out the +",
        "2-9",
        rf"(?:{_COUNTRY}){_GAP}(?!{_STATUS}{_GAP})(?:[1-9]\d{{1,3}}{_GAP}(?:\d{{7,8}}|\d{{3,4}}{_GAP}\d{{4}})"
        rf"|\d{_GAP}\d\d(?:{_GAP}\d\d){{3}})|44{_GAP}7\d{{3}}{_GAP}\d{{6}}",
    ),
)

FORMS = (
    ("+(", "", rf"(?:\(\+\d{{1,3}}\)|\+[ ({BLANK}]{{0,2}}\d){DIGIT}{{6,}}", "internationally written"),
    # Behind the country alone: as likely, a whole number ends there, and another column or a time follows.
    ("+", "", r"\+(?=[1-9]\d{0,2}[_*~])(?:[_*~]?\d){7,}", "in the name of a file, or marked up"),
    ("2", "(?<==)2B", r"[1-9]\d{6,14}(?!\w)", "with the + that an e-mail escapes as =2B"),
    ("0(", _APART, rf"{_BRACKET}(?:0?011|00){_JOIN}{{0,3}}[1-9]{DIGIT}{{6,}}{END}", 'with what is dialled for "+"'),
    (
        "0-9(",
        _APART,
        rf"(?:{_BRACKET}0[1-9]|\(0\) ?[1-9]){DIGIT}{{7,}}{END}",
        "nationally written, with the 0 that most countries dial before it",
    ),
    (
        "0-9(",
        "",
        rf"(?:(?<!\w)1[ .-]?)?\(\d{{3}}\)[ .-]?\d{{3}}[ .-]?\d{{4}}{END}"
        rf"|(?<!\w)(?:1[ .-])?[02-9]\d\d[ .-]\d{{3}}[ .-]\d{{4}}{END}",
        "as North America writes it",
    ),
    ("0-9", r"(?<!\w)", rf"\d{{9,15}}{END}", "nothing but digits"),
    (
        "+0",
        r"(?<!\w)",
        r"(?:\+|00)[1-9]\d{0,5}\t(?:\d{6,12}|\d{2,5}[\t -]\d{3,8}(?:[\t -]\d{4})?)(?!\w)"
        r"|0[1-9]\d{1,4}\t(?:\d{5,8}|\d{3,4}\t\d{3,4})(?!\w)",
        "with tabs, which otherwise divide a number from the next column",
    ),
    (
        "0",
        r"(?<!\w)",
        rf"0[1-9]\d{{1,4}}[ /{BLANK}](?:\d{{6,8}}|\d{{3,4}}[ -]\d{{3,5}})(?!\d)",
        "with a word at its end",
    ),
    (
        "0",
        r"(?<!\w)",
        rf"0[ {BLANK}-][1-9]\d{{1,3}}[ {BLANK}-](?:\d{{7,8}}|\d{{3,4}}[ {BLANK}-]\d{{3,4}}){END}",
        "with its 0 apart",
    ),
    *((first, _ALONE, rf"(?:{form}){END}", f"as {where} writes it") for where, first, form in _NATIONAL),
)
