"""Names of people by the company they keep: what each word could be, and which rows of such words are a person.

Every word of a text becomes one letter (a common first name, a word that French does not know, an initial, ...) and what stands
between two words another one. A text of 1,000 characters is then a row of 300, and a rule is a short pattern over it.
"""

import functools
import re
from collections.abc import Iterator

from .found import Found, plain
from .lists import family_names, towns
from .surrogates import GIVEN
from .word_kinds import kind_of

TOKEN = re.compile(
    r"(?P<initial>(?<![\w'’])(?!Dr|Pr|Mr|St|Mm|Me|Pt|M\.[ ]|n\.)(?:[A-ZÀ-Ý][a-z]?\.-?){1,3}(?![a-z]\.)"
    r"|(?<![\w'’])[A-Z](?:-[A-Z])?(?![\w'’/°º]|-\w))"
    r"|(?P<elision>\b(?:[ldnmtsjcLD]|qu)['’](?=[^\W\d_]{3}))"
    r"|(?P<word>[^\W\d_]+(?:['’\-][^\W\d_]{2,})*(?:\(e?s?\))?)"
    r"|(?P<age>\d{1,3}(?= ?(?:ans|a)\b))"
    r"|(?P<number>\d[\w.,/]*)"
)
GAP = re.compile(r"[ \t]{0,2}\n[ \t]{0,2}|[ \t]{0,2}([,;:/&|(\-–])[ \t]{0,2}|[ \t]{1,3}")
_OF = "(?:q ?|p ?)*"
_ROW = f"(?:q ?)*[NLVG](?:[ -]{_OF}[NLVGA])*"
PERSON = re.compile(
    "|".join(
        (
            rf"G[ \n](?:[iI] ?)?{_OF}[NLVGEABCK](?: {_OF}[NLVEB])*",  # Marie DUPONT LE GOFF, Luc van Damme
            rf"(?:q ?)*[NLVEAB](?: {_OF}[NLVEAB])*(?:,G|[ \n]G(?: G)*(?![ ]?-))",  # DUPONT Marie; Dupont, Marie
            rf"(?:I ?|(?<![hs] )i )(?:q ?)*[NLG](?:[ -]{_OF}[NL])*",  # A. Dupont, A.Dupont, A Dupont
            r"(?:q ?)*[NLG] (?:I|i(?=[,;)\n/&]|$))(?![ ]?[9+]|[wnf])",  # Dupont A.
            r"(?:q ?)*[NLG](?: [NLGV])* [Ii](?=[ ,]a)|V [Ii](?=[ ,]a)",  # DUPONT A. 82 ans
            r"(?:N[ ,][BVK]|[BV][ ,]N|(?:[ANG] )*N[ ,][NG])(?= ?[-|,(]? ?[9a])",  # in capitals before a number
            rf"(?<!p )(?:(?:q ?)*N(?: {_OF}[NLK])+|[LK] {_OF}N)",  # two words that French does not know
            r"(?:q ?)*[NA] g",  # DUPONT marie
        )
    )
)
INTRODUCED_TWICE = re.compile(rf"c (?P<it>(?:q ?)*[NG] {_OF}[NGL])")
LIKE_AN_EPONYM = (
    re.compile(r"(?P<it>N[ ,](?P<known>E))(?![ ]?[9i])"),  # Dupont Patrick
    re.compile(rf"(?P<it>(?P<known>E)(?: {_OF}[NLV])+)"),  # Patrick Dupont
    re.compile(r"(?:[Rk](?: ?: ?| )|k p )(?P<it>(?P<known>E))(?=[,.;)\n ]|$)"),  # their son Patrick
)
"""The sign of Patrick is known too."""
ROW = re.compile(r"[NLV](?:[-/,;][NLV])+(?![ ]?[wnfp9])")
"""Names one after the other, if one of them is a known one."""
WITH = re.compile(r"[cP] (?:T ?[. ] ?)?(?P<it>(?P<known>[NV]))(?=[,.;)\n/]| [+wnfpc@]|$)")
SMALL = re.compile(
    r"T ?[. ] ?(?P<titled>(?:p ?)+[nfg]|(?:p ?)?[gn](?: (?:p ?)*[gnf])+)"  # dr le goff, mme berthe guillerm
    r"|(?P<given>g(?: [gn])*)"
)
BY_SOMEBODY = re.compile(r"P (?P<it>[VK])(?= \+|[,.;\n]|$)")
"""A word with a capital after "par" within a sentence."""
BESIDE_KIN = re.compile(
    rf"k(?:[ ,:]| p )(?P<it>[NGKL](?: {_OF}[NLVG])*)(?! 9)|k,(?P<apart>[CV])(?=,)|k (?P<family>V)(?=[,;)\n]|$)"
)
INTRODUCED = re.compile(rf"(?:[Rk] ?[:( ]|[Rk],(?=[NG],)|v(?: [wnfpc@9CHNLG]){{0,6}} P) ?(?:T[ .]?)?(?P<it>(?:[iI] ?)?{_ROW})")
IN_BED = re.compile(rf"[Hb] ?[9a](?: i)?[ :-](?P<it>(?:q ?)*[NLG](?: {_OF}[NLVG])*(?: [iI])?)")
LISTED = re.compile(rf"(?:\([A-Z]\.)? ?(?:[,/&;]|\+|\n) ?(?:T ?)?(?P<it>(?:[iI] ?)?(?:q ?)*[NLGK](?: {_OF}[NLGK])*(?: [iI])?)")
BEFORE_ROLE = re.compile(r"(?P<it>(?:q ?)*[NLG](?: [NLG])*)(?: ?\( ?|,)R|P (?P<named>[CK]) ?\( ?R")
ALONE = re.compile(r"(?<![-GhsL] )(?<![-G])(?P<it>F)(?![-G])")
PLACES = re.compile(
    rf"[@p] (?P<word>[CVK])(?! [NLGBCVK])|\((?P<alone>[CVK])(?=\.|$)"
    rf"|@[ \n](?P<at>(?:q ?)*[NLG](?:[ -]{_OF}[NL])*)|\((?P<within>L)(?! [a-zA-Z9])"
    rf"|H(?: [wnfpCBMR]){{0,4}} (?P<house>(?:q ?)*[NLGEF](?: {_OF}[NLGFEV])*)|p[ \n]?(?P<of>L(?: {_OF}[NL])*)"
    r"|[,;–](?P<after>L)(?=[,.)\n]|$)"
)
ONLY_A_TOWN = re.compile(r"(?<=[wnfv]) (?P<town>L)(?![ -][A-Z])")
NAMES_A_THING = re.compile(r"(?:h (?:[wnfc9iACX][ ,]{1,2}){0,2}(?:p ?|[(])|s )(?:[NLGEVA](?: \+ (?:[hs] )?(?:p ?)?|-| p ?))?$")
"""Before a name: ``stade V de``, ``selon``, ``angle de Fowler et``."""


