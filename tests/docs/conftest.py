"""The copy of the checkout in which the pages' commands are run."""

from collections.abc import Iterator

import pytest

from tests.docs.checkout import ONE, Checkout
from tests.docs.pages import ROOT, SHELL, blocks, marked


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """The copy, with the loss of docs/own_loss.md and the table of docs/own_table.md in it."""
    found = Checkout(tmp_path_factory.mktemp("docs") / "checkout")
    loss = found.root / "projects/focal_star/focal_star/losses/poly1.py"
    loss.write_text(marked("own_loss.md", "losses/poly1.py"), encoding="utf-8")
    with (found.root / "ablations/grids/headline.yaml").open("a", encoding="utf-8") as file:
        file.write(marked("own_loss.md", "at the end of headline.yaml"))
    table = "ablations/grids/warm_prior.yaml"
    (found.root / table).write_text(marked("own_table.md", table), encoding="utf-8")
    yield found
    found.close()


@pytest.fixture(scope="session")
def trained(checkout: Checkout) -> Checkout:
    """The copy after the commands of docs/first_run.md; other commands use their results."""
    for block in blocks(ROOT / "docs" / "first_run.md", *SHELL):
        for command in block.commands:
            ran = checkout.run(command.text)
            assert ran.code == 0, f"{command.text}\n{ran.text}"
    assert (checkout.root / ONE / "result.json").is_file()
    checkout.put_checkpoints()
    return checkout
