"""The documents that several stages evaluate."""

from duo.data.evaluation_set import EvaluationSet, choose
from duo.settings import EvaluationSize
from duo.tables.data import TEST_TOKENS
from workflow import stage


def evaluation_set(size: EvaluationSize, seed: int) -> EvaluationSet:
    """The evaluation set that params ask for. InputError where the test split holds less."""
    with stage.advice("evaluation_set in params.yaml asks for them"):
        return choose(TEST_TOKENS.read(), size.documents, size.tokens, seed)
