"""Names of people, by what stands beside them: a title, a role, a birth date, a common first name."""

import re
from collections.abc import Iterator

from .found import Found, any_of, around, matches, matches_at, plain, words
from .lists import family_names
from .shapes import all_words, people_by_shape, shape_of

TITLE = any_of(
    "Drs? DR dr Dre Docteurs? docteurs? DOCTEUR Pr PR Prof Professeure? professeure? PROFESSEUR M MM Mr MR Mrs Ms Mmes? MME",
    "mme Mlle MLLE Monsieur monsieur MONSIEUR Madame madame MADAME Mademoiselle mademoiselle Messieurs Mesdames Maître Me",
)
INITIAL = r"(?!Dr|Pr|Mr|St|(?<![rR] )(?<![rR]\. )M\. )(?<![\w'’])[A-ZÀ-Ý][a-z]?(?:(?:\.-?|-)[A-ZÀ-Ý])*\."
BARE_INITIAL = r"[A-ZÀ-Ý](?:-[A-ZÀ-Ý])?"
OF_NAMES = any_of(
    "de du des van den der von vande vanden vander ter ten le la el al ben di da do d['’]",
    "DE DU VAN DEN DER LE LA EL AL BEN D['’] De Du Des Van Den Der Le La El Al Ben D['’]",
)
NEVER_NAMES = (
    "(?!(?i:"
    + any_of(
        "n(?=[°º]) docteure? professeure? madame monsieur drs? pr mme",
        "le la les un une au il elle nous vous son sa ses ce cette",
        "dans pour par avec pas service h[ôo]pital cliniques? chu radiologue chirurgien internes? externes? directeur",
        r"directrice chef assistante?s? adjointe? juniors? t[ée]l\w* fax mobile mail rue avenue adresse n[ée]e? nom pr[ée]nom",
        "patiente?s? sexe [âa]ge date rdv dossier rpps inami adeli ipp nda cc liste contact examen indication technique",
        r"r[ée]sultats? conclusion bilan contr[ôo]le suivi phase reprise irm tdm scanner rx mm radio\w* m[ée]dica\w+",
        r"sociale? fix[ée] transmi\w+ inc sprl \w+(?:logie|graphie|scopie|tomie|th[ée]rapie|pathie|tion)s?",
    )
    + r"(?!\w)))"
)
WORD = rf"{NEVER_NAMES}[A-ZÀ-ÝŒ]\w*(?:['’\-][A-ZÀ-ÝŒa-zà-ÿ]\w*)*"
NAME = rf"(?:(?:{INITIAL}|{BARE_INITIAL}(?= )|{OF_NAMES}(?=[ '’])|{WORD}) ?){{0,3}}{WORD}"
AFTER_TITLE = re.compile(
    rf"(?<![\w@.\-]){TITLE}(?:\.|\b)\s{{0,2}}(?:(?:veuve|vve|[ée]pouse) )?"
    rf"(?P<it>{NAME}(?:\s{{1,2}}{NAME}(?= \())?(?:(?: et |, ){NAME}(?! ?:))?)"
)
SMALL = "[a-zà-ÿ]{3,}"
AFTER_TITLE_SMALL = re.compile(
    r"(?i:dr|pr|docteur|mr|mme|mlle|madame|monsieur)(?:\. ?| )"
    rf"(?P<it>(?!(?:est|qui|pour|avec|par|que|dans|sur|son|ses)\b){SMALL})"
)
AFTER_LABEL_SMALL = re.compile(
    rf"(?i:\bpr[ée]noms?|\bnoms?|\binfirmi[eè]re?s?) ?: ?(?P<it>{SMALL}(?: {SMALL})?(?:, {SMALL}(?: {SMALL}){{1,2}})*)"
)
AFTER_ROLE = re.compile(
    r"(?i:"
    + any_of(
        r"internes? externes? m[ée]decins?(?:_\w+)? prescripteurs? psychologues? infirmi[èe]re?s?",
        "secr[ée]taires?(?:_m[ée]dicale)? radiologues? op[ée]rat(?:eur|rice) manipulat(?:eur|rice) technologue r[ée]f[ée]rent",
        "correspondant destinataire contact chirurgiens? an[ée]sth[ée]sistes? veuve veuf vve",
        r"p[èe]re m[èe]re [ée]poux [ée]pouse fils fille frère s(?:oe|œ)ur patiente?s?(?:_pr[ée]sentes?|_\d)? pr[ée]noms?",
        r"noms?(?:_(?:de_naissance|d['’]usage|usuel|marital|de_famille|du_patient))? identit[ée](?:_du_patient)?",
        r"(?<=ossier_)pour (?<=dical_)pour (?<=vous_)pour",
        r"(?:valid|sign|dict|r[ée]dig|g[ée]n[ée]r|demand|r[ée]alis|relu|lu|adress|prescri|interpr[ée]t)\w*_(?:le_\S+_)?par",
        "chez",
    )
    + rf")(?: ?:)? {{0,2}}(?:[|–\-] ?)?(?:{TITLE}\.? )?(?P<it>{NAME})"
)
AFTER_TITLE_OF_SEVERAL = re.compile(
    rf"{any_of('Drs DRS Docteurs DOCTEURS MM Mmes MMES Messieurs')}\.? (?P<it>{NAME}(?:(?: - |/|, | et ){NAME})+)"
)
BEGINS_WITH = {AFTER_TITLE: "[TiI]", AFTER_TITLE_OF_SEVERAL: "T", AFTER_TITLE_SMALL: "T", AFTER_ROLE: "[RkvPc]"}
"""The kinds of words that a pattern can begin with."""
FOLLOWS_NAME = re.compile(
    r",? [nN][ée]e?\(?e?\)? (?:le|en)\b"
    rf"| ?\({any_of('[Ii]nterne [Ee]xterne [Rr]adiologue PHC? CCA PU-PH MCU-PH ASP')}\b"
)
NAME_AT_END = re.compile(rf"(?<!\w){NAME}$")
LONGEST_NAME = 60
AFTER_INITIAL = re.compile(
    r"(?:^|\n|[,;:(|/–\-] ?|\b(?:par|et|avec|de|à|chez|pour|Dr|Pr) )"
    rf"(?P<it>(?!M\. )(?:{INITIAL} ?(?:{OF_NAMES} )*{WORD}[ ,]*)+)",
    re.MULTILINE,
)
DICOM_NAME = re.compile(r"(?P<it>[^\W\d_][\w'’ \-]*\^[\w'’ \-^]*)")
SPECIES = frozenset(
    words("coli aureus pneumoniae influenzae tuberculosis jirovecii aeruginosa epidermidis pyogenes albicans pylori difficile")
)


