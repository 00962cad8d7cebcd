"""Streets, towns and institutions in French text (Belgium, France, Switzerland, Luxembourg)."""

import functools
import re
from collections.abc import Iterator
from itertools import chain

from .found import Found, any_of, around, matches, matches_at, plain
from .lists import towns as gazetteer
from .lists import vocabulary
from .shapes import places_by_shape, shape_of
from .surrogates import CITIES
from .word_kinds import HOUSES

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
        r"rue r\. avenues? av\.? ave\.? boulevard bd\.? bld bvd chemin chem\. imp\. all\. chauss[ée]e place pl\.? impasse",
        r"all[ée]e quai route cours square",
        r"passage faubourg fbg cit[ée] clos drève rond-point sentier esplanade promenade r[ée]sidence villa straat laan",
    )
    + ")"
)
STREET_WORD = re.compile(
    any_of(
        r"(?<![a-z])(?:rue|r\.|avenues?|av|ave|bd|bld|bvd|boulevard|chemin|chem|imp|all|chaussee|place|pl|impasse|allee|quai|route)",
        r"(?<![a-z])(?:lieu-?dit|hameau|lotissement|cours|square|passage|faubourg|fbg|cite|clos|dreve|rond|sentier|esplanade|promenade|residence|villa)",
        r"(?<![a-z])(?:street|st|road|rd|lane|drive|court|terrace|way|calle|c/|avenida|plaza|paseo|via|viale|piazza|corso|rua|ulica)",
        r"straat laan steenweg plein lei dreef baan weg kaai markt strasse straße platz gasse str\. ul\.",
    )
    + r"(?![a-z])"
)
"""In plain letters: what every street's name holds."""
STREET_REACH = 24, 120
HOUSE = r"(?:\d{1,4}(?:[ \-]?(?:bis|ter|quater|[A-D]\b|\d{1,4}))?|deux|trois|quatre|cinq|six|sept|huit|neuf|dix)"
ENDS_STREET = r"(?!(?i:à|au|aux|le|né|née|tel|tél|dans|et|est|jusqu|pour|qui|depuis)\b)"
BUILDING = r"(?:,? (?i:bo[iî]te|bte|appt?|apt|b[âa]t|b[âa]timent|esc)\.? ?\w+)*"
STREET_AFTER_NUMBER = re.compile(
    rf"(?<!\d)(?P<it>{HOUSE},? {STREET}(?!\w)(?: {ENDS_STREET}[^\W\d_][\w.'’\-]*){{1,7}}"
    rf"{BUILDING})"
)
FLEMISH = re.compile(
    r"(?<!\w)(?P<it>[A-Z]\w+(?:straat|laan|steenweg|plein|lei|dreef|baan|weg|kaai|markt) \d{1,4}(?: ?[a-zA-Z]\b)?)(?!\w)"
)
STREET_BEFORE_NUMBER = re.compile(
    r"(?<!\w)(?P<it>(?:Place|Quai|Chemin|Impasse|Allée|Square|Route|Clos|Cours)"
    rf"(?: {PARTICLE})*(?: {CAPITAL}){{1,3}} \d{{1,4}})(?![\w.,]\d)"
)
ROAD_TO_A_TOWN = re.compile(
    rf"(?<!\w)(?P<it>(?i:{STREET}) (?:{PARTICLE} ?)*{CAPITAL}(?: (?:{PARTICLE}|{CAPITAL}))*{BUILDING})"
    r"(?=,?\s{1,2}(?:[BDFL]-|CH-)?\d{5}\b)"
)
STREET_OF_ANY_NAME = rf"{ENDS_STREET}[^\W\d_][\w.'’\-]*"
BEFORE_A_TOWN = re.compile(
    rf"(?<![\d.,/] )(?<![\w.,/])(?P<it>\d{{1,4}}(?: ?(?:bis|ter|quater|[A-D]\b))?,? {STREET_OF_ANY_NAME}"
    rf"(?:,? {STREET_OF_ANY_NAME}){{0,4}})(?=,?\s{{1,2}}(?:[BDFL]-|CH-)?\d{{5}},? {CAPITAL})"
)
"""Whatever a street is called: a house number, and a postcode and a town behind it."""
GERMAN = r"[A-ZÄÖÜ][\w.\-]*(?:stra(?:ss|ß)e|str\.|platz|allee|gasse|weg)"
ABROAD = re.compile(
    rf"(?<!\w)(?P<it>\d{{1,4}}[a-z]?,? (?:{GERMAN}"
    r"|(?:[A-Z][\w'’.\-]* ){1,3}(?:Street|St|Road|Rd|Avenue|Ave|Lane|Drive|Square|Court|Terrace|Way)\b\.?)"
    rf"|(?:{GERMAN}|(?:Calle|C/|Avenida|Plaza|Paseo|Via|Viale|Piazza|Corso|Rua|Straße|Strasse|[Uu]lica|[Uu]l\.) "
    r"(?:(?:de|del|della|dei|do|da|dos|la|des|\d{1,2}\.) )*[A-ZÄÖÜ]\w+(?: [A-ZÄÖÜ]\w+)*),? (?:n[.°º] ?)?\d{1,4}[a-z]?)(?!\w)"
)
"""Streets of neighbouring countries, in their own languages."""
STREET_OF_A_DAY = re.compile(rf"(?<!\w)(?P<it>{STREET} (?i:du) \d{{1,2}} [^\W\d_]{{3,9}}(?: (?:19|20)\d\d)?)(?!\w)")
STREET_ALONE = re.compile(
    r"(?<!\w)(?P<it>(?i:rue|avenue|boulevard|chauss[ée]e|straat|laan|lieu-?dit|hameau|lotissement)"
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
POSTCODE_AND_TOWN = re.compile(rf"(?<![\w.,/])(?P<it>(?:[BDFL]|CH)?-?\d{{5}},? {{0,2}}{NOT_A_TOWN}{TOWN})(?! ?\d*/)")
AFTER_STREET = re.compile(rf",?\s{{0,2}}(?P<it>(?:[BDFL]-|CH-)?\d{{4,5}}(?:,?\s{{0,2}}{NOT_A_TOWN}{TOWN})?)(?![\d/])")
KNOWN = "|".join(map(re.escape, sorted(CITIES, key=len, reverse=True)))
SHORT_POSTCODE = re.compile(rf"(?<![\w.,/])(?P<it>(?:B-|CH-|L-)\d{{4}} {TOWN}|[1-9]\d{{3}} (?:{KNOWN})(?![\w\-]))")
NUMBER_AND_NAME = re.compile(
    r"(?<![\w.,/])(?P<it>(?P<code>(?:B-|CH-|L-|F-)?[1-9]\d{3}),? {1,2}(?P<town>[A-ZÀ-Ý][\w'’]+(?:[\-][\w'’]+)*))(?!\w)"
)
CEDEX = re.compile(rf"(?P<it>{CAPITAL}(?:[ \-](?:{PARTICLE}|{CAPITAL})){{0,4}} (?i:cedex)(?: \d+)?)(?!\w)")
SAINT = re.compile(rf"(?<![\w\-])(?P<it>(?:Sainte?|Ste?|SAINTE?|STE?)[ \-]{CAPITAL}(?:[ \-]{PARTICLE} {CAPITAL})?)(?!\w)")
POSTCODE_REACH = 4, 80
POSTCODE_ALONE = re.compile(r"(?:dans le|code postal|CP)[ :]{1,2}(?P<it>\d{4,5})(?!\w|[.,]\d)")
LIVES = re.compile(
    r"\b(?:[Rr][ée]sid\w+ à|[Hh]abit\w+(?: à)?|[Vv]it à|[Dd]omicili[ée]e? à|[Nn][ée]e? à|[Ff]ait à|"
    r"originaire d[e'’]|(?i:lieu(?: de naissance)?|ville|commune) ?:) ?"
    rf"(?P<it>{TOWN})"
)
KNOWN_TOWN = re.compile(
    rf"(?<![\w\-])(?:(?:à|À|A|de|De|d['’]|vers|[–\-(,])\s?|\n)"
    rf"(?P<it>(?:{KNOWN}|{KNOWN.upper()})(?: ?(?i:cedex)(?: \d+)?)?)(?![\w\-])"
)
HEAD = r"(?<!hef de )(?<!hefs de )(?<!xamen )(?<!éunion )" + any_of(
    r"[Hh][ôo]pita(?:l|ux) H[OÔ]PITAL [Hh]op HOP CHU CHR CHRU CHC CH GH GHU HIA AZ UZ EHPAD Polyclinique POLYCLINIQUE",
    r"Cliniques? CLINIQUES? (?:la|à_la|de_la|en)_clinique [Cc]liniques_[Uu]niversitaires CENTRE_HOSPITALIER",
    r"[Cc]entre_[Hh]ospitalier(?:_[Uu]niversitaire|_[Rr][ée]gional)? [Gg]roupe_[Hh]ospitalier [Ii]nstitut",
    r"[Mm]aison_de_(?:repos|retraite) [Rr][ée]sidence",
    r"[Cc]entre_de_(?:r[ée][ée]ducation|radiologie|soins|convalescence|dialyse|sant[ée])",
    r"[Cc]entre_d['’]imagerie [Ii]nstitut_(?:de_|d['’])\w+ [Mm]aternit[ée] CRF SSR MRS [Ff]oyer [Cc]abinet_de_radiologie",
)
LETTERS = re.compile(r"(?:CH|GH|H)(?!U\b|R\b|RU\b|DJ\b|AD\b|SLD\b|DS\b|DT\b)[A-Z]{1,4}\b(?!-)")
TRANSFERRED = re.compile(r"(?:transf[ée]r|mut|adress|hospitalis|admis|op[ée]r)\w* (?:\w+ )?(?:au|à l['’]|du) ?$", re.IGNORECASE)
"""Before a hospital that is called by its letters."""
NOT_OF_A_HOSPITAL = (
    "(?!"
    + any_of(
        r"Service Département Unité Docteur Dr Adresse Pas Examen Radio\w* Patient\w* Mme Monsieur Madame",
        r"Assistants? Juniors? M[ée]dica\w+ Multi\w+ Hospitalier Universitaires?",
    )
    + r"\b)"
)
GENERIC = (
    "(?i:"
    + any_of(
        r"de d['’] universitaires? r[ée]gional national provincial g[ée]n[ée]ral principal militaire intercommunal",
        r"instruction r[ée]f[ée]rence arm[ée]es district",
    )
    + r"(?:(?<=['’])| ))*"
)
"""What stands between the kind of a house and its own name."""
INSTITUTION = re.compile(
    rf"(?<!\w){HEAD}(?:(?<=[HhOo][Oo][Pp])\.)? {GENERIC}(?P<it>(?:{PARTICLE} ?)*{NOT_OF_A_HOSPITAL}(?:[A-Z]\.)?{CAPITAL}"
    rf"(?:[ \-](?:{PARTICLE} ?)*{NOT_OF_A_HOSPITAL}{CAPITAL}){{0,4}})"
)
LARGE_HOSPITALS = any_of(
    # Paris
    r"Piti[ée][-_/]Salp[êe]tri[èe]re Piti[ée] Salp[êe]tri[èe]re Bichat(?:-Claude_Bernard)? Cochin Port[-_]Royal Necker Tenon",
    r"Lariboisi[èe]re Fernand[-_]Widal Bic[êe]tre Paul[-_]Brousse Antoine[-_]B[ée]cl[èe]re B[ée]cl[èe]re",
    r"(?:Henri|H)?\.?_?Mondor",
    r"Pompidou HEGP Trousseau Rothschild Robert[-_]Debr[ée] Ambroise[-_]Par[ée] Raymond[-_]Poincar[ée] Avicenne",
    r"Jean[-_]Verdier",
    r"Beaujon Louis[-_]Mourier Ren[ée][-_]Muret Albert[-_]Chenevier Charles[-_]Foix Corentin[-_]Celton Sainte[-_]P[ée]rine",
    r"H[ôo]tel[-_]Dieu Val[-_]de[-_]Gr[âa]ce Gustave[-_]Roussy Marie[-_]Lannelongue Croix[-_](?:Saint|St)[-_]Simon Diaconesses",
    # elsewhere in France
    r"[ÉE]douard[-_]Herriot HEH HFME Croix[-_]Rousse Lyon[-_]Sud L[ée]on[-_]B[ée]rard Desgenettes Timone Paoli[-_]Calmettes",
    r"Pellegrin Haut[-_]L[ée]v[êe]que Bergoni[ée] Purpan Rangueil Larrey Claude[-_]Huriez Huriez Roger[-_]Salengro",
    r"Jeanne_de_Flandre",
    r"Oscar[-_]Lambret Hautepierre Pontchaillou Eug[èe]ne[-_]Marquis Lapeyronie Gui_de_Chauliac Arnaud_de_Villeneuve",
    r"Car[ée]meau",
    r"Charles[-_]Nicolle Henri[-_]Becquerel Jean[-_]Minjoz Gabriel[-_]Montpied Clocheville Cavale_Blanche Brabois",
    r"Mil[ée]trie Lenval",
    # Belgium and Switzerland
    r"[ÉE]rasme HUDERF Brugmann Bordet Gasthuisberg Sart[-_]Tilman Citadelle Mont[-_]Godinne Jolimont V[ée]sale Notre[-_]Dame",
    r"Edith[-_]Cavell Inselspital CHUV HUG",
    r"(?:St|Saint)[-_](?:Louis|Antoine|Luc|Pierre|Joseph|Vincent|Jean|Andr[ée]|[ÉE]loi)",
    r"(?:Ste|Sainte)[-_](?:Anne|Marguerite|Marie)",
)
LARGE_HOSPITAL = re.compile(rf"(?<![\w\-])(?P<it>(?:la )?{LARGE_HOSPITALS})(?![\w\-])")
HOSPITAL_AFTER_A = re.compile(rf"à (?:l['’])?(?P<it>(?i:{LARGE_HOSPITALS})|Pasteur|la Conception|Percy|Curie|Foch)(?![\w\-])")


def addresses(text: str) -> Iterator[Found]:
    """Streets, and the postcode and town that follow one."""
    streets = around(STREET_WORD.finditer(plain(text)), *STREET_REACH)
    codes = around(re.finditer(r"\d{5}", text), STREET_REACH[1], POSTCODE_REACH[1])
    yield from matches(BEFORE_A_TOWN, "ADDRESS", text, codes)
    for pattern in (STREET_AFTER_NUMBER, STREET_ALONE, STREET_BEFORE_NUMBER, STREET_OF_A_DAY, ROAD_TO_A_TOWN, FLEMISH, ABROAD):
        for street in matches(pattern, "ADDRESS", text, streets):
            yield street
            after = AFTER_STREET.match(text, street.end)
            beside = TOWN_BESIDE.match(text, street.end)
            if after:
                yield Found(*after.span("it"), "TOWN")
            elif beside and _is_town(beside["it"]):
                yield Found(*beside.span("it"), "TOWN")


BESIDE = re.compile(
    r"[\s,(]{1,3}(?P<it>(?:0[1-9]|[1-8]\d|9[0-578])\d{3})(?![\d.,/]\d|\d| \d)"
    r"| ?\((?P<department>0[1-9]|[1-8]\d|9[0-5]|2[AB]|97[1-6])\)"
)
"""A French postcode, or the number of a department, after a place."""
TOWN_BESIDE = re.compile(rf"(?:,? (?:à |de |d['’])?| ?[,(–\-] ?)(?P<it>{TOWN})(?![\w\-])")
SEVERAL_WORDS = re.compile(
    r"(?<![\w'’\-])[A-ZÀ-Ý][\w]*(?:[ \-'’](?:(?i:sur|en|les?|la|de|du|des|d|l|sous|lès|lez|aux?|et|s/)(?!\w)|[A-ZÀ-Ý]\w*))+"
)
REACH = 40
"""Letters before a name that may say that it is a grade's."""
OF_A_GRADE = re.compile(r"\b(?:grade|stade|score|classification|crit[èe]re|consensus)s?\b[^.;\n]{0,20}$")
SMALL_TOWN = re.compile(
    r"(?<!\w)(?:à|de|vers|(?P<lives>n[ée]e? à|habit\w+(?: à)?|vit à|vivant à|r[ée]sid\w+ à|originaire de|domicili[ée]e? à)) "
    r"(?P<it>(?P<saint>(?:st|ste|saint|sainte)[ \-])?(?:l[ae]s? )?(?P<own>[a-zà-ÿ]{3,}(?:-[a-zà-ÿ]+)*))(?![\w'’])"
)


def places(text: str) -> Iterator[Found]:
    """Towns and institutions, and the postcodes and known towns that follow them."""
    for place in chain(towns(text), institutions(text)):
        yield place
        code = BESIDE.match(text, place.end)
        if code:
            yield Found(*code.span(code.lastgroup or 0), "TOWN")
        beside = TOWN_BESIDE.match(text, place.end)
        if beside and _is_town(beside["it"]):
            yield Found(*beside.span("it"), "TOWN")


def _is_town(name: str) -> bool:
    return plain(name) in gazetteer() or plain(name).replace(" ", "-") in gazetteer()


def long_towns(text: str) -> Iterator[Found]:
    """Towns of several words, wherever they stand: ``Le Puy-en-Velay``, ``CHALON SUR SAONE``."""
    for match in SEVERAL_WORDS.finditer(text):
        pieces = list(re.finditer(r"[^\W_]+", match[0]))
        for start in range(len(pieces) - 1):
            if HOUSES.fullmatch(plain(pieces[start][0])):
                continue
            for end in range(len(pieces), start + 1, -1):
                name = " ".join(plain(piece[0]) for piece in pieces[start:end])
                if name in long_names() and not OF_A_GRADE.search(text, max(0, match.start() - REACH), match.start()):
                    yield Found(match.start() + pieces[start].start(), match.start() + pieces[end - 1].end(), "TOWN")
                    break


@functools.cache
def long_names() -> frozenset[str]:
    """Return towns of several words, words apart, but for articles before words (``la garde``)."""
    names = (re.findall(r"[^\W_]+", name) for name in gazetteer())
    return frozenset(
        " ".join(name)
        for name in names
        if len(name) > 2 or (len(name) == 2 and not (len(name[0]) < 4 and name[1] in vocabulary()) and min(map(len, name)) > 1)
    )


def small_towns(text: str) -> Iterator[Found]:
    """Towns written small, after ``à`` or where somebody lives: ``né à oran``, ``vit à trappes``."""
    for match in SMALL_TOWN.finditer(text):
        name = plain(match["it"])
        known = _is_town(name) or (match["saint"] and _is_town("saint-" + plain(match["own"])))
        word = plain(match["own"]) in vocabulary()
        if (known and (not word or (match["lives"] and name == plain(match["own"])))) or (match["lives"] and not word):
            yield Found(*match.span("it"), "TOWN")


def towns(text: str) -> Iterator[Found]:
    """Towns with a postcode, where somebody lives, and large ones after a preposition."""
    for pattern in (POSTCODE_ALONE, SAINT, LIVES, KNOWN_TOWN):
        yield from matches(pattern, "TOWN", text)
    if "cedex" in text.lower():
        yield from matches(CEDEX, "TOWN", text)
    codes = around(re.finditer(r"\d{4,}", text), *POSTCODE_REACH)
    for pattern in (POSTCODE_AND_TOWN, SHORT_POSTCODE):
        yield from matches(pattern, "TOWN", text, codes)
    for start, end in codes:
        for match in NUMBER_AND_NAME.finditer(text, start, end):
            if plain(match["town"]) in gazetteer() or match["code"][0] in "BCFL":
                yield Found(*match.span("it"), "TOWN")
    yield from small_towns(text)
    yield from long_towns(text)


def institutions(text: str) -> Iterator[Found]:
    """The names of hospitals, without the word that says what they are."""
    yield from matches(INSTITUTION, "INSTITUTION", text)
    capitals = (capital.start() for capital in re.finditer(r"\bla (?=[A-Z])|[A-ZÀ-Ý]", text))
    yield from matches_at(capitals, LARGE_HOSPITAL, "INSTITUTION", text)
    yield from matches_at(shape_of(text).starts("@"), HOSPITAL_AFTER_A, "INSTITUTION", text)
    for letters in LETTERS.finditer(text):
        if TRANSFERRED.search(text, max(0, letters.start() - REACH), letters.start()):
            yield Found(*letters.span(), "INSTITUTION")
    yield from places_by_shape(text)
