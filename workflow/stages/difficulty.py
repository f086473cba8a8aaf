"""Which tokens are hard, and which of them compute helps; by kind of token, and a passage to show."""

import pyarrow as pa

from duo import artifacts, config, difficulty, tokens
from workflow import stage


def main() -> None:
    params = config.load()
    model, settings = params.enumerate.models[0], params.evaluate
    small, big, oracle = (artifacts.SELECTIONS.read(budget=budget) for budget in (0, params.model.layers, params.difficulty.budget))
    tokenizer = tokens.load()
    tables, histograms, classes, statistics, passages = [], [], [], [], []
    for name, source in params.corpus.items():
        ids = {"model": model, "domain": name}
        documents = artifacts.DOCUMENTS.read(domain=name)
        table, described = difficulty.described(difficulty.tokens(model, name, small, big, oracle), documents, tokenizer, source.language)
        domain = difficulty.Domain(table)
        found = domain.intervals(settings.resamples, settings.confidence, params.seed)
        tables.append(table)
        histograms.append(difficulty.histogram(ids, domain))
        classes.append(difficulty.class_means(ids, domain, found))
        statistics.append(difficulty.statistics(ids, found))
        passages.append(difficulty.passage(table, described, documents, params.difficulty.passage, params.seed))
    artifacts.DIFFICULTY.write(pa.concat_tables(tables))
    artifacts.DIFFICULTY_HISTOGRAM.write(pa.concat_tables(histograms))
    artifacts.DIFFICULTY_CLASSES.write(pa.concat_tables(classes))
    artifacts.DIFFICULTY_STATISTICS.write(pa.concat_tables(statistics))
    artifacts.PASSAGES.write(passages)


if __name__ == "__main__":
    stage.run(main)
