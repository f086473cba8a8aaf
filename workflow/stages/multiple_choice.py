"""Multiple-choice items from held-out documents."""

from duo.data import tasks, tokenizer
from duo.tables.data import MULTIPLE_CHOICE, TEST_TOKENS
from workflow import stage
from workflow.params import load_params


def main() -> None:
    params = load_params()
    with stage.advice("ablation in params.yaml asks for them"):
        items = tasks.make_items(TEST_TOKENS.read(), tokenizer.load(), params.ablation, params.seed)
    MULTIPLE_CHOICE.write(items)


if __name__ == "__main__":
    stage.run(main)
