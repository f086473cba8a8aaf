"""Multiple-choice items from held-out documents."""

from duo.data import tasks, tokenizer
from duo.tables.data import MULTIPLE_CHOICE, held_out
from workflow import stage
from workflow.params import load_params


def main() -> None:
    params = load_params()
    with stage.advice("ablation in params.yaml asks for them"):
        items = tasks.make_items(held_out("test"), tokenizer.load(), params.ablation, params.seed)
    MULTIPLE_CHOICE.write(items)


if __name__ == "__main__":
    stage.run(main)
