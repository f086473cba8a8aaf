"""Fetch one domain's text and split it."""

from pathlib import Path

from duo.data import corpus, documents
from duo.tables.data import CORPUS_METRICS, DOCUMENTS, LEFT_OUT
from workflow import stage
from workflow.params import load_params


def main(domain: str) -> None:
    params = load_params()
    source = params.corpus[domain]
    with stage.advice(f"corpus.{domain} in params.yaml says what is read"):
        kept, left_out = corpus.read(source, domain, Path(params.own_text))
        table = corpus.split(kept, source, domain, params.seed)
    DOCUMENTS.write(table, domain=domain)
    CORPUS_METRICS.write(documents.summary(kept, left_out), domain=domain)
    LEFT_OUT.write({name: [getattr(each, name) for each in left_out] for name in LEFT_OUT.schema.names}, domain=domain)


if __name__ == "__main__":
    stage.run(main)
