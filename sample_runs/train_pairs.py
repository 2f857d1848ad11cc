"""Train the pairs of these folders anew: each by its own run.py and gapdoctor.toml.

    python sample_runs/train_pairs.py [NAME …]

Writes teacher.pth, checkpoint.pth and history.csv into each folder and prints the four losses.
The training itself is that of the bundled pair, `gapdoctor/demo/pair/make_pair.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gapdoctor.demo.pair.make_pair import Layout, make, usual_layout

HERE = Path(__file__).parent


def bare(student: nn.Module, optimizer: torch.optim.Optimizer, epoch: int) -> Any:
    return student.state_dict()


def data_parallel(student: nn.Module, optimizer: torch.optim.Optimizer, epoch: int) -> Any:
    weights = {f"module.{name}": value for name, value in student.state_dict().items()}
    return {"epoch": epoch, "state_dict": weights}


def under_student(student: nn.Module, optimizer: torch.optim.Optimizer, epoch: int) -> Any:
    return {"student": student.state_dict(), "optimizer": optimizer.state_dict()}


LAYOUTS: dict[str, Layout] = {
    "healthy": usual_layout,
    "overfitted_student": bare,
    "preprocessing_mismatch": data_parallel,
    "tutorial_recipe": under_student,
}
"""What each training script saves: people do it differently."""


def main(names: list[str]) -> None:
    unknown = sorted(set(names) - set(LAYOUTS))
    if unknown:
        raise SystemExit(f"no pair {unknown[0]!r}; there are {', '.join(LAYOUTS)}")
    for name in names or LAYOUTS:
        print(name)
        for which, nats in make(HERE / name, LAYOUTS[name]).items():
            print(f"  {which:16}{nats:.4f}")


if __name__ == "__main__":
    main(sys.argv[1:])
