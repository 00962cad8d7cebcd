"""How well the pseudonymizer hides identities, keeps medicine, and how fast it is.

``python tests/bench/pseudonymize.py [DATA] [--eponyms NAMES.json] [--hospital FOLDER]`` prints figure and bar side by side;
exit code 1 if a bar is missed. What DATA lacks is said to be skipped.

``DATA/french/phi_fr_edspseudo.jsonl`` has ``text`` and ``entities`` (start, end, label) a line; ``DATA/french/*_fr_e3c.jsonl``
have ``text`` and hold no names; NAMES is a list of eponyms, the package's own by default; FOLDER is what ``radsweep phantom``
wrote, a small hospital of this bench by default.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from radsweep.datasets.phantom.hospital import write_hospital
from radsweep.datasets.pseudonyms import Key
from radsweep.datasets.reports.eponyms import EPONYMS
from radsweep.datasets.reports.pdf import extract_text
from radsweep.datasets.reports.pseudonymize import Known, pseudonymize

KEY = Key(bytes(range(32)))
SENTENCES = (
    "Ligne de {} rompue à gauche.",
    "Selon {}, il s'agit d'un type II.",
    "Fracture type {} 3, sans déplacement.",
    "{} grade 3 au compartiment fémoro-tibial interne.",
    "Aspect évocateur d'une maladie de {} débutante.",
    "Pas de signe de {}, pas d'épanchement.",
    "L'indice de {} est mesuré à 1,1.",
    "Fracture ({} IIIA) du plateau tibial externe.",
    "Incidence de {} : interligne conservé.",
    "Arthrose stade IV de {} et {}.",
    "Séquelles de {} bilatérales ; nodules de {}.",
    "Clou de {} en place, sans descellement.",
    "SYNDROME DE {upper} CONNU.",
    "RX DU POIGNET : LIGNES DE {upper} HARMONIEUSES",
)
CONSONANTS, VOWELS, ENDS = (
    "bcdfglmnprstv",
    ("a", "e", "i", "o", "ou", "é"),
    ("rt", "ssac", "gnon", "vic", "quin", "nnec", "ska"),
)
REPORT = (
    "Nom : {family}\nPrénom : {given}\nNé(e) le : 12/03/1956\nN° de dossier : 20001376\nMédecin prescripteur : Dr "
    "{doctor}\nIndication :\nChute de sa hauteur le 3 mai 2021, douleur et impotence de la hanche droite. Antécédent "
    "de fracture de Pouteau-Colles à gauche en 2012.\nTechnique :\nRadiographie du bassin de face, de la hanche "
    "droite de face et de profil, 70 kV.\nRésultats :\nFracture cervicale vraie du fémur droit, Garden III, avec "
    "bascule en varus. Ligne de Shenton rompue. Déminéralisation osseuse diffuse. Pincement coxo-fémoral bilatéral, "
    "stade 2 de Kellgren et Lawrence. Pas de lésion lytique. Sacro-iliaques libres. Calcifications "
    "vasculaires.\nConclusion :\nFracture Garden III du col fémoral droit. Coxarthrose bilatérale modérée. "
    "Comparaison à l'examen du 14 février 2019 : apparition de la fracture.\nDr {doctor}, radiologue\nSigné "
    "électroniquement le 3 mai 2021\n"
)
"""Written for this bench."""
HISTORY = (
    "Histoire :\nPatiente de 64 ans suivie depuis 2015 pour une polyarthrite, traitée par méthotrexate 15 mg par "
    "semaine. Prothèse totale du genou gauche en 2018, sans complication. Marche avec une canne depuis six mois. Scanner "
    "du 4 mars 2021 : absence de lésion suspecte, remaniements dégénératifs étagés de L3 à S1, discopathie L4-L5 avec "
    "protrusion médiane. Densitométrie du 12/01/2021 : T-score à -2,8 au col fémoral, à -1,9 au rachis. Bilan "
    "phosphocalcique normal. La patiente vit seule et monte deux étages. Examen demandé avant reprise de la marche. Pas "
    "d'allergie connue, pas d'anticoagulant. Taille 162 cm, poids 58 kg.\n"
)
"""What makes the report above a long one."""
EITHER = "O"
"""Label of what may be hidden or not: a weekday, an employer, a title."""
WORD_NAMES = [
    "Boulanger",
    "Charpentier",
    "Lesage",
    "Poulain",
    "Chevalier",
    "Mouton",
    "Lebon",
    "Fleury",
    "Tonnelier",
    "Bouvier",
    "Pommier",
    "Laforêt",
    "Rivière",
    "Lacour",
    "Leblond",
    "Forgeron",
    "Larivière",
    "Bellemare",
    "Chauveau",
    "Tailleur",
    "Couturier",
    "Verger",
    "Deschênes",
    "Montagne",
    "Lavigne",
    "Sauvage",
    "Pasquier",
    "Cordonnier",
]
"""Family names that are words, or made of them: no list of words tells them from the rest of a report."""


def masked(text: str, known: Known | None = None, dates: bool = True) -> set[int]:
    """Return the places of letters and digits that are replaced."""
    spans = pseudonymize(text, KEY, "patient", known)[1]
    places = (range(span.start, span.end) for span in spans if dates or span.label not in {"DATE", "AGE"})
    return {place for stretch in places for place in stretch if text[place].isalnum()}


def invented(random_: random.Random, like: str) -> str:
    """Return a family name that nobody has or, one time in three, one that is a word, in the capitals of ``like``."""
    syllables = (random_.choice(CONSONANTS) + random_.choice(VOWELS) for _ in range(random_.choice((2, 2, 3))))
    name = ("".join(syllables) + random_.choice(ENDS)).capitalize()
    if random_.random() < 1 / 3:
        name = random_.choice(WORD_NAMES)
    return name.upper() if like.isupper() else name.lower() if like.islower() else name


def substituted(document: dict, seed: int) -> dict:
    """Return a gold document with every family name replaced by an invented one, the same by the same."""
    random_, names = random.Random(f"{seed}|{document['text']}"), {}
    text, entities, end = "", [], 0
    for entity in sorted(document["entities"], key=lambda entity: entity["start"]):
        old = document["text"][entity["start"] : entity["end"]]
        new = old
        if entity["label"] == "NOM" and re.search(r"[^\W\d_]{4}", old):
            new = names.setdefault(old, invented(random_, old))
        text += document["text"][end : entity["start"]]
        entities.append({**entity, "start": len(text), "end": len(text) + len(new)})
        text, end = text + new, entity["end"]
    return {"text": text + document["text"][end:], "entities": entities}


def against_gold(documents: list[dict]) -> tuple[float, float, dict[str, float]]:
    """Return full-entity recall, precision of characters, and the recall of every label."""
    found, total = Counter(), Counter()
    right = wrong = 0
    for document in documents:
        text = document["text"]
        hidden, truth = masked(text), set()
        for entity in document["entities"]:
            places = {place for place in range(entity["start"], entity["end"]) if text[place].isalnum()}
            if entity["label"] == EITHER:
                hidden -= places
            elif places:
                truth |= places
                total[entity["label"]] += 1
                found[entity["label"]] += places <= hidden
        right, wrong = right + len(hidden & truth), wrong + len(hidden - truth)
    recalls = {label: found[label] / count for label, count in sorted(total.items())}
    return found.total() / total.total(), right / (right + wrong), recalls


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def own_snippets() -> dict[str, list[dict]]:
    """Return the gold documents of ``snippets.txt``, by the title that they stand under."""
    sets: dict[str, list[dict]] = {}
    documents: list[dict] = []
    for line in Path(__file__).with_name("snippets.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("##"):
            documents = sets.setdefault(line[2:].strip(), [])
        elif not line.startswith("#"):
            text, entities, end = "", [], 0
            for mark in re.finditer(r"\[([^\]]+)\]\((\w+)\)", line):
                text += line[end : mark.start()]
                entities.append({"start": len(text), "end": len(text) + len(mark[1]), "label": mark[2]})
                text, end = text + mark[1], mark.end()
            documents.append({"text": (text + line[end:]).replace("⏎", "\n"), "entities": entities})
    return sets


def hospital(folder: Path) -> float:
    """Return the share of planted strings in a phantom hospital's reports that are replaced whole, with the header known."""
    planted: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for line in lines_of(folder / "truth" / "identities.jsonl"):
        planted[line["document"]].append((line["kind"], line["string"]))
    hidden = total = 0
    for document, identities in planted.items():
        if document.endswith(".pdf"):
            text = str(extract_text(folder / document))
            of_kind = {kind: tuple(string for name, string in identities if name == kind) for kind, _ in identities}
            known = Known(of_kind.get("name", ())[:1], of_kind.get("id", ())[:1], places=of_kind.get("institution", ()))
            places = masked(text, known)
            for _, string in set(identities):
                for match in re.finditer(re.escape(string), text):
                    total += 1
                    hidden += all(place in places for place in range(*match.span()) if text[place].isalnum())
    return hidden / total