class Shape:
    """A text as a row of letters, one per word and one per gap; see the module's first lines.

    Letters are those of `word_kinds`, and I for an initial with its dot, i for one without, a for an age, 9 for another
    number. A gap is its punctuation mark, a space, a new line, or ``.`` for anything else.
    """

    def __init__(self, text: str) -> None:
        row: list[str] = []
        self.text = text
        self.places: list[tuple[int, int]] = []
        end = 0
        for token in TOKEN.finditer(text):
            if end < token.start():
                row.append(_gap(text[end : token.start()]))
                self.places.append((end, token.start()))
            group = token.lastgroup or ""
            row.append(kind_of(token[0]) if group == "word" else _letter(token[0], group))
            self.places.append(token.span())
            end = token.end()
        self.alone = "".join(row)
        self.row = self.alone.replace("F", "G").replace("Y", "L")

    def found(self, start: int, end: int, label: str) -> Found:
        """Return the stretch of the text that letters ``[start, end)`` stand for."""
        return Found(self.places[start][0], self.places[end - 1][1], label)

    def starts(self, kinds: str) -> list[int]:
        """Return where the words of some kinds (a pattern of one letter) begin."""
        return [self.places[match.start()][0] for match in re.finditer(kinds, self.row)]

    def plain(self, place: int) -> str:
        """Return the word that the letter at ``place`` stands for, in plain letters."""
        return plain(self.text[slice(*self.places[place])])

    def names_a_thing(self, start: int) -> bool:
        """Say whether the words before letter ``start`` make an eponym of what follows."""
        return NAMES_A_THING.search(self.row, max(0, start - 20), start) is not None


