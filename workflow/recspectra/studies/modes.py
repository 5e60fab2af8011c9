"""How systems were trained that have a cheaper way than the exact one."""

from __future__ import annotations

from recspectra.studies.frames import StudyFiles, select_runs

HOW = {
    "cached": "with the summaries of all other users as they were at the start of each epoch",
    "exact": "with the summaries of all users made anew for every batch",
}


def mode_notes(files: StudyFiles, groups: list[str], datasets: list[str], fits: list[str]) -> list[str]:
    """Return a sentence for each system of a table and each mode that its runs were trained in.

    Where gradients of the cheaper way were compared with exact ones, it gives the least cosine.
    """
    runs = select_runs(files, groups, datasets, fits)
    runs = runs[runs["mode"] != ""]
    notes = []
    for (title, mode), rows in runs.groupby(["title", "mode"], sort=False):
        places = ", ".join(files.titles.get(d, d) for d in dict.fromkeys(rows["dataset"]))
        least = rows["gradient_cosine"].min()
        cosine = (
            "" if least != least else f"; the cosine of its gradients with exact ones was {least:.2f} or more"
        )
        notes.append(f"{title} was trained {HOW.get(mode, mode)} ({mode}; {places}){cosine}.")
    return notes
