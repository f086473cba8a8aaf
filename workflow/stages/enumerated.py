"""The card of one of the models whose routes are enumerated, for stages that read several of them."""

from workflow import stage, weights


def main(name: str) -> None:
    weights.write_card("enumerated", name)


if __name__ == "__main__":
    stage.run(main)
