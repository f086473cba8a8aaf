"""Questions of other people's tasks, from the wheels that carry them."""

from duo.data import questions
from duo.tables.data import QUESTIONS
from workflow import stage
from workflow.params import load_params


def main() -> None:
    params = load_params()
    with stage.advice("tasks in params.yaml asks for it"):
        QUESTIONS.write(questions.make(params.tasks, params.seed))


if __name__ == "__main__":
    stage.run(main)
