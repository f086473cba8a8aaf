"""Fetch one domain's text and split it."""

from duo.data import corpus
from duo.tables.data import DOCUMENTS
from workflow import stage
from workflow.params import load_params


def main(domain: str) -> None:
    params = load_params()
    source = params.corpus[domain]
    documents = corpus.read(source, domain)
    DOCUMENTS.write(corpus.split(documents, source, domain, params.seed), domain=domain)


if __name__ == "__main__":
    stage.run(main)
