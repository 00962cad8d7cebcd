"""Made-up values that stand for what was found, chosen by the key: the same value of a patient has the same stand-in.

The lists are short, hand-written and of common names: a stand-in is the name of nobody in particular.
"""

import re
from collections.abc import Sequence

from ..pseudonyms import Key
from .found import plain, words
from .lists import family_names, given_names

FAMILY = words("""
Adam Aubert Bailly Baron Benoit Berger Bertin Blanc Bonnet Boucher Bourgeois Boyer Brun Carlier Caron Charlier
Claes Clement Collard Colin Cools Dejong Delcourt Delvaux Denis Deschamps Dubois Dumont Dupuis Durand Duval Fabre
Faure Fontaine Fournier Garnier Gautier Gerard Germain Gillet Girard Goossens Guerin Henry Hubert Humblet Jacobs
Jacquet Janssens Joly Lacroix Lambert Laurent Lebrun Leclercq Lecomte Lefebvre Legrand Lejeune Lemaire Lemoine
Leroy Leveque Lombard Maes Marchal Marchand Masson Mathieu Mercier Mertens Meunier Michaux Michel Moreau Morel
Moulin Navarre Noel Oger Parmentier Peeters Perrin Petit Picard Pierret Poirier Prevost Regnier Renard Renaud Robin
Roche Roland Rousseau Roux Rolin Servais Simonet Thiry Urbain Valentin Vasseur Verhaegen Vidal Vincent Wauters
Willems
""")
WOMEN = words("""
Adèle Agathe Agnès Alexandra Alice Aline Amandine Anaïs Andrée Anne Annick Audrey Aurélie Béatrice Bernadette
Brigitte Camille Carine Caroline Catherine Cécile Céline Chantal Charlotte Chloé Christelle Christiane Christine
Claire Clara Claudine Clémence Colette Coralie Danielle Delphine Denise Dominique Édith Éléonore Éliane Élisabeth
Élise Élodie Émilie Emma Estelle Éva Fabienne Fanny Florence France Françoise Gabrielle Geneviève Georgette
Germaine Gisèle Hélène Henriette Inès Ingrid Irène Isabelle Jacqueline Janine Jeanne Jeannine Joëlle Josiane Julie
Juliette Justine Karine Laetitia Laura Laure Laurence Léa Liliane Lise Louise Lucie Lucienne Lydie Madeleine Magali
Manon Marguerite Maria Marianne Marie Marine Marion Marthe Martine Mathilde Mélanie Michèle Micheline Mireille
Monique Muriel Myriam Nadia Nadine Nathalie Nicole Noémie Odette Odile Olivia Pascale Patricia Paulette Pauline
Raymonde Renée Rolande Romane Rosalie Sabine Sabrina Sandra Sandrine Sarah Séverine Simone Solange Sonia Sophie
Stéphanie Suzanne Sylvie Thérèse Valérie Véronique Victoria Virginie Viviane Yolande Yvette Yvonne Zoé Fatima
Samira Aïcha Khadija Leïla Yasmina Nora Amina Naïma Zineb Rania Malika Ana Rosa Lucia Carla Elena Giulia Chiara
Roberta Lola Jade Lily Manuela Conchita Carmen Ines Mia Lina Ambre Alix Maëlle Maëva Morgane Laëtitia Solène
Félicia Mirella Rosette Anastasie
""")
MEN = words("""
Achille Adrien Alain Albert Alexandre Alexis Alfred Amaury André Antoine Armand Arnaud Arthur Aurélien Baptiste
Bastien Benjamin Benoît Bernard Bertrand Bruno Cédric Charles Christian Christophe Claude Clément Corentin Cyril
Damien Daniel David Denis Didier Édouard Émile Emmanuel Éric Ernest Étienne Eugène Fabien Fabrice Félix Fernand
Francis Franck François Frédéric Gabriel Gaël Gaston Geoffrey Georges Gérald Gérard Germain Ghislain Gilbert Gilles
Grégory Guillaume Gustave Guy Henri Hervé Hubert Hugo Jacques Jean Jérémy Jérôme Joël Jonathan Joseph Jules Julien
Kévin Laurent Léon Léonard Lionel Loïc Louis Luc Lucas Lucien Marc Marcel Martin Mathieu Maurice Maxime Michel
Nathan Nicolas Noël Olivier Pascal Patrice Patrick Paul Philippe Pierre Quentin Raphaël Raymond Rémi Renaud René
Richard Robert Roger Roland Romain Samuel Sébastien Serge Simon Stéphane Sylvain Théo Théodore Thibaud Thierry
Thomas Timothée Tristan Valentin Victor Vincent Xavier Yann Yves Yvan Mohamed Ahmed Karim Youssef Mehdi Rachid Ali
Hassan Ibrahim Omar Samir Yassine Amadou Mamadou Antonio Carlos Giovanni Giuseppe José Juan Luigi Manuel Marco
Mario Paolo Pedro Roberto Salvatore Leonardo Anthony Dylan Enzo Jason Jordan Kevin Max Ryan Steven Tom Axel Barnabé
Aimé Florian Ludovic
""")
STREETS = (
    "rue des Lilas",
    "rue du Moulin",
    "rue de la Fontaine",
    "avenue des Tilleuls",
    "rue des Écoles",
    "place du Marché",
    "chemin des Prés",
    "rue Haute",
    "boulevard du Nord",
    "rue des Jardins",
    "allée des Peupliers",
    "rue de la Chapelle",
)
CITIES = words("""
Paris Marseille Lyon Toulouse Nice Nantes Montpellier Strasbourg Bordeaux Lille Rennes Reims Toulon Grenoble Dijon
Angers Nîmes Villeurbanne Clermont-Ferrand Brest Limoges Tours Amiens Perpignan Metz Besançon Orléans Rouen
Mulhouse Caen Nancy Argenteuil Montreuil Roubaix Tourcoing Avignon Dunkerque Poitiers Versailles Créteil Pau
Vitry-sur-Seine Colombes Courbevoie Cherbourg Béziers Calais Bourges Cannes Valence Chambéry Troyes Quimper Lorient
Niort Villejuif Vincennes Bobigny Colmar Beauvais Bruxelles Anvers Gand Charleroi Liège Bruges Namur Louvain Mons
Malines Alost Courtrai Hasselt Ostende Tournai Genk Seraing Mouscron Verviers Louvain-la-Neuve Wavre Ottignies
Nivelles Waterloo Uccle Ixelles Schaerbeek Etterbeek Anderlecht Woluwe Arlon Bastogne Dinant Huy Herstal Genève
Lausanne Fribourg Neuchâtel Sion Luxembourg Esch-sur-Alzette Montréal Québec
""")
TOWNS = ("Beaulieu", "Villeneuve", "Neufchâteau", "Montigny", "Hauterive", "Clairefontaine", "Rochefort", "Fontenay")
POSTCODES = {4: "1000", 5: "10000"}
HOSPITALS = ("Saint-Martin", "Sainte-Anne", "des Tilleuls", "du Parc", "Saint-Joseph", "de la Vallée", "Notre-Dame", "du Lac")


