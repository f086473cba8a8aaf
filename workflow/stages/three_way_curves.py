"""Oracle and mean loss by the numbers of big and skipped layers, with intervals; all domains."""

import pyarrow as pa

from duo import artifacts, config, three_way
from workflow import stage


def main() -> None:
    params = config.load()
    settings = params.evaluate
    parts = [
        three_way.curves(artifacts.THREE_WAY.read(domain=domain), settings.resamples, settings.confidence, params.seed)
        for domain in params.corpus
    ]
    artifacts.THREE_WAY_CURVES.write(pa.concat_tables(parts))


if __name__ == "__main__":
    stage.run(main)
