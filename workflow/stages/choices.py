"""Multiple-choice items from held-out documents."""

from duo import artifacts, choices, config, tokens
from workflow import stage


def main() -> None:
    params = config.load()
    artifacts.CHOICES.write(choices.make(artifacts.TEST_TOKENS.read(), tokens.load(), params.ablation, params.seed))


if __name__ == "__main__":
    stage.run(main)
