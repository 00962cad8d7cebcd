"""What a word of a report could be: one letter for its kind.

Kinds of small words: p particle, g first name, n word that French does not know, f word that is a family name too, w other.
With a capital: q particle, G first name (F where it can be nothing else), K first name that is a word too, V family name that
is a word too, N word that French does not know, L town (Y a large one), E eponym, X product, M medical word, A short unknown
word in capitals, B other word in capitals, C other word.
However written: T title, R role, k kin, v "signé" or another thing that people do, P "par" or "chez", @ "à" or "vers", + "et",
c "avec" or "pour", s "selon", h "signe" or another thing that has eponyms, H kind of house, b bed.
"""

import functools
import re

from .eponyms import EPONYMS
from .found import any_of, plain, words
from .lists import family_names, given_names, towns, vocabulary
from .surrogates import CITIES, GIVEN

PARTICLES = frozenset(
    words("de du des d da do di van der den ter ten von vande vanden vander le la el al ait ben bin abou mac dos")
)
TITLES = frozenset(
    words(
        "dr drs dre docteur docteurs pr prof professeur professeure m mm mr mme mmes mlle mrs ms monsieur madame "
        "mademoiselle messieurs mesdames maitre"
    )
)
ASKED = frozenset(words("contacter joindre prevenir rappeler appeler consulter revoir recontacter cf"))
"""Verbs whose object is somebody: they announce a name as a role does."""
ROLES = re.compile(
    any_of(
        r"internes? externes? medecins? prescripteurs? prescriptrice psychologue infirmier[es]* secretaires?",
        r"radiologues? operat(?:eur|rice) manip\w* technologue referente? correspondant destinataires? contact",
        r"chirurgiens? anesthesiste aides? kine\w* sage-femme dieteticien\w* ergotherapeute orthophoniste podologue",
        r"pharmacien\w* cardiologue rhumatologue orthopediste pediatre geriatre neurologue urologue nephrologue",
        r"oncologue traumatologue urgentiste ostheopathe presente?s? signataires? redact(?:eur|rice) demandeur",
        r"consultante? assistante? cadre brancardier aide-soignant\w* patiente? enfant bebe nourrisson malade",
        r"bonjour bonsoir cher chere merci cordialement tuteur tutrice ide as cabinet noms? prenoms? identite usage",
        r"seniors? juniors? naissance nee? ibode iade merm idec? idel cca phc preleveu(?:r|se) (?:re)?lecteur auteur valideur",
    )
)
"""What people do, and what announces a name in a form."""
KIN = re.compile(
    any_of(
        r"peres? meres? parents epoux epouse mari femme conjointe? compagne compagnon fils filles? freres? s(?:oe)?urs?",
        r"oncle tante neveu niece cousine? voisine? amie? marraine parrain grand-\w+ petite?s?-\w+ beau-\w+ belle-\w+",
        r"jumeau jumelle veuve veuf familles?",
    )
)
"""What people are to each other."""
HOUSES = re.compile(
    any_of(
        r"hopita(?:l|ux) hop cliniques? polyclinique chu chr chru chi chc ch gh ghu hia az uz hegp urgences maternite",
        r"centres? institut ehpad services? unite departement pole residence foyer labos? laboratoires? crf ssr mrs",
        r"reeducation imagerie radiologie pharmacie hospitalier hospitaliere universitaire convalescence dispensaire",
        r"policlinique site pmi csapa mdph cmp cmpp camsp had hdj samu smur mairie cabinets fondation orthopedie pediatrie",
        r"cancerologie dialyse",
    )
)
"""What an institution, or a part of it, is."""
THINGS = re.compile(
    any_of(
        r"fractures? luxations? maladies? syndromes? signes? lignes? angles? indices? index scores? stades? grades?",
        r"niveaux? classifications? classes? criteres? tests? manoeuvres? kystes? nodules? osteotomies? protheses?",
        r"clous? vis broches? plaques? methodes? anneaux? lesions? deformations? facteurs? incidences? echelles?",
        r"operations? interventions? techniques? procedes? triade reaction serologies? serodiagnostic coloration",
        r"bacilles? corps espaces? trous? sequelles anses? tumeurs? sarcomes? fibre rapport lambeau membranes?",
        r"drains? lames?",
    )
)
"""What bears the name of the physician who described it."""
DOINGS = re.compile(
    any_of(
        r"vue?s?$ vient$ opere realis sign valid edit demand adress suivie?s?$ dict examine revue?s?$ prescri",
        r"recue?s?$ preleve redig saisi imprim transmis envoy relue?s?$ lue?s?$ interpret accompagn appele evalue",
        r"generee?s?$ tapee?s?$ dactylographie consult pose hospitalis pris prise$ ecrit confie assiste pratique effectue",
        r"etabli remis",
    )
)
"""Beginnings of participles after which "par" announces a person; with ``$`` whole words."""
MEDICAL = re.compile(
    r"(?:cardio|neuro|rhino|oto-|gastro|osteo|hepat|nephro|pneumo|dermat|immuno|thromb|chondro|enthes|spondyl|arthr|electro|hemo|hyper|hypo|micro|"
    r"macro|biolog|bioana|biochim|radio|echo|trans|inter|multi|fibr|calcan|lympho|leuc|angio|myelo|uro).{4,}|"
    r".{3,}(?:logie|graphie|scopie|tomie|therapie|pathie|plastie|algie|ite|ites|ose|oses|isme|ique|iques|oide|oides|ectasie|"
    r"mycine|cilline|xacine|prazole|sartan|statine|zepam|olol|parine|xaban|tinib|umab|imab|pril|cept|dipine|azole|cycline|dronate|"
    r"coccus|coques?|bacter|bacterium|monas|myces)|hemi"
)
CAMEL = re.compile(r"^(?!Mc|Mac|De|Di|Du|Le|La|Van|Saint|El)[A-Z]?[a-zà-ÿ]+[A-Z]")
"""GenExpert, EndNote: a capital within a word, other than in McBride or LeGoff."""
FIRST_SIGHT = 4
"""Unknown words in capitals of so few letters are abbreviations, unless a first name, an initial or a title says otherwise."""
GRADE = re.compile("[IVX]{1,4}[a-dA-D]?")
"""IIb, III, IVA."""
LARGE_TOWNS = frozenset(map(plain, CITIES)) - EPONYMS - GIVEN - frozenset(words("nice tours angers pau valence sion gand mons"))
"""Towns that are known without a word before them; those that are words too are not."""
PRODUCTS = frozenset(
    words("""
siemens philips toshiba canon hitachi fujifilm carestream agfa samsung hologic esaote shimadzu planmed medtronic stryker
zimmer biomet depuy smith nephew johnson synthes tornier mathys lima aesculap braun arthrex corail pinnacle magnetom signa
achieva ingenia aquilion somatom lightspeed optima discovery lunar prodigy gamma targon endobutton tightrope dotarem
gadovist iomeron visipaque omnipaque xenetix lipiodol technescan telebrix hexabrix ultravist clariscan doliprane dafalgan
efferalgan lovenox innohep fragmine arixtra eliquis xarelto pradaxa previscan coumadine kardegic aspegic plavix tramadol
topalgic contramal acupan skenan oramorph oxynorm oxycontin actiskenan lyrica neurontin rivotril xanax lexomil seresta
temesta valium stilnox imovane mopral inexium inipomp augmentin rocephine tazocilline ciflox tavanic oflocet bactrim flagyl
vancocine targocid amiklin orbenine bristopen pyostacine dalacine zyvoxid rifadine profenid voltarene celebrex ketum apranax
brufen advil spasfon vogalene primperan zophren debridat gaviscon lasix aldactone amlor coversyl triatec tahor crestor zocor
metformine glucophage diamicron januvia lantus novorapid humalog levothyrox euthyrox solumedrol cortancyl solupred medrol
diprostene altim hexatrione kenacort celestene methotrexate imeth humira enbrel remicade roactemra orencia mabthera prolia
forsteo aclasta actonel fosamax bonviva evista calcidose cacit uvedose zymad orocal speciafoldine tardyferon deroxat
seroplex zoloft prozac effexor cymbalta laroxyl anafranil risperdal zyprexa haldol loxapac tercian theralene atarax keppra
depakine tegretol lamictal sinemet modopar aricept exelon ebixa ventoline seretide symbicort spiriva bricanyl atrovent
prevenar pneumovax revaxis infanrix boostrix engerix gardasil synacthen thyrogen iobitridol ioversol google scholar pubmed
coca cola facebook whatsapp doctolib iphone excel word windows aphp escherichia coli staphylococcus streptococcus klebsiella
pseudomonas enterococcus proteus candida aspergillus borrelia haemophilus influenzae brucella salmonella listeria
mycobacterium clostridium kingella kingae bartonella aureus doppler hounsfield rachis kyste matrix pixel lyme crohn horton
sjogren gougerot guillain barre tooth alzheimer basedow hashimoto addison cushing raynaud hodgkin waldenstrom bence wegener
churg strauss takayasu behcet whipple wilson still felty reiter turner klinefelter fahr arnold wegener hirschsprung meckel
vater zollinger ellison mallory weiss douglas scarpa hunter gunther kaposi burkitt glasgow apgar child pugh karnofsky norton
braden barthel katz folstein los angeles
""")
)
"""Names of things: makers, implants, drugs, germs, and eponyms outside the bones."""


