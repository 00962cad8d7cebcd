"""Names that are part of the language of bones and joints: they stay, where a word before them says what they name."""

import re

from .found import plain, words

EPONYMS = frozenset(
    words(
        plain("""
Ahlbäck Akin Albers Albright Anderson Annonier Arlet Arnold Austin Baastrup Bado Baker Bankart Barlow Barton Baumann
Bechterew Bennett Bernageau Berridge Bertolotti Blackburne Blount Blumensaat Boehler Bosworth Bouchard Bowman Brailsford
Bristow Brodie Brooker Brostrom Broström Burgess Böhler Calvé Camurati Carpentier Castellvi Caton Catterall Chance
Chaput Charcot Charnley Cheney Chiari Chopart Christian Clark Cobb Codman Colles Cotrel Curtis Danis Danlos DeLee Dega
Dejour Denis Deschamps Destot Dial Dietrich Djian Dubousset Dunn Dupuytren Duverney D'Alonzo Effendi Ehlers Ender
Engelmann Erdheim Essex Evans Ewen Ewing Fairbank Feil Ferguson Ficat Fielding Fleischer Forestier Fowler Freiberg
Frykman Galeazzi Ganz Garden Gardner Garth Gartland Gerdy Gilula Girdlestone Gissane Glasgow Gorham Gosselin Goyrand
Graf Grashey Greulich Gruen Gustilo Guyon Haglund Hahn Hajdu Hand Hangman Hansen Hardinge Harrington Harris Hauser
Hawkins Heberden Herbert Herring Hilgenreiner Hill Hoffa Hoffmann Holland Holstein Hume Hutchinson Ilizarov Insall
Iselin Jaccoud Jefferson Jobe Johansson Jones Judet Kayser Keller Kellgren Kienbock Kienböck Kirschner Kite Klein
Klippel Kuntscher Köhler Küntscher Lachman Lagrange Lamy Larsen Lasègue Latarjet Lauge Lawrence Legg Lequesne Letournel
Lewis Lisfranc Lister Lobstein Looser Lopresti Luque Luschka Löwenstein Madelung Maffucci Magerl Maisonneuve Malgaigne
Maquet Marfan Mason Mayfield McLaughlin McMurray Meary Merchant Meyerding Mikulicz Milkman Modic Monteggia Moore Morrey
Morton Mouchet Méary Neer O'Brien Ollier Ombredanne Ortolani Osgood Outerbridge Paget Panner Paprosky Park Parkinson
Patrick Pauwels Pearson Peel Pellegrini Perkins Perthes Pfirrmann Pipkin Pott Pouteau Preiser Putti Pyle Quervain
Ratingen Regan Rigault Risser Rolando Rosenberg Rush Sachs Salter Salvati Sanders Scarf Schanz Schatzker Scheuermann
Schlatter Schmorl Schober Schuss Schüller Schönberg Scott Segond Sever Severin Sharp Shenton Simpson Sinding Smith
Southwick Sprengel Steinberg Steinbrocker Steinmann Stener Stieda Still Stryker Sudeck Sèze Tanner Terry Thiemann Thomas
Thompson Thurston Tietze Tile Tillaux Tinel Trendelenburg Trillat Tönnis Tscherne Volkmann Wagstaffe Waldenström Weber
Weil Whitehouse Wiberg Young
""")
    )
)
HEAD = re.compile(
    r"\b(?:fracture|luxation|entorse|maladie|syndrome|signe|ligne|angle|indice|index|score|stade|grade|classification|classe|type|"
    r"critere|test|manoeuvre|kyste|nodule|nevrome|osteotomie|prothese|clou|vis|broche|plaque|fixateur|incidence|methode|"
    r"atlas|lesion|encoche|deformation|articulation|ligament|tubercule|canal|hernie|epiphysiolyse|dysplasie|triangle|disease|sign|"
    r"line)s?\b"
)
"""Not what every patient has: ``main de Thomas`` and ``radiographie de Thomas`` speak of a person."""
BETWEEN = re.compile(r"(?:[ \-/(&']|(?:de|du|des|d|la|le|l|et|ou|\d+[a-d]?|[a-divx]{1,5}(?= (?:de|et) | d'))(?![a-z]))+")
"""In plain letters: all that stands between a head and its name, and between one name and the next."""
NAME = re.compile(r"[a-z]+")


def eponym_places(text: str) -> set[int]:
    """Return the places of all letters from a head noun to the last name after it: ``stade 2 de Kellgren et Lawrence``."""
    lowered = plain(text)
    places: set[int] = set()
    for head in HEAD.finditer(lowered):
        end = head.end()
        while (gap := BETWEEN.match(lowered, end)) and (name := NAME.match(lowered, gap.end())) and name[0] in EPONYMS:
            end = name.end()
        places.update(range(head.end(), end))
    return places
