"""The planted effects: which arm of which axis must win for which finding, and why.

Labels are those of ``sweeps/questions/demo.py`` and ``joint.py``; where several arms see a finding, all are named. An ablation
of the phantom hospital that does not find them is too weak, or wrong.
"""

EFFECTS = (
    {
        "finding": "hairline_fracture",
        "axis": "image.resolution",
        "better": "128",
        "reason": "A hairline fracture is dark lines less than three pixels wide between bright ones, at 256 px: averaged to "
        "64 px, almost nothing of it is left.",
    },
    {
        "finding": "effusion",
        "axis": "data.sampling.images",
        "better": ["all", "one", "pooled"],
        "reason": "An effusion shows in the lateral view only: the first image of a study, a frontal one, never shows it. "
        "Every other way to draw images meets lateral ones.",
    },
    {
        "finding": "enostosis",
        "axis": "text",
        "better": "tiny-fr",
        "reason": "The French vocabulary keeps the word énostose whole; to the other one it is the same unknown token as the "
        "all-clear that stands in its place.",
    },
)
