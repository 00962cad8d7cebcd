"""The parts of a radiology report, and its sentences."""

import re
import unicodedata
from dataclasses import dataclass

from ..body_parts import body_parts
from .found import any_of, plain, words

HEADINGS = {
    "indication": any_of(
        "indications?(?:_cliniques?)? renseignements?(?:_cliniques?)? contexte(?:_clinique)? donnees_cliniques anamnese",
        "motif(?:_de_(?:l'examen|la_demande))? informations?_cliniques? histoire(?:_(?:clinique|de_la_maladie))? history",
        "antecedents question_posee reason_for_exam(?:ination)? clinical_(?:history|information|data)",
    ),
    "technique": any_of(
        "techniques?(?:_(?:d'examen|et_incidences?))? protocole(?:_(?:d'examen|technique))? examens?_realises? procedure",
        "incidences?(?:_realisees?)?",
    ),
    "comparison": any_of("comparaisons? examens?_(?:anterieurs?|de_comparaison|precedents?) comparison anteriorites?"),
    "findings": any_of(
        "resultats? descriptions? constatations? interpretation observations? analyse findings report comptes?[_-]rendu",
        "protocole_d'interpretation",
    ),
    "conclusion": any_of("conclusions? synthese impression en_conclusion au_total en_resume en_synthese avis"),
}
ALSO_A_TITLE = re.compile("comptes?[ -]rendu")
"""A heading of findings in one hospital, and the title of the paper in another."""
EXAMINATION = re.compile(
    r"(?:comptes?[ -]rendu (?:d'|de (?:la |l')?|du )?)?(?:examen (?:de |du |d'))?"
    r"(?:(?:tele)?radiographies?|radios?|r\.?x\.?|cliches?|gonometrie|mammographies?|x-ray)\b"
)
"""How a line opens that says what was examined."""
IDENTITY_LABEL = any_of(
    r"nom prenoms? patiente? ne(?:e|\(e\))?_le date_de_naissance d\.?d\.?n\.? sexe age ipp niss nir nip nda identifiant",
    r"dossier n[°ºo]\.?_?(?:de_)?(?:d')?\w+ numero_(?:de_|d')?\w+ examen_n[°º] accession adresse tel\.? telephone fax e-?mail",
    r"courriel",
    r"date(?:_de|_d')?[_']?(?:l')?\w+ medecin(?:_\w+)? prescripteur demandeur prescrit_par adresse_par correspondant service",
    r"examen_du realise_le radiologue operateur technologue manipulateur inami rpps unite chambre",
)
CLOSING = re.compile(
    any_of(
        r"(?:signe|valide|dicte|transcrit|redige|imprime)e?_(?:electroniquement|numeriquement|par|le|:) signature",
        r"lu_et_approuve document_(?:valide|signe|confidentiel)",
        r"(?:bien_)?(?:cordialement|confraternellement) (?:cordiales_)?salutations",
        r"(?:le_)?(?:medecin_)?radiologue\b n?[°º]?_?(?:inami|rpps|adeli|finess)\b copie_a cc_?:",
    )
)
SIGNATURE = re.compile(
    r"(?:Drs?|Docteurs?|Pr|Prof|Professeur)\b\.?"
    r"(?:[ ,.\-]+(?:[A-ZÀ-Ý][\w'’\-]*\.?|(?:de|du|van|den|der|von|le|la)\b))+"
)
ROLE = re.compile(
    r"(?:[ ,\-–(]*(?:medecin|radiologue|specialiste|interne|assistante?|chef de \w+|praticien|hospitalier)\)?)*[ .]*$"
)
FINDING = re.compile(
    r"\b(?:fracture|(?:sub)?luxation|entorse|\w*arthrose|epanchement|lesion|anomalie|pincement|interligne|osteophyte|tassement|"
    r"calcification|fissure|erosion|opacite|effusion|consolidation|normal(?:e|aux)?)s?\b|(?:^|[.!?] )(?:pas d(?:e\b|')|ras\b)"
)
"""In plain letters: what stands in a report and not on its paper."""
LEADS_ON = re.compile(r"\b(?:le|la|les|par|du|au|aux|et|de|des|avec|chez|l'|d')$", re.IGNORECASE)
"""A line that ends so goes on in the next: what follows is no signature."""
PAGE_NUMBER = re.compile(r"(?:.*\bpage ?:? ?\d+(?: ?(?:/|sur|de|of) ?\d+)?|[ \-–]*\d{1,2}(?: ?/ ?\d{1,2})?[ \-–]*)$")
CONTACT = re.compile(
    r"\b(?:tel|telephone|fax|gsm)\b[. ]*(?::|(?=[(+\d]))|\w@\w|www\.|https?:|\+\d\d ?\(?\d|"
    r"\b(?!\d\d[ .]\d\d[ .](?:19|20)\d\d\b)0\d(?:[ .]?\d\d){3,4}\b|\b0\d{1,3} ?/ ?\d{2,3}(?:[ .]?\d\d){2}\b"
)
"""A telephone, a mail address, a web page; no date (``05/12/2013``) and no ``tel que``."""
LONGEST_FOOTER = 120
WRAPS = 0.6
"""A line at least this long, against the longest one, may go on in the next."""


