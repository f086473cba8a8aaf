"""What the paper's claims on the oracle are judged by on a pretrained model, and what became of them.

The column model holds a key of params pretrained_routes, as in duo.tables.pretrained.
"""

from duo.tables import studies
from duo.tables.files import Table
from duo.tables.report import CLAIMS

EXCESS = Table("results/pretrained/{routes}/excess.parquet", studies.EXCESS_STATISTICS.schema)
# No rows where routes are bounded by departures.
JUDGED = Table("results/pretrained/{routes}/claims.parquet", CLAIMS.schema)
