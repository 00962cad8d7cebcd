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
            r"(?:N[ ,][BVK]|[BV][ ,]N|(?:[ANG] )*N[ ,][NG])(?= ?[-|,(]? ?9)",  # in capitals before a number
            rf"(?<!p )(?:(?:q ?)*N(?: {_OF}[NLK])+|[LK] {_OF}N)",  # two words that French does not know
            r"(?:q ?)*[NA] g",  # DUPONT marie
        )
    )
)
INTRODUCED_TWICE = re.compile(rf"c (?P<it>(?:q ?)*[NG] {_OF}[NGL])")
BEFORE_EPONYM = re.compile(r"(?P<it>N[ ,]E)(?![ ]?[9i])")
"""Dupont Patrick, where the sign of Patrick is known too."""
WITH = re.compile(r"c (?:T ?[. ] ?)?(?P<it>[NV])(?=[,.;)\n/]|$)")
SMALL = re.compile(
    r"T ?[. ] ?(?P<titled>(?:p ?)+[nfg]|(?:p ?)?[gn](?: (?:p ?)*[gnf])+)"  # dr le goff, mme berthe guillerm
    r"|(?P<given>g(?: [gn])*)"
)
BESIDE_KIN = re.compile(rf"k[ ,:](?P<it>[NGKL](?: {_OF}[NLVG])*)(?! 9)|k,(?P<apart>[CV])(?=,)")
INTRODUCED = re.compile(rf"(?:[Rk] ?[:( ]|[Rk],(?=[NG],)|v(?: [wnfpc@9CHNLG]){{0,6}} P) ?(?:T[ .]?)?(?P<it>(?:[iI] ?)?{_ROW})")
LISTED = re.compile(rf" ?(?:[,/&;]|\+|\n) ?(?:T ?)?(?P<it>(?:[iI] ?)?(?:q ?)*[NLGK](?: {_OF}[NLGK])*(?: [iI])?)")
BEFORE_ROLE = re.compile(r"(?P<it>(?:q ?)*[NLG](?: [NLG])*) ?\( ?R")
ALONE = re.compile(r"(?<![-GhsL] )(?<![-G])(?P<it>F)(?![-G])")
PLACES = re.compile(
    rf"@ (?P<word>[CVK])|@[ \n](?P<at>(?:q ?)*[NLG](?:[ -]{_OF}[NL])*)|\((?P<within>L)(?! [a-zA-Z9])"
    rf"|H(?: [wnfpCBMR]){{0,4}} (?P<house>(?:q ?)*[NLGEF](?: {_OF}[NLGFEV])*)|p[ \n]?(?P<of>L(?: {_OF}[NL])*)"
    r"|[,;–] (?P<after>L)(?=[,.)\n]|$)"
)
NAMES_A_THING = re.compile(r"(?:h (?:[wnfc9iACX][ ,]{1,2}){0,2}(?:p ?|[(])|s )(?:[NLGEVA](?: \+ (?:[hs] )?(?:p ?)?|-| p ?))?$")
"""Before a name: ``stade V de``, ``selon``, ``angle de Fowler et``."""


class Shape:
    """A text as a row of letters, one per word and one per gap; see the module's first lines.

    Letters are those of `word_kinds`, and I for an initial with its dot, i for one without, 9 for a number. A gap is its
    punctuation mark, a space, a new line, or ``.`` for anything else.
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
            row.append(_letter(token[0], token.lastgroup or ""))
            self.places.append(token.span())
            end = token.end()
        self.alone = "".join(row)
        self.row = self.alone.replace("F", "G").replace("Y", "L")

    def found(self, start: int, end: int, label: str) -> Found:
        """Return the stretch of the text that letters ``[start, end)`` stand for."""
        return Found(self.places[start][0], self.places[end - 1][1], label)

    def plain(self, place: int) -> str:
        """Return the word that the letter at ``place`` stands for, in plain letters."""
        return plain(self.text[slice(*self.places[place])])

    def names_a_thing(self, start: int) -> bool:
        """Say whether the words before letter ``start`` make an eponym of what follows."""
        return NAMES_A_THING.search(self.row, max(0, start - 20), start) is not None


def all_words(text: str) -> bool:
    """Say whether nothing in ``text`` could be a name by itself."""
    return set(Shape(text).row) <= set("ABCMXEpqwnfc9@P+RkHhs -,")


@functools.lru_cache(maxsize=4)
def shape_of(text: str) -> Shape:
    return Shape(text)


def people_by_shape(text: str, others: list[Found]) -> Iterator[Found]:
    """Yield people, and the rest of a list that begins with one of them or of ``others``."""
    shape = shape_of(text)
    spans = [match.span() for match in PERSON.finditer(shape.row)]
    for pattern in (INTRODUCED, INTRODUCED_TWICE, BESIDE_KIN, BEFORE_ROLE, SMALL):
        spans += [match.span(match.lastgroup or 0) for match in pattern.finditer(shape.row)]
    spans += [match.span("it") for match in ALONE.finditer(shape.alone)]
    for pattern, names in ((WITH, family_names()), (BEFORE_EPONYM, GIVEN)):
        spans += [match.span("it") for match in pattern.finditer(shape.row) if shape.plain(match.end("it") - 1) in names]
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
    found = [*PLACES.finditer(shape.row), *re.finditer("(?P<alone>Y)", shape.alone)]
    for match in found:
        start, end = match.span(match.lastgroup or 0)
        if match.lastgroup == "word" and shape.plain(start) not in towns():
            continue
        if not shape.names_a_thing(start):
            yield shape.found(start, end, "INSTITUTION" if match.lastgroup == "house" else "TOWN")


@functools.lru_cache(maxsize=1 << 12)
def _gap(gap: str) -> str:
    match = GAP.fullmatch(gap)
    return "." if match is None else match[1] or ("\n" if "\n" in gap else " ")


def _letter(word: str, group: str) -> str:
    if group != "word":
        if group == "elision":
            return "q" if word[0].isupper() else "p" if word[0] == "d" else "w"
        return "9" if group == "number" else "I" if "." in word else "i"
    return kind_of(word)
