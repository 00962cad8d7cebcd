"""Which body parts, and which side, a DICOM header or a French report speaks of, in the words of both."""

import itertools
import re
from collections.abc import Iterable

from .reports.found import any_of, plain

WORDS = {
    "HEAD": any_of(
        "skull head facial(?:_?bones)? nose nasal mandible jaw tmj orbits? sinus(?:es)?(?!_du_tarse) zygoma maxilla teeth",
        "dental crane massif_facial os_de_la_face os_propres_du_nez mandibul\\w* maxill\\w* orbit(?:e|es|aire) dentaire",
        "panoramique cavum",
    ),
    "CSPINE": "c[ -]?spine|cervical spine|(?:rachis|colonne|vertebres?|charniere) cervic\\w*|cervicalgies?|c[1-7]\\b",
    "TSPINE": (
        "[td][ -]?spine|thoracic spine|(?:rachis|colonne|vertebres?) (?:dors\\w*|thorac\\w*)|dorsalgies?|"
        "[td](?:[1-9]|1[0-2])\\b"
    ),
    "LSPINE": (
        "ls?[ -]?spine|lumbar ?(?:spine)?|lumbosacral|(?:rachis|colonne|vertebres?|charniere) (?:lomb\\w*|dorso-lomb\\w*)|"
        "lomb(?:aire|algie|o-sacre)\\w*|l[1-5]\\b|sacrum|coccyx"
    ),
    "SPINE": "(?:whole |full |w ?)?spine|rachis|colonne|scolio\\w*|vertebra\\w*",
    "CHEST": any_of("chest thorax lungs? heart poumons? pulmonaires? pleur\\w* thoraciques? cardiaque mediastin\\w*"),
    "RIBS": any_of("ribs? cotes?(?!_(?:gauche|droit|oppose)) costal(?:e|es|aux)? gril_costal sternum"),
    "CLAVICLE": any_of("clavicles? clavicul\\w* ac_?joint acromio-clavicul\\w*"),
    "SHOULDER": any_of("shoulders? epaules? scapula\\w* omoplates? gleno-humer\\w* omarthrose humer(?:us|al|ale|aux)"),
    "ARM": any_of("arm humerus humer(?:al|ale|aux) (?<!avant-)bras"),
    "ELBOW": any_of("elbows? coudes? olecran\\w* epicond\\w* epitrochle\\w* humerus radius ulna cubitus"),
    "FOREARM": any_of("forearms? avant-bras radius ulna cubitus radial(?:e|es)? ulnaires?"),
    "WRIST": any_of(
        "wrists? poignets? carp(?:e|ien|iens|ienne|iennes)? scaphoides? radius ulna radio-carp\\w* pouteau\\w* colles"
    ),
    "HAND": any_of("hands? mains? metacarp\\w* carp(?:e|ien|iens|ienne|iennes)?"),
    "FINGER": any_of("fingers? thumb doigts? pouces? annulaire auriculaire phalang\\w* rhizarthrose"),
    "PELVIS": any_of("pelvis bassin pelvi\\w* sacro-iliaque\\w* pubi\\w* ili(?:um|aques?)"),
    "HIP": any_of(
        "hips? hanches? coxo-femor\\w* coxarthrose cotyl\\w* acetabul\\w* femurs? col_femoral femoral(?:e|es)? upper_?leg"
    ),
    "FEMUR": any_of("femurs? thigh cuisses? femoral(?:e|es)? upper_?leg"),
    "KNEE": any_of(
        "knees? genoux? patell\\w* rotul\\w* femoro-tibia\\w* gonarthrose femoro-patell\\w* femurs? tibias? fibula",
        "tibial(?:e|es|aux)?",
    ),
    "LEG": any_of("(?<!upper_)(?:lower_?)?legs? jambes? tibias? tibial(?:e|es|aux)? fibulas? perones? tib_?fib mollet"),
    "ANKLE": any_of("ankles? chevilles? malleol\\w* tibio-tars\\w* talus talo-crural\\w* astragale tibias? fibulas? perones?"),
    "FOOT": any_of("foot feet pieds? avant-pied metatars\\w* tarse lisfranc hallux"),
    "HEEL": any_of("heels? calcane\\w* talons?"),
    "TOE": any_of("toes? orteils? hallux"),
    "ABDOMEN": any_of("abdomen abdomin\\w* asp kub grele colon"),
    "BREAST": any_of("breasts? seins? mammo\\w* mammaires?"),
}
"""Bones that reach from one joint to the other count for both."""
NEXT_TO = (
    "SHOULDER CLAVICLE",
    "SHOULDER ARM ELBOW FOREARM WRIST HAND FINGER",
    "LSPINE PELVIS HIP FEMUR KNEE LEG ANKLE FOOT TOE",
    "ANKLE HEEL FOOT",
    "CHEST RIBS CLAVICLE",
    "CHEST ABDOMEN PELVIS",
    "CSPINE TSPINE LSPINE",
    "RIBS TSPINE",
    "CSPINE SPINE TSPINE",
    "SPINE LSPINE",
)
"""One header may call an image of the wrist a hand: parts that follow each other in a line are not told apart."""
PATTERNS = {part: re.compile(rf"(?<![^\W\d_])(?:{pattern})(?![^\W\d_])") for part, pattern in WORDS.items()}
LEFT, RIGHT = re.compile(r"(?<!\w)(?:gauches?|left|gche?)(?!\w)"), re.compile(r"(?<!\w)(?:droite?s?|right|dte?)(?!\w)")
BOTH = re.compile(
    r"(?<!\w)(?:bilatera\w*|both|comparatif\w*|"
    r"(?:deux|2) (?:cotes|mains|poignets|coudes|epaules|hanches|genoux|chevilles|pieds))(?!\w)"
)
LETTER = re.compile(r"(?<=[a-z0-9] )(?:(?P<left>g|lt?)|(?P<right>d|rt?))(?= |$|[.,;:)])")


def body_parts(text: str) -> frozenset[str]:
    """Return the body parts that a text names, in one word for all of its synonyms.

    >>> sorted(body_parts("Radiographie du poignet droit")), sorted(body_parts("Fracture du radius"))
    (['WRIST'], ['ELBOW', 'FOREARM', 'WRIST'])
    """
    lowered = plain(text).replace("_", " ")
    found = {part for part, pattern in PATTERNS.items() if pattern.search(lowered)}
    return frozenset(found - {"SPINE"} if found & {"CSPINE", "TSPINE", "LSPINE"} else found)


def neighbours(parts: Iterable[str]) -> frozenset[str]:
    """Return the parts and those next to them."""
    parts = frozenset(parts)
    pairs = {pair for line in NEXT_TO for pair in itertools.pairwise(line.split())}
    return parts | {two for pair in pairs for one, two in (pair, pair[::-1]) if one in parts}


def sides(text: str, letters: bool = False) -> frozenset[str]:
    """Return which of ``L`` and ``R`` a text names.

    Args:
        letters: a lone D or G after a word is a side too, as in the title of an examination (``RX GENOU D``).

    >>> sorted(sides("RX GENOU G", letters=True)), sorted(sides("Coudes de face, bilatéral")), sorted(sides("Main droite."))
    (['L'], ['L', 'R'], ['R'])
    """
    lowered = plain(text).replace("_", " ")
    found = {side for side, pattern in (("L", LEFT), ("R", RIGHT)) if pattern.search(lowered)}
    if letters:
        found |= {"L" if letter["left"] else "R" for letter in LETTER.finditer(lowered)}
    return frozenset("LR" if BOTH.search(lowered) else found)
