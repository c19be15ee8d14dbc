"""What was found of a dataset, what was left out, and why: a table for the reader of a lesson."""

from medlab.data.readers.folder import FolderSamples
from medlab.data.readers.scan import Scan
from medlab.data.samples import Samples, Subset


def inventory(samples: Samples) -> list[dict[str, object]]:
    """One row for each sample, each subject left out, and each that only the dataset's table knows.

    A row has subject, session, state ("used", "left out" or "without images"), reason ("" where it is used) and, for
    samples on disk, its files by channel; then the facts, None where they are not known, the same keys in all rows.
    No image is read. Of a `Subset` the rows are those of its samples, and all that the whole leaves out.
    """
    rows: list[dict[str, object]] = []
    for index, subject in enumerate(samples.subjects):
        scan = _scan(samples, index)
        files = {} if scan is None else {name: str(path) for name, path in scan.images.items()}
        files |= {} if scan is None or scan.label is None else {"label": str(scan.label)}
        files |= {} if scan is None or scan.mask is None else {"mask": str(scan.mask)}
        session = "" if scan is None else scan.session
        row = {"subject": subject, "session": session, "state": "used", "reason": "", "files": files}
        rows.append(row | dict(samples.facts(index)))
    for subject, reason in samples.left_out:
        rows.append({"subject": subject, "session": "", "state": "left out", "reason": reason, "files": {}})
    whole = samples
    while isinstance(whole, Subset):
        whole = whole.whole
    for subject in whole.absent if isinstance(whole, FolderSamples) else ():
        reason = "it is in the table only"
        rows.append({"subject": subject, "session": "", "state": "without images", "reason": reason, "files": {}})
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return [{key: row.get(key) for key in keys} for row in rows]


def _scan(samples: Samples, index: int) -> Scan | None:
    while isinstance(samples, Subset):
        samples, index = samples.whole, samples.indices[index]
    return samples.scans[index] if isinstance(samples, FolderSamples) else None
