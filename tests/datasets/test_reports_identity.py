"""Patient blocks as hospitals print them."""

import datetime

import pytest

from radsweep.datasets.reports.identity import Identity, is_patient_field, read_identity


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


def test_every_number_of_the_examination_is_read() -> None:
    """Accession, order and request, printed in groups or not, and study uids wherever they stand."""
    identity = read_identity(
        "N° d'examen : RX 2021 0034   N° de demande : D-0815\nAccession number : A17 du 4/2/2021\nRéf. examen : RX 2021 0034\n"
        "Study UID 1.2.840.113619.2.55.3.2831178355.1 - tél. : 02.555.01.01"
    )
    assert identity.numbers == ("RX 2021 0034", "D-0815", "A17")
    assert (identity.accession_number, identity.other_numbers) == ("RX 2021 0034", ("D-0815", "A17"))
    assert identity.study_uids == ("1.2.840.113619.2.55.3.2831178355.1",)


def test_what_was_examined_is_read_where_a_label_says_so() -> None:
    """The value of Examen; its date is the study's where no other label has one."""
    identity = read_identity("Type d'examen : RX genou droit du 04/02/2021\nNom : DUPONT")
    assert identity.examination == ("RX genou droit du 04/02/2021",)
    assert identity.study_date == datetime.date(2021, 2, 4)
    assert read_identity("Examen : RX genou\nDate de l'examen : 05/02/2021").study_date == datetime.date(2021, 2, 5)


@pytest.mark.parametrize(
    ("line", "is_field"),
    [
        ("Nom : DUPONT", True),
        ("DUPONT Zoé, née le 2/3/1956", True),
        ("N° dossier 0042", True),
        ("Date de l'examen : 4/2/2021", True),
        ("Tél. : 02 555 01 01", False),
        ("Chef de service : Dr Petit", False),
        ("Service de radiologie", False),
        ("Examen normal.", False),
    ],
)
def test_fields_of_the_patient_are_told_from_the_letterhead(line: str, is_field: bool) -> None:
    """Who the patient is and which examination it was; telephones and physicians are of the house."""
    assert is_patient_field(line) == is_field
