"""Which tokens are hard, and which of them compute helps; by kind of token, and a passage to show."""

import pyarrow.compute as pc

from duo.data import tokenizer as tokens
from duo.studies import difficulty
from duo.tables.data import DOCUMENTS, EVALUATION_SET
from duo.tables.oracle import SELECTIONS
from duo.tables.studies import PASSAGES
from workflow import stage, studies
from workflow.params import load_params


def main() -> None:
    params = load_params()
    models, budgets = params.route_losses.models, (0, params.model.layers, params.difficulty.budget)
    small, big, oracle = (SELECTIONS.read(budget=budget) for budget in budgets)
    tokenizer, windows = tokens.load(), EVALUATION_SET.read(split="test")
    gathered, passages = [], []
    for domain, source in params.corpus.items():
        documents = DOCUMENTS.read(domain=domain)
        losses = [difficulty.token_losses(model, domain, small, big, oracle) for model in models]
        of_domain = windows.filter(pc.equal(windows["domain"], domain))
        table, described = difficulty.describe(losses[0], of_domain, documents, tokenizer, source.language)
        gathered += [difficulty.TokenDifficulty(difficulty.as_described(each, table)) for each in losses]
        passages.append(difficulty.passage(table, described, documents, params.difficulty.passage, params.seed))
    studies.write(gathered, params.bootstrap, params.seed)
    PASSAGES.write(passages)


if __name__ == "__main__":
    stage.run(main)
