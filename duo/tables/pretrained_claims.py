"""What the paper's claims on the oracle are judged by on a pretrained model, and what became of them.

The column model holds a key of params pretrained_routes, as in duo.tables.pretrained.
"""

from duo.tables import pretrained, studies
from duo.tables.files import Table
from duo.tables.report import CLAIMS

EXCESS = Table("results/pretrained/{routes}/excess.parquet", studies.EXCESS_STATISTICS.schema)
# By the table of the study, that of its numbers on a pretrained model; and of these, what claims rest on.
STUDIED = pretrained.STUDIED | {studies.EXCESS_STATISTICS: EXCESS}
EVIDENCE = {
    study: STUDIED[study]
    for study in (
        studies.ORACLE_STATISTICS,
        studies.GAIN_STATISTICS,
        studies.EXCESS_STATISTICS,
        studies.JOINT_STATISTICS,
    )
}
# No rows where routes are bounded by departures.
JUDGED = Table("results/pretrained/{routes}/claims.parquet", CLAIMS.schema)