def reports_per_second(form: str) -> float:
    """Return how many reports one core pseudonymizes, each with names of its own, in the best of five seconds of its time."""
    random_ = random.Random(0)
    reports = [
        form.format(family=invented(random_, "A"), given="Élise", doctor=f"Anne {invented(random_, 'Aa')}") for _ in range(200)
    ]
    pseudonymize(reports[0], KEY, "patient")
    rates = []
    for _ in range(5):
        start, done = time.process_time(), 0
        while time.process_time() - start < 1:
            pseudonymize(reports[done % len(reports)], KEY, str(done))
            done += 1
        rates.append(done / (time.process_time() - start))
    return max(rates)


def start_up() -> float:
    """Return the seconds that the command takes for a file of one line, the best of three."""
    times = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "one.jsonl")
        source.write_text(json.dumps({"id": 1, "text": "Mme Durand, vue le 3 mai 2021."}), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "radsweep",
            "pseudonymize",
            str(source),
            f"{source}.out",
            "--key-file",
            f"{folder}/key",
        ]
        for _ in range(3):
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            times.append(time.perf_counter() - start)
    return min(times)


def figures(arguments: argparse.Namespace) -> Iterator[tuple[str, float, float, bool]]:
    """Yield what was measured, the figure, its bar, and whether more is better."""
    data = arguments.data / "french" if arguments.data else None
    gold = data / "phi_fr_edspseudo.jsonl" if data else None
    if gold and gold.exists():
        gold = lines_of(gold)
        recall, precision, recalls = against_gold(gold)
        yield "full-entity recall, no header known", recall, 0.95, True
        yield "precision of characters", precision, 0.90, True
        print("  " + ", ".join(f"{label} {value:.3f}" for label, value in recalls.items()))
        recall, precision, _ = against_gold([substituted(document, seed) for seed in range(3) for document in gold])
        yield "full-entity recall, family names replaced by invented ones and words", recall, 0.93, True
    else:
        print("skipped: no DATA/french/phi_fr_edspseudo.jsonl")
    for title, documents in own_snippets().items():
        recall, precision, _ = against_gold(documents)
        yield f"full-entity recall, {len(documents)} {title} snippets of our own", recall, 0.93, True
        yield "precision of characters in them", precision, 0.90, True
    negatives = sorted(data.glob("*_fr_e3c.jsonl")) if data else []
    if not negatives:
        print("skipped: no DATA/french/*_fr_e3c.jsonl")
    for path in negatives:
        letters = hidden = 0
        for line in lines_of(path):
            letters += sum(letter.isalnum() for letter in line["text"])
            hidden += len(masked(line["text"], dates=False))
        yield f"share of letters hidden in {path.name}", hidden / letters, 0.003, False
    names = json.loads(arguments.eponyms.read_text(encoding="utf-8")) if arguments.eponyms else map(str.capitalize, EPONYMS)
    names = next(iter(names.values())) if isinstance(names, dict) else names
    sentences = [one.replace("{upper}", name.upper()).replace("{}", name) for name in names for one in SENTENCES]
    yield "share of eponym sentences touched", sum(bool(masked(one)) for one in sentences) / len(sentences), 0.01, False
    with tempfile.TemporaryDirectory() as folder:
        if not arguments.hospital:
            write_hospital(Path(folder, "hospital"), 30, 0, lambda *_: None)
        found = hospital(arguments.hospital or Path(folder, "hospital"))
    yield "recall on the phantom hospital, header known", found, 0.995, True
    for form in (REPORT, HISTORY + REPORT):
        yield f"reports of {len(form):,} characters per second and core", reports_per_second(form), 200, True
    yield "seconds of the command for one line", start_up(), 3, False


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--eponyms", type=Path)
    parser.add_argument("--hospital", type=Path)
    arguments = parser.parse_args()
    missed = False
    for what, figure, bar, more in figures(arguments):
        held = figure >= bar if more else figure <= bar
        missed |= not held
        print(f"{what:68} {figure:9.4f}   bar {bar:g}   {'ok' if held else 'MISSED'}", flush=True)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
