"""Fetch one domain's text and split it."""

from duo import artifacts, config, corpus
from workflow import stage


def main(domain: str) -> None:
    params = config.load()
    source = params.corpus[domain]
    documents = corpus.read(source, domain)
    artifacts.DOCUMENTS.write(corpus.split(documents, source, domain, params.seed), domain=domain)


if __name__ == "__main__":
    stage.run(main)