FEMALE = frozenset(map(plain, WOMEN))
GIVEN = FEMALE | frozenset(map(plain, MEN))


def name_for(name: str, key: Key, patient: str) -> str:
    """Return a made-up name: each word has its own stand-in, so that order, repetition and capitals stay as they were."""
    return re.sub(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*", lambda found: _word(found[0], key, patient), name)


def _word(word: str, key: Key, patient: str) -> str:
    seen = plain(word)
    if seen in {"de", "du", "des", "la", "le", "van", "den", "der", "von", "et", "dr", "docteur", "mme", "m", "pr"}:
        return word
    domain, value = "name", f"{patient}|{seen}"
    if len(word) == 1:
        return key.choose(domain, value, "ABCDEFGHJLMNPRSTV")
    first = re.split("[- ]", seen)[0]
    names = FAMILY if not (sex := sex_of(first)) else WOMEN if sex == "F" else MEN
    chosen = other_than(word, key, domain, value, names)
    return cased_as(word, chosen)


def cased_as(model: str, word: str) -> str:
    """Return ``word`` in capitals, small letters or with one capital, as ``model`` is."""
    return word.upper() if model.isupper() else word.lower() if model.islower() else word[:1].upper() + word[1:]


def sex_of(given: str) -> str:
    """Return ``F`` or ``M`` for a first name in plain letters, an empty text for any other word."""
    if given in GIVEN:
        return "F" if given in FEMALE else "M"
    known = "" if given in family_names() else given_names().get(given, "")
    return known if len(known) == 1 else ""


def other_than(original: str, key: Key, domain: str, value: str, options: Sequence[str]) -> str:
    """Return one of ``options``, never the original itself."""
    chosen = key.choose(domain, value, options)
    if plain(chosen) != plain(original):
        return chosen
    return key.choose(domain, value, [option for option in options if option != chosen])


def digits_for(text: str, key: Key, patient: str) -> str:
    """Return other digits and letters in the same shape; a leading 0 or + code stays, so that a telephone still is one."""
    stream = key.digest("digits", f"{patient}|{re.sub(r'[^0-9A-Za-z]', '', text)}") * (1 + len(text) // 32)
    changed = []
    for place, (letter, random) in enumerate(zip(text, stream, strict=False)):
        if letter.isdigit():
            changed.append(letter if place == 0 and letter == "0" else str(random % 10))
        elif letter.isalpha():
            changed.append(chr((ord("A") if letter.isupper() else ord("a")) + random % 26))
        else:
            changed.append(letter)
    return "".join(changed)


def place_for(text: str, key: Key, patient: str) -> str:
    """Return a made-up town, with a postcode where there was one."""
    town = key.choose("town", f"{patient}|{plain(re.sub(r'[^A-Za-zÀ-ÿ]', '', text))}", TOWNS)
    code = re.search(r"\d{4,5}", text)
    if code is None and re.search(r"\d", text):
        return digits_for(text, key, patient)
    if code is None:
        return town.upper() if text.isupper() else town
    rest = re.search(r"[^\W\d_]{2}", text)
    return f"{POSTCODES[len(code[0])]} {town}" if rest else POSTCODES[len(code[0])]


def address_for(text: str, key: Key, patient: str) -> str:
    """Return a made-up street, with a number where there was one."""
    value = f"{patient}|{plain(text)}"
    street = key.choose("street", value, STREETS)
    return f"{1 + int(98 * key.fraction('house', value))} {street}" if re.search(r"\d", text) else street
