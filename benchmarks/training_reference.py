"""What training is measured against: a bare loop over one tensor, and a DataLoader that reads a CSV for each clip."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader, Dataset

LABELS = 7


class LastStateModel(nn.Module):
    """The paper's LSTM of one modality as a few lines of torch."""

    def __init__(self, dimension: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(dimension, hidden, batch_first=True)
        self.output = nn.Sequential(
            nn.Dropout(0.5), nn.Linear(hidden, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, LABELS), nn.Sigmoid()
        )

    def forward(self, rows: Tensor) -> Tensor:
        """Return intensities, (clips, labels)."""
        result: Tensor = self.output(self.lstm(rows)[1][0][-1])
        return result


def bare_loop(batch: int, rows: int, dimension: int, hidden: int) -> Callable[[int], None]:
    """Return the ceiling: training steps over one random tensor, nothing read and nothing told."""
    model = LastStateModel(dimension, hidden)
    optimizer = torch.optim.Adam(model.parameters())
    clips, labels = torch.randn(batch, rows, dimension), torch.rand(batch, LABELS)

    def loop(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            mse_loss(model(clips), labels).backward()
            optimizer.step()

    return loop


def write_csv_files(folder: Path, clips: Sequence[NDArray[np.float32]]) -> list[Path]:
    """Write features as the organisers publish them: a folder of one CSV a clip, a row for each moment."""
    paths = []
    for number, rows in enumerate(clips):
        path = folder / f"{number:05d}.csv"
        with path.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["timestamp", *(f"feature_{index}" for index in range(rows.shape[1]))])
            writer.writerows([index * 500, *row] for index, row in enumerate(rows.tolist()))
        paths.append(path)
    return paths


class CsvClips(Dataset[tuple[Tensor, Tensor]]):
    """One clip an item, its CSV read when it is asked for."""

    def __init__(self, paths: Sequence[Path], labels: NDArray[np.float64]) -> None:
        self.paths, self.labels = paths, torch.from_numpy(labels).float()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rows = pd.read_csv(self.paths[index]).drop(columns="timestamp").to_numpy(dtype=np.float32)
        return torch.from_numpy(rows), self.labels[index]


class TensorClips(CsvClips):
    """The same with every CSV read once beforehand."""

    def __init__(self, paths: Sequence[Path], labels: NDArray[np.float64]) -> None:
        super().__init__(paths, labels)
        self.items = [super(TensorClips, self).__getitem__(index) for index in range(len(paths))]

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.items[index]


class BaselineModel(nn.Module):
    """The organisers' network: projection, three LSTMs over packed sequences, two linear layers."""

    def __init__(self, dimension: int, hidden: int = 64, layers: int = 3) -> None:
        super().__init__()
        self.projection = nn.Linear(dimension, hidden, bias=False)
        self.lstm = nn.LSTM(hidden, hidden, layers, batch_first=True, dropout=0.2)
        self.output = nn.Sequential(
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(0.5), nn.Linear(hidden, LABELS), nn.Sigmoid()
        )

    def forward(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """Return intensities, (clips, labels)."""
        packed = pack_padded_sequence(self.projection(rows), lengths, batch_first=True, enforce_sorted=False)
        result: Tensor = self.output(self.lstm(packed)[1][0][-1])
        return result


def item_by_item(clips: CsvClips, dimension: int, batch: int) -> Callable[[int], None]:
    """Return an epoch as entrants write it: a DataLoader over single clips, the loss read at every step."""
    model = BaselineModel(dimension)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(clips, batch, shuffle=True, collate_fn=_collate)

    def epoch(steps: int) -> None:
        total = 0.0
        for rows, lengths, labels in loader:
            optimizer.zero_grad()
            loss = mse_loss(model(rows, lengths), labels)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += loss.item()

    return epoch


def _collate(items: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    rows, labels = zip(*items, strict=True)
    return pad_sequence(list(rows), batch_first=True), torch.tensor([len(row) for row in rows]), torch.stack(labels)
