"""Reading order of pieces placed by hand, as sheets of hospitals place them."""

from radsweep.datasets.reports.layout import Piece, read_lines

WIDTH, HEIGHT = 600.0, 800.0


def piece(text: str, left: float, top: float, width: float | None = None) -> Piece:
    """10 points high, 5 points a letter."""
    return Piece(text, left, top - 10, left + (width or 5 * len(text)), top)


def column(texts: list[str], left: float, top: float, leading: float = 14) -> list[Piece]:
    return [piece(text, left, top - leading * i) for i, text in enumerate(texts)]


def read(pieces: list[Piece]) -> list[str]:
    return [line.text for line in read_lines(pieces, WIDTH, HEIGHT)]


LEFT = ["Pincement de l'interligne fémoro-", "tibial médial, sans épanchement.", "Rotule centrée dans sa gorge.",
        "Pas de lésion osseuse suspecte.", "Parties molles sans anomalie."]  # fmt: skip
RIGHT = ["Conclusion : gonarthrose débutante", "du compartiment médial gauche.", "Contrôle clinique conseillé.",
         "Pas d'indication opératoire.", "Résultat remis au patient."]  # fmt: skip


def test_two_columns_are_read_one_after_the_other() -> None:
    """Text in two columns is read down the left one first, whether their lines stand level or not, between full lines."""
    title = piece("RADIOGRAPHIE DU GENOU GAUCHE DU 4 FÉVRIER 2021, SERVICE DU PROFESSEUR", 50, 760, 480)
    end = piece("Texte sur toute la largeur de la page, qui vient après les deux colonnes.", 50, 500, 480)
    for shift in (0, 5):
        pieces = [end, *column(RIGHT, 320, 700 - shift), title, *column(LEFT, 50, 700)]
        assert read(pieces) == [title.text, *LEFT, *RIGHT, end.text]


def test_a_longer_column_is_read_to_its_end() -> None:
    """What stands below the end of the right column still belongs to the left one, and comes before it."""
    more = [*LEFT, "Sixième ligne à gauche.", "Septième ligne à gauche.", "Huitième ligne."]
    assert read(column(more, 50, 700) + column(RIGHT, 320, 700)) == [*more, *RIGHT]


def test_fields_and_tables_are_read_row_by_row() -> None:
    """Labels with their values, headings with their texts, and measurements stay on their line."""
    labels = ["Nom :", "Prénom :", "Né le :", "IPP :", "Sexe :"]
    values = ["DUPONT-LAJOIE DE LA TOUR", "Marie-Antoinette Éléonore", "vendredi 12 mars 1956", "800012345678", "F"]
    rows = [f"{label}   {value}" for label, value in zip(labels, values, strict=True)]
    assert read(column(labels, 50, 700) + column(values, 250, 700)) == rows
    angles = ["Angle de Cobb thoracique", "Angle de Cobb lombaire", "Bascule du bassin", "Flèche en C7", "Flèche en L3"]
    degrees = ["12°", "8°", "4 mm", "30 mm", "22 mm"]
    rows = [f"{angle}   {degree}" for angle, degree in zip(angles, degrees, strict=True)]
    assert read(column(angles, 50, 700) + column(degrees, 400, 700)) == rows
    headings = ["Indication", "Technique", "Résultats", "Conclusion"]
    texts = ["Douleur du genou gauche depuis trois mois", "Clichés de face et de profil en charge", *LEFT[2:4]]
    rows = [f"{heading}   {text}" for heading, text in zip(headings, texts, strict=True)]
    assert read(column(headings, 50, 700) + column(texts, 200, 700)) == rows


def test_a_narrow_column_beside_the_text_is_a_sidebar() -> None:
    """The list of a service's physicians is not mixed into the text beside it, and is marked."""
    names = ["Chef de service", "Dr Jean Petit", "Médecins", "Dr Luc Roy", "Dr Anne Blanc", "Secrétariat"]
    text = [f"Ligne {i} d'un texte qui remplit toute la largeur de la feuille à côté" for i in range(12)]
    lines = read_lines(column(names, 30, 705, 24) + column(text, 180, 700), WIDTH, HEIGHT)
    assert [line.text for line in lines] == [*names, *text]
    assert [line.in_sidebar for line in lines] == [True] * 6 + [False] * 12


def test_words_of_a_tilted_line_stay_on_it() -> None:
    """Words that climb by one point each, as on a scan half a degree askew, make one line; so do small marks."""
    words = ["Pas", "de", "fracture", "-", "visible", "au", "poignet", "droit."]
    left, pieces = 50.0, []
    for i, word in enumerate(words):
        pieces.append(Piece(word, left, 690.0 + i, left + 5 * len(word), 700.0 + i))
        left += 5 * len(word) + 3
    below = column(["Ligne suivante."], 50, 684)
    assert read(below + pieces) == [" ".join(words), "Ligne suivante."]


def test_heights_are_shares_from_the_top() -> None:
    """A line whose middle is a quarter down the page is at 0.25."""
    (line,) = read_lines([Piece("x", 0, 595, 10, 605)], WIDTH, HEIGHT)
    assert line.y == 0.25
