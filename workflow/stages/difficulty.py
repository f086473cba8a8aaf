"""Which tokens are hard, and which of them compute helps; by kind of token, and a passage to show."""

import pyarrow as pa

from duo.data import tokenizer as tokens
from duo.studies import difficulty
from duo.tables.data import DOCUMENTS
from duo.tables.oracle import SELECTIONS
from duo.tables.studies import DIFFICULTY, DIFFICULTY_CLASSES, DIFFICULTY_HISTOGRAM, DIFFICULTY_STATISTICS, PASSAGES
from workflow import stage
from workflow.params import load_params


def main() -> None:
    params = load_params()
    model, settings = params.route_losses.models[0], params.bootstrap
    small, big, oracle = (
        SELECTIONS.read(budget=budget) for budget in (0, params.model.layers, params.difficulty.budget)
    )
    tokenizer = tokens.load()
    tables, histograms, classes, statistics, passages = [], [], [], [], []
    for name, source in params.corpus.items():
        ids = {"model": model, "domain": name}
        documents = DOCUMENTS.read(domain=name)
        table, described = difficulty.described(
            difficulty.tokens(model, name, small, big, oracle), documents, tokenizer, source.language
        )
        domain = difficulty.Domain(table)
        found = domain.intervals(settings.resamples, settings.confidence, params.seed)
        tables.append(table)
        histograms.append(difficulty.histogram(ids, domain))
        classes.append(difficulty.class_means(ids, domain, found))
        statistics.append(difficulty.statistics(ids, found))
        passages.append(difficulty.passage(table, described, documents, params.difficulty.passage, params.seed))
    DIFFICULTY.write(pa.concat_tables(tables))
    DIFFICULTY_HISTOGRAM.write(pa.concat_tables(histograms))
    DIFFICULTY_CLASSES.write(pa.concat_tables(classes))
    DIFFICULTY_STATISTICS.write(pa.concat_tables(statistics))
    PASSAGES.write(passages)


if __name__ == "__main__":
    stage.run(main)
