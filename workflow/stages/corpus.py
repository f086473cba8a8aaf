"""Fetch one domain's text and split it."""

from duo.data import corpus
from duo.tables.data import DOCUMENTS
from workflow import stage
from workflow.params import load_params


def main(domain: str) -> None:
    params = load_params()
    source = params.corpus[domain]
    with stage.advice(f"corpus.{domain} in params.yaml says what is read"):
        documents = corpus.read(source, domain)
        table = corpus.split(documents, source, domain, params.seed)
    DOCUMENTS.write(table, domain=domain)


if __name__ == "__main__":
    stage.run(main)
