"""How much routers gain from more supervision, with intervals."""

import pyarrow as pa

from duo.studies import learning_curves
from duo.tables.learning import LEARNED
from duo.tables.oracle import CHOICES
from workflow import stage, studies
from workflow.params import load_params


def main() -> None:
    params = load_params()
    model, sizes = params.route_losses.models[0], params.learning.tokens
    learned = pa.concat_tables([LEARNED.read(tokens=tokens) for tokens in sizes])
    choices = pa.concat_tables([CHOICES.read(model=model, shard=shard) for shard in params.route_losses.shards])
    gathered = learning_curves.gather(model, learned, choices, params.sampled_labels.teachers[0])
    studies.write(gathered, params.bootstrap, params.seed)


if __name__ == "__main__":
    stage.run(main)
