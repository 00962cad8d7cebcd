"""Names that are part of the language of bones and joints: they stay, where a word before them says what they name."""

import re

from .found import plain, words

EPONYMS = frozenset(
    words(
        plain("""
Pouteau Colles Goyrand Smith Bennett Rolando Barton Monteggia Galeazzi Maisonneuve Lisfranc Chopart Jones Segond
Dupuytren Bosworth Malgaigne Tillaux Chaput Hill Sachs Bankart Jefferson Chance Salter Harris Garden Pauwels Neer
Weber Danis Lauge Hansen Schatzker Gustilo Anderson Böhler Judet Letournel Magerl Denis Kellgren Lawrence Ahlbäck
Tönnis Ficat Arlet Steinberg Catterall Herring Risser Cobb Ferguson Greulich Pyle Tanner Whitehouse Caton Deschamps
Insall Salvati Blackburne Peel Dejour Blumensaat Shenton Köhler Wiberg Hilgenreiner Perkins Méary Baumann Gilula
Schuss Rosenberg Merchant Dunn Bernageau Garth Lamy Lachman Trendelenburg Thomas Lasègue Hawkins Jobe Ortolani
Barlow Graf Paget Parkinson Scheuermann Legg Calvé Perthes Osgood Schlatter Sinding Larsen Johansson Sever Freiberg
Kienböck Preiser Haglund Morton Blount Madelung Marfan Ehlers Danlos Ollier Ewing Brodie Baker Schmorl Baastrup
Forestier Charcot Sudeck Heberden Bouchard Looser Codman Tietze Quervain Kirschner Küntscher Steinmann Ilizarov
Herbert Charnley Girdlestone Latarjet Ganz Chiari Brooker Gruen Paprosky Terry Bertolotti Castellvi Meyerding
Pfirrmann Modic Outerbridge
""")
    )
)
HEAD = re.compile(
    r"\b(?:fracture|luxation|entorse|maladie|syndrome|signe|ligne|angle|indice|index|score|stade|grade|classification|classe|type|"
    r"critere|test|manoeuvre|kyste|nodule|nevrome|osteotomie|prothese|clou|vis|broche|plaque|fixateur|incidence|cliche|methode|"
    r"atlas|lesion|encoche|deformation|articulation|ligament|tubercule|canal|hernie|doigt|main|pied|epiphysiolyse|dysplasie|"
    r"radiographie|vue|point|triangle|ligament|disease|sign|line|classification)s?\b"
)
REACH = 60
"""A name belongs to a head noun at most so many letters before it, in the same sentence."""


def eponym_places(text: str) -> set[int]:
    """Return the places of all letters of names that a head noun introduces: ``stade 2 de Kellgren et Lawrence``."""
    lowered = plain(text)
    places: set[int] = set()
    for head in HEAD.finditer(lowered):
        sentence = re.split(r"[.;\n]", lowered[head.end() : head.end() + REACH])[0]
        for word in re.finditer(r"[a-z]+", sentence):
            start, end = head.end() + word.start(), head.end() + word.end()
            if text[start].isupper() and word[0] in EPONYMS:
                places.update(range(start, end))
            elif text[start].isupper():
                break
    return places