@dataclass(frozen=True)
class Part:
    """A stretch of a report's body under one heading; ``name`` is a key of `HEADINGS`, or None where there is no heading."""

    name: str | None
    text: str


@dataclass(frozen=True)
class Report:
    """A report without its paper.

    Attributes:
        preamble: letterhead and patient block, everything before the first heading.
        parts: the body in reading order, headings dropped, wrapped lines joined, one paragraph a line.
    """

    preamble: str
    parts: tuple[Part, ...]

    @property
    def body(self) -> str:
        return "\n".join(part.text for part in self.parts)

    @property
    def title(self) -> str | None:
        """The line of the preamble, or of the body before its first heading, that names the examination."""
        opening = [part.text for part in self.parts[:1] if part.name is None]
        lines = [line for text in (self.preamble, *opening) for line in text.splitlines()]
        return next((line for line in lines if EXAMINATION.match(plain(line))), None)

    def section(self, name: str) -> str | None:
        return "\n".join(part.text for part in self.parts if part.name == name) or None

    @property
    def indication(self) -> str | None:
        return self.section("indication")

    @property
    def technique(self) -> str | None:
        return self.section("technique")

    @property
    def findings(self) -> str | None:
        return self.section("findings")

    @property
    def conclusion(self) -> str | None:
        return self.section("conclusion")


def parse(text: str) -> Report:
    r"""Return the parts of a report.

    A heading stands at the start of a line, or of a sentence when a colon follows. Page numbers, repeated letterheads, the
    signature and all that follows it are dropped. A text without headings is all body; if it opens with a patient block, the
    body begins after it, and so do a title that names the examination and sentences between block and first heading.

    >>> parse("Nom : X\nIndication : chute.\nConclusion : fracture.").conclusion
    'fracture.'
    """
    lines = [_columns(line) for line in unicodedata.normalize("NFC", text).splitlines()]
    lines = [piece for line in lines for piece in _split_headings(line)]
    body = _body(lines)
    preamble, rest = lines[:body], lines[body:]
    letterhead = {plain(line) for line in preamble if line}
    rest = [_spaces(line) for line in rest if plain(line) not in letterhead and not PAGE_NUMBER.match(plain(line))]
    return Report("\n".join(preamble), _parts(_unsigned(rest)))


