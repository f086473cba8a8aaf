"""The gain on one kind of text less that on another, with intervals; one pair of domains."""

from duo.studies import contrasts
from duo.tables.contrasts import CONTRASTS
from duo.tables.studies import GAIN_STATISTICS
from workflow import stage
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    domain, less = params.contrasts[name]
    found = contrasts.differences(GAIN_STATISTICS.read(), domain, less, params.bootstrap.confidence)
    CONTRASTS.write(found, name=name)


if __name__ == "__main__":
    stage.run(main)