@functools.cache
def ambiguous() -> frozenset[str]:
    """Return first names that stand alone for nobody: they are also family names, towns, words, or a country."""
    return ((family_names() | towns()) - GIVEN) | vocabulary() | {"france"}


@functools.lru_cache(maxsize=1 << 16)
def kind_of(word: str) -> str:
    """Return the letter of a word; see the first lines of this module."""
    seen = plain(word).replace("œ", "oe").partition("(")[0]
    if seen in TITLES or word == "Me":
        return "T"
    if seen in PARTICLES:
        return "q" if word[0].isupper() else "p"
    if seen in {"selon", "type", "dit", "dite"}:
        return "s"
    if seen in {"chambre", "lit", "box"}:
        return "b"
    if HOUSES.fullmatch(seen):
        return "H"
    if THINGS.fullmatch(seen):
        return "h"
    if (
        not word[0].isupper() or word.isupper() or word.endswith(("é", "ée", "és", "ées", "u", "ue", "us", "ues"))
    ) and DOINGS.match(seen):
        return "v"
    if word in {"à", "À", "vers"}:
        return "@"
    if seen in {"par", "chez"}:
        return "P"
    if seen == "et":
        return "+"
    if KIN.fullmatch(seen):
        return "k"
    if seen in ASKED or ROLES.fullmatch(seen):
        return "R"
    if seen in {"avec", "pour"}:
        return "c"
    if not word[0].isupper():
        if seen in vocabulary():
            return "f" if seen in family_names() else "w"
        if len(seen) < 4 or MEDICAL.fullmatch(seen) or seen in EPONYMS:
            return "w"
        return "g" if seen in given_names() else "n"
    if GRADE.fullmatch(word):
        return "M"
    parts = re.split("['-]", seen)
    if seen in LARGE_TOWNS:
        return "Y"
    if all(part in EPONYMS or part in PARTICLES for part in parts):
        return "E"
    if not PRODUCTS.isdisjoint(parts) or CAMEL.search(word):
        return "X"
    medical = MEDICAL.fullmatch(seen) is not None
    known = [part for part in parts if len(part) < 3 or part in vocabulary() or MEDICAL.fullmatch(part)]
    if parts[0] in GIVEN or (
        seen not in vocabulary() and parts[0] in given_names() and len(seen) > 3 and parts[0] not in known and not medical
    ):
        if parts[0] not in GIVEN and word.isupper() and len(word) <= FIRST_SIGHT:
            return "A"
        double = len(parts) > 1 and given_names().keys() >= set(parts)
        return "F" if not word.isupper() and (double or parts[0] not in ambiguous()) and len(seen) > 3 else "G"
    if seen in vocabulary() or len(known) == len(parts) or medical:
        if seen in given_names() and len(seen) > 3 and not medical and parts[0] not in PRODUCTS:
            return "K"
        return (
            "M"
            if medical or (len(seen) < 4 and (word.isupper() or seen not in family_names()))
            else "V"
            if seen in family_names()
            else "B"
            if word.isupper()
            else "C"
        )
    if word.isupper() and (len(word) <= FIRST_SIGHT or not re.search("[aeiouy]", seen)):
        return "A"
    if seen in towns() and len(seen) > 3:
        return "N" if seen in family_names() else "L"
    return "N" if len(word) > 2 else "A"
