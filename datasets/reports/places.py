"""Streets, towns and institutions in French text (Belgium, France, Switzerland, Luxembourg)."""

import re
from collections.abc import Iterator
from itertools import chain

from .found import Found, any_of, matches, plain
from .lists import towns as gazetteer
from .shapes import places_by_shape
from .surrogates import CITIES

CAPITAL = r"[A-ZÀ-ÝŒ][\w'’\-]*"
PARTICLE = (
    "(?i:"
    + any_of(
        r"de_la de du des la les le sur sous en aux? s/ saint sainte st ste",
        r"europ[ée]en universitaire g[ée]n[ée]ral priv[ée]e? militaire",
    )
    + r"(?!\w)|(?:de )?[ld]['’])"
)
STREET = (
    "(?i:"
    + any_of(
        r"rue avenues? av\.? boulevard bd bld bvd chemin chauss[ée]e place impasse all[ée]e quai route cours square",
        r"passage faubourg fbg cit[ée] clos drève rond-point sentier esplanade promenade r[ée]sidence villa straat laan",
    )
    + ")"
)
HOUSE = r"(?:\d{1,4}(?:[ \-]?(?:bis|ter|quater|[A-D]\b|\d{1,4}))?|deux|trois|quatre|cinq|six|sept|huit|neuf|dix)"
ENDS_STREET = r"(?!(?i:à|au|aux|le|né|née|tel|tél|dans|et|est|jusqu|pour|qui|depuis)\b)"
STREET_AFTER_NUMBER = re.compile(
    rf"(?<!\w)(?P<it>{HOUSE},? {STREET}(?!\w)(?: {ENDS_STREET}[^\W\d_][\w.'’\-]*){{1,7}}"
    r"(?:,? (?i:bo[iî]te|bte|appt?|apt)\.? ?\w+)?)"
)
FLEMISH = re.compile(
    r"(?<!\w)(?P<it>[A-Z]\w+(?:straat|laan|steenweg|plein|lei|dreef|baan|weg|kaai|markt) \d{1,4}(?: ?[a-zA-Z]\b)?)(?!\w)"
)
STREET_BEFORE_NUMBER = re.compile(
    r"(?<!\w)(?P<it>(?:Place|Quai|Chemin|Impasse|Allée|Square|Route|Clos|Cours)"
    rf"(?: {PARTICLE})*(?: {CAPITAL}){{1,3}} \d{{1,4}})(?![\w.,]\d)"
)
STREET_OF_A_DAY = re.compile(rf"(?<!\w)(?P<it>{STREET} (?i:du) \d{{1,2}} [^\W\d_]{{3,9}}(?: (?:19|20)\d\d)?)(?!\w)")
STREET_ALONE = re.compile(
    r"(?<!\w)(?P<it>(?i:rue|avenue|boulevard|chauss[ée]e|straat|laan)"
    rf"(?: (?:{PARTICLE}|{CAPITAL}))*? ?{CAPITAL}(?: {CAPITAL})*"
    r"(?:,? (?:n[°º] ?)?\d{1,4}(?: ?[A-D]\b| ?/ ?\d+| bte \d+)?)?)(?!\w)"
)
TOWN = (
    r"(?:(?:(?i:la|le|les|l['’]|saint|sainte|st|ste)[ \-])*[A-ZÀ-ÝŒ]"
    rf"(?:[A-ZÀ-Ý'’\-]{{2,}}(?:[ \-](?:{PARTICLE}[ \n])*[A-ZÀ-Ý'’\-]{{3,}})*"
    rf"|[\w'’\-]{{2,}}(?:(?: {PARTICLE})+[ \n]{CAPITAL})*)(?!\w)(?: (?i:cedex)(?: \d+)?)?)"
)
NOT_A_TOWN = (
    "(?! *(?i:"
    + any_of(r"nom pr[ée]nom nda ipp t[ée]l fax dossier chu h[ôo]pital service r[ée]sultat patient date n[ée]e? rdv h[ée]m")
    + r"\w*))"
)
POSTCODE_AND_TOWN = re.compile(rf"(?<![\w.,/])(?P<it>(?:[BFL]|CH)?-?\d{{5}},? {{0,2}}{NOT_A_TOWN}{TOWN})(?! ?\d*/)")
AFTER_STREET = re.compile(rf",?\s{{0,2}}(?P<it>(?:B-|F-|CH-|L-)?\d{{4,5}}(?:,?\s{{0,2}}{NOT_A_TOWN}{TOWN})?)(?![\d/])")
KNOWN = "|".join(map(re.escape, sorted(CITIES, key=len, reverse=True)))
SHORT_POSTCODE = re.compile(rf"(?<![\w.,/])(?P<it>(?:B-|CH-|L-)\d{{4}} {TOWN}|[1-9]\d{{3}} (?:{KNOWN})(?![\w\-]))")
NUMBER_AND_NAME = re.compile(
    r"(?<![\w.,/])(?P<it>(?P<code>(?:B-|CH-|L-|F-)?[1-9]\d{3}),? {1,2}(?P<town>[A-ZÀ-Ý][\w'’]+(?:[\-][\w'’]+)*))(?!\w)"
)
CEDEX = re.compile(rf"(?P<it>{CAPITAL}(?:[ \-](?:{PARTICLE}|{CAPITAL})){{0,4}} (?i:cedex)(?: \d+)?)(?!\w)")
SAINT = re.compile(rf"(?<![\w\-])(?P<it>(?:Sainte?|Ste?|SAINTE?|STE?)[ \-]{CAPITAL}(?:[ \-]{PARTICLE} {CAPITAL})?)(?!\w)")
POSTCODE_ALONE = re.compile(r"(?:dans le|code postal|CP)[ :]{1,2}(?P<it>\d{4,5})(?!\w|[.,]\d)")
LIVES = re.compile(
    r"\b(?:[Rr][ée]sid\w+ à|[Hh]abit\w+ à|[Vv]it à|[Dd]omicili[ée]e? à|[Nn][ée]e? à|[Ff]ait à|originaire d[e'’]) ?"
    rf"(?P<it>{TOWN})"
)
KNOWN_TOWN = re.compile(
    rf"(?<![\w\-])(?:(?:à|À|A|de|De|d['’]|vers|[–\-(,])\s?|\n)"
    rf"(?P<it>(?:{KNOWN}|{KNOWN.upper()})(?: ?(?i:cedex)(?: \d+)?)?)(?![\w\-])"
)
HEAD = r"(?<!hef de )(?<!hefs de )(?<!xamen )(?<!éunion )" + any_of(
    r"[Hh][ôo]pita(?:l|ux) H[OÔ]PITAL [Hh]op HOP CHU CHR CHRU CHC CH GH GHU HIA EHPAD Polyclinique POLYCLINIQUE",
    r"Cliniques? CLINIQUES? (?:la|à_la|de_la|en)_clinique [Cc]liniques_[Uu]niversitaires CENTRE_HOSPITALIER",
    r"[Cc]entre_[Hh]ospitalier(?:_[Uu]niversitaire|_[Rr][ée]gional)? [Gg]roupe_[Hh]ospitalier [Ii]nstitut",
    r"[Mm]aison_de_(?:repos|retraite) [Rr][ée]sidence",
    r"[Cc]entre_de_(?:r[ée][ée]ducation|radiologie|soins|convalescence|dialyse|sant[ée])",
    r"[Cc]entre_d['’]imagerie [Ii]nstitut_(?:de_|d['’])\w+ [Mm]aternit[ée] CRF SSR MRS [Ff]oyer [Cc]abinet_de_radiologie",
)
NOT_OF_A_HOSPITAL = (
    "(?!"
    + any_of(
        r"Service Département Unité Docteur Dr Adresse Pas Examen Radio\w* Patient\w* Mme Monsieur Madame",
        r"Assistants? Juniors? M[ée]dica\w+ Multi\w+ Hospitalier Universitaires?",
    )
    + r"\b)"
)
INSTITUTION = re.compile(
    rf"(?<!\w){HEAD}\.? (?P<it>(?:{PARTICLE} ?)*{NOT_OF_A_HOSPITAL}(?:[A-Z]\.)?{CAPITAL}"
    rf"(?:[ \-](?:{PARTICLE} ?)*{NOT_OF_A_HOSPITAL}{CAPITAL}){{0,4}})"
)
LARGE_HOSPITALS = any_of(
    r"Piti[ée][-_]Salp[êe]tri[èe]re Bichat(?:-Claude_Bernard)? Cochin Necker Tenon Lariboisi[èe]re Bic[êe]tre",
    r"(?:St|Saint)[-_](?:Louis|Antoine|Luc|Pierre) H?\.?Mondor Pompidou HEGP Trousseau Robert[-_]Debr[ée] Avicenne",
    r"Beaujon La_Timone Purpan Rangueil Pellegrin Hautepierre Gustave[-_]Roussy [ÉE]rasme Brugmann Bordet",
    r"Gasthuisberg Sart[-_]Tilman Citadelle Mont-Godinne",
)
LARGE_HOSPITAL = re.compile(rf"(?<![\w\-])(?P<it>{LARGE_HOSPITALS})(?![\w\-])")


