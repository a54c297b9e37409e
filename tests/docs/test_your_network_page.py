"""docs/how-to/your-network.md: its code runs in order, in ten lines, and what it prints is what is printed."""

import contextlib
import io
import itertools

import torch
from docs_pages import ROOT, blocks

PAGE = ROOT / "docs" / "how-to" / "your-network.md"


def test_the_code_runs(elsewhere):
    torch.manual_seed(0)
    space = {"__name__": "page"}
    code = blocks(PAGE, "python")
    assert len(code) == 5
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for number, block in enumerate((code[0], code[-1], *code[1:-1])):
            exec(compile("\n" * block.line + block.text, str(PAGE), "exec"), space)
            if number == 1:
                x = space["x"]
                grown, again = space["model"].eval(), space["again"].eval()
                with torch.no_grad():
                    assert torch.equal(grown(x), again(x))
    assert any(record.space for record in space["grown"].growth)
    assert space["same"].losses == tuple(e["running_loss"] for e in space["same"].events if e["event"] == "epoch")
    assert (elsewhere / "runs" / "own" / "SHA256SUMS").is_file()
    with torch.no_grad():
        torch.testing.assert_close(space["network"].eval()(space["x"]), grown(space["x"]), rtol=1e-4, atol=1e-5)
    assert (elsewhere / "graph.yaml").is_file()
    assert space["model"][0].out_channels > 4
    assert space["grown"].losses[-1] < space["grown"].losses[0]
    assert "held out" in printed.getvalue()
    (shown,) = blocks(PAGE, "text")
    first, last = (list(part) for part in (shown.text.split("  ...\n")[0].splitlines(), shown.text.splitlines()[-3:]))
    assert printed.getvalue().splitlines()[: len(first)] == first
    assert last[0] in printed.getvalue()
    assert all(line in printed.getvalue() for line in itertools.chain(last[1:]))


def test_the_first_block_is_ten_lines_at_most():
    lines = [line for line in blocks(PAGE, "python")[0].text.splitlines() if line and "import" not in line]
    assert len(lines) <= 10