def _without_tail(name: str) -> str:
    """Return a name without the third and later words that are plain French: ``VERONIQUE BONNET FIXÉ``."""
    ends = [match.end() for match in re.finditer(r"[^\s,]+", name)]
    while len(ends) > 2 and all_words(name[ends[-2] : ends[-1]].strip(" ,")) and " et " not in name:
        ends.pop()
    return name[: ends[-1]] if ends else name


def people(text: str) -> Iterator[Found]:
    """Yield names after a title or a role, before a birth date or a role, after an initial, beside a common first name."""
    found = list(_people_by_context(text))
    yield from found
    yield from people_by_shape(text, found)


def _people_by_context(text: str) -> Iterator[Found]:
    for pattern in (
        AFTER_TITLE,
        AFTER_TITLE_OF_SEVERAL,
        AFTER_TITLE_SMALL,
        AFTER_LABEL_SMALL,
        AFTER_ROLE,
        AFTER_INITIAL,
    ):
        if pattern in BEGINS_WITH:
            introduced = matches_at(shape_of(text).starts(BEGINS_WITH[pattern]), pattern, "PERSON", text)
        else:
            near = around(re.finditer(INITIAL, text), 8, LONGEST_NAME) if pattern is AFTER_INITIAL else None
            introduced = matches(pattern, "PERSON", text, near)
        for found in introduced:
            name = text[found.start : found.end]
            if not SPECIES.isdisjoint(re.findall(r"[a-z]+", plain(name))):
                continue
            if pattern is AFTER_ROLE and text[found.start - 2] != ":" and all_words(name) and plain(name) not in family_names():
                continue
            if pattern is AFTER_TITLE:
                found = Found(found.start, found.start + len(_without_tail(name)), "PERSON")
            yield found
    if "^" in text:
        yield from matches(DICOM_NAME, "PERSON", text)
    for after in FOLLOWS_NAME.finditer(text):
        name = NAME_AT_END.search(text, max(0, after.start() - LONGEST_NAME), after.start())
        if name:
            yield Found(*name.span(), "PERSON")
