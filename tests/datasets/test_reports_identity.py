"""Patient blocks as hospitals print them."""

import datetime

import pytest

from radsweep.datasets.reports.identity import Identity, read_identity


def test_a_block_of_two_columns_is_read() -> None:
    """Each label has the value beside it; particles stay with the surname."""
    block = (
        "Cliniques universitaires Sainte-Élisabeth\nTél. : 02 555 01 01\n"
        "Nom :   VAN DEN BROECK   N° dossier : 00123456\nPrénom :   Élodie   N° d'examen : RX2021-0034\n"
        "Née le :   12/03/1956   Date de l'examen : 4 février 2021\nNISS : 56.03.12-123.45\n"
        "Médecin prescripteur : Dr A. Lambert, Pr Le Goff"
    )
    assert read_identity(block) == Identity(
        names=("VAN DEN BROECK", "Élodie"),
        people=("A. Lambert", "Le Goff"),
        patient_id="00123456",
        accession_number="RX2021-0034",
        birth_date=datetime.date(1956, 3, 12),
        study_date=datetime.date(2021, 2, 4),
        institution="Cliniques universitaires Sainte-Élisabeth",
        identifiers=("02 555 01 01", "56.03.12-123.45"),
    )


@pytest.mark.parametrize(
    ("block", "names", "number"),
    [
        ("Patient : Mme DUPONT Marie (F), née le 12/03/1956\nDossier n° 123456", ("DUPONT", "Marie"), "123456"),
        ("NOM Prénom : DUPONT Jean-Pierre\nIPP : 8012345678", ("DUPONT", "Jean-Pierre"), "8012345678"),
        ("Patient(e) : LEFÈVRE, Anne - N° patient : P0001", ("LEFÈVRE", "Anne"), "P0001"),
        ("Nom\nDUPONT\nPrénom\nMarie\nIPP\n42", ("DUPONT", "Marie"), "42"),
        ("Concerne : Mme DURAND Zoé, née le 3 avril 1956, N° dossier/IPP : 77", ("DURAND", "Zoé"), "77"),
    ],
)
def test_blocks_differ_between_hospitals(block: str, names: tuple[str, ...], number: str) -> None:
    """One line or several, label beside or above, with or without a civility."""
    identity = read_identity(block)
    assert (identity.names, identity.patient_id) == (names, number)


def test_what_is_not_said_is_missing() -> None:
    """A text without labels has no identity; a date that does not exist is missing."""
    assert read_identity("Radiographie du genou droit.") == Identity()
    assert read_identity("Né le : 31/02/1956").birth_date is None