def all_words(text: str) -> bool:
    """Say whether nothing in ``text`` could be a name by itself."""
    return set(Shape(text).row) <= set("ABCMXEpqwnfc9a@P+RkHhbs -,")


@functools.lru_cache(maxsize=4)
def shape_of(text: str) -> Shape:
    return Shape(text)


def people_by_shape(text: str, others: list[Found]) -> Iterator[Found]:
    """Yield people, and the rest of a list that begins with one of them or of ``others``."""
    shape = shape_of(text)
    spans = [match.span() for match in PERSON.finditer(shape.row)]
    for pattern in (INTRODUCED, INTRODUCED_TWICE, IN_BED, BY_SOMEBODY, BESIDE_KIN, BEFORE_ROLE, SMALL):
        spans += [match.span(match.lastgroup or 0) for match in pattern.finditer(shape.row)]
    spans += [match.span("it") for match in ALONE.finditer(shape.alone)]
    for match in ROW.finditer(shape.row):
        if any(shape.plain(place) in family_names() for place in range(*match.span(), 2)):
            spans.append(match.span())
    for pattern, names in ((WITH, family_names()), *((pattern, GIVEN) for pattern in LIKE_AN_EPONYM)):
        matches = pattern.finditer(shape.row)
        spans += [match.span("it") for match in matches if shape.plain(match.start("known")) in names]
    letter_ending_at = {end: place for place, (_, end) in enumerate(shape.places)}
    ends = [end for _, end in spans]
    ends += [letter_ending_at[found.end] + 1 for found in others if found.end in letter_ending_at]
    while ends:
        match = LISTED.match(shape.row, ends.pop())
        if match and match.span("it") not in spans:
            spans.append(match.span("it"))
            ends.append(match.end("it"))
    for start, end in spans:
        sure = end - start > 1 and "G" in shape.row[start:end] and not shape.row[:start].endswith(("h p ", "s "))
        if sure or not shape.names_a_thing(start):
            yield shape.found(start, end, "PERSON")


def places_by_shape(text: str) -> Iterator[Found]:
    """Yield towns and institutions: after ``à``, in brackets, after what kind of house it is."""
    shape = shape_of(text)
    found = [*PLACES.finditer(shape.row), *re.finditer("(?P<large>Y)", shape.alone), *ONLY_A_TOWN.finditer(shape.row)]
    for match in found:
        start, end = match.span(match.lastgroup or 0)
        if match.lastgroup in {"word", "alone"} and shape.plain(start) not in towns():
            continue
        if not shape.names_a_thing(start):
            yield shape.found(start, end, "INSTITUTION" if match.lastgroup == "house" else "TOWN")


@functools.lru_cache(maxsize=1 << 12)
def _gap(gap: str) -> str:
    match = GAP.fullmatch(gap)
    return "." if match is None else match[1] or ("\n" if "\n" in gap else " ")


def _letter(token: str, group: str) -> str:
    """Return the letter of a token that is no word."""
    match group:
        case "elision":
            return "q" if token[0].isupper() else "p" if token[0] == "d" else "w"
        case "age":
            return "a"
        case "number":
            return "9"
        case _:
            return "I" if "." in token else "i"
