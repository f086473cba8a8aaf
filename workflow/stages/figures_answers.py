"""Figure of the answer oracle."""

from duo.figures import answers, base
from duo.tables.answers import ANSWER_CURVES
from workflow import stage
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    searches = {each: params.answers[each] for each in params.figures.answers[name]}
    curves = {each: ANSWER_CURVES.read(name=each) for each in searches}
    base.save_all(answers.pictures(name, searches, curves, params.bootstrap.confidence), "figures_answers")


if __name__ == "__main__":
    stage.run(main)
