"""PDF reports of one house on their way to pairing: what is cut, and what is known of the patient after it."""

from collections.abc import Callable
from pathlib import Path

from radsweep.datasets.gather import gather_reports
from radsweep.datasets.reports.furniture import letter_of
from radsweep.datasets.reports.pdf import read_pdf
from radsweep.datasets.reports.sections import parse

NAMES = ("DUPONT Zoé", "LEFÈVRE Anne", "ROY Élodie", "NOËL Théo", "PETIT Luc")


def two_pages(name: str, number: int) -> list[str]:
    """Letterhead and field of the name on the first page; the number of the examination in the header of the second alone."""
    return [
        "Clinique du Lac",
        "Service de radiologie",
        f"Nom Prénom : {name}",
        f"Date de l'examen : 0{number + 1}/02/2021",
        f"RADIOGRAPHIE DU GENOU {'DROIT' if number % 2 else 'GAUCHE'}",
        "Résultats :",
        "Examen normal.",
        "\f",
        f"Clinique du Lac - {name} - N° d'examen : RX-00{number}",
        "Conclusion :",
        "Examen normal, sans épan-",
        "chement.",
        "Dr Jean Blanc",
    ]


def test_furniture_is_cut_and_identities_in_it_are_known(tmp_path: Path, make_pdf: Callable[..., Path]) -> None:
    """The number in the running header reaches pairing, and neither it nor a name reaches the body."""
    paths = [make_pdf(tmp_path / f"{i}.pdf", two_pages(name, i)) for i, name in enumerate(NAMES)]
    reports = {
        entry.path: (text, entry) for text, entry in gather_reports([(str(path), letter_of(read_pdf(path))) for path in paths])
    }
    for i, path in enumerate(paths):
        text, entry = reports[str(path)]
        title = f"RADIOGRAPHIE DU GENOU {'DROIT' if i % 2 else 'GAUCHE'}"
        assert parse(text).body == f"{title}\nExamen normal.\nExamen normal, sans épanchement."
        assert entry.title == title
        assert entry.identity.numbers == (f"RX-00{i}",)
        assert entry.identity.names == tuple(NAMES[i].split())
        assert entry.identity.institution == "Clinique du Lac"
        assert f"RX-00{i}" not in text
        assert (entry.parts, entry.sides) == ({"KNEE"}, {"R" if i % 2 else "L"})
        assert entry.day is not None
        assert entry.day.day == i + 1
