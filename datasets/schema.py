"""The two tables of a pairs folder, and what each column means.

``studies/*.parquet`` holds one row per study: one report and its one to n images of one patient at one visit. Image-report
pairs are *drawn* from studies while training, so single- against multi-image sampling never needs another table.
``tokens/<tokenizer>/*.parquet`` holds the same rows in the same order, one file per file of ``studies``.
"""

import pyarrow as pa

SECTIONS = ("indication", "technique", "findings", "conclusion")
SPLITS = ("train", "val", "test")

BOX = pa.struct(
    [
        *(
            pa.field(side, pa.int32(), metadata={"unit": "px of the stored image"})
            for side in ("top", "left", "bottom", "right")
        ),
        pa.field("kind", pa.string(), metadata={"about": "marker was kept, identity and text were blanked"}),
    ]
)

IMAGE = pa.struct(
    [
        pa.field("bytes", pa.binary(), metadata={"about": "PNG, 8-bit grayscale as displayed: 0 is black, bone is bright"}),
        pa.field("height", pa.int32(), metadata={"unit": "px"}),
        pa.field("width", pa.int32(), metadata={"unit": "px"}),
        pa.field("view", pa.string(), metadata={"about": "DICOM View Position (0018,5101), as written: AP, PA, LL ..."}),
        pa.field("laterality", pa.string(), metadata={"about": "L, R, B or missing"}),
        pa.field("body_part", pa.string(), metadata={"about": "DICOM Body Part Examined (0018,0015)"}),
        pa.field("boxes", pa.list_(BOX), metadata={"about": "text found in the picture; missing where nobody looked"}),
    ]
)

STUDIES = pa.schema(
    [
        pa.field("study_id", pa.string(), nullable=False, metadata={"about": "keyed pseudonym of the study"}),
        pa.field("patient_id", pa.string(), nullable=False, metadata={"about": "keyed pseudonym of the patient"}),
        pa.field("split", pa.string(), nullable=False, metadata={"about": "train, val or test; one for all of a patient"}),
        pa.field(
            "report", pa.string(), nullable=False, metadata={"about": "pseudonymized text without letterhead or signature"}
        ),
        pa.field("sections", pa.struct([pa.field(name, pa.string()) for name in SECTIONS])),
        pa.field("sentences", pa.list_(pa.string()), metadata={"about": "the report in reading order, one sentence each"}),
        pa.field(
            "report_group", pa.int64(), metadata={"about": "equal for reports that say the same: never negatives of each other"}
        ),
        pa.field("images", pa.list_(IMAGE)),
        pa.field("labels", pa.map_(pa.string(), pa.float32()), metadata={"about": "1 present, 0 absent, missing unknown"}),
        pa.field("age_months", pa.int32(), metadata={"unit": "months, at the study"}),
        pa.field("sex", pa.string(), metadata={"about": "F, M, O or missing"}),
    ]
)

TOKENS = pa.schema(
    [
        pa.field("study_id", pa.string(), nullable=False),
        pa.field("input_ids", pa.list_(pa.list_(pa.int32())), metadata={"about": "one list per sentence, no special tokens"}),
    ]
)