def addresses(text: str) -> Iterator[Found]:
    """Streets, and the postcode and town that follow one."""
    for pattern in (STREET_AFTER_NUMBER, STREET_ALONE, STREET_BEFORE_NUMBER, STREET_OF_A_DAY, FLEMISH):
        for street in matches(pattern, "ADDRESS", text):
            yield street
            after = AFTER_STREET.match(text, street.end)
            if after:
                yield Found(*after.span("it"), "TOWN")


BESIDE = re.compile(r"[\s,(]{1,3}(?P<it>(?:0[1-9]|[1-8]\d|9[0-578])\d{3})(?![\d.,/]\d|\d| \d)")
"""A French postcode after a place."""


def places(text: str) -> Iterator[Found]:
    """Towns and institutions, and the postcodes that follow them."""
    for place in chain(towns(text), institutions(text)):
        yield place
        code = BESIDE.match(text, place.end)
        if code:
            yield Found(*code.span("it"), "TOWN")


def towns(text: str) -> Iterator[Found]:
    """Towns with a postcode, where somebody lives, and large ones after a preposition."""
    for pattern in (POSTCODE_AND_TOWN, SHORT_POSTCODE, POSTCODE_ALONE, CEDEX, SAINT, LIVES, KNOWN_TOWN):
        yield from matches(pattern, "TOWN", text)
    for match in NUMBER_AND_NAME.finditer(text):
        if plain(match["town"]) in gazetteer() or match["code"][0] in "BCFL":
            yield Found(*match.span("it"), "TOWN")


def institutions(text: str) -> Iterator[Found]:
    """The names of hospitals, without the word that says what they are."""
    yield from matches(INSTITUTION, "INSTITUTION", text)
    yield from matches(LARGE_HOSPITAL, "INSTITUTION", text)
    yield from places_by_shape(text)