def _body(lines: list[str]) -> int:
    """Return where the body begins: at the first heading, or before it where a line after the patient block is a text."""
    labels = [number for number, line in enumerate(lines) if re.match(rf"{IDENTITY_LABEL} *:", plain(line))]
    headings = [number for number, line in enumerate(lines) if _heading(line)]
    while headings and ALSO_A_TITLE.match(plain(lines[headings[0]])):
        # Where the patient block follows it, it is the title of the paper.
        if not any(headings[0] < label < (headings[1:] or [len(lines)])[0] for label in labels):
            break
        headings = headings[1:]
    if not headings:
        return labels[-1] + 1 if labels else 0
    first = headings[0]
    paper = [number for number in range(first) if number in labels or CONTACT.search(plain(lines[number]))]
    if not paper:
        return 0
    longest = max(map(len, lines))
    for number in range(paper[-1] + 1, first):
        if EXAMINATION.match(plain(lines[number])):
            return number
        if len(lines[number].split()) > 3 and re.search(r"[^\W\d_]{2}[)»]?[.!?]$", lines[number]):
            while number > paper[-1] + 1 and len(lines[number - 1]) >= WRAPS * longest:
                number -= 1
            return number
    return first


def _parts(lines: list[str]) -> tuple[Part, ...]:
    parts: list[tuple[str | None, list[str]]] = [(None, [])]
    for line in lines:
        heading = _heading(line)
        if heading:
            name, line = heading
            parts.append((name, []))
        parts[-1][1].append(line)
    joined = [Part(name, _unwrapped(lines)) for name, lines in parts]
    return tuple(part for part in joined if re.search(r"\w", part.text))


def is_heading(line: str) -> bool:
    """Whether a line opens a section."""
    return _heading(line) is not None


def _heading(line: str) -> tuple[str, str] | None:
    """Return ``(section, rest of the line)`` of a line that opens a section."""
    lowered = plain(line)
    for name, heading in HEADINGS.items():
        found = re.match(rf"(?:[\d.\-*•)#]+ ?)?{heading}(?: ?\(s\))? *(?:[:.\-–] *|$)", lowered)
        if found and (found[0].rstrip().endswith(":") or found.end() == len(lowered)):
            return name, line[found.end() :].strip()
    if re.match(r"(?:en conclusion|au total|en resume) ?,", lowered):
        return "conclusion", line
    return None


def _split_headings(line: str) -> list[str]:
    """Cut a line before each ``Heading :`` that follows the end of a sentence."""
    heading = "|".join(HEADINGS.values())
    found = re.finditer(rf"[.!?] (?=(?:{heading}) *:)", plain(line))
    cuts = [match.end() for match in found if line[match.end()].isupper()]
    return [line[start:end].strip() for start, end in zip([0, *cuts], [*cuts, len(line)], strict=True)]


def _unsigned(lines: list[str]) -> list[str]:
    """Return the lines before the signature; contact lines at the very end are a footer.

    A name alone is a signature only where nothing of the medicine follows it.
    """
    for number, line in enumerate(lines):
        if _heading(line) or (number and LEADS_ON.search(lines[number - 1])):
            continue
        closes = CLOSING.match(plain(line)) or (_signature(line) and not any(map(_is_medicine, lines[number + 1 :])))
        if closes and not any(_heading(later) for later in lines[number:]):
            lines = lines[:number]
            break
    while lines and (not lines[-1] or _is_footer(lines[-1])):
        lines = lines[:-1]
    return lines


def _is_footer(line: str) -> bool:
    return len(line) <= LONGEST_FOOTER and not line[0].islower() and bool(CONTACT.search(plain(line)))


def _is_medicine(line: str) -> bool:
    """Whether a line tells a finding, or is a sentence about a part of the body: ``Institut de la main`` is none."""
    return bool(FINDING.search(plain(line)) or (line.endswith((".", "!", "?")) and body_parts(line)))


def _signature(line: str) -> bool:
    found = SIGNATURE.match(line)
    return bool(found and ROLE.match(plain(line[found.end() :])))


