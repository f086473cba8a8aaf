"""Oracle and mean loss by the numbers of big and skipped layers, with intervals; all domains."""

import pyarrow as pa

from duo.oracle import three_way
from duo.tables.oracle import THREE_WAY
from duo.tables.studies import THREE_WAY_CURVES
from workflow import stage
from workflow.params import load_params


def main() -> None:
    params = load_params()
    settings = params.bootstrap
    parts = [
        three_way.curves(THREE_WAY.read(domain=domain), settings.resamples, settings.confidence, params.seed)
        for domain in params.corpus
    ]
    THREE_WAY_CURVES.write(pa.concat_tables(parts))


if __name__ == "__main__":
    stage.run(main)