def _unwrapped(lines: list[str]) -> str:
    """Join lines that were cut at the margin; a line that ends a sentence, or ends early, ends its paragraph."""
    longest = max(map(len, lines), default=0)
    paragraphs: list[str] = []
    goes_on = False
    for line in lines:
        if not line:
            goes_on = False
            continue
        if paragraphs and (goes_on or line[0].islower()) and not re.match(r"[\-•*–] |\d+[.)] ", line):
            paragraphs[-1] += " " + line
        else:
            paragraphs.append(re.sub(r"^[\-•*–] ", "", line))
        goes_on = len(line) >= WRAPS * longest and line[-1] not in ".!?:;"
    return "\n".join(paragraphs)


def _columns(line: str) -> str:
    """Return a line with single spaces, three where columns are parted."""
    return re.sub(r"[ \t\xa0]{3,}|\t", "   ", re.sub(r"(?<!\s)[ \xa0]{2}(?!\s)", " ", line)).strip()


def _spaces(line: str) -> str:
    return re.sub(r"\s+", " ", line).strip()


# --- sentences --------------------------------------------------------------------------------------------------------

ABBREVIATIONS = words(
    "dr drs pr prof mme mmes mlle mr mrs ms st ste cf ex env fig figs réf ref no nb "
    "vs i.e e.g p.ex approx resp art bd av tél tel max min dte gche hôp c.-à-d vit janv févr avr juil sept oct nov déc"
)
CLASSES = words("type stade grade classe groupe zone niveau vue incidence variante temps")
"""A capital after one of these is no initial of a name."""
LEADS_TO_NAME = words("par de avec et à chez pour du le la dr drs pr prof m mme mlle")
BOUNDARY = re.compile(r"(?<=[.!?…])[\"»)\]]*\s+(?=[\"«(\[\-–•]*[A-ZÀ-ÝŒ0-9])|\n+")


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, with their punctuation.

    A point ends a sentence only before a space and a capital or a digit, and not after an abbreviation, an initial or a lone
    number. Pieces without a word or a level (``[...]``, ``.``, ``1.``) are dropped, and so is a heading that nothing follows.

    >>> sentences("Vu par le Dr. Petit. Écart de 2.5 mm en D4-D5 ! Pas de fracture.")
    ['Vu par le Dr. Petit.', 'Écart de 2.5 mm en D4-D5 !', 'Pas de fracture.']
    """
    text = re.sub(r"(?<=[.!?])\s+\.(?=\s|$)", "", re.sub(r"\[(?:\.{3}|…)\]", " ", text))
    pieces: list[str] = []
    start = 0
    for boundary in BOUNDARY.finditer(text):
        if "\n" in boundary[0] or not _abbreviated(text[start : boundary.start()]):
            pieces.append(text[start : boundary.end()])
            start = boundary.end()
    pieces.append(text[start:])
    cleaned = (re.sub(r" \.$", ".", _spaces(piece)) for piece in pieces)
    return [
        piece
        for piece in cleaned
        if re.search(r"[^\W\d_]{2}|[^\W\d_]\d", piece) and not re.fullmatch(r"[Cc]onclusions? ?:? ?\.?", piece)
    ]


def _abbreviated(sentence: str) -> bool:
    """Whether the point that ends ``sentence`` belongs to its last word: an abbreviation or an initial (not ``type A.``)."""
    pieces = re.findall(r"[^\s(\[«'’]+", sentence)
    word = pieces[-1].removesuffix(".") if pieces and pieces[-1].endswith(".") else ""
    if re.fullmatch(r"[A-ZÀ-Ý](?:[.\-][A-ZÀ-Ý])*", word) or re.fullmatch(r"[A-ZÀ-Ý]\.-[A-ZÀ-Ý]", word):
        before = pieces[-2].rstrip(".") if len(pieces) > 1 else ""
        if before.casefold() in CLASSES:
            return False
        return word == "M" or not before or before[0].isupper() or before.casefold() in LEADS_TO_NAME
    return word.casefold() in ABBREVIATIONS or word in {"MM", "N"} or (len(word) == 1 and word.islower())
